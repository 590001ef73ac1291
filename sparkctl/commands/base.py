"""A command for a node: what it may do, and the program as text. Building one never runs it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cache
from typing import TypeAlias

from sparkctl.commands.shell import quote
from sparkctl.resources import share

Words: TypeAlias = tuple[str, ...]
MOST_SAID = 8 * 2**20
"""Bytes of stdout of one command. Our choice of 2026-11-27: eight times what one answer in a batch may have."""
_PART = re.compile(r"^(\w+)(?:=.*|\(\) \{(?:.*\}|(?:\n.*)*?\n\}))\n", re.MULTILINE)
_COMMENT = re.compile(r"^ *#(?! shellcheck).*\n|(?<=\(\) \{) #.*|^\n", re.MULTILINE)
_WORD = re.compile(r"(?<![\w/.-])\w+")


class Effect(IntEnum):
    """What a command does to a node: nothing, traffic or computation, a change."""

    READ = 0
    LOAD = 1
    WRITE = 2


@dataclass(frozen=True)
class Command:
    """One program that root runs on a node in one round trip.

    `timeout` is in seconds: a WRITE that takes longer is Lost, never failed. `stdin` may hold secrets; `script` never.
    `most`: bytes of stdout; a command that says more is ended, and Lost.
    """

    title: str
    script: str = field(repr=False)
    effect: Effect
    stdin: bytes = field(default=b"", repr=False)
    timeout: float = 30.0
    most: int = MOST_SAID


@cache
def functions(relative: str) -> str:
    """The shell functions of the template `relative`."""
    return (share("templates") / relative).read_text(encoding="utf-8")


def node_functions() -> str:
    """All shell functions of `templates/checkpoint/`."""
    return "".join(functions(f"checkpoint/{name}.sh") for name in ("node", "files", "units", "network"))


@cache
def _parts() -> tuple[str, dict[str, str]]:
    """What every script begins with, and the functions and constants by their names, without comments."""
    text = _COMMENT.sub("", node_functions())
    return _PART.sub("", text), {found[1]: found[0] for found in _PART.finditer(text)}


def program(body: str) -> str:
    """`body`, after those functions of `templates/checkpoint/` that it calls, and that these call in turn."""
    begin, parts = _parts()
    needed, found = set[str](), set(_WORD.findall(body))
    while found := (found & parts.keys()) - needed:
        needed |= found
        found = {word for name in found for word in _WORD.findall(parts[name])}
    return begin + "".join(text for name, text in parts.items() if name in needed) + body


def lines(steps: Iterable[Words]) -> str:
    """One line per step; the first that fails says so and ends the script with its status."""
    return "".join(f"{quote(step)} || failed $? {quote(step[:2])}\n" for step in steps)


def write(title: str, steps: Iterable[Words], *, stdin: bytes = b"", timeout: float = 60.0) -> Command:
    """A command that changes the node, made of the functions of `templates/checkpoint/`."""
    return Command(title, program(lines(steps)), Effect.WRITE, stdin, timeout)
