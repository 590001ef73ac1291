"""`sparkctl explain`: the page of a rule or of an exit code."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparkctl.cli.terminal import NoColor, console, reported

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sparkctl.rules import Rule

EXIT_CODES = "exit-codes.md"

Id = Annotated[str | None, typer.Argument(metavar="[ID]", help="A rule or an exit code; none: list them all.")]


def explain(id: Id = None, no_color: NoColor = False) -> None:
    """Explain a finding or an exit code: what is refused, why, and what to write instead.

    Examples:

      sparkctl explain               list all rules and exit codes

      sparkctl explain TOP003        one rule, with a wrong and a right example

      sparkctl explain 5             one exit code
    """
    with reported():
        text = _everything() if id is None else _page(id)
    if sys.stdout.isatty():
        from rich.markdown import Markdown

        console(no_color=no_color).print(Markdown(text))
    else:
        typer.echo(text.rstrip("\n"))


def _page(id: str) -> str:
    from sparkctl.errors import UsageError
    from sparkctl.inventory.words import nearest, quoted
    from sparkctl.rules import rules

    known = {rule.id for rule in rules()}
    if id.upper() in known:
        return (_pages() / f"{id.upper()}.md").read_text(encoding="utf-8")
    codes = _exit_codes()
    if id in codes:
        return codes[id]
    guess = nearest(id.upper(), known | codes.keys())
    remedy = f"did you mean {guess}?" if guess else "`sparkctl explain` lists all rules and exit codes"
    raise UsageError(f"there is no rule and no exit code {quoted(id)}", remedy)


def _everything() -> str:
    from sparkctl.rules import rules

    codes = [section.splitlines()[0].removeprefix("# ") for section in _exit_codes().values()]
    listed = "\n".join(f"* {code}" for code in codes)
    return f"# Rules\n\n{_list(rules())}\n\n# Exit codes\n\n{listed}\n"


def _list(rules: Iterable[Rule]) -> str:
    return "\n".join(f"* {rule.id} {rule.severity}: {rule.title}" for rule in rules)


def _exit_codes() -> dict[str, str]:
    """The sections of the page on exit codes, by code."""
    text = (_pages() / EXIT_CODES).read_text(encoding="utf-8")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    return {section.split(":", 1)[0]: f"# Exit code {section}" for section in sections}


def _pages() -> Path:
    from sparkctl.resources import share

    return share("rules")
