"""The one door by which text leaves for people: what a terminal may obey is spelled out, and nothing is ever markup."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeAlias

from sparkctl.inventory.words import visible
from sparkctl.report.hints import pasteable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

Piece: TypeAlias = tuple[str, str]
"""Text and rich style."""
HINT = "`sparkctl "
NARROWEST = 40
"""Columns: below this nothing is indented."""
_passing: list[Console] = []
"""The terminal whose last line is only there until something else is said."""
_questions: list[bool] = []
"""Those that stand on the terminal now."""


def lines(text: str) -> str:
    """`text` with its newlines; whatever else does not show as what it is, is spelled out. JSON stays as it is."""
    return "\n".join(map(visible, text.split("\n")))


def _tabbed(text: str) -> str:
    return "\t".join(map(lines, text.split("\t")))


def say(console: Console, *said: str | Piece, end: str = "\n", wrap: bool = True) -> None:
    """Print texts, each as it is or in a style; a line that is too long goes on below, indented.

    `wrap` False: no line is broken to fit; nor is one with a hint, which is made a command to paste.
    """
    settle()
    text, wrap = _text(console, said), wrap and not any(HINT in "".join(one) for one in said)
    if wrap and console.is_terminal and not console.soft_wrap and console.width >= NARROWEST:
        text = text.blank_copy("\n").join(_broken(line, console) for line in text.split("\n", allow_blank=True))
    console.print(text, end=end, soft_wrap=None if wrap else True)


def _text(console: Console, said: tuple[str | Piece, ...]) -> Text:
    text = console.render_str("", markup=False)
    for one in said:
        words, style = (one, "") if isinstance(one, str) else one
        text.append(lines(pasteable(words)), style or None)
    return text


def _broken(line: Text, console: Console) -> Text:
    indent = min(len(line.plain) - len(line.plain.lstrip()) + 2, console.width // 2)
    if line.cell_len <= console.width:
        return line
    return line.blank_copy("\n" + " " * indent).join(line.wrap(console, console.width - indent))


def passing(console: Console, said: str) -> bool:
    """Show one line until something else is said; False where that cannot be, because it is no terminal."""
    if not console.file.isatty() or console.is_dumb_terminal:
        return False
    if _questions:
        return True
    settle()
    text = _text(console, (lines(said).replace("\n", " "),))
    text.truncate(console.width - 1)
    console.print(text, end="", soft_wrap=True)
    _passing.append(console)
    return True


@contextmanager
def undisturbed() -> Iterator[None]:
    """While a question stands on the terminal, no such line comes and none goes."""
    settle()
    _questions.append(True)
    try:
        yield
    finally:
        _questions.pop()


def settle() -> None:
    """Take that line away."""
    while _passing:
        with suppress(OSError, ValueError):  # a terminal that was closed shows nothing any more
            file = _passing.pop().file
            file.write("\r\x1b[2K")
            file.flush()


def emit(text: str, end: str = "\n") -> None:
    """Write to stdout what a program, a file or a pipe may take; tabs stay, as in a file."""
    settle()
    print(_tabbed(text), end=end, flush=True)  # noqa: T201
