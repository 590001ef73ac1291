"""`sparkctl explain`: the page of a rule, of a check or of an exit code."""

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
_WIDTH = 100  # columns: longer lines of prose are hard to read

Id = Annotated[str | None, typer.Argument(metavar="[ID]", help="A rule, a check or an exit code; none: list them all.")]


def explain(id: Id = None, no_color: NoColor = False) -> None:
    """Explain a finding, a check or an exit code: what is refused or judged, why, and what to write instead.

    Examples:

      sparkctl explain               list all rules, checks and exit codes

      sparkctl explain TOP003        one rule, with a wrong and a right example

      sparkctl explain rail-mtu      one check, with its threshold and what to try

      sparkctl explain 5             one exit code
    """
    with reported():
        text = _everything() if id is None else _page(id)
    if sys.stdout.isatty():
        _show(text, no_color)
    else:
        typer.echo(text.rstrip("\n"))


def _show(text: str, no_color: bool) -> None:
    from rich.markdown import Markdown

    out = console(no_color=no_color)
    out.print(Markdown(text), width=min(out.width, _WIDTH))


def _page(id: str) -> str:
    from sparkctl.errors import UsageError
    from sparkctl.inventory.words import nearest, quoted
    from sparkctl.rules import rules

    codes = _exit_codes()
    kinds = {rule.id: "rules" for rule in rules()} | dict.fromkeys(_checks(), "checks") | dict.fromkeys(codes, "")
    spelt = {name.lower(): name for name in kinds}.get(id.lower())
    if spelt is not None:
        return codes[spelt] if spelt in codes else _text(kinds[spelt], spelt)
    guess = nearest(id, kinds)
    remedy = f"did you mean {guess}?" if guess else "`sparkctl explain` lists all rules, checks and exit codes"
    raise UsageError(f"there is no rule, check or exit code {quoted(id)}", remedy)


def _everything() -> str:
    from sparkctl.rules import rules

    codes = (section.splitlines()[0].removeprefix("# ") for section in _exit_codes().values())
    checks = (_text("checks", id).partition("\n")[0].removeprefix("# ") for id in _checks())
    return f"# Rules\n\n{_list(rules())}\n\n# Checks\n\n{_bullets(checks)}\n\n# Exit codes\n\n{_bullets(codes)}\n"


def _list(rules: Iterable[Rule]) -> str:
    return _bullets(f"{rule.id} {rule.severity}: {rule.title}" for rule in rules)


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"* {line}" for line in lines)


def _checks() -> tuple[str, ...]:
    from sparkctl.checks import CHECKS

    return tuple(CHECKS)


def _exit_codes() -> dict[str, str]:
    """The sections of the page on exit codes, by code."""
    text = (_folder("rules") / EXIT_CODES).read_text(encoding="utf-8")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    return {section.split(":", 1)[0]: f"# Exit code {section}" for section in sections}


def _text(kind: str, id: str) -> str:
    return (_folder(kind) / f"{id}.md").read_text(encoding="utf-8")


def _folder(kind: str) -> Path:
    from sparkctl.resources import share

    return share(kind)
