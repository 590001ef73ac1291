"""What goes on is one line on a terminal: what, since when, until when; all else that is said stands alone."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from sparkctl.cli import planning
from sparkctl.cli.desk import Desk
from sparkctl.commands.base import Command, Effect
from sparkctl.commands.canary import Watch
from sparkctl.execute.readiness import NotReady, Wait
from sparkctl.outcome import Ok
from sparkctl.report import door
from sparkctl.report.console import ConsoleObserver
from sparkctl.report.events import Ended, Event, LogLine, Note, Phase
from sparkctl.ssh.fleet import Fleet
from tests.unit.test_load_run import Scripted
from tests.unit.test_plan import pair, planned

NODES = ("spark-1", "spark-2")
RUN: tuple[Event, ...] = (
    Phase("network, workers", NODES, 90.0),
    Ended("network, workers", "spark-2", 0.2),
    Ended("network, workers", "spark-1", 1.2),
    Phase("wait for a token", ("spark-1",), 2700.0),
    LogLine("spark-2", "(Worker pid=1) loading weights 38 %"),
)


class Terminal(io.StringIO):
    """A terminal of 80 columns that obeys the two things that the door sends: a return, and that a line goes."""

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        text = self.getvalue()
        lines = text.split("\n")
        return [line.rsplit("\r\x1b[2K", 1)[-1] for line in lines]


def observed(events: Iterable[Event], file: io.StringIO, **how: Any) -> list[str]:
    at = datetime(2026, 11, 27, 16, 2, 31)
    console = Console(file=file, width=80, force_terminal=file.isatty(), color_system=None, get_datetime=lambda: at, soft_wrap=not file.isatty())
    observer = ConsoleObserver(console, **how)
    for event in events:
        observer(event)
    return file.screen() if isinstance(file, Terminal) else file.getvalue().split("\n")


@pytest.fixture(autouse=True)
def _nothing_passes_into_another_test() -> Any:
    yield
    door.settle()


def test_a_terminal_shows_what_goes_on_since_when_and_until_when() -> None:
    *above, last = observed(RUN, Terminal())
    assert above == ["  + network, workers       spark-2, spark-1 1.2 s"]
    assert last.startswith("  .. wait for a token  since 16:02:31, until 16:47:31  spark-2 | ..")
    assert last.endswith("weights 38 %")
    assert cell_len(last) < 80


def test_what_takes_how_long_nobody_knows_has_no_end() -> None:
    assert observed([Phase("read facts", NODES)], Terminal()) == ["  .. read facts  since 16:02:31  spark-1, spark-2"]


def test_a_quiet_terminal_keeps_one_line_and_all_problems() -> None:
    assert len(observed(RUN, Terminal(), quiet=True)) == 1
    over = (*RUN, Ended("wait for a token", "spark-1", 1.0, "a rank died"), Note("putting every node back"))
    assert observed(over, Terminal(), quiet=True) == [
        "  x wait for a token       spark-1: a rank died",
        "note: putting every node back",
        "",
    ]


@pytest.mark.parametrize("quiet", [True, False])
def test_a_pipe_gets_whole_lines_and_nothing_to_obey(quiet: bool) -> None:
    lines = observed(RUN, io.StringIO(), quiet=quiet)
    assert not any("\r" in line or "\x1b" in line for line in lines)
    assert [line for line in lines if "since" in line] == ([] if quiet else ["  .. wait for a token       spark-1 since 16:02:31, until 16:47:31"])
    assert ("    spark-2 | (Worker pid=1) loading weights 38 %" in lines) == (not quiet)


def test_every_node_and_log_line_is_told_where_that_is_wanted() -> None:
    lines = observed(RUN, Terminal(), verbose=True)
    assert sum(line.startswith("  + network, workers") for line in lines) == 2
    assert "wait for a token: spark-1, since 16:02:31, until 16:47:31" in lines
    assert "    spark-2 | (Worker pid=1) loading weights 38 %" in lines


@pytest.mark.parametrize("width", [20, 80])
@pytest.mark.parametrize("said", ["長" * 200, "x" * 500, "a\nb\x1b[2J\r" + "c" * 90])
def test_the_line_never_fills_the_terminal_and_is_never_obeyed(said: str, width: int) -> None:
    terminal = Terminal()
    console = Console(file=terminal, width=width, force_terminal=True, color_system=None)
    assert door.passing(console, said)
    (line,) = terminal.screen()
    assert cell_len(line) < width and line.isprintable()


def test_whatever_is_said_takes_the_line_away(capsys: pytest.CaptureFixture[str]) -> None:
    ways: tuple[Callable[[Console], None], ...] = (lambda console: door.say(console, "said"), lambda _: door.emit("said"), lambda _: door.settle())
    for speak in ways:
        terminal = Terminal()
        console = Console(file=terminal, width=80, force_terminal=True, color_system=None)
        door.passing(console, "goes on")
        assert terminal.screen() == ["goes on"]
        speak(console)
        assert terminal.screen()[0] in ("said", "")
    assert capsys.readouterr().out == "said\n"


def test_a_terminal_that_was_closed_is_left_alone() -> None:
    terminal = Terminal()
    door.passing(Console(file=terminal, width=80, force_terminal=True, color_system=None), "goes on")
    terminal.close()
    door.settle()
    assert door._passing == []


def test_a_question_is_not_written_over() -> None:
    terminal = Terminal()
    console = Console(file=terminal, width=80, force_terminal=True, color_system=None)
    door.passing(console, "goes on")
    with door.undisturbed():
        terminal.write("password: ")
        assert door.passing(console, "goes on") and terminal.screen() == ["password: "]
    terminal.write("\n")
    door.passing(console, "goes on")
    assert terminal.screen() == ["password: ", "goes on"]


def test_no_line_passes_where_nothing_can_be_taken_back() -> None:
    dumb = Console(file=Terminal(), width=80, _environ={"TERM": "dumb"})
    piped = Console(file=io.StringIO(), width=80, force_terminal=True)
    for console in (dumb, piped):
        assert not door.passing(console, "goes on")
        assert isinstance(console.file, io.StringIO) and console.file.getvalue() == ""


def test_a_phase_is_told_with_the_time_that_its_commands_have() -> None:
    events: list[Event] = []
    fleet = Fleet({node: Scripted(lambda _: Ok("")) for node in NODES}, events.append)
    commands = {node: Command("x", "true", Effect.READ, timeout=limit) for node, limit in zip(NODES, (30.0, 1800.0), strict=True)}
    asyncio.run(fleet.each("pull", commands))
    assert events[0] == Phase("pull", NODES, 1800.0)


@pytest.mark.parametrize(("said", "ends"), [('{"ready": {"text": "x", "tokens": 1, "seconds": 0.1, "version": "1"}}', True), ('{"waiting": "loading"}', False)])
def test_the_wait_for_a_token_is_a_phase_with_its_limit(said: str, ends: bool) -> None:
    events: list[Event] = []
    fleet = Fleet({"spark-1": Scripted(lambda _: Ok(said))}, events.append)

    async def pause() -> None:
        raise NotReady("interrupted")

    fleet.gates["spark-1"].ceiling = Effect.WRITE
    wait = Wait(fleet, "spark-1", {"spark-1": Watch("sparkctl-engine.service", {}, None)}, pause)
    try:
        asyncio.run(wait.token(2700.0))
    except NotReady:
        assert not ends
    assert events[0] == Phase("wait for a token", ("spark-1",), 2700.0)
    assert any(isinstance(event, Ended) for event in events) == ends


@pytest.mark.parametrize(
    ("terminal", "how", "whole", "diffs"),
    [(True, {}, False, False), (True, {"verbose": True}, False, True), (True, {}, True, True), (False, {}, False, True), (True, {"quiet": True}, False, False), (True, {"quiet": True}, True, True)],
)
def test_the_plan_is_short_on_a_terminal_alone(terminal: bool, how: dict[str, Any], whole: bool, diffs: bool) -> None:
    desk = Desk(Path("x.yaml"), **how)
    file = Terminal() if terminal else io.StringIO()
    vars(desk)["people"] = Console(file=file, width=80, force_terminal=terminal, color_system=None)
    planning.show_plan(SimpleNamespace(plan=planned(pair()), silent={}, blocked=()), desk, whole)  # type: ignore[arg-type]
    assert ("+network:" in file.getvalue()) == diffs
    assert desk.fields["plan"]["steps"][0]["changes"]["spark-2"][0]["after"]["content"].count("\n") > 20
