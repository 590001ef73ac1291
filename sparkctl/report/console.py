"""Tells people how a run goes: one line per phase and node, the engine's own log while it loads."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from sparkctl.report.events import Ended, Event, LogLine, Note, Phase

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
            self.console.print(f"[yellow]note:[/] {escape(event.text)}")
        elif isinstance(event, Ended):
            self._ended(event)
        elif isinstance(event, LogLine) and not self.quiet:
            self._log(event)
        elif isinstance(event, Phase) and self.verbose:
            self.console.print(f"[dim]{escape(event.title)}: {', '.join(event.nodes)}[/]")

    def _ended(self, event: Ended) -> None:
        if event.problem:
            self.console.print(f"  [red]x[/] {event.title:<22} {event.node}: {escape(event.problem)}")
        elif not self.quiet and (self.verbose or self._is_new(event)):
            self.console.print(f"  [green]+[/] {event.title:<22} {event.node} [dim]{event.seconds:.1f} s[/]")

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
        self.console.print(f"    [dim]{event.node} | {escape(text)}[/]")
