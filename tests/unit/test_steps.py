"""Facts of a pair of nodes to the steps of `up` and `down`: who stops, who starts, in which order, and what stays on record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from sparkctl.errors import Refused
from sparkctl.facts.baseline import Baseline
from sparkctl.facts.files import FileState
from sparkctl.facts.foreign import ForeignFile, ForeignStanza
from sparkctl.facts.record import FileRecord, Record
from sparkctl.facts.routes import Route, parse
from sparkctl.facts.snapshot import NodeFacts
from sparkctl.facts.units import UnitState
from sparkctl.inventory.names import NETPLAN
from sparkctl.outcome import Absent, Known, Unknown
from sparkctl.plan.changes import UnitChange
from sparkctl.plan.diff import PLAIN, Desired, Wishes
from sparkctl.plan.plan import Plan
from sparkctl.plan.playbook import load
from sparkctl.plan.steps import left_behind, newcomers, plan_down, plan_up
from sparkctl.render import render
from sparkctl.render.artifact import API_KEY, ENGINE_ENV, ENGINE_UNIT, NCCL_ENV
from tests.unit.test_plan import CLUSTER, FABRIC, FakeNode, desired, pair, settled, titles

HEAD, WORKER = "spark-1", "spark-2"
CX7 = "/etc/netplan/40-cx7.yaml"
Nodes = Mapping[str, FakeNode]
Facts = dict[str, NodeFacts]


def facts_of(nodes: Nodes) -> Facts:
    return {name: node.facts() for name, node in nodes.items()}


BLANK, SETTLED = facts_of(pair()), facts_of(settled())


def other(facts: Facts, node: str, **fields: Any) -> Facts:
    return facts | {node: replace(facts[node], **fields)}


def unit(active: str, *, enabled: bool = True, loaded: bool = True) -> Known[UnitState]:
    return Known(UnitState(loaded, active, "x", enabled, 0))


def mtu(facts: Facts, node: str = WORKER) -> Facts:
    known = facts[node].netdevs
    assert isinstance(known, Known)
    return other(facts, node, netdevs=Known({name: replace(dev, mtu=1500) for name, dev in known.value.items()}))


def written(facts: Facts, node: str, path: str, **fields: Any) -> Facts:
    """Sparkctl itself wrote another file there."""
    known = facts[node]
    fact, on_record = known.file(path), known.record
    assert isinstance(fact, Known) and isinstance(on_record, Known)
    now = replace(fact.value, **{"digest": "older", "content": "older\n", **fields})
    entry = on_record.value.files[path].model_copy(update={"digest": now.digest})
    record = on_record.value.model_copy(update={"files": on_record.value.files | {path: entry}})
    return other(facts, node, files={**known.files, path: Known(now)}, record=Known(record))


def bare() -> dict[str, Desired]:
    """The same cluster without an engine."""
    rendering = render(replace(CLUSTER, engine=None), FABRIC)
    return {n: Desired(rendering.nodes[n], {}, FABRIC.of(n), None) for n in (HEAD, WORKER)}


def up(
    facts: Facts, stage: str | None = None, wishes: Wishes = PLAIN, wanted: Mapping[str, Desired] | None = None
) -> Plan:
    return plan_up(CLUSTER.name, wanted or desired(), facts, load("up").only(stage), wishes)


def units(plan: Plan) -> dict[str, list[tuple[str, str]]]:
    """What the engine of each node is told, and why."""
    return {node: [(unit.action, unit.reason) for unit in plan.units(node)] for node in plan.nodes if plan.units(node)}


# --- up -----------------------------------------------------------------------------------------------------------

FIRST, CHANGES, DOWN = "it is not running yet", "something that it uses changes", "a rank is down"
STOP, START = "stop", "start"


def both(*actions: str, why: str) -> dict[str, list[tuple[str, str]]]:
    return {node: [(action, why) for action in actions] for node in (HEAD, WORKER)}


UP: dict[str, tuple[Facts, str | None, dict[str, list[tuple[str, str]]]]] = {
    "blank": (BLANK, None, both(START, why=FIRST)),
    "settled": (SETTLED, None, {}),
    "blank, the network alone": (BLANK, "network", {}),
    "blank, the engine alone": (BLANK, "engine", both(START, why=FIRST)),
    "an MTU": (mtu(SETTLED), None, both(STOP, START, why=CHANGES)),
    "an MTU, the engine alone": (mtu(SETTLED), "engine", {}),
    "an MTU, the network alone": (mtu(SETTLED), "network", both(STOP, START, why=CHANGES)),
    "an MTU where one rank is down, the network alone": (
        mtu(other(SETTLED, WORKER, unit=unit("failed"))),
        "network",
        {HEAD: [(STOP, CHANGES), (START, CHANGES)]},
    ),
    "an MTU where no engine runs, the network alone": (
        mtu(other(other(SETTLED, WORKER, unit=unit("failed")), HEAD, unit=unit("inactive"))),
        "network",
        {},
    ),
    "an image": (other(SETTLED, WORKER, image=Absent("no")), None, both(STOP, START, why=CHANGES)),
    "an image, the network alone": (other(SETTLED, WORKER, image=Absent("no")), "network", {}),
    "a unit file": (written(SETTLED, WORKER, ENGINE_UNIT), None, both(STOP, START, why=CHANGES)),
    "a rank is down": (
        other(SETTLED, WORKER, unit=unit("failed")),
        None,
        {HEAD: [(STOP, DOWN), (START, DOWN)], WORKER: [(START, DOWN)]},
    ),
    "a rank is down, the network alone": (other(SETTLED, WORKER, unit=unit("failed")), "network", {}),
    "a rank is coming up": (other(SETTLED, WORKER, unit=unit("activating")), None, both(STOP, START, why=DOWN)),
    "a unit is disabled": (other(SETTLED, HEAD, unit=unit("active", enabled=False)), None, both(STOP, START, why=DOWN)),
    "no unit": (
        other(SETTLED, WORKER, unit=Absent("no systemd")),
        None,
        {HEAD: [(STOP, DOWN), (START, DOWN)], WORKER: [(START, DOWN)]},
    ),
    "a new node": (
        SETTLED | {WORKER: BLANK[WORKER]},
        None,
        {HEAD: [(STOP, CHANGES), (START, CHANGES)], WORKER: [(START, CHANGES)]},
    ),
    "a node is off": ({HEAD: SETTLED[HEAD]}, None, {}),
    "a node is off, the other is blank": ({WORKER: BLANK[WORKER]}, None, {WORKER: [(START, FIRST)]}),
}


@pytest.mark.parametrize("case", UP)
def test_who_is_stopped_and_started_and_why(case: str) -> None:
    facts, stage, said = UP[case]
    plan = up(facts, stage)
    assert units(plan) == said
    for node, state in ((n, known.unit) for n, known in facts.items()):
        was = (isinstance(state, Known) and state.value.enabled, isinstance(state, Known) and state.value.running)
        assert {(unit.was_enabled, unit.was_running) for unit in plan.units(node)} <= {was}


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        (BLANK, ["network, workers", "network, head", "engine, workers", "engine, head"]),
        (mtu(SETTLED), ["stop all ranks", "network, workers", "engine, workers", "engine, head"]),
        (mtu(SETTLED, HEAD), ["stop all ranks", "network, head", "engine, workers", "engine, head"]),
        (other(SETTLED, HEAD, image=Absent("no")), ["stop all ranks", "fetch the image", "engine, workers", "engine, head"]),
    ],
)
def test_the_order_of_up(facts: Facts, found: list[str]) -> None:
    plan = up(facts)
    assert titles(plan) == found
    assert [set(step.changes) for step in plan.steps if step.title.endswith("workers")] <= [{WORKER}, {WORKER}]
    assert all(step.changes[node] for step in plan.steps for node in step.changes), "a step has a part for each of its nodes"
    assert [c.kind for c in plan.of(HEAD) if isinstance(c, UnitChange) and c.action == START] == ["unit"]


def test_a_file_that_nobody_wants_any_more_is_no_unit_that_goes() -> None:
    wanted = {n: replace(d, rendering=replace(d.rendering, secrets=())) for n, d in desired().items()}
    plan = up(SETTLED, wanted=wanted)
    assert units(plan) == both(STOP, START, why=CHANGES)
    assert [(c.path, c.after) for c in plan.files(HEAD)] == [(API_KEY, None)]
    record = plan.records[HEAD]
    assert record is not None and API_KEY not in record.files and NETPLAN in record.files


def test_without_an_engine_there_is_none_to_start_and_one_that_is_there_goes() -> None:
    fresh, gone = up(BLANK, wanted=bare()), up(SETTLED, wanted=bare())
    assert titles(fresh) == ["network, workers", "network, head"] and units(fresh) == {}
    assert {node: [action for action, _ in said] for node, said in units(gone).items()} == {HEAD: [STOP], WORKER: [STOP]}
    assert titles(gone) == ["stop all ranks", "engine, workers", "engine, head"]
    assert {c.path: c.after for c in gone.files(HEAD)} == dict.fromkeys(desired_paths()[-4:])
    record = gone.records[HEAD]
    assert record is not None and record.unit is None and set(record.files) == {NETPLAN, NCCL_ENV}


def test_a_unit_that_somebody_edited_is_left_alone_and_runs_on_without_an_engine_in_the_inventory() -> None:
    mine = {**SETTLED[HEAD].files, ENGINE_UNIT: Known(FileState(0o644, 0, 0, "mine", "# mine\n"))}
    plan = up(other(SETTLED, HEAD, files=mine), wanted=bare())
    assert ENGINE_UNIT not in {c.path for c in plan.files(HEAD)}
    assert {node: [action for action, _ in said] for node, said in units(plan).items()} == {HEAD: [STOP, START], WORKER: [STOP]}


def test_a_record_names_files_netdevs_and_unit() -> None:
    record = up(BLANK).records[HEAD]
    assert record is not None and record.unit == "sparkctl-engine.service" and record.cluster == CLUSTER.name
    assert set(record.files) == {f.path for f in desired()[HEAD].rendering.files} | {API_KEY}
    assert record.netdevs == tuple(a.netdev for a in FABRIC.of(HEAD))
    engine = up(BLANK, "engine").records[HEAD]
    assert engine is not None and engine.netdevs == () and NETPLAN not in engine.files


def test_the_environment_goes_along_only_where_a_running_engine_would_lose_a_variable() -> None:
    """Of both files, where both change; of an engine that does not run neither has been read."""
    older = written(written(SETTLED, HEAD, ENGINE_ENV), HEAD, NCCL_ENV)
    assert [c.path for c in up(older, "network").files(HEAD)] == [NCCL_ENV, ENGINE_ENV]
    assert [c.path for c in up(written(SETTLED, HEAD, ENGINE_ENV), "network").files(HEAD)] == []
    idle = other(older, HEAD, unit=unit("inactive"))
    assert [c.path for c in up(idle, "network").files(HEAD)] == [NCCL_ENV]
    unit_file = written(older, HEAD, ENGINE_UNIT)
    assert [c.path for c in up(unit_file, "network").files(HEAD)] == [NCCL_ENV, ENGINE_ENV]


@pytest.mark.parametrize("first", [HEAD, WORKER])
def test_ranks_start_in_the_engines_own_order_and_wait_for_what_they_need(first: str) -> None:
    wanted = {}
    for node, it in desired().items():
        assert it.rendering.engine is not None
        engine = replace(it.rendering.engine, wave=int(node != first), ready=(29501,) if node == first else ())
        wanted[node] = replace(it, rendering=replace(it.rendering, engine=engine))
    plan = up(BLANK, "engine", wanted=wanted)
    second = ({HEAD, WORKER} - {first}).pop()
    assert [set(step.changes) for step in plan.steps] == [{first}, {second}]
    assert titles(plan) == ["engine, head", "engine, workers"][:: 1 if first == HEAD else -1]
    assert [plan.units(node)[0].ready for node in (first, second)] == [(29501,), ()]


def stray() -> Route:
    (route,) = parse(f'[{{"dst":"10.5.0.0/16","dev":"{FABRIC.of(WORKER)[0].netdev}","protocol":"static"}}]')
    return route


def test_notes_of_up() -> None:
    facts = other(mtu(SETTLED), WORKER, routes=Known((stray(),)))
    assert up(facts).notes == (f"{WORKER}: the route {stray()} goes; teardown puts it back",)
    assert up(other(SETTLED, WORKER, routes=Known((stray(),)))).notes == ()
    mine = {**SETTLED[HEAD].files, NCCL_ENV: Known(FileState(0o644, 0, 0, "mine", "# mine\n"))}
    assert up(other(SETTLED, HEAD, files=mine)).notes == (f"{HEAD}: {NCCL_ENV} was edited since sparkctl wrote it: left alone",)
    assert up(other(had(NCCL_ENV), HEAD, files=mine)).notes == up(other(SETTLED, HEAD, files=mine)).notes
    removed = {**SETTLED[HEAD].files, NCCL_ENV: Absent()}
    assert up(other(SETTLED, HEAD, files=removed)).notes == ()


@pytest.mark.parametrize(("active", "noted"), [("active", True), ("failed", False)])
def test_a_running_engine_is_said_to_run_on_where_its_variables_stay_the_same(active: str, noted: bool) -> None:
    fact = SETTLED[HEAD].file(NCCL_ENV)
    assert isinstance(fact, Known)
    older = written(SETTLED, HEAD, NCCL_ENV, content=f"# an older header\n{fact.value.content}")
    plan = up(other(older, HEAD, unit=unit(active)))
    assert [note for note in plan.notes if "no reason to restart the engine" in note] == (
        [f"{HEAD}: {NCCL_ENV} and {ENGINE_ENV} say together what they said: no reason to restart the engine"] if noted else []
    )


@pytest.mark.parametrize(
    ("facts", "only", "notes"),
    [
        (mtu(SETTLED, HEAD), {WORKER}, (f"{HEAD}: differs from the inventory too (1 change), left alone; `sparkctl cluster up` makes them",)),
        (
            other(mtu(written(SETTLED, HEAD, ENGINE_UNIT), HEAD), HEAD, image=Absent("no")),
            {WORKER},
            (f"{HEAD}: differs from the inventory too (3 changes), left alone; `sparkctl cluster up` makes them",),
        ),
        (mtu(SETTLED, HEAD), {HEAD}, ()),
        (SETTLED, {WORKER}, ()),
    ],
)
def test_a_reprovision_leaves_others_alone_and_says_so(facts: Facts, only: set[str], notes: tuple[str, ...]) -> None:
    plan = up(facts, wishes=Wishes(only=frozenset(only)))
    assert plan.action == "reprovision" and plan.notes == notes
    assert {node for node in plan.nodes if plan.files(node) or plan.network(node)} <= only
    assert up(facts).action == "up" and not any("differs" in note for note in up(facts).notes)


def test_newcomers_are_those_without_a_record_among_others() -> None:
    assert newcomers(SETTLED | {WORKER: BLANK[WORKER]}) == {WORKER} and newcomers(SETTLED) == frozenset()
    with pytest.raises(Refused, match="no node of this cluster is set up yet"):
        newcomers(BLANK)


# --- what was there before ----------------------------------------------------------------------------------------


def foreign(digest: str, after: str) -> Known[tuple[ForeignFile, ...]]:
    stanza = ForeignStanza("ethernets", FABRIC.of(HEAD)[0].netdev, (FABRIC.of(HEAD)[0].netdev,), (), "is its name", "dhcp4")
    return Known((ForeignFile(CX7, digest, 0o600, 0, 0, (stanza,), "", True, "", after),))


OVER = Wishes(take_over=True)


@pytest.mark.parametrize(("after", "digest", "mode"), [("left", "left", 0o600), ("absent", "absent", 0)])
def test_a_file_that_is_taken_over_is_on_record_with_what_it_was(after: str, digest: str, mode: int) -> None:
    record = up(other(BLANK, HEAD, foreign=foreign("theirs", after)), wishes=OVER).records[HEAD]
    assert record is not None
    assert record.files[CX7] == FileRecord(
        digest=digest,
        mode=mode,
        stage="network",
        baseline="etc_netplan_40-cx7.yaml.theirs",
        baseline_digest="theirs",
        aside=True,
    )


def test_a_file_that_is_written_again_and_taken_over_again_has_its_newer_content_on_record() -> None:
    first = up(other(BLANK, HEAD, foreign=foreign("theirs", "left")), wishes=OVER).records[HEAD]
    facts = other(SETTLED, HEAD, record=Known(first), foreign=foreign("newer", "absent"))
    record = up(facts, wishes=OVER).records[HEAD]
    assert record is not None and record.files[CX7].baseline == "etc_netplan_40-cx7.yaml.newer"


def test_a_file_that_was_there_keeps_its_first_baseline_and_one_that_was_not_has_none() -> None:
    facts = written(SETTLED, HEAD, ENGINE_ENV)
    assert up(facts).records[HEAD] == up(SETTLED).records[HEAD], "nothing was there before"
    kept = facts[HEAD].record
    assert isinstance(kept, Known)
    entry = kept.value.files[ENGINE_ENV].model_copy(update={"baseline": "first", "baseline_digest": "d0"})
    files = kept.value.files | {ENGINE_ENV: entry}
    again = up(other(facts, HEAD, record=Known(kept.value.model_copy(update={"files": files})))).records[HEAD]
    assert again is not None and (again.files[ENGINE_ENV].baseline, again.files[ENGINE_ENV].baseline_digest) == ("first", "d0")


def test_an_earlier_inventorys_file_goes_back_and_leaves_the_record_but_one_taken_over_stays() -> None:
    """The key was there before sparkctl; the inventory of today has none."""
    facts = had(API_KEY, CX7, aside=(CX7,))
    wanted = {n: replace(d, rendering=replace(d.rendering, secrets=())) for n, d in desired().items()}
    plan = up(facts, wanted=wanted)
    assert [(c.path, c.baseline) for c in plan.files(HEAD)] == [(API_KEY, "before.api.key")]
    record = plan.records[HEAD]
    assert record is not None and API_KEY not in record.files and record.files[CX7].aside


def had(*paths: str, aside: tuple[str, ...] = ()) -> Facts:
    """A settled pair; the head had files at `paths` before sparkctl, and keeps them whole."""
    known = SETTLED[HEAD]
    assert isinstance(known.record, Known)
    files = dict(known.record.value.files)
    for path in paths:
        base = files.get(path) or FileRecord(digest="left", mode=0o600, stage="network")
        name = f"before.{path.rpartition('/')[2]}"
        files[path] = base.model_copy(update={"baseline": name, "baseline_digest": "d0", "aside": path in aside})
    images = {file.baseline: "d0" for file in files.values() if file.baseline}
    record = known.record.value.model_copy(update={"files": files})
    listed = {path: FileState(0o600, 0, 0, "left") for path in paths if path == CX7}
    fields = {"record": Known(record), "baseline": Known(Baseline(images, {}, {})), "netplan_files": Known(listed)}
    return other(SETTLED, HEAD, **fields)


# --- down ---------------------------------------------------------------------------------------------------------


def spoilt(facts: Facts, *names: str) -> Facts:
    """Some before-images of the head are damaged."""
    known = facts[HEAD].baseline
    assert isinstance(known, Known)
    images = {name: "d9" if name in names else digest for name, digest in known.value.images.items()}
    return other(facts, HEAD, baseline=Known(replace(known.value, images=images)))


def down(facts: Facts, wishes: Wishes = PLAIN, *accepted: str) -> Plan:
    return plan_down(CLUSTER.name, facts, wishes, {HEAD: accepted})


@pytest.mark.parametrize(
    ("facts", "stopped"),
    [
        (SETTLED, {HEAD, WORKER}),
        (other(SETTLED, WORKER, unit=unit("inactive")), {HEAD, WORKER}),
        (other(SETTLED, WORKER, unit=unit("inactive", loaded=False)), {HEAD}),
        (other(SETTLED, WORKER, unit=Absent("no systemd")), {HEAD}),
        (SETTLED | {WORKER: BLANK[WORKER]}, {HEAD}),
    ],
)
def test_down_stops_every_unit_that_is_there(facts: Facts, stopped: set[str]) -> None:
    plan = down(facts)
    assert plan.steps[0].title == "stop all ranks" and set(plan.steps[0].changes) == stopped
    assert {unit.reason for node in plan.nodes for unit in plan.units(node)} == {"the cluster is torn down"}


def test_down_of_files_and_network_by_stage_workers_first() -> None:
    plan = down(SETTLED)
    assert titles(plan) == ["stop all ranks", "engine files", "network, workers", "network, head"]
    stages = [{change.stage for changes in step.changes.values() for change in changes} for step in plan.steps]
    assert stages == [{"engine"}, {"engine"}, {"network"}, {"network"}]
    assert [set(step.changes) for step in plan.steps] == [{HEAD, WORKER}, {HEAD, WORKER}, {WORKER}, {HEAD}]
    (network,) = plan.network(HEAD)
    assert [(t.netdev, t.after_mtu, t.after_address) for t in network.netdevs] == [(a.netdev, None, None) for a in FABRIC.of(HEAD)]


def test_down_of_a_node_without_netdevs_on_record_leaves_its_network_alone() -> None:
    known = SETTLED[HEAD].record
    assert isinstance(known, Known)
    facts = other(SETTLED, HEAD, record=Known(known.value.model_copy(update={"netdevs": ()})))
    assert down(facts).network(HEAD) == () and down(facts).network(WORKER) != ()


def test_a_node_that_knows_nothing_of_sparkctl_has_no_part_in_down() -> None:
    plan = down(SETTLED | {WORKER: BLANK[WORKER]})
    assert plan.nodes == (HEAD, WORKER) and plan.changed_nodes == (HEAD,)
    assert plan.records == {HEAD: None} and plan.spared == {HEAD: {}}


DAMAGED = "its before-image is damaged (its digest differs)"
LEFT = f"{HEAD}: {NCCL_ENV} stays as it is: {DAMAGED}"
LOST = f"{HEAD}: {NCCL_ENV} does not come back; what is kept of it: {NCCL_ENV}.before-sparkctl"


@pytest.mark.parametrize(
    ("accepted", "left", "notes", "spared"),
    [
        ((), {NCCL_ENV: DAMAGED, ENGINE_ENV: DAMAGED}, {LEFT, LEFT.replace("nccl", "engine")}, {}),
        ((NCCL_ENV,), {ENGINE_ENV: DAMAGED}, {LOST, LEFT.replace("nccl", "engine")}, {NCCL_ENV: "before.nccl.env"}),
    ],
)
def test_what_cannot_come_back_stays_until_its_loss_is_accepted(
    accepted: tuple[str, ...], left: dict[str, str], notes: set[str], spared: dict[str, str]
) -> None:
    facts = spoilt(had(NCCL_ENV, ENGINE_ENV, API_KEY), "before.nccl.env", "before.engine.env")
    plan = down(facts, PLAIN, *accepted)
    assert left_behind(facts, {HEAD: accepted}) == {HEAD: left}
    assert set(plan.notes) == notes and plan.spared == {HEAD: spared, WORKER: {}}
    record = plan.records[HEAD]
    assert record is not None and set(record.files) == set(left) and record.netdevs == ()
    given = {change.path: change.baseline for change in plan.files(HEAD)}
    assert set(given) == set(desired_paths()) - set(left) and given[API_KEY] == "before.api.key"
    assert given.get(NCCL_ENV) is None and plan.records[WORKER] is None


def desired_paths() -> list[str]:
    rendering = desired()[HEAD].rendering
    return [file.path for file in (*rendering.files, *rendering.secrets)]


def test_while_its_netplan_file_stays_a_node_keeps_its_netdevs() -> None:
    facts = spoilt(had(NETPLAN), "before.95-sparkctl.yaml")
    plan = down(facts)
    record = plan.records[HEAD]
    assert record is not None and record.netdevs == tuple(a.netdev for a in FABRIC.of(HEAD))
    assert plan.network(HEAD) == () and plan.network(WORKER) != ()
    assert down(facts, PLAIN, NETPLAN).network(HEAD) != () and down(facts, PLAIN, NETPLAN).records[HEAD] is None


MINE = FileState(0o644, 0, 0, "mine", "# mine\n")


@pytest.mark.parametrize(
    ("facts", "now", "notes", "spared"),
    [
        (had(NCCL_ENV), MINE, f"edited since sparkctl wrote it: left alone; what was there before sparkctl is kept as {NCCL_ENV}.before-sparkctl", True),
        (had(NCCL_ENV), None, f"removed since sparkctl wrote it: left alone; what was there before sparkctl is kept as {NCCL_ENV}.before-sparkctl", True),
        (SETTLED, MINE, "edited since sparkctl wrote it: left alone", False),
        (SETTLED, None, "removed since sparkctl wrote it: left alone", False),
    ],
)  # fmt: skip
def test_down_leaves_a_later_edit_and_lays_what_was_there_before_beside_it(
    facts: Facts, now: FileState | None, notes: str, spared: bool
) -> None:
    files = {**facts[HEAD].files, NCCL_ENV: Known(now) if now else Absent()}
    facts = other(facts, HEAD, files=files)
    plan = down(facts)
    assert plan.notes == (f"{HEAD}: {NCCL_ENV} was {notes}",) and NCCL_ENV not in {c.path for c in plan.files(HEAD)}
    assert plan.spared[HEAD] == ({NCCL_ENV: "before.nccl.env"} if spared else {})
    forced = down(facts, Wishes(force=frozenset({NCCL_ENV})))
    assert forced.notes == () and forced.spared[HEAD] == {}


@pytest.mark.parametrize("verb", [up, down])
def test_what_stops_a_plan_is_told_of_every_node_at_once(verb: Any) -> None:
    facts = other(other(SETTLED, HEAD, record=Unknown("cut off")), WORKER, record=Known(Record(cluster="other")))
    with pytest.raises(Refused) as caught:
        verb(facts)
    assert caught.value.message == (
        "nothing was changed, because\n  spark-1: record: cut off\n"
        "  spark-2: the node belongs to cluster 'other'; tear that down first"
    )


def test_foreign_files_stop_up_and_not_down() -> None:
    facts = other(SETTLED, HEAD, foreign=foreign("theirs", "left"))
    with pytest.raises(Refused, match="also defines"):
        up(facts)
    assert down(facts).files(HEAD)
