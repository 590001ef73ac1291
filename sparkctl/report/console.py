"""Tells people how a run goes: what goes on, since when, until when; what ended; the engine's log while it loads."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from sparkctl.inventory.words import visible
from sparkctl.report.door import passing, say, settle
from sparkctl.report.events import Ended, Event, LogLine, Note, Phase

if TYPE_CHECKING:
    from rich.console import Console

QUIET_PHASES = ("extend the checkpoint", "read again")
"""Phases that repeat while waiting: shown only when they go wrong, or with -v."""
LONG = 300.0
"""Seconds: a step that may take longer is announced in a log, too."""


@dataclass
class _Going:
    """A phase that goes on: its times, nodes that have not ended it, those that have, and the slowest one's seconds."""

    times: str
    waiting: list[str]
    ended: list[str] = field(default_factory=list)
    seconds: float = 0.0


class ConsoleObserver:
    """Prints events to `console` (stderr), on a terminal with one line for what goes on.

    `verbose` adds the phases that repeat, every node and every log line; `quiet` leaves that one line, and problems.
    """

    def __init__(self, console: Console, *, verbose: bool = False, quiet: bool = False) -> None:
        self.console, self.verbose, self.quiet = console, verbose, quiet
        self._last_log = ""
        self._shown: set[tuple[str, ...]] = set()
        self._going: dict[str, _Going] = {}

    def __call__(self, event: Event) -> None:
        """Print one event."""
        if isinstance(event, Note):
            self._going.clear()
            say(self.console, ("note:", "yellow"), f" {event.text}")
        elif isinstance(event, Ended):
            self._ended(event)
        elif isinstance(event, LogLine):
            self._log(event)
        else:
            self._begun(event)
        self._progress()

    def _begun(self, event: Phase) -> None:
        now = self.console.get_datetime()
        until = f", until {now + timedelta(seconds=event.seconds):%H:%M:%S}" if event.seconds else ""
        times = f"since {now:%H:%M:%S}{until}"
        if self.verbose:
            say(self.console, (f"{event.title}: {', '.join(event.nodes)}, {times}", "dim"))
        elif event.title not in QUIET_PHASES:
            self._going[event.title] = _Going(times, [*event.nodes])
            self._last_log = ""
            if not self._progress() and not self.quiet and event.seconds > LONG:
                say(self.console, f"  .. {event.title:<22} {', '.join(event.nodes)} {times}")

    def _progress(self) -> bool:
        """Show the line for the phase that began last; whether that could be."""
        if not self._going:
            settle()
            return False
        title, going = next(reversed(self._going.items()))
        head, said = f"  .. {title}  {going.times}  ", self._last_log or ", ".join(going.waiting)
        over = len(head) + len(said) + 1 - self.console.width
        node, bar, words = said.partition(" | ")
        if bar and 0 < over < len(words) - 2:
            said = f"{node} | ..{words[over + 2 :]}"  # the end of a line of a log says more than its begin
        return passing(self.console, head + said)

    def _ended(self, event: Ended) -> None:
        going = self._going.get(event.title)
        if going is None or event.node not in going.waiting:
            going = _Going("", [event.node])
        going.waiting.remove(event.node)
        if event.problem:
            say(self.console, ("  x", "red"), f" {event.title:<22} {event.node}: {event.problem}")
        else:
            going.ended.append(event.node)
            going.seconds = max(going.seconds, event.seconds)
        if not going.waiting:
            self._over(event.title, going)

    def _over(self, title: str, going: _Going) -> None:
        """Every node has ended the phase. One that is repeated while something settles is shown once."""
        if self._going.get(title) is going:
            del self._going[title]
        new = title not in QUIET_PHASES and (title, *sorted(going.ended)) not in self._shown
        self._shown.add((title, *sorted(going.ended)))
        if going.ended and not self.quiet and (self.verbose or new):
            seconds = (f" {going.seconds:.1f} s", "dim")
            say(self.console, ("  +", "green"), f" {title:<22} {', '.join(going.ended)}", seconds)

    def _log(self, event: LogLine) -> None:
        """The engine's own words show that it is alive: in the line for what goes on, or where there is none, below.

        Repeated lines are left out.
        """
        text = f"{event.node} | {visible(event.text if self.verbose else event.text[:140])}"
        again, self._last_log = text == self._last_log, text
        if self.verbose or not (again or self.quiet or self._progress()):
            say(self.console, (f"    {text}", "dim"))
