"""What each verb asks the nodes, over nodes in memory, and what it makes of an answer that is missing."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from sparkctl.engines import ENGINES, engine_of
from sparkctl.engines.base import EnginePort
from sparkctl.errors import AccessRefused, Unreachable
from sparkctl.execute import verify as verifying
from sparkctl.execute.plan_verbs import desired, drifted, plan_down, plan_reprovision, plan_up
from sparkctl.execute.read_facts import gather, questions
from sparkctl.execute.verify import only_network, status, verify
from sparkctl.facts.record import FileRecord, Record
from sparkctl.loadtest.results import Load
from sparkctl.outcome import Absent, Failed, Known, Lost, Unknown
from sparkctl.plan import renumbering
from sparkctl.plan.diff import Wishes
from sparkctl.plan.playbook import load
from sparkctl.render.artifact import ENGINE_ENV, NCCL_ENV, UNIT_NAME
from tests.unit.healthy import studied
from tests.unit.nodes import HEAD, READ, TOKEN, WORKER, Answer, Nodes, both
from tests.unit.test_blocks import TAKEN, Sick
from tests.unit.test_blocks import pair as able
from tests.unit.test_plan import CLUSTER, FABRIC, KEY, FakeNode, pair, settled
from tests.unit.test_readiness import READY, TOLD, said

UP, DOWN = load("up"), load("down")
OFF = Unreachable("no route", "is it on?")
KEYS = {node: {"/etc/sparkctl/api.key": KEY} for node in (HEAD, WORKER)}
OLD = "10.9.9.2/24"


def scripts(nodes: Nodes, node: str = HEAD) -> list[str]:
    return [command.script for command in nodes.by_name[node].sent]


# --- plans ------------------------------------------------------------------------------------------------------


def test_a_plan_asks_for_routes_and_for_what_no_file_can_change() -> None:
    nodes = Nodes()
    nodes.play(lambda: plan_up(nodes.place(), UP))
    (script,) = scripts(nodes)
    assert all(f"probe {name} " in script for name in ("routes", "room", "arrival", "holders")) and nodes.fleet.rounds == 1


def test_newcomers_are_those_without_a_record_unless_they_are_named() -> None:
    says = {**settled(), WORKER: FakeNode(WORKER)}
    nodes = Nodes(says)
    for wishes, changed in ((Wishes(), (WORKER,)), (Wishes(only=frozenset({HEAD})), ())):
        planned: Any = nodes.play(lambda wishes=wishes: plan_reprovision(nodes.place(), UP, wishes))  # type: ignore[misc]
        assert planned.wishes.only == (wishes.only or {WORKER})
        assert set(planned.plan.changed_nodes) >= set(changed)


@pytest.mark.parametrize("expect", ["real", "lab"])
def test_an_emulated_node_needs_no_room_for_an_image(expect: Any) -> None:
    nodes = Nodes(able(image=None, room="2000000 4096\n"))
    planned: Any = nodes.play(lambda: plan_up(replace(nodes.place(), expect=expect), UP))
    assert bool(planned.blocked) == (expect == "real")


@pytest.mark.parametrize("stage", ["network", "engine", None])
def test_only_stages_that_are_asked_for_are_blocked(stage: str | None) -> None:
    nodes = Nodes({**able(), HEAD: Sick(HEAD, holders=TAKEN)})
    planned: Any = nodes.play(lambda: plan_up(nodes.place(), UP.only(stage)))
    assert bool(planned.blocked) == (stage != "network")


HEARD = "LISTEN 0 128 10.9.9.2:9000 0.0.0.0:* users:((\"prog\",pid=7,fd=3))\n"


@pytest.mark.parametrize(
    ("answer", "fact"),
    [
        (FakeNode(WORKER), Unknown("no answer")),
        (Failed(1, "", "no ss"), Unknown("no ss")),
        (Lost("no answer"), Unknown("no answer")),
        (OFF, Unknown("no route")),
    ],
)
def test_who_listens_at_an_address_that_goes_is_asked(monkeypatch: pytest.MonkeyPatch, answer: Answer, fact: object) -> None:
    """A node that is silent by then hides no plan."""
    said: list[Any] = []

    def notes(gone: object, found: Any) -> Iterator[str]:
        said.append(found)
        return renumbering.notes(gone, found)  # type: ignore[arg-type]

    monkeypatch.setattr("sparkctl.execute.plan_verbs.notes", notes)
    there = FakeNode(WORKER, addresses={FABRIC.of(WORKER)[0].netdev: OLD})
    nodes = Nodes({HEAD: FakeNode(HEAD), WORKER: there}, {(WORKER, READ): [there, answer]})
    planned: Any = nodes.play(lambda: plan_up(nodes.place(), UP))
    assert not planned.plan.empty and said == [{WORKER: fact}]
    assert nodes.told == [*both(READ), f"{WORKER} {READ}"] and nodes.fleet.rounds == 2


def test_a_listener_is_named_in_the_plan() -> None:
    class Heard(FakeNode):
        def said(self) -> str:
            return base64.b64encode(self._line("listeners", HEARD).encode()).decode()

    there = FakeNode(WORKER, addresses={FABRIC.of(WORKER)[0].netdev: OLD})
    nodes = Nodes({HEAD: FakeNode(HEAD), WORKER: there}, {(WORKER, READ): [there, Heard(WORKER)]})
    planned: Any = nodes.play(lambda: plan_up(nodes.place(), UP))
    assert any("prog" in note for note in planned.plan.notes), planned.plan.notes


@pytest.mark.parametrize("verb", ["down", "diff"])
def test_a_teardown_asks_for_baselines_and_a_comparison_for_routes(verb: str) -> None:
    nodes = Nodes(settled())
    if verb == "down":
        nodes.play(lambda: plan_down(nodes.place(), DOWN))
    else:
        nodes.play(lambda: drifted(nodes.place()))
    (script,) = scripts(nodes)
    assert ("probe baseline " in script, "probe routes " in script) == (verb == "down", verb == "diff")


def test_without_an_engine_no_image_is_wanted() -> None:
    site = Nodes().place()
    assert CLUSTER.engine is not None
    assert {d.image for d in desired(site, KEYS).values()} == {CLUSTER.engine.runtime.docker}
    assert {d.image for d in desired(replace(site, cluster=replace(CLUSTER, engine=None)), KEYS).values()} == {None}


# --- checks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("expect", ["real", "lab"])
@pytest.mark.parametrize("off", [False, True])
def test_a_proof_loads_no_cluster_that_a_node_is_missing_of(monkeypatch: pytest.MonkeyPatch, expect: Any, off: bool) -> None:
    given: list[Any] = []

    async def measured(*words: Any, **more: Any) -> Load:
        given.append((words[-1], more))
        return Load()

    monkeypatch.setattr(verifying, "measured", measured)
    nodes = Nodes(pair(), {(WORKER, READ): [OFF]} if off else {})
    found: Any = nodes.play(lambda: verify(replace(nodes.place(), expect=expect), load="quick"))
    assert given == [("none" if off else "quick", {"emulated": expect == "lab"})]
    (script,) = scripts(nodes)
    assert "probe pings " in script and "probe gids " in script and found.answer is None
    assert set(found.raw) == {HEAD, WORKER} and found.load == Load()


@pytest.mark.parametrize("site", ["real", "lab"])
@pytest.mark.parametrize("asked", [None, "real", "lab"])
def test_a_lab_may_be_judged_as_if_it_were_real_and_keeps_its_own_time(monkeypatch: pytest.MonkeyPatch, site: Any, asked: Any) -> None:
    given: list[Any] = []

    async def measured(*words: Any, emulated: bool) -> Load:
        given.append(emulated)
        return Load()

    monkeypatch.setattr(verifying, "measured", measured)
    monkeypatch.setattr(verifying, "judge", lambda view: given.append(view.expect))
    nodes = Nodes()
    nodes.play(lambda: verify(replace(nodes.place(), expect=site), expect=asked))
    assert given == ["lab" in (site, asked), asked or site]


def test_the_completion_is_part_of_a_status() -> None:
    says = settled()
    nodes = Nodes(says, {(HEAD, TOKEN): [said({"ready": READY})]})
    found: Any = nodes.play(lambda: status(nodes.place()))
    assert found.answer == TOLD and set(found.raw) == {HEAD, WORKER}
    assert "probe pings " not in scripts(nodes)[0]
    for words in ({"pings": True}, {"tokens": 3}):
        nodes.by_name[HEAD].sent.clear()
        nodes.play(lambda words=words: status(nodes.place(), **words))  # type: ignore[misc]
        asked, token = scripts(nodes)
        assert ("probe pings " in asked, '"max_tokens": 3' in token.replace("\\", "")) == ("pings" in words, "tokens" in words)


def test_a_view_has_the_clocks_that_are_known_and_the_stages_that_are_named() -> None:
    nodes = Nodes()
    site = nodes.place()
    facts: Any = nodes.play(site.facts)
    facts[WORKER] = replace(facts[WORKER], skew=Known((0.1, 0.2)))
    view = site.view(facts, stages=("network",))
    assert view.skews == {WORKER: (0.1, 0.2)} and view.stages == {"network"} and view.canary == Absent("not asked")
    asked = site.view(facts, Unknown("the head does not answer"), silent={HEAD: "x"})
    assert asked.canary == Unknown("the head does not answer") and asked.stages == {"network", "host", "engine"}
    assert asked.silent == {HEAD: "x"}


@pytest.mark.parametrize(("chosen", "asked"), [(None, both(READ)), ((WORKER,), [f"{WORKER} {READ}"]), ((), [])])
def test_facts_are_asked_of_those_that_are_named(chosen: tuple[str, ...] | None, asked: list[str]) -> None:
    nodes = Nodes()
    facts: Any = nodes.play(lambda: nodes.place().facts(chosen))
    assert nodes.told == asked and [f"{node} {READ}" for node in facts] == asked


# --- questions --------------------------------------------------------------------------------------------------


def test_a_node_that_is_off_is_no_base_for_a_plan() -> None:
    nodes = Nodes(ends={(WORKER, READ): [OFF]})
    error = nodes.play(lambda: gather(nodes.fleet, questions(CLUSTER, FABRIC)))
    assert error is OFF and isinstance(error, AccessRefused), "as it was said, for one node"


def test_a_rank_from_a_venv_has_the_home_of_its_user() -> None:
    assert CLUSTER.engine is not None
    engine = replace(CLUSTER.engine, runtime=replace(CLUSTER.engine.runtime, docker=None, venv="/opt/vllm"))
    one = questions(replace(CLUSTER, engine=engine), FABRIC, survey=True)[HEAD].survey
    assert one is not None and one.venv == "/opt/vllm"
    assert any(word.startswith("HOME=/") for word in one.naming)
    of_docker = questions(CLUSTER, FABRIC, survey=True)[HEAD].survey
    assert of_docker is not None and not any(word.startswith("HOME=") for word in of_docker.naming)


def test_ranks_that_meet_on_a_rail_meet_nowhere_else() -> None:
    cluster, fabric, _ = studied("dual")
    one = questions(cluster, fabric, survey=True)[HEAD].survey
    assert one is not None and len(one.meetings) == len(set(one.meetings)) == len(fabric.of(HEAD))


@pytest.mark.parametrize("plan", [False, True])
def test_the_ports_that_a_rank_opens_are_asked_of_it(monkeypatch: pytest.MonkeyPatch, plan: bool) -> None:
    assert CLUSTER.engine is not None
    base = engine_of(CLUSTER.engine.kind)

    class Everywhere(type(base)):  # type: ignore[misc]
        def ports(self, intent: object) -> tuple[EnginePort, ...]:
            return (EnginePort(7101, "to meet", everywhere=True), *base.ports(intent))  # type: ignore[arg-type]

    monkeypatch.setitem(ENGINES, CLUSTER.engine.kind, Everywhere())
    asked = questions(CLUSTER, FABRIC, plan=plan)
    serves = CLUSTER.engine.port
    assert asked[WORKER].opens == ((7101,) if plan else None)
    assert asked[HEAD].opens is None or (asked[HEAD].opens[0], asked[HEAD].opens[-1]) == (7101, serves)
    surveyed = questions(CLUSTER, FABRIC, survey=True)[HEAD].survey
    assert surveyed is not None and 7101 in surveyed.lent[FABRIC.endpoints[WORKER].address], "peers call it there"
    bare = questions(replace(CLUSTER, engine=None), FABRIC, plan=plan)
    assert {one.opens for one in bare.values()} == {() if plan else None}



# --- clusters whose network alone was brought up ----------------------------------------------------------------


def recorded(*stages: str, unit: str | None = None) -> Known[Record]:
    """A record with one file of each stage."""
    paths = {"network": NCCL_ENV, "engine": ENGINE_ENV}
    return Known(Record(cluster="dual", unit=unit, files={paths[s]: FileRecord(digest="d", mode=0o644, stage=s) for s in stages}))


NETWORK, ENGINE = recorded("network"), recorded("network", "engine")


@pytest.mark.parametrize(
    ("head", "worker", "silent", "only"),
    [
        (NETWORK, NETWORK, (), True),
        (NETWORK, ENGINE, (), False),
        (NETWORK, recorded("network", unit=UNIT_NAME), (), False),
        (NETWORK, Absent("no record"), (), False),
        (NETWORK, Unknown("unreadable"), (), False),
        (NETWORK, recorded(), (), False),
        (NETWORK, Unknown("no answer"), (WORKER,), True),
        (Absent("x"), Absent("x"), (), False),
        (Absent("x"), Absent("x"), (HEAD, WORKER), False),
    ],
)
def test_only_the_network_is_up_where_every_record_that_can_be_read_says_so(head: Any, worker: Any, silent: tuple[str, ...], only: bool) -> None:
    facts = {HEAD: replace(FakeNode(HEAD).facts(), record=head), WORKER: replace(FakeNode(WORKER).facts(), record=worker)}
    assert only_network(facts, silent) == only


@pytest.mark.parametrize("engine", [True, False])
@pytest.mark.parametrize("verb", [status, verify])
def test_a_cluster_without_its_engine_yet_is_judged_by_its_fabric(monkeypatch: pytest.MonkeyPatch, verb: Any, engine: bool) -> None:
    """No token is asked for, and what was not judged is said where there is to be an engine."""
    seen: list[Any] = []
    monkeypatch.setattr(verifying, "judge", lambda view: seen.append(view.stages) or ())
    for record, partial in ((NETWORK, True), (ENGINE, False)):
        nodes = Nodes({n: replace(node, record=record.value) for n, node in settled().items()}, {(HEAD, TOKEN): [said({"ready": READY})]})
        site = nodes.place()
        site = site if engine else replace(site, cluster=replace(CLUSTER, engine=None))
        found: Any = nodes.play(lambda site=site: verb(site))  # type: ignore[misc]
        assert seen.pop() == ({"network", "host"} if partial else {"network", "host", "engine"})
        assert [(v.id, v.state) for v in found.verdicts] == ([("engine-unit", "skipped")] if partial and engine else [])
        assert (f"{HEAD} {TOKEN}" in nodes.told) == (engine and not partial)
