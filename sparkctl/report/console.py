"""Tells people how a run goes: one line per phase and node, the engine's own log while it loads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparkctl.inventory.words import visible
from sparkctl.report.door import say
from sparkctl.report.events import Ended, Event, LogLine, Note, Phase

if TYPE_CHECKING:
    from rich.console import Console

QUIET_PHASES = ("extend the checkpoint", "read again")
"""Phases that repeat while waiting: shown only when they go wrong, or with -v."""


class ConsoleObserver:
    """Prints events to `console` (stderr); `verbose` adds the phases that repeat and every log line."""

    def __init__(self, console: Console, *, verbose: bool = False, quiet: bool = False) -> None:
        self.console, self.verbose, self.quiet = console, verbose, quiet
        self._last_log = ""
        self._shown: set[tuple[str, str]] = set()

    def __call__(self, event: Event) -> None:
        """Print one event."""
        if isinstance(event, Note):
            say(self.console, ("note:", "yellow"), f" {event.text}")
        elif isinstance(event, Ended):
            self._ended(event)
        elif isinstance(event, LogLine) and not self.quiet:
            self._log(event)
        elif isinstance(event, Phase) and self.verbose:
            say(self.console, (f"{event.title}: {', '.join(event.nodes)}", "dim"))

    def _ended(self, event: Ended) -> None:
        if event.problem:
            say(self.console, ("  x", "red"), f" {event.title:<22} {event.node}: {event.problem}")
        elif not self.quiet and (self.verbose or self._is_new(event)):
            seconds = (f" {event.seconds:.1f} s", "dim")
            say(self.console, ("  +", "green"), f" {event.title:<22} {event.node}", seconds)

    def _is_new(self, event: Ended) -> bool:
        """A phase that is repeated while something settles is shown once."""
        known = event.title in QUIET_PHASES or (event.title, event.node) in self._shown
        self._shown.add((event.title, event.node))
        return not known

    def _log(self, event: LogLine) -> None:
        """The engine's own words show that it is alive; repeated lines are left out."""
        if event.text == self._last_log and not self.verbose:
            return
        self._last_log = event.text
        text = event.text if self.verbose else event.text[:140]
        say(self.console, (f"    {event.node} | {visible(text)}", "dim"))
