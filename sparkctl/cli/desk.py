"""The options that every cluster verb has, declared once, and what one call of a verb will report."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from sparkctl.cli import terminal
from sparkctl.cli.options import Lab, Quiet, Verbose
from sparkctl.cli.terminal import Json, NoColor
from sparkctl.cli.typed import InventoryPath
from sparkctl.report.hints import typed

if TYPE_CHECKING:
    from rich.console import Console

    from sparkctl.outcome import Verdict


@dataclass
class Desk:
    """The inventory, the common options, and what will be reported. `junit`: stdout belongs to a test report."""

    inventory: Path
    lab: bool = False
    json: bool = False
    no_color: bool = False
    quiet: bool = False
    verbose: bool = False
    junit: bool = False
    fields: dict[str, Any] = field(default_factory=dict)

    @functools.cached_property
    def people(self) -> Console:
        """Where people read: stdout, or stderr when stdout is for a program."""
        return terminal.console(stderr=self.json or self.junit, no_color=self.no_color)

    @functools.cached_property
    def progress(self) -> Console:
        """Where progress goes: always stderr."""
        return terminal.console(stderr=True, no_color=self.no_color)

    def show(self, verdicts: tuple[Verdict, ...]) -> None:
        """Print and keep the verdicts; ChecksFailed when something is not right."""
        from sparkctl.report.verdicts import as_values, failure, print_verdicts, wrong

        self.fields["verdicts"] = as_values(verdicts)
        print_verdicts(verdicts, self.people, every=self.verbose)
        bad = wrong(verdicts)
        if bad:
            raise failure(bad)


_OPTIONS = {"lab": Lab, "json": Json, "no_color": NoColor, "quiet": Quiet, "verbose": Verbose}


def at_a_desk(verb: Callable[..., None]) -> Callable[..., None]:
    """A command line for `verb`: INVENTORY, its own options, the common ones; its first parameter becomes the Desk."""
    hints = get_type_hints(verb, include_extras=True)
    own = list(inspect.signature(verb).parameters.values())[1:]

    @functools.wraps(verb)
    def called(**given: Any) -> None:
        common = {f.name: given.pop(f.name) for f in fields(Desk) if f.name in _OPTIONS or f.name == "inventory"}
        if common["lab"]:
            typed.set(replace(typed.get(), lab=True))
        verb(Desk(**common), **given)

    with_types = [p.replace(annotation=hints[p.name], kind=p.KEYWORD_ONLY) for p in own]
    asked = inspect.Parameter("inventory", inspect.Parameter.KEYWORD_ONLY, annotation=InventoryPath)
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        for name, kind in _OPTIONS.items()
    ]
    parameters = [asked, *with_types, *shared]
    vars(called)["__signature__"] = inspect.Signature(parameters)
    called.__annotations__ = {p.name: p.annotation for p in parameters}
    return called
