"""`sparkctl explain`: the page of a rule, of a check or of an exit code, or a fact."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from sparkctl.cli.completion import IDS
from sparkctl.cli.terminal import NoColor, console, reported
from sparkctl.report.door import emit

if TYPE_CHECKING:
    from collections.abc import Iterable

EXIT_CODES = "exit-codes"
_WIDTH = 100  # columns: longer lines of prose are hard to read

Id = Annotated[
    str | None,
    typer.Argument(
        metavar="[ID|WORD]",
        help="A rule, check, exit code or fact; a word: the pages that say it; left out: a list.",
        autocompletion=IDS,
    ),
]


def explain(id: Id = None, no_color: NoColor = False) -> None:
    """Explain a finding, a check, an exit code or a fact: what is refused or judged, why, and what to write instead.

    Examples:

      sparkctl explain  # list all rules, checks and exit codes

      sparkctl explain TOP003  # one rule, with a wrong and a right example

      sparkctl explain rail-mtu  # one check, with its threshold and what to try

      sparkctl explain 5  # one exit code

      sparkctl explain ff20  # one fact that rules and checks rest on

      sparkctl explain jumbo  # every page that says this word
    """
    with reported():
        text = _everything() if id is None else _page(id)
    if sys.stdout.isatty():
        _show(text, no_color)
    else:
        emit(text.rstrip("\n"))


def _show(text: str, no_color: bool) -> None:
    from rich.markdown import Markdown

    out = console(no_color=no_color)
    out.print(Markdown(text), width=min(out.width, _WIDTH))


def _page(id: str) -> str:
    from sparkctl.errors import UsageError
    from sparkctl.inventory.words import nearest, quoted

    known = kinds()
    spelt = {name.lower(): name for name in known}.get(id.lower())
    if spelt is not None:
        return known[spelt]
    found = [f"{name}: {_title(text)}" for name, text in known.items() if id.lower() in text.lower()]
    found = found if re.search("[A-Za-z]{3}", id) else []
    if found:
        return f"# Pages that say {quoted(id)}\n\n{_bullets(found)}\n"
    guess = nearest(id, known)
    remedy = f"did you mean {guess}?" if guess else "`sparkctl explain` lists all rules, checks and exit codes"
    raise UsageError(f"there is no rule, check, exit code or fact {quoted(id)}", remedy)


def kinds() -> dict[str, str]:
    """The text of every rule, check, exit code and fact by its id."""
    from sparkctl.resources import page
    from sparkctl.rules import rules

    pages = {rule.id: "rules" for rule in rules()} | dict.fromkeys(_checks(), "checks")
    return {id: page(kind, id) for id, kind in pages.items()} | _exit_codes() | _facts()


def _title(text: str) -> str:
    """The first line of a page, without its id."""
    line = text.strip().partition("\n")[0].lstrip("# ")
    return line.partition(": ")[2] or line


def _everything() -> str:
    from sparkctl.resources import page
    from sparkctl.rules import rules

    every = (f"{rule.id} {rule.severity}: {rule.title}" for rule in rules())
    codes = (section.splitlines()[0].removeprefix("# ") for section in _exit_codes().values())
    checks = (page("checks", id).partition("\n")[0].removeprefix("# ") for id in _checks())
    return f"# Rules\n\n{_bullets(every)}\n\n# Checks\n\n{_bullets(checks)}\n\n# Exit codes\n\n{_bullets(codes)}\n"


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"* {line}" for line in lines)


def _checks() -> tuple[str, ...]:
    from sparkctl.checks import CHECKS

    return tuple(CHECKS)


def _exit_codes() -> dict[str, str]:
    """The sections of the page on exit codes, by code."""
    from sparkctl.resources import page

    sections = re.split(r"^## ", page("rules", EXIT_CODES), flags=re.MULTILINE)[1:]
    return {section.split(":", 1)[0]: f"# Exit code {section}" for section in sections}


def _facts() -> dict[str, str]:
    """Every fact by its id: from its anchor to the next one, or to the next heading of its page."""
    from sparkctl.resources import page, share

    text = "".join(page("facts", path.stem) for path in share("facts").glob("*.md"))
    found = re.findall(r'^<a id="([^"]+)"></a>\n##(.+?)(?=^<a id=|^#{1,2} |\Z)', text, re.MULTILINE | re.DOTALL)
    return {id: body.rstrip("\n") + "\n" for id, body in found}
