"""What a run is confirmed on, over nodes in memory: how long it may take to come, what is wrong, and what is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from sparkctl.errors import ApplyFailed, Refused, Unreachable
from sparkctl.execute import apply as applying
from sparkctl.execute.apply import apply, proven, remains
from sparkctl.execute.plan_verbs import Planned, plan_down, plan_up
from sparkctl.execute.runner import Applied, Runner, StepFailed
from sparkctl.execute.site import Site
from sparkctl.execute.verify import Verified
from sparkctl.facts.baseline import Baseline, SavedNetdev
from sparkctl.facts.snapshot import NodeFacts
from sparkctl.loadtest.results import Load
from sparkctl.outcome import Known, State, Unknown, Verdict
from sparkctl.plan.blocks import Block
from sparkctl.plan.changes import FileChange, NetworkChange
from sparkctl.plan.diff import PLAIN, Wishes
from sparkctl.plan.plan import Plan
from sparkctl.plan.playbook import Playbook, load
from tests.unit.nodes import HEAD, READ, TOKEN, WORKER, Answer, Nodes, both
from tests.unit.test_plan import ASKED, CLUSTER, FABRIC, FakeNode, pair, settled
from tests.unit.test_readiness import READY, TOLD, said
from tests.unit.test_runner import RUN, SECRETS

UP, DOWN = load("up"), load("down")
RAIL = FABRIC.of(WORKER)[0]


def verdict(state: State, id: str = "rail-mtu", nodes: tuple[str, ...] = (WORKER,)) -> Verdict:
    return Verdict(id, state, WORKER, f"{id} is {state}", nodes=nodes)


PASS, FAIL = verdict("pass"), verdict("fail")


@dataclass
class Judge:
    """The checks: what they say one time after the other, and when they were asked."""

    says: list[list[Verdict]]
    clock: Any = None
    asked: list[float] = field(default_factory=list)
    stages: list[frozenset[str]] = field(default_factory=list)
    firewall: list[Verdict] = field(default_factory=list)
    measured: list[Mapping[str, Any]] = field(default_factory=list)

    def judge(self, view: Any) -> tuple[Verdict, ...]:
        self.asked.append(self.clock.now)
        self.stages.append(view.stages)
        return tuple(self.says.pop(0) if len(self.says) > 1 else self.says[0])

    async def measure(self, *words: Any, **more: Any) -> Load:
        self.measured.append({"level": words[-1], **more})
        return Load()


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Judge]:
    found = Judge([[PASS]])
    monkeypatch.setattr(applying, "judge", found.judge)
    monkeypatch.setattr(applying, "measured", found.measure)
    monkeypatch.setattr(applying, "SETTLE_PAUSE", 1.0)
    monkeypatch.setattr(applying, "CHECKS", {"firewall": lambda view: found.firewall})
    yield found


def book(only: str | None = None, level: str = "none", seconds: int = 5) -> Playbook:
    stages = [s.model_copy(update={"load": level, "settle_timeout": seconds} if s.stage == "network" else {"ready_timeout": 30}) for s in UP.stages]
    return UP.model_copy(update={"stages": tuple(stages)}).only(only)


def proved(
    stage: str,
    checks: Judge,
    playbook: Playbook,
    *,
    change: Callable[[Site], Site] = lambda site: site,
    ends: Mapping[tuple[str, str], list[Answer]] = {},
    wishes: Wishes = PLAIN,
    before: Mapping[str, NodeFacts] = {},
) -> tuple[Nodes, Any]:
    """The nodes, and what the proof of a stage of `up` says of them."""
    nodes = Nodes(ends=ends, takes={(HEAD, TOKEN): 10, (WORKER, TOKEN): 10})
    checks.clock = nodes.clock
    site = change(nodes.place())

    async def prove() -> Any:
        planned = await plan_up(nodes.place(), UP)
        nodes.told.clear()
        planned = replace(planned, playbook=playbook, wishes=wishes)
        runner = Runner(nodes.fleet, planned.plan, RUN, ASKED, SECRETS, {}, before=dict(before))
        with nodes.opened():
            return await applying._proofs_up(site, planned)[stage](runner, Applied(lost=("kept",)))

    return nodes, nodes.play(prove)


def sent(nodes: Nodes, node: str = HEAD) -> str:
    """The last script that was sent."""
    return nodes.by_name[node].sent[-1].script


# --- the network ------------------------------------------------------------------------------------------------


def test_a_network_is_looked_at_until_nothing_is_wrong(checks: Judge) -> None:
    checks.says = [[FAIL], [verdict("unknown")], [PASS, verdict("warn"), verdict("skipped")]]
    nodes, found = proved("network", checks, book("network"))
    assert found == Applied((PASS, verdict("warn"), verdict("skipped")), lost=("kept",))
    assert checks.asked == [0, 1, 2] and set(checks.stages) == {frozenset({"network"})}
    assert nodes.told == both(READ) * 3 and "probe pings" in sent(nodes)


@pytest.mark.parametrize("state", ["fail", "unknown"])
def test_a_network_that_stays_wrong_is_a_step_that_failed(checks: Judge, state: State) -> None:
    checks.says = [[PASS, verdict(state)]]
    _, found = proved("network", checks, book("network"))
    assert type(found) is StepFailed and found.message.startswith("not right within 5 s:\n  ")
    assert f"rail-mtu is {state}" in found.message and "is pass" not in found.message
    assert checks.asked == [0, 1, 2, 3, 4, 5], "the last look is at the end of its time"


def test_a_stage_that_no_playbook_names_has_the_time_of_one_that_does(checks: Judge) -> None:
    checks.says = [[FAIL]]
    _, found = proved("network", checks, book("engine"))
    assert "not right within 15 s" in found.message
    _, found = proved("engine", checks, book("network"), ends={(HEAD, TOKEN): [said({"waiting": "loading"})]})
    assert "no token within 2700 s" in found.message
    checks.says = [[PASS]]
    _, found = proved("network", checks, book("engine"))
    assert found.verdicts == (PASS,) and checks.measured == []


def test_a_node_that_is_away_for_a_moment_is_not_the_end(checks: Judge) -> None:
    ends: dict[tuple[str, str], list[Answer]] = {(WORKER, READ): [FakeNode(WORKER), Unreachable("away"), FakeNode(WORKER)]}
    _, found = proved("network", checks, book("network"), ends=ends)
    assert found.verdicts == (PASS,) and checks.asked == [1]
    _, found = proved("network", checks, book("network"), ends={(WORKER, READ): [FakeNode(WORKER), Unreachable("away")]})
    assert type(found) is StepFailed and "away" in found.message


@pytest.mark.parametrize(
    ("only", "wrong", "right"),
    [
        (frozenset({HEAD}), verdict("fail", "files"), True),
        (frozenset({HEAD}), verdict("fail"), False),
        (frozenset({HEAD}), verdict("fail", "files", (HEAD,)), False),
        (frozenset({HEAD}), verdict("fail", "files", (HEAD, WORKER)), False),
        (None, verdict("fail", "files"), False),
    ],
)
def test_files_of_a_node_that_is_left_alone_are_not_judged(checks: Judge, only: frozenset[str] | None, wrong: Verdict, right: bool) -> None:
    checks.says = [[wrong]]
    _, found = proved("network", checks, book("network"), wishes=Wishes(only=only))
    assert isinstance(found, Applied) == right


# --- packet filters, RoCE ---------------------------------------------------------------------------------------


def without_engine(site: Site) -> Site:
    return replace(site, cluster=replace(CLUSTER, engine=None))


def over_tcp(site: Site) -> Site:
    return replace(site, cluster=replace(CLUSTER, fabric=replace(CLUSTER.fabric, transport="tcp")))


def test_ranks_that_cannot_reach_one_another_are_not_started(checks: Judge) -> None:
    checks.firewall = [verdict("pass", "firewall"), verdict("fail", "firewall")]
    nodes, found = proved("network", checks, book())
    assert type(found) is StepFailed and found.message.startswith("ranks cannot reach one another:\n  ")
    assert "firewall is fail" in found.message and "is pass" not in found.message
    assert nodes.told == both(READ) * 2 and "knock" in sent(nodes)
    checks.firewall = [verdict(state, "firewall") for state in ("pass", "warn", "unknown", "skipped")]
    assert proved("network", checks, book())[1] == Applied((PASS,), lost=("kept",))


@pytest.mark.parametrize("stage", ["network", None])
def test_nobody_knocks_where_no_engine_is_started(checks: Judge, stage: str | None) -> None:
    checks.firewall = [verdict("fail", "firewall")]
    change = (lambda site: site) if stage else without_engine
    nodes, found = proved("network", checks, book(stage), change=change)
    assert isinstance(found, Applied) and nodes.told == both(READ)


@pytest.mark.parametrize("expect", ["real", "lab"])
@pytest.mark.parametrize("level", ["quick", "full"])
def test_roce_is_measured_before_an_engine_uses_it(checks: Judge, level: str, expect: Any) -> None:
    slow = verdict("fail", "rail-bandwidth")
    checks.says = [[PASS], [PASS, slow]]
    nodes, found = proved("network", checks, book("network", level), change=lambda site: replace(site, expect=expect))
    assert found == Applied((PASS, slow), (slow,)), "slow hardware is told, and undoes nothing"
    assert checks.measured == [{"level": level, "emulated": expect == "lab", "gather": False}]
    assert "probe pings" in sent(nodes) and "probe perftest" in sent(nodes)


def test_a_wrong_roce_fails_and_says_what_is_wrong_alone(checks: Judge) -> None:
    checks.says = [[PASS], [PASS, verdict("fail", "rail-bandwidth"), verdict("warn"), verdict("unknown", "gids")]]
    _, found = proved("network", checks, book("network", "quick"))
    assert type(found) is StepFailed and "gids is unknown" in found.message
    assert not any(words in found.message for words in ("is pass", "is warn", "rail-bandwidth"))


@pytest.mark.parametrize(("level", "change"), [("none", lambda site: site), ("full", over_tcp)])
def test_what_is_no_roce_or_not_asked_for_is_not_measured(checks: Judge, level: str, change: Callable[[Site], Site]) -> None:
    assert isinstance(proved("network", checks, book("network", level), change=change)[1], Applied)
    assert checks.measured == []


# --- the engine -------------------------------------------------------------------------------------------------


def test_an_engine_is_ready_with_its_first_token_and_the_nodes_hear_of_the_wait(checks: Judge) -> None:
    ends: dict[tuple[str, str], list[Answer]] = {(HEAD, TOKEN): [said({"waiting": "loading"}), said({"ready": READY})]}
    nodes, found = proved("engine", checks, book(), ends=ends)
    assert found == Applied(answer=TOLD, lost=("kept",))
    assert nodes.told == [*both(TOKEN), *both("extend the checkpoint"), *both(TOKEN)]


def test_a_wait_for_a_token_has_the_time_of_the_playbook(checks: Judge) -> None:
    _, found = proved("engine", checks, book(), ends={(HEAD, TOKEN): [said({"waiting": "loading"})]})
    assert "no token within 30 s" in found.message


def test_restarts_of_a_unit_that_this_run_does_not_touch_count_from_now(checks: Judge) -> None:
    """Of one that it starts anew they count from nothing."""
    running = {n: replace(node.facts(), unit=Known(replace(node.facts().unit.value, restarts=3))) for n, node in settled().items()}  # type: ignore[union-attr]
    nodes, _ = proved("engine", checks, book(), ends={(HEAD, TOKEN): [said({"ready": READY})]}, before=running)
    assert '"restarts": 0' in sent(nodes)
    nodes = Nodes(settled(), {(HEAD, TOKEN): [said({"ready": READY})]})

    async def prove() -> Any:
        planned = replace(await plan_up(nodes.place(), UP), playbook=book())
        assert planned.plan.empty
        runner = Runner(nodes.fleet, planned.plan, RUN, ASKED, SECRETS, {}, before=running)
        with nodes.opened():
            return await applying._proofs_up(nodes.place(), planned)["engine"](runner, Applied())

    assert isinstance(nodes.play(prove), Applied) and '"restarts": 3' in sent(nodes)


def test_a_cluster_without_an_engine_proves_none() -> None:
    planned = Planned(plan_of(()), {}, UP)
    assert set(applying._proofs_up(without_engine(Nodes().place()), planned)) == {"network"}
    assert set(applying._proofs_up(Nodes().place(), planned)) == {"network", "engine"}


# --- a whole run ------------------------------------------------------------------------------------------------


def plan_of(steps: tuple[Any, ...]) -> Plan:
    return Plan(action="up", cluster="dual", nodes=(HEAD, WORKER), fingerprints={}, records={}, steps=steps)


def test_a_plan_that_is_blocked_is_not_begun() -> None:
    nodes = Nodes()
    planned = Planned(plan_of(()), {}, UP, blocked=(Block(("network",), "spark-2", "no cable", "put it in"),))
    assert isinstance(nodes.play(lambda: apply(nodes.place(), planned)), Refused) and nodes.told == []


@pytest.mark.parametrize("verb", ["up", "down"])
def test_a_run_is_proved_as_its_plan_asks_and_known_to_be_on(checks: Judge, verb: str) -> None:
    nodes = Nodes(pair() if verb == "up" else settled(), {(HEAD, TOKEN): [said({"ready": READY})]})
    checks.clock, site = nodes.clock, nodes.place()
    running: list[bool] = []
    nodes.by_name[HEAD].ends["prepare"] = [lambda: running.append(site.interruption.running)]

    async def run() -> Any:
        planned = await plan_up(site, book()) if verb == "up" else await plan_down(site, DOWN)
        return await apply(site, planned)

    found = nodes.play(run)
    assert running == [True]
    if verb == "up":
        assert found == Applied((PASS,), (), TOLD) and not site.interruption.running
    else:  # the nodes say that all is still there
        assert isinstance(found, ApplyFailed) and "not as before after 15 s" in found.message and site.interruption.running


# --- what is shown at the end -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("applied", "engine", "stage", "again"),
    [
        (Applied((PASS,), (FAIL,), TOLD), True, "network", False),
        (Applied((PASS,), (FAIL,), TOLD), False, None, False),
        (Applied((PASS,), (FAIL,), TOLD), True, None, True),
        (Applied((), (FAIL,), TOLD), True, "network", True),
        (Applied((), (FAIL,), TOLD), False, "network", True),
    ],
)
def test_what_was_proved_is_shown_and_an_engine_is_read_once_more(
    monkeypatch: pytest.MonkeyPatch, applied: Applied, engine: bool, stage: str | None, again: bool
) -> None:
    async def status(site: Site, *, pings: bool, tokens: int) -> Verified:
        assert pings and tokens == 16
        return Verified((verdict("warn"),))

    monkeypatch.setattr(applying, "status", status)
    site = Nodes().place() if engine else without_engine(Nodes().place())
    found = asyncio.run(proven(site, Planned(plan_of(()), {}, UP.only(stage)), applied))
    assert found == (Verified((verdict("warn"), FAIL)) if again else Verified((PASS,), TOLD))


# --- a teardown -------------------------------------------------------------------------------------------------

NETDEV, OURS = RAIL.netdev, str(RAIL.address)
THEIRS = "192.168.7.7/24"
NCCL = "/etc/sparkctl/nccl.env"


def teardown() -> Plan:
    """Of both."""
    nodes = Nodes(settled())
    planned = nodes.play(lambda: plan_down(nodes.place(), DOWN))
    assert isinstance(planned, Planned) and planned.plan.network(WORKER)
    return planned.plan


def torn(saved: SavedNetdev | None = None, **now: Any) -> NodeFacts:
    """The worker when nothing of sparkctl is there any more; `now`: what its first rail is, where that is not so."""
    facts = FakeNode(WORKER).facts()
    assert isinstance(facts.netdevs, Known)
    netdevs = facts.netdevs.value | {NETDEV: replace(facts.netdevs.value[NETDEV], **now)}
    return replace(facts, netdevs=Known(netdevs), baseline=Known(Baseline({}, {}, {NETDEV: saved} if saved else {})))


def with_file(fact: Any) -> NodeFacts:
    return replace(torn(), files={**torn().files, NCCL: fact})


HAD = SavedNetdev(1500, True, (THEIRS, OURS), ("route 10.99.0.0/16 via 192.168.7.2",))
KNOWN_FILE = next(fact for fact in settled()[WORKER].facts().files.values())
REMAINS: dict[str, tuple[NodeFacts, list[str]]] = {
    "nothing": (torn(), []),
    "a file": (with_file(KNOWN_FILE), [NCCL]),
    "a file that cannot be read": (with_file(Unknown("x")), [NCCL]),
    "an address of ours": (torn(addresses=(OURS, THEIRS)), [f"{NETDEV}: still has {OURS}"]),
    "an address of another rail": (torn(addresses=(str(FABRIC.of(WORKER)[1].address),)), [f"{NETDEV}: still has {FABRIC.of(WORKER)[1].address}"]),
    "an address of theirs": (torn(addresses=(THEIRS,)), []),
    "no netdev": (replace(torn(), netdevs=Known({})), []),
    "no baseline": (replace(torn(addresses=(OURS,)), baseline=Unknown("x")), [f"{NETDEV}: still has {OURS}"]),
    "as it was": (torn(HAD, addresses=(THEIRS, OURS)), []),
    "without its own": (torn(HAD, addresses=(OURS,)), [f"{NETDEV}: has no {THEIRS}, as it had"]),
    "another MTU": (
        torn(HAD, addresses=HAD.addresses, mtu=9000),
        [f"{NETDEV}: is not as it was (MTU 1500, up), but MTU 9000, up"],
    ),
    "down": (torn(HAD, addresses=HAD.addresses, up=False), [f"{NETDEV}: is not as it was (MTU 1500, up), but MTU 1500, down"]),
}


@pytest.mark.parametrize("kind", REMAINS)
def test_what_a_teardown_left_is_named(kind: str) -> None:
    facts, left = REMAINS[kind]
    assert list(remains(teardown(), FABRIC, {WORKER: facts})) == [f"{WORKER}: {words}" for words in left]


def test_what_a_teardown_does_not_take_away_may_be_there() -> None:
    """What comes back from a baseline, the files of others, a netdev that stays ours."""
    plan = teardown()

    def kept(change: Any) -> Any:
        if isinstance(change, FileChange) and change.path == NCCL:
            return change.model_copy(update={"after": change.before})
        if isinstance(change, FileChange):
            return change.model_copy(update={"aside": (NETDEV,)})
        if isinstance(change, NetworkChange):
            return change.model_copy(update={"netdevs": tuple(t.model_copy(update={"after_address": OURS}) for t in change.netdevs)})
        return change

    steps = tuple(s.model_copy(update={"changes": {n: tuple(map(kept, c)) for n, c in s.changes.items()}}) for s in plan.steps)
    assert list(remains(plan.model_copy(update={"steps": steps}), FABRIC, {WORKER: settled()[WORKER].facts()})) == []
    assert list(remains(plan, FABRIC, {WORKER: settled()[WORKER].facts()})) != []


@dataclass
class Saved(FakeNode):
    """A node that says what it has kept of a netdev."""

    def _baseline(self) -> str:
        return f"net {NETDEV} mtu 1500\nnet {NETDEV} link up\nnet {NETDEV} lost {HAD.lost[0]}\n"


@pytest.mark.parametrize("only", [None, "engine"])
def test_a_teardown_is_looked_at_until_nothing_is_left_and_says_what_is_lost(checks: Judge, only: str | None) -> None:
    rows: list[Answer] = [settled()[WORKER], Unreachable("away"), Saved(WORKER)]
    nodes = Nodes({HEAD: FakeNode(HEAD), WORKER: Saved(WORKER)}, {(WORKER, READ): rows})
    planned = Planned(teardown(), {}, DOWN.only(only))
    proof = applying._proofs_down(nodes.place(), planned)["network"]
    runner = Runner(nodes.fleet, planned.plan, RUN, ASKED, SECRETS, {})
    found = nodes.play(lambda: proof(runner, Applied((PASS,))))
    assert found == Applied((PASS,), lost=(f"{WORKER}: {NETDEV}: ip {HAD.lost[0]}",))
    assert nodes.clock.now == 2 and "baseline_state" in sent(nodes)
    nodes.by_name[WORKER].ends[READ] = [settled()[WORKER]]
    error = nodes.play(lambda: proof(runner, Applied()))
    assert type(error) is StepFailed and f"not as before after 15 s:\n  {WORKER}: " in error.message


def test_a_teardown_has_the_time_of_its_playbook(checks: Judge) -> None:
    nodes = Nodes(settled())
    quick = DOWN.model_copy(update={"stages": tuple(s.model_copy(update={"settle_timeout": 3}) for s in DOWN.stages if s.stage == "network")})
    planned = Planned(teardown(), {}, quick)
    runner = Runner(nodes.fleet, planned.plan, RUN, ASKED, SECRETS, {})
    error = nodes.play(lambda: applying._proofs_down(nodes.place(), planned)["network"](runner, Applied()))
    assert type(error) is StepFailed and "not as before after 3 s" in error.message and nodes.clock.now == 3
