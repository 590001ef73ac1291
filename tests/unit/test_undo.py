"""The way back over nodes in memory: whom it waits for and how long, what is as before, and what is said of what is not."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest

from sparkctl.commands.checkpoint import REVERT_SECONDS
from sparkctl.errors import AccessRefused, ApplyFailed, RollbackIncomplete, SparkctlError, StalePlan, Unreachable
from sparkctl.execute.undo import (
    ENDED_SECONDS,
    KNOCK_SECONDS,
    RETRY_SECONDS,
    Interrupted,
    Undo,
    _booted,
    _out,
    way_back,
)
from sparkctl.fabric.ports import NETDEVS
from sparkctl.facts.snapshot import NodeFacts
from sparkctl.outcome import Absent, Failed, Known, Lost, Unknown
from sparkctl.render.artifact import ENGINE_SCRIPT
from sparkctl.report.events import Event, Note, Phase
from tests.unit.nodes import CONNECT, HEAD, READ, RUN, UNDO, WORKER, Answer, Nodes, both
from tests.unit.test_plan import ASKED, FABRIC, FakeNode, pair, planned, settled

RAIL_A, RAIL_B = (a.netdev for a in FABRIC.of(WORKER))
CAUSE = SparkctlError("the cause")
BEFORE = "every node was put back and is as before"
OTHER = FakeNode(WORKER, mtu=1400)
REVERTING = FakeNode(WORKER, run="reverting network\n")
UNREADABLE = FakeNode(WORKER, broken=("run",))
GONE = Unreachable(f"{WORKER}: no answer", "is it on?")


@dataclass
class Undone:
    """How a way back ended, and after how many seconds."""

    nodes: Nodes
    error: SparkctlError

    @property
    def told(self) -> list[str]:
        return self.nodes.told

    @property
    def seconds(self) -> float:
        return self.nodes.clock.now


def undone(
    cause: BaseException = CAUSE,
    ends: Mapping[tuple[str, str], list[Answer]] = {},
    takes: Mapping[tuple[str, str], float] = {},
    *,
    begun: bool = True,
    lost: tuple[str, ...] = (),
    before: Mapping[str, FakeNode] | None = None,
    observer: object = None,
) -> Undone:
    """The way back of a first `up`, where nodes are as they were unless `ends` says something else."""
    plan, nodes = planned(pair()), Nodes(pair(), ends, takes)
    was = {n: node.facts() for n, node in (pair() if before is None else before).items()}
    nodes.fleet.lost = set(lost)
    if observer:
        nodes.fleet.observer = observer  # type: ignore[assignment]

    async def back() -> None:
        with nodes.opened():
            await Undo(nodes.fleet, plan, RUN, ASKED, was, begun).all(cause)

    error = nodes.play(back)
    assert isinstance(error, SparkctlError), repr(error)
    return Undone(nodes, error)


def test_nodes_that_are_as_before_are_told_once_and_read_once() -> None:
    found = undone()
    assert found.told == [f"{HEAD} {UNDO}", f"{WORKER} {UNDO}", *both(READ)], "the last changed goes first"
    assert type(found.error) is ApplyFailed and found.error.message.startswith(f"the cause\n{BEFORE}")
    assert found.seconds == 0 and "but for" not in found.error.message
    assert all(event.nodes for event in found.nodes.events if isinstance(event, Phase)), "nobody is no phase"


CAUSES: dict[str, tuple[BaseException, type[SparkctlError], str, str]] = {
    "a step": (SparkctlError("x failed"), ApplyFailed, f"x failed\n{BEFORE}", "fix the cause"),
    "no access": (AccessRefused("x refused", "their remedy"), ApplyFailed, f"x refused\n{BEFORE}", "their remedy"),
    "an interruption": (Interrupted("interrupted"), Interrupted, f"interrupted; {BEFORE}", ""),
    "a bug": (KeyError("x"), SparkctlError, f"KeyError: 'x'\n{BEFORE}", "report the bug"),
    "from outside": (asyncio.CancelledError(), SparkctlError, f"stopped from outside\n{BEFORE}", "report the bug"),
}


@pytest.mark.parametrize("kind", CAUSES)
def test_what_led_to_it_is_said_first(kind: str) -> None:
    cause, error, words, remedy = CAUSES[kind]
    found = undone(cause).error
    assert type(found) is error and found.message.startswith(words) and found.remedy.startswith(remedy)
    assert found.bug is (None if isinstance(cause, SparkctlError) else cause)


def test_what_is_not_back_yet_is_told_again_until_it_is() -> None:
    """Only that node; an address may take seconds."""
    found = undone(ends={(WORKER, READ): [OTHER, OTHER, OTHER, FakeNode(WORKER)]})
    assert type(found.error) is ApplyFailed and found.seconds == 3 * RETRY_SECONDS
    assert found.nodes.since(f"{WORKER} {READ}") == [f"{WORKER} {UNDO}", f"{WORKER} {READ}"] * 3
    notes = [event.text for event in found.nodes.events if isinstance(event, Note)]
    assert f"not undone yet on {WORKER}, trying again (20 s left): it differs" in notes[1]


WRONG: dict[str, tuple[Answer, bool, type[SparkctlError], float, str, str]] = {
    "differs": (OTHER, True, RollbackIncomplete, ENDED_SECONDS, "it differs from what the plan was made from", "cluster plan"),
    "differs, untouched": (OTHER, False, StalePlan, 0, f"{WORKER} changed since the plan was made", "make a new plan"),
    "silent": (Lost("planted"), True, RollbackIncomplete, RUN.lease + REVERT_SECONDS, "planted", "revert.sh"),
    "silent, untouched": (Lost("planted"), False, RollbackIncomplete, RUN.lease + REVERT_SECONDS, "planted", "revert.sh"),
    "failed": (Failed(1, "", "planted"), True, RollbackIncomplete, RUN.lease + REVERT_SECONDS, "planted", "revert.sh"),
    "reverting": (REVERTING, True, RollbackIncomplete, RUN.lease + REVERT_SECONDS, "still undoing (state reverting)", "revert.sh"),
    "reverting, untouched": (REVERTING, False, RollbackIncomplete, RUN.lease + REVERT_SECONDS, "still undoing", "revert.sh"),
    "unreadable": (UNREADABLE, True, RollbackIncomplete, RUN.lease + REVERT_SECONDS, "it differs", "revert.sh"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_node_that_is_not_back_is_waited_for_as_long_as_it_may_come(kind: str) -> None:
    """As long as a timer may fire where something of the run is or may be; the kernel's seconds, or none, elsewhere."""
    answer, begun, error, seconds, words, remedy = WRONG[kind]
    found = undone(ends={(WORKER, READ): [answer]}, begun=begun)
    assert type(found.error) is error and found.seconds == seconds
    assert words in found.error.message and f"\n  {HEAD}" not in found.error.message and f"\n{HEAD}" not in found.error.message
    assert remedy in found.error.remedy and ("changed nothing" in found.error.message) == (error is StalePlan)
    assert HEAD not in found.error.remedy


@pytest.mark.parametrize("cause", [KeyError("x"), Interrupted("interrupted")])
def test_an_undo_that_is_not_complete_says_so_whatever_led_to_it(cause: BaseException) -> None:
    found = undone(cause, ends={(WORKER, READ): [Lost("planted")]}).error
    assert type(found) is RollbackIncomplete and found.bug is (cause if isinstance(cause, KeyError) else None)


def test_what_held_a_node_once_is_forgotten_when_it_is_gone() -> None:
    found = undone(ends={(WORKER, READ): [REVERTING, OTHER]})
    assert type(found.error) is RollbackIncomplete and found.seconds == ENDED_SECONDS
    assert "cluster plan" in found.error.remedy


def one_is_off(field: str, value: object) -> dict[str, FakeNode]:
    """Both as a finished `up` leaves them, but for this of the worker."""
    return {n: replace(node, **{field: value}) if n == WORKER else node for n, node in settled().items()}  # type: ignore[arg-type]


def without_a_file() -> dict[str, FakeNode]:
    """The same without a file of the worker's engine, so that one step changes a file and starts a rank."""
    return one_is_off("files", {path: file for path, file in settled()[WORKER].files.items() if path != ENGINE_SCRIPT})


WAYS: dict[str, tuple[dict[str, FakeNode], tuple[str, str]]] = {
    "a first up": (pair(), (HEAD, WORKER)),
    "a gang that ran": (one_is_off("mtu", 1500), (WORKER, HEAD)),
    "a gang that ran without a file": (without_a_file(), (WORKER, HEAD)),
}


@pytest.mark.parametrize("kind", WAYS)
def test_a_gang_starts_in_its_own_order_and_else_the_last_changed_goes_first(kind: str) -> None:
    says, order = WAYS[kind]
    assert way_back(planned(says)) == tuple((node,) for node in order), "and every node once"


# --- nodes that are silent --------------------------------------------------------------------------------------


def test_nobody_waits_for_a_node_that_is_silent() -> None:
    """It was changed last, so it would be first; the others need not wait for it, the proof does."""
    found = undone(ends={(HEAD, CONNECT): [GONE]}, takes={(HEAD, UNDO): 60}, lost=(HEAD,))
    assert found.told == [f"{HEAD} {CONNECT}", f"{WORKER} {UNDO}", f"{HEAD} {UNDO}", *both(READ)]
    assert type(found.error) is ApplyFailed and found.seconds == 60


def test_a_node_that_was_lost_and_answers_again_keeps_its_place() -> None:
    found = undone(lost=(HEAD,), takes={(HEAD, UNDO): 60})
    assert found.told == [f"{HEAD} {CONNECT}", f"{HEAD} {UNDO}", f"{WORKER} {UNDO}", *both(READ)]


def test_a_node_that_does_not_open_in_time_is_silent() -> None:
    found = undone(lost=(HEAD,), takes={(HEAD, CONNECT): KNOCK_SECONDS + 1, (HEAD, UNDO): 60})
    assert found.told.index(f"{WORKER} {UNDO}") < found.told.index(f"{HEAD} {UNDO}")


def test_who_is_lost_but_not_of_this_plan_is_not_knocked_at() -> None:
    assert not any(CONNECT in told for told in undone(lost=("spark-9",)).told)


def test_what_goes_on_beside_an_undo_that_breaks_ends_with_it() -> None:
    nodes = Nodes(pair(), {(HEAD, CONNECT): [GONE], (WORKER, UNDO): [KeyError("planted")]}, {(HEAD, UNDO): 60, (WORKER, UNDO): 1})
    nodes.fleet.lost = {HEAD}

    async def back() -> None:
        with nodes.opened(), pytest.raises(KeyError):
            await Undo(nodes.fleet, planned(pair()), RUN, ASKED, {}).all(CAUSE)
        await asyncio.sleep(1)
        assert nodes.told[-1] == f"{HEAD} {UNDO}: cancelled"

    assert nodes.play(back) is None


def test_who_watches_cannot_end_a_way_back() -> None:
    def failing(event: Event) -> None:
        raise OSError("no space left")

    assert type(undone(observer=failing).error) is ApplyFailed


# --- what is as before ------------------------------------------------------------------------------------------


@dataclass
class Booted(FakeNode):
    """A node that was booted meanwhile."""

    def said(self) -> str:
        return base64.b64encode(base64.b64decode(super().said()).replace(b"boot\n6.17", b"boo2\n6.17")).decode()


@pytest.mark.parametrize(
    ("now", "before"),
    [
        (Booted(WORKER), True),
        (Booted(WORKER, mtu=9000), True),
        (Booted(WORKER, mtu=9000, active="active"), False),
        (FakeNode(WORKER, mtu=9000), False),
        (Booted(WORKER, mtu=9000, broken=("system",)), False),
    ],
)
def test_a_node_that_was_booted_has_the_links_of_its_boot(now: FakeNode, before: bool) -> None:
    found = undone(ends={(WORKER, READ): [now]})
    assert type(found.error) is (ApplyFailed if before else RollbackIncomplete)
    said = any(isinstance(event, Note) and "booted meanwhile" in event.text for event in found.nodes.events)
    assert said == (before and now.mtu != 1500)


def test_a_node_that_nobody_had_read_before_cannot_have_been_booted() -> None:
    found = undone(ends={(WORKER, READ): [Booted(WORKER, mtu=9000)]}, before={HEAD: FakeNode(HEAD)})
    assert type(found.error) is RollbackIncomplete


@pytest.mark.parametrize("unread", [Unknown("x"), Absent("x")])
def test_a_boot_is_seen_between_two_that_are_known(unread: Unknown | Absent) -> None:
    old, new = FakeNode(WORKER).facts(), Booted(WORKER).facts()
    assert _booted(old, new) and not _booted(old, old)
    assert not _booted(replace(old, system=unread), new) and not _booted(old, replace(new, system=unread))


def test_a_carrier_that_went_is_one_that_was_there() -> None:
    old = settled()[WORKER].facts()
    assert isinstance(old.netdevs, Known)

    def with_carrier(facts: NodeFacts, there: bool) -> NodeFacts:
        assert isinstance(facts.netdevs, Known)
        return replace(facts, netdevs=Known({n: replace(each, carrier=there) for n, each in facts.netdevs.value.items()}))

    up, dark = with_carrier(old, True), with_carrier(old, False)
    unread = replace(old, netdevs=Unknown("x"))
    assert set(_out(up, dark)) == {RAIL_A, RAIL_B} & set(NETDEVS)
    for one, other in ((up, up), (dark, dark), (dark, up), (unread, dark), (up, unread), (unread, unread)):
        assert list(_out(one, other)) == []
