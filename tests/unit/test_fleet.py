"""All nodes at once, each behind its gate: what passes, who is waited for, and what a refusal becomes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from sparkctl.commands.base import Command, Effect
from sparkctl.errors import AccessRefused, EffectRefused, Unreachable
from sparkctl.outcome import Failed, Lost, Ok, Result
from sparkctl.report.events import Ended, Phase
from sparkctl.ssh.fleet import Fleet, problem, raise_refusals
from tests.unit.nodes import CONNECT, HEAD, WORKER, Answer, Nodes, both

SHUT, OFF = AccessRefused("no key is accepted", "add one"), Unreachable("no route", "is it on?")
NO, LOST = Failed(1, "", "disk full"), Lost("no answer within 30 s")


def command(effect: Effect, title: str = "it") -> Command:
    return Command(title, ":\n", effect)


def told(nodes: Nodes, words: Any, **more: Any) -> Any:
    """What both answer to a question, or the error."""
    commands = {node: command(Effect.READ) for node in (HEAD, WORKER)}
    return nodes.play(lambda: words(nodes.fleet, "title", commands, **more))


@pytest.mark.parametrize("effect", Effect)
@pytest.mark.parametrize("ceiling", Effect)
def test_a_gate_lets_through_what_is_allowed_while_it_is(effect: Effect, ceiling: Effect) -> None:
    nodes = Nodes()

    async def run() -> Any:
        with nodes.fleet.allow(ceiling):
            return await nodes.fleet.gates[HEAD].run(command(effect))

    found = nodes.play(run)
    if effect > ceiling:
        assert isinstance(found, EffectRefused) and nodes.told == []
        assert f"it is a {effect.name} command, only {ceiling.name} is allowed" in found.message
    else:
        assert isinstance(found, Ok) and nodes.told == [f"{HEAD} it"]
    assert {gate.ceiling for gate in nodes.fleet.gates.values()} == {Effect.READ}, "and closed again"


def test_a_gate_that_is_open_wider_is_not_narrowed_and_as_it_was_afterwards() -> None:
    fleet = Nodes().fleet
    with fleet.allow(Effect.WRITE), pytest.raises(KeyError), fleet.allow(Effect.LOAD):
        assert fleet.gates[HEAD].ceiling is Effect.WRITE
        raise KeyError
    with fleet.allow(Effect.LOAD):
        with fleet.allow(Effect.WRITE):
            assert fleet.gates[HEAD].ceiling is Effect.WRITE
        assert fleet.gates[HEAD].ceiling is Effect.LOAD


def test_all_are_told_at_once_in_one_round_and_each_end_is_told() -> None:
    for words in (Fleet.each, Fleet.ask):
        nodes = Nodes(ends={(WORKER, "it"): [NO]}, takes={(HEAD, "it"): 5, (WORKER, "it"): 5})
        found = told(nodes, words)
        assert (type(found[HEAD]), found[WORKER], nodes.clock.now) == (Ok, NO, 5)
        assert nodes.fleet.counts()["critical_path"] == nodes.fleet.rounds == 1
        assert nodes.events[0] == Phase("title", (HEAD, WORKER), 30.0)
        ended = [e for e in nodes.events if isinstance(e, Ended)]
        assert [(e.title, e.node, e.problem, e.seconds) for e in ended] == [("title", HEAD, "", 5), ("title", WORKER, "disk full", 5)]


def test_a_step_that_is_refused_is_lost_and_the_others_end() -> None:
    for refusal in (SHUT, OFF):
        nodes = Nodes(ends={(WORKER, "it"): [refusal]}, takes={(HEAD, "it"): 5})
        found = told(nodes, Fleet.each)
        assert (type(found[HEAD]), found[WORKER]) == (Ok, Lost(refusal.message)) and nodes.fleet.lost == {WORKER}


@pytest.mark.parametrize("words", [Fleet.each, Fleet.ask])
def test_a_bug_about_one_node_waits_for_the_others(words: Any) -> None:
    bug = KeyError("planted")
    nodes = Nodes(ends={(WORKER, "it"): [bug]}, takes={(HEAD, "it"): 5})
    assert told(nodes, words) is bug and nodes.clock.now == 5
    assert not any("cancelled" in line for line in nodes.told)


@pytest.mark.parametrize(
    ("answer", "patient", "ends"),
    [(SHUT, False, SHUT), (SHUT, True, SHUT), (OFF, False, OFF), (OFF, True, Lost("no route")), (LOST, False, LOST)],
)
def test_a_question_that_is_refused_ends_the_phase_unless_a_silent_node_may_be_missed(answer: Answer, patient: bool, ends: object) -> None:
    found = told(Nodes(ends={(WORKER, "it"): [answer]}), Fleet.ask, patient=patient)
    assert (found[WORKER] == ends and type(found[HEAD]) is Ok) if isinstance(ends, Lost) else found is ends


def test_who_has_no_known_end_is_lost_until_the_next_one() -> None:
    nodes = Nodes(ends={(WORKER, "it"): [LOST, NO]})
    for lost in ({WORKER}, set()):
        told(nodes, Fleet.each)
        assert nodes.fleet.lost == lost


def test_when_a_node_got_its_command_is_known() -> None:
    """Not before it had a connection for it, by the transport's own word."""
    nodes, before = Nodes(), time.time()
    told(nodes, Fleet.ask)
    asked, ended = nodes.fleet.moments[HEAD]
    assert before <= asked <= ended <= time.time()
    later = time.time() + 100
    nodes.by_name[HEAD].counters.given = later
    told(nodes, Fleet.ask)
    assert nodes.fleet.moments[HEAD][0] == later and nodes.fleet.moments[WORKER][0] < later


def test_lines_go_to_whoever_listens_with_the_name_of_their_node() -> None:
    heard: list[tuple[str, str]] = []
    nodes = Nodes(ends={(HEAD, "it"): [Ok("a\nb\n")], (WORKER, "it"): [Ok("c\n")]})
    told(nodes, Fleet.each, on_line=lambda node, line: heard.append((node, line)))
    assert heard == [(HEAD, "a"), (HEAD, "b"), (WORKER, "c")]
    told(nodes, Fleet.each)
    assert len(heard) == 3


@pytest.mark.parametrize(("chosen", "opened"), [(None, both(CONNECT)), ([WORKER], [f"{WORKER} {CONNECT}"])])
def test_connections_are_opened_to_those_that_are_named(chosen: list[str] | None, opened: list[str]) -> None:
    nodes = Nodes(takes={(HEAD, CONNECT): 5, (WORKER, CONNECT): 5})
    assert nodes.play(lambda: nodes.fleet.connect(chosen)) is None and nodes.told == opened and nodes.clock.now == 5


def test_a_connection_that_is_refused_is_told_when_all_have_been_tried() -> None:
    nodes = Nodes(ends={(HEAD, CONNECT): [SHUT]}, takes={(WORKER, CONNECT): 5})
    assert nodes.play(nodes.fleet.connect) is SHUT and nodes.clock.now == 5


def test_every_connection_is_closed() -> None:
    closed: list[str] = []

    class Closing:
        def __init__(self, name: str) -> None:
            self.name = name

        async def close(self) -> None:
            closed.append(self.name)

    asyncio.run(Fleet({name: Closing(name) for name in (HEAD, WORKER)}).close())  # type: ignore[dict-item]
    assert closed == [HEAD, WORKER]


def test_what_was_spent_is_counted_per_node() -> None:
    nodes = Nodes()
    nodes.by_name[HEAD].counters.round_trips, nodes.by_name[WORKER].counters.connections = 3, 2
    counted = {HEAD: {"connections": 0, "round_trips": 3}, WORKER: {"connections": 2, "round_trips": 0}, "critical_path": 0}
    assert nodes.fleet.counts() == counted


BUG, OTHER = KeyError("x"), asyncio.CancelledError()
REFUSALS: Mapping[str, tuple[Iterable[object], object]] = {
    "none": ([Ok(""), None, LOST], None),
    "one": ([Ok(""), SHUT], SHUT),
    "a bug": ([SHUT, BUG, OFF], BUG),
    "the first bug": ([BUG, OTHER], BUG),
    "a cancellation": ([OTHER, SHUT], OTHER),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_what_is_raised_of_many_outcomes(kind: str) -> None:
    outcomes, raised = REFUSALS[kind]
    try:
        raise_refusals(outcomes)
    except BaseException as error:
        assert error is raised
    else:
        assert raised is None


def test_all_refusals_are_told_with_their_remedies() -> None:
    with pytest.raises(AccessRefused) as caught:
        raise_refusals([SHUT, Ok(""), OFF])
    assert caught.value.message == "2 nodes cannot be used:\n  no key is accepted\n    do: add one\n  no route\n    do: is it on?"
    assert caught.value.remedy == "nothing was changed; fix this and run the command again"


@pytest.mark.parametrize(
    ("result", "words"), [(Ok("x"), ""), (NO, "disk full"), (Failed(3, "", ""), "exit status 3"), (LOST, f"unknown outcome: {LOST.reason}")]
)
def test_why_a_result_is_no_success(result: Result, words: str) -> None:
    assert problem(result) == words
