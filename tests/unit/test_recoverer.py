"""The end of a dead run over nodes in memory: who is locked, told, read again, and what is said when it does not end."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from sparkctl.commands.lock import HELD, Mode
from sparkctl.errors import AccessRefused, Locked, Refused, RollbackIncomplete, SparkctlError, Unreachable
from sparkctl.execute.recover import AGAIN, RECOVER_LEASE, Recoverer, found, recover
from sparkctl.execute.undo import Interrupted
from sparkctl.fabric.ports import NETDEVS
from sparkctl.facts.record import RunHeader
from sparkctl.outcome import Failed, Lost, Ok
from sparkctl.plan.compile import Run
from sparkctl.plan.recovery import Direction, Recovery
from sparkctl.report.events import Note, Phase
from tests.unit.nodes import HEAD, READ, UNDO, WORKER, Answer, Nodes, both
from tests.unit.test_plan import ASKED, FakeNode, pair
from tests.unit.test_recover import JOURNAL, header

DEAD = header()
FINISH = "finish the run"
RUN = Run("0b0b0b0b", "me@here", RECOVER_LEASE)
REVERTING = FakeNode(WORKER, run="reverting network\n")


def of(
    direction: Direction = "undo",
    nodes: tuple[str, ...] = (HEAD, WORKER),
    prints: Mapping[str, str] = {},
    dead: RunHeader | None = DEAD,
) -> Recovery:
    return Recovery(direction, "why", nodes, dead, prints)


def ended(what: Recovery, ends: Mapping[tuple[str, str], list[Answer]] = {}, mode: Mode = "recover") -> tuple[Nodes, Any]:
    """The nodes afterwards, and the error."""
    nodes = Nodes(pair(), ends)
    return nodes, nodes.play(Recoverer(nodes.fleet, what, RUN, ASKED, mode).execute)


def words(nodes: Nodes, title: str, node: str = WORKER) -> str:
    """The last line of the command of this title."""
    (command,) = (c for c in nodes.by_name[node].sent if c.title == title)
    return command.script.splitlines()[-1]


@pytest.mark.parametrize(("direction", "title"), [("undo", UNDO), ("finish", FINISH)])
def test_all_nodes_are_locked_those_of_the_run_are_told_and_read_the_others_unlocked(direction: Direction, title: str) -> None:
    nodes, error = ended(of(direction, (WORKER,)))
    assert error is None
    assert nodes.told == [*both("lock"), f"{WORKER} {title}", f"{WORKER} {READ}", f"{HEAD} unlock"]
    phases = [event.title for event in nodes.events if isinstance(event, Phase)]
    assert phases[1] == ("put everything back" if direction == "undo" else FINISH)


@pytest.mark.parametrize("action", ["up", "down"])
def test_a_run_is_finished_by_its_own_name_under_our_lock(action: str) -> None:
    nodes, _ = ended(of("finish", dead=header(action)))
    kept = "recorded" if action == "up" else "forgotten"
    assert words(nodes, FINISH).startswith(f"conclude abcd1234 0b0b0b0b {RECOVER_LEASE} {kept} || ")
    nodes, _ = ended(of())
    assert words(nodes, UNDO).startswith("abandon 0b0b0b0b || ")


def test_what_no_run_is_known_of_is_put_back() -> None:
    nodes, error = ended(of("finish", dead=None))
    assert error is None and nodes.told[2:4] == both(UNDO)


@pytest.mark.parametrize("mode", ["recover", "break"])
def test_the_lock_says_what_may_be_taken_over(mode: Mode) -> None:
    nodes, _ = ended(of(), mode=mode)
    assert words(nodes, "lock").startswith(f"lock 0b0b0b0b {RECOVER_LEASE} me@here {mode} || ")


@pytest.mark.parametrize(
    ("answer", "ours"), [(Failed(HELD, "", "planted"), False), (Failed(1, "", "planted"), True), (Lost("planted"), True)]
)
def test_a_node_that_cannot_be_locked_leaves_all_as_it_was(answer: Answer, ours: bool) -> None:
    nodes, error = ended(of(), {(WORKER, "lock"): [answer]})
    assert type(error) is Locked and error.message.startswith(f"{WORKER}: ") and "planted" in error.message
    assert HEAD not in error.message and "--break-lock" in error.remedy
    assert nodes.told == [*both("lock"), f"{HEAD} unlock", *([f"{WORKER} unlock"] if ours else [])]


WRONG: dict[str, tuple[Mapping[tuple[str, str], list[Answer]], str]] = {
    "failed": ({(WORKER, UNDO): [Failed(1, "", "disk full")]}, "disk full"),
    "lost": ({(WORKER, UNDO): [Lost("no answer")]}, "unknown outcome: no answer"),
    "still there": ({(WORKER, READ): [REVERTING]}, "a run is still there (state reverting)"),
    "both": ({(WORKER, UNDO): [Failed(1, "", "disk full")], (WORKER, READ): [REVERTING]}, "disk full"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_node_that_still_has_something_of_the_run_is_named(kind: str) -> None:
    ends, why = WRONG[kind]
    nodes, error = ended(of(), ends)
    assert type(error) is RollbackIncomplete and error.message == f"not recovered:\n  {WORKER}: {why}"
    assert error.remedy == AGAIN and error.bug is None
    assert nodes.told == [*both("lock"), *both(UNDO), *both(READ)]


BREAKS: dict[str, tuple[str, BaseException, type[SparkctlError], str]] = {
    "bug": (UNDO, KeyError("planted"), RollbackIncomplete, "KeyError: 'planted'"),
    "bug at the lock": ("lock", KeyError("planted"), RollbackIncomplete, "KeyError: 'planted'"),
    "silent at the proof": (READ, Unreachable("planted: no answer"), RollbackIncomplete, "facts cannot be read"),
    "refused at the proof": (READ, AccessRefused("planted"), RollbackIncomplete, "planted"),
    "stopped": (UNDO, asyncio.CancelledError(), Interrupted, "stopped from outside"),
}


@pytest.mark.parametrize("kind", BREAKS)
def test_a_recovery_that_breaks_says_what_becomes_of_each_node(kind: str) -> None:
    title, cause, error, said = BREAKS[kind]
    _, found = ended(of(nodes=(WORKER,)), {(WORKER, title): [cause]})
    assert type(found) is error and (said in found.message or "planted" in found.message)
    assert f"\n  {HEAD}: it had no part in the run; its lock ends at " in found.message
    assert f"\n  {WORKER}: how far it came is not known; its lock ends at " in found.message
    assert found.remedy == AGAIN and found.bug is (cause if isinstance(cause, KeyError) else None)
    assert found.exit_code == (130 if kind == "stopped" else 6)


PRINT = FakeNode(WORKER).facts().fingerprint(NETDEVS)
COMPARED: dict[str, tuple[Recovery, Answer, bool]] = {
    "as before": (of(prints={WORKER: PRINT}), FakeNode(WORKER), False),
    "other": (of(prints={WORKER: PRINT}), FakeNode(WORKER, mtu=9000), True),
    "not written down": (of(prints={HEAD: FakeNode(HEAD).facts().fingerprint(NETDEVS)}), FakeNode(WORKER, mtu=9000), False),
    "not at its end yet": (of(prints={WORKER: PRINT}), REVERTING, False),
    "finished": (of("finish", prints={WORKER: PRINT}), FakeNode(WORKER, mtu=9000), False),
}


@pytest.mark.parametrize("kind", COMPARED)
def test_what_is_not_as_the_run_found_it_is_said(kind: str) -> None:
    what, now, said = COMPARED[kind]
    nodes, _ = ended(what, {(WORKER, READ): [now]})
    notes = [event.text for event in nodes.events if isinstance(event, Note)]
    assert len(notes) == said and all(f"{WORKER}: not proved to be as before" in note for note in notes)


# --- the verb ---------------------------------------------------------------------------------------------------


def recovered(silent: Iterable[str] = (), *, break_lock: bool = False, ends: Mapping[tuple[str, str], list[Answer]] = {}) -> tuple[Nodes, Any, Any]:
    """The nodes, the error, and whether an interruption would be told that a run goes on: meanwhile, and afterwards."""
    running: list[bool] = []
    nodes = Nodes(pair(), {(HEAD, UNDO): [lambda: running.append(site.interruption.running)], **ends})
    site = nodes.place()
    error = nodes.play(lambda: recover(site, of(nodes=(HEAD,)), silent, break_lock=break_lock))
    return nodes, error, [*running, site.interruption.running]


@pytest.mark.parametrize("break_lock", [False, True])
def test_a_recovery_locks_whoever_answers(break_lock: bool) -> None:
    nodes, error, running = recovered(break_lock=break_lock)
    assert error is None and running == [True, False]
    assert words(nodes, "lock").split(" ||")[0].endswith(" break" if break_lock else " recover")
    nodes, error, _ = recovered([WORKER])
    assert error is None and not any(told.startswith(WORKER) for told in nodes.told)


def test_a_recovery_that_does_not_end_is_one_that_goes_on() -> None:
    _, error, running = recovered(ends={(HEAD, UNDO): [KeyError("planted")]})
    assert isinstance(error, RollbackIncomplete) and running == [True]


@dataclass
class Dead(FakeNode):
    """A node with the book of a run that died."""

    journal: str = JOURNAL

    def said(self) -> str:
        more = self._line("journal", self.journal)
        return base64.b64encode(base64.b64decode(super().said()) + more.encode()).decode()


def dead(nodes: Nodes) -> Any:
    return nodes.play(lambda: found(nodes.place()))


def test_what_died_is_read_with_its_book_and_who_is_silent_is_named() -> None:
    left = {n: Dead(n, run=f"armed network\n{DEAD.model_dump_json()}\n") for n in (HEAD, WORKER)}
    what, silent = dead(Nodes(left))
    assert (what.direction, what.nodes, silent) == ("undo", (HEAD, WORKER), {})
    what, silent = dead(Nodes(left, {(WORKER, READ): [Unreachable("no answer")]}))
    assert (what.nodes, set(silent)) == ((HEAD,), {WORKER})
    assert dead(Nodes()) == (None, {})
    cut = dead(Nodes({n: replace(node, journal="") for n, node in left.items()}))
    assert isinstance(cut, Refused) and "it is empty" in cut.message


def test_an_answer_that_is_fine_is_not_complained_of() -> None:
    assert ended(of(), {(HEAD, UNDO): [Ok("")], (WORKER, "lock"): [Ok("")]})[1] is None
