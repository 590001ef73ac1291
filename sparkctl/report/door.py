"""The one door by which text leaves for people: what a terminal may obey is spelled out, and nothing is ever markup."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from sparkctl.inventory.words import visible

if TYPE_CHECKING:
    from rich.console import Console

Piece: TypeAlias = tuple[str, str]
"""Text and rich style."""


def lines(text: str) -> str:
    """`text` with its newlines; whatever else does not show as what it is, is spelled out. JSON stays as it is."""
    return "\n".join(map(visible, text.split("\n")))


def _tabbed(text: str) -> str:
    return "\t".join(map(lines, text.split("\t")))


def say(console: Console, *said: str | Piece, end: str = "\n", wrap: bool = True) -> None:
    """Print texts, each as it is or in a style; `wrap` False: no line is broken to fit."""
    text = console.render_str("", markup=False)
    for one in said:
        words, style = (one, "") if isinstance(one, str) else one
        text.append(lines(words), style or None)
    console.print(text, end=end, soft_wrap=None if wrap else True)


def emit(text: str, end: str = "\n") -> None:
    """Write to stdout what a program, a file or a pipe may take; tabs stay, as in a file."""
    print(_tabbed(text), end=end, flush=True)  # noqa: T201
