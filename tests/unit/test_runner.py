"""A run over nodes in memory: what they are told in which order, what each failure becomes, and what is said of each node."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from sparkctl.commands.base import Effect
from sparkctl.commands.lock import HELD, INTERRUPTED, STALE
from sparkctl.errors import (
    AccessRefused,
    ApplyFailed,
    EffectRefused,
    Locked,
    Refused,
    RollbackIncomplete,
    SparkctlError,
    StalePlan,
    Unfinished,
)
from sparkctl.execute.runner import Applied, Prove, Runner, StepFailed
from sparkctl.execute.undo import Interrupted
from sparkctl.outcome import Failed, Lost, Ok
from sparkctl.plan.plan import Plan
from sparkctl.report.events import Phase
from tests.unit.nodes import CONNECT, HEAD, READ, RUN, UNDO, WORKER, Answer, Nodes, both
from tests.unit.test_plan import ASKED, KEY, FakeNode, pair, planned, settled

UP = planned(pair())
NETWORK = planned(pair(), "network")
STEPS = (f"{WORKER} network, workers", f"{HEAD} network, head", f"{WORKER} engine, workers", f"{HEAD} engine, head")
PUT_BACK = {f"{HEAD} {UNDO}", f"{WORKER} {UNDO}"}
BEFORE = "every node was put back and is as before"
NO = Failed(1, "", "planted")
SECRETS = {node: {"/etc/sparkctl/api.key": KEY} for node in (HEAD, WORKER)}


@dataclass
class Played:
    """A run, and how it ended."""

    nodes: Nodes
    runner: Runner
    ended: Any = None
    seen: list[Applied] = field(default_factory=list)

    @property
    def told(self) -> list[str]:
        return self.nodes.told

    def error(self, kind: type[SparkctlError]) -> SparkctlError:
        """It, which is of this kind and no other."""
        assert type(self.ended) is kind, repr(self.ended)
        assert isinstance(self.ended, SparkctlError)
        return self.ended


def ran(
    plan: Plan = UP,
    ends: Mapping[tuple[str, str], list[Answer]] = {},
    takes: Mapping[tuple[str, str], float] = {},
    proofs: Mapping[str, Callable[[Runner], Any]] = {},
    says: Mapping[str, FakeNode] | None = None,
) -> Played:
    """Both stages are proved, unless `proofs` says something else; a proof takes a second and is told as such."""
    nodes = Nodes(says or pair(), ends, takes)
    runner = Runner(nodes.fleet, plan, RUN, ASKED, SECRETS, {})
    play = Played(nodes, runner)

    def prove(stage: str) -> Prove:
        async def proved(runner: Runner, applied: Applied) -> Applied:
            play.seen.append(applied)
            nodes.told.append(f"prove {stage}")
            await asyncio.sleep(1)
            found = proofs[stage](runner) if stage in proofs else None
            if asyncio.iscoroutine(found):
                await found
            nodes.told.append(f"proved {stage}")
            return replace(applied, lost=(*applied.lost, stage))

        return proved

    runner.prove = {stage: prove(stage) for stage in ("network", "engine")}
    play.ended = nodes.play(runner.execute)
    return play


def half_changed() -> dict[str, FakeNode]:
    """Somebody changed the worker, whose engine does not run; the head is as it should be."""
    says = {name: replace(node, active="inactive") for name, node in settled().items()}
    says[WORKER].mtu = 1500
    assert planned(says, "network").changed_nodes == (WORKER,)
    return says


def raising(error: BaseException) -> Callable[[Runner], None]:
    """A proof that does not hold."""

    def proof(runner: Runner) -> None:
        raise error

    return proof


# --- a run without a fault --------------------------------------------------------------------------------------


def test_a_run_goes_step_by_step_and_proves_each_stage_before_the_next() -> None:
    play = ran()
    network, engine = ["prove network", "proved network"], ["prove engine", "proved engine"]
    end = [*both(CONNECT), *both("confirm"), *both("record")]
    assert play.told == [*both("lock"), *both("prepare"), *STEPS[:2], *network, *STEPS[2:], *engine, *end]
    assert play.ended == Applied(lost=("network", "engine")) == play.runner.applied
    assert play.seen == [Applied(), Applied(lost=("network",))], "each stage is given what the one before proved"
    assert all(gate.ceiling is Effect.READ for gate in play.nodes.fleet.gates.values()), "the gates are closed again"
    assert all(event.nodes for event in play.nodes.events if isinstance(event, Phase)), "nobody is no phase"


def test_new_connections_are_opened_beside_the_last_proof_of_a_network() -> None:
    play = ran(NETWORK)
    assert play.told[4:] == [*STEPS[:2], "prove network", *both(CONNECT), "proved network", *both("confirm"), *both("record")]


def test_connections_that_are_refused_early_are_opened_again_before_the_confirmation() -> None:
    play = ran(NETWORK, {(HEAD, CONNECT): [AccessRefused("settling"), Ok("")]})
    assert play.ended == Applied(lost=("network",))
    assert play.nodes.since("proved network") == [*both(CONNECT), *both("confirm"), *both("record")]


def test_connections_that_take_longer_than_the_proof_are_waited_for() -> None:
    play = ran(NETWORK, takes={(WORKER, CONNECT): 30})
    assert play.told.count(f"{WORKER} {CONNECT}") == 1 and isinstance(play.ended, Applied)
    assert play.nodes.clock.now >= 30


def test_a_stage_without_a_proof_is_not_proved() -> None:
    nodes = Nodes()
    runner = Runner(nodes.fleet, UP, RUN, ASKED, SECRETS, {})
    assert nodes.play(runner.execute) == Applied()


def test_a_node_that_nothing_is_changed_on_is_locked_and_unlocked() -> None:
    says = half_changed()
    play = ran(planned(says, "network"), says=says)
    assert [told for told in play.told if told.startswith(HEAD)] == [f"{HEAD} lock", f"{HEAD} unlock"]
    assert play.nodes.since("proved network") == [f"{WORKER} confirm", f"{WORKER} record", f"{HEAD} unlock"]


def test_an_empty_gate_lets_no_run_begin() -> None:
    """What changes a node passes within `execute` alone."""
    nodes = Nodes()
    runner = Runner(nodes.fleet, UP, RUN, ASKED, SECRETS, {})
    assert isinstance(nodes.play(runner._lock), EffectRefused) and nodes.told == []


# --- locks ------------------------------------------------------------------------------------------------------

LOCKS: dict[str, tuple[Answer, type[SparkctlError], str, bool]] = {
    "held": (Failed(HELD, "", "run 0b0b of her@there"), Locked, "0b0b of her@there", False),
    "interrupted": (Failed(INTERRUPTED, "", "x"), Refused, "an interrupted run is on this node", False),
    "stale": (Failed(STALE, "", "the boot hook is gone"), Refused, "not as planned: the boot hook is gone", True),
    "changed": (FakeNode(WORKER, mtu=1400), StalePlan, f"{WORKER} changed since the plan was made", True),
}


@pytest.mark.parametrize("kind", LOCKS)
def test_a_lock_that_is_refused_leaves_nothing_of_ours(kind: str) -> None:
    """Nothing is taken from another run, and nothing more is sent."""
    answer, error, words, ours = LOCKS[kind]
    play = ran(ends={(WORKER, "lock"): [answer]})
    said = play.error(error)
    assert words in said.message and f"{HEAD}:" not in said.message and said.remedy
    assert ("not as planned" in said.message) == (kind == "stale")
    assert play.told == [*both("lock"), f"{HEAD} unlock", *([f"{WORKER} unlock"] if ours else [])]
    assert not play.runner.locked and not play.runner.begun


def test_who_holds_a_lock_is_said_first() -> None:
    ends: dict[tuple[str, str], list[Answer]] = {(HEAD, "lock"): [Failed(INTERRUPTED, "", "")], (WORKER, "lock"): [Failed(HELD, "", "her")]}
    play = ran(ends=ends)
    assert "her" in play.error(Locked).message and play.told == both("lock")


@pytest.mark.parametrize("answer", [NO, Lost("no answer within 30 s"), AccessRefused("no route")])
def test_a_lock_that_is_not_known_to_be_refused_is_given_back_as_a_run_is(answer: Answer) -> None:
    """It may have been taken."""
    play = ran(ends={(WORKER, "lock"): [answer]})
    assert "lock: " in play.error(ApplyFailed).message and "changed nothing" not in play.ended.message
    assert f"{HEAD}: " not in play.ended.message and "not as planned" not in play.ended.message
    assert set(play.told) >= PUT_BACK and not any("unlock" in told or "prepare" in told for told in play.told)


def test_an_answer_of_the_lock_that_fits_on_all_nodes_is_kept_for_the_undo() -> None:
    play = ran()
    assert {n: f.node for n, f in play.runner.before.items()} == {HEAD: HEAD, WORKER: WORKER}


# --- failures, and what becomes of them -------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [NO, Lost("planted"), AccessRefused("planted")])
@pytest.mark.parametrize("title", ["prepare", "network, head", "engine, head", CONNECT, "confirm"])
def test_whatever_fails_before_the_confirmation_is_undone_on_every_node(title: str, answer: Answer) -> None:
    if title == CONNECT and not isinstance(answer, AccessRefused):
        return
    play = ran(ends={(HEAD, title): [answer, Ok("")]})
    message = play.error(ApplyFailed).message
    assert "planted" in message and BEFORE in message
    assert title == CONNECT or (f"{HEAD}: {title}: " in message and f"{WORKER}: " not in message)
    after = play.nodes.since(f"{HEAD} {title}")
    knocked = {f"{HEAD} {CONNECT}"} if f"{HEAD} {CONNECT}" in after else set[str]()
    assert set(after) - {f"{WORKER} {title}"} == {*PUT_BACK, *both(READ)} | knocked, "and nothing else is begun"
    assert after[-4:-2] == [f"{HEAD} {UNDO}", f"{WORKER} {UNDO}"] and after[-2:] == both(READ), "the last changed first"


PROOFS: dict[str, tuple[BaseException, type[SparkctlError]]] = {
    "wrong": (StepFailed("planted"), ApplyFailed),
    "refused": (AccessRefused("planted", "their remedy"), ApplyFailed),
    "refused by us": (Refused("planted"), ApplyFailed),
    "bug": (KeyError("planted"), SparkctlError),
    "cancelled": (asyncio.CancelledError(), SparkctlError),
}


@pytest.mark.parametrize("plan", [UP, NETWORK], ids=["up", "network"])
@pytest.mark.parametrize("kind", PROOFS)
def test_a_proof_that_does_not_hold_undoes_the_run_whatever_it_raises(kind: str, plan: Plan) -> None:
    cause, error = PROOFS[kind]
    play = ran(plan, proofs={"network": raising(cause)}, takes={(HEAD, CONNECT): 30})
    said = play.error(error)
    assert BEFORE in said.message and set(play.told) >= PUT_BACK and f"{HEAD} confirm" not in play.told
    assert ("planted" in said.message) != (kind == "cancelled") and ("stopped from outside" in said.message) == (kind == "cancelled")
    assert type(said.bug) is (type(None) if isinstance(cause, SparkctlError) else type(cause))
    opened = f"{HEAD} {CONNECT}: cancelled"
    undone = play.told[: play.told.index(f"{HEAD} {UNDO}")]
    assert (opened in undone) == (plan is NETWORK) == (f"{HEAD} {CONNECT}" in undone), "what was opened beside it ends with it"
    assert (said.remedy == "their remedy") == (kind == "refused")


def test_a_keyboard_interrupt_is_undone_too() -> None:
    play = ran(proofs={"network": raising(KeyboardInterrupt())})
    assert BEFORE in play.error(SparkctlError).message and isinstance(play.ended.bug, KeyboardInterrupt)


def test_what_was_changed_by_nobody_is_no_undo_that_failed() -> None:
    """`begun` is told to the undo: before the first change, what differs is somebody else's."""
    other: list[Answer] = [FakeNode(WORKER, mtu=1400)]
    early = ran(ends={(HEAD, "prepare"): [NO], (WORKER, READ): other})
    assert "sparkctl changed nothing" in early.error(StalePlan).message
    late = ran(ends={(HEAD, "network, head"): [NO], (WORKER, READ): other})
    assert f"\n  {WORKER}: it differs" in late.error(RollbackIncomplete).message


# --- the book of a confirmed run --------------------------------------------------------------------------------


def test_a_book_is_closed_once_more_and_only_where_it_was_not() -> None:
    play = ran(ends={(WORKER, "record"): [Lost("no answer"), Ok("")]})
    assert isinstance(play.ended, Applied)
    assert play.nodes.since(f"{WORKER} confirm") == [*both("record"), f"{WORKER} record"]


@pytest.mark.parametrize("answer", [Failed(1, "", "disk full"), Lost("disk full"), AccessRefused("disk full")])
def test_a_book_that_cannot_be_closed_is_no_reason_to_undo(answer: Answer) -> None:
    play = ran(ends={(WORKER, "record"): [answer]})
    said = play.error(Unfinished)
    assert f"\n  {WORKER}: " in said.message and "disk full" in said.message and HEAD not in said.message and "recover" in said.remedy
    assert play.told.count(f"{WORKER} record") == 2 and not PUT_BACK & set(play.told)


def fates(error: SparkctlError) -> dict[str, str]:
    """What is said of each node, without the time of day."""
    return dict(re.findall(r"\n  (spark-\d): (.*)", re.sub(r"\d\d:\d\d:\d\d", "T", error.message)))


TIMER = "its own timer begins to put it back at T at the latest"
STAYS = "all is as planned and confirmed, and stays; that the run ended is not recorded there"


def test_a_bug_after_the_confirmation_changes_nothing_and_says_so() -> None:
    bug = KeyError("planted")
    play = ran(ends={(WORKER, "record"): [bug]})
    said = play.error(SparkctlError)
    assert said.bug is bug and "KeyError: 'planted'" in said.message
    assert fates(said) == {HEAD: STAYS, WORKER: STAYS} and not PUT_BACK & set(play.told)


# --- interruptions ----------------------------------------------------------------------------------------------


def stopping(*places: tuple[str, str]) -> Played:
    """Somebody asks to stop while these are done."""
    runner: list[Runner] = []
    ends: dict[tuple[str, str], list[Answer]] = {place: [lambda: runner[0].stop.set()] for place in places}
    nodes = Nodes(pair(), ends)
    runner.append(Runner(nodes.fleet, UP, RUN, ASKED, SECRETS, {}))
    return Played(nodes, runner[0], nodes.play(runner[0].execute))


NEXT = {
    "prepare": "network, workers",
    "network, head": "engine, workers",
    "engine, head": CONNECT,
}


@pytest.mark.parametrize("title", NEXT)
def test_an_interruption_is_obeyed_before_the_next_step(title: str) -> None:
    play = stopping((HEAD, title))
    said = play.error(Interrupted)
    assert said.exit_code == 130 and BEFORE in said.message and said.bug is None
    assert not any(NEXT[title] in told for told in play.told) and set(play.told) >= PUT_BACK


def test_an_interruption_after_the_last_barrier_is_too_late() -> None:
    assert isinstance(stopping((HEAD, CONNECT)).ended, Applied) and isinstance(stopping((HEAD, "confirm")).ended, Applied)


def test_an_interruption_that_has_just_come_is_seen() -> None:
    nodes = Nodes()
    runner = Runner(nodes.fleet, UP, RUN, ASKED, SECRETS, {})

    async def barrier() -> None:
        asyncio.get_running_loop().call_soon(runner.stop.set)
        await runner.checkpoint()

    assert isinstance(nodes.play(barrier), Interrupted)


@pytest.mark.parametrize("stage", ["network", "engine"])
def test_who_wants_to_leave_at_once_leaves_it_to_the_timers(stage: str) -> None:
    def left(runner: Runner) -> None:
        runner.stop.set()
        raise asyncio.CancelledError

    play = ran(proofs={stage: left})
    said = play.error(Interrupted)
    assert said.message.startswith("left at once") and said.bug is None and "recover" in said.remedy
    assert fates(said) == {HEAD: TIMER, WORKER: TIMER} and play.told[-1] == f"prove {stage}"


def test_a_bug_while_somebody_asks_to_stop_is_undone() -> None:
    def stopped(runner: Runner) -> None:
        runner.stop.set()
        raise KeyError("planted")

    assert BEFORE in ran(proofs={"network": stopped}).error(SparkctlError).message


def leaving(title: str, plan: Plan = UP, says: Mapping[str, FakeNode] | None = None) -> Played:
    """Somebody leaves at once while the worker does this."""
    runner: list[Runner] = []

    def left() -> None:
        runner[0].stop.set()
        raise asyncio.CancelledError

    nodes = Nodes(says or pair(), {(WORKER, title): [left]})
    runner.append(Runner(nodes.fleet, plan, RUN, ASKED, SECRETS, {}))
    return Played(nodes, runner[0], nodes.play(runner[0].execute))


@pytest.mark.parametrize(
    ("title", "fate"),
    [("network, workers", TIMER), ("confirm", f"{TIMER}, unless it had confirmed already"), ("record", STAYS)],
)
def test_who_leaves_is_told_what_becomes_of_each_node(title: str, fate: str) -> None:
    assert fates(leaving(title).error(Interrupted)) == {HEAD: fate, WORKER: fate}


def test_a_node_that_nothing_was_changed_on_has_a_lock_alone() -> None:
    says = half_changed()
    found = fates(leaving("prepare", planned(says, "network"), says).error(Interrupted))
    assert found == {HEAD: "nothing was changed there; its lock ends at T at the latest", WORKER: TIMER}


@pytest.mark.parametrize("answer", [KeyError("second"), asyncio.CancelledError()])
def test_an_undo_that_breaks_says_what_the_timers_do(answer: BaseException) -> None:
    play = ran(proofs={"network": raising(KeyError("first"))}, ends={(WORKER, UNDO): [answer]})
    said = play.error(RollbackIncomplete)
    assert type(said.bug) is type(answer) and fates(said) == {HEAD: TIMER, WORKER: TIMER} and "recover" in said.remedy


# --- steps that take long ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [Ok(""), NO, Lost("no answer"), AccessRefused("no route"), KeyError("planted")])
def test_while_a_step_takes_long_every_changed_node_hears_of_it(answer: Answer) -> None:
    """A third of the lease apart; how that ends is no matter, for a loss shows in the step."""
    play = ran(takes={(WORKER, "engine, workers"): 100}, ends={(WORKER, "keep the checkpoint"): [answer]})
    assert isinstance(play.ended, Applied)
    kept = [told for told in play.told if told.endswith("keep the checkpoint")]
    assert kept == [*both("keep the checkpoint")] * 2, "after 40 s and 80 s"


def test_work_that_nobody_waits_for_any_more_ends() -> None:
    nodes = Nodes()
    runner = Runner(nodes.fleet, UP, RUN, ASKED, SECRETS, {})
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            ended.append("cancelled")

    async def left() -> None:
        with nodes.opened(), pytest.raises(TimeoutError):
            async with asyncio.timeout(50):
                await runner.kept_alive(work())
        await asyncio.sleep(1)
        assert ended == ["cancelled"]

    assert nodes.play(left) is None


def test_extending_tells_every_changed_node_and_obeys_an_interruption() -> None:
    play = ran(proofs={"engine": lambda runner: runner.extend()})
    assert play.nodes.since("prove engine")[:2] == both("extend the checkpoint")
    lost = ran(proofs={"engine": lambda runner: runner.extend()}, ends={(WORKER, "extend the checkpoint"): [NO]})
    assert f"{WORKER}: extend the checkpoint: planted" in lost.error(ApplyFailed).message

    async def stopped(runner: Runner) -> None:
        runner.stop.set()
        await runner.extend()

    asked = ran(proofs={"engine": stopped})
    assert BEFORE in asked.error(Interrupted).message and f"{HEAD} extend the checkpoint" not in asked.told
