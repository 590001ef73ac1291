"""Commands in messages as they can be pasted: messages say `sparkctl VERB ...`, and what was typed is put in here."""

from __future__ import annotations

import re
import textwrap
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

from sparkctl.commands.shell import quote

_HINT = re.compile(r"`(sudo (?:[^`]* )?)?sparkctl( [^`]*)`")
_ALONE = re.compile(rf"(\s*){_HINT.pattern}")
_ON_INVENTORY = re.compile(
    r" (validate|render|topology|model fit|inventory trust|(cluster|lab) (?!list\b)[a-z]+)(?= |$)"
)
_SPACE = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class Typed:
    """How the running command was called. `root`: the program behind sudo, where labs need that, else empty.

    `implied`: whence the inventory is, where it was not named; `again`: all words after the program, quoted.
    """

    program: str = "sparkctl"
    root: str = ""
    inventory: str = ""
    implied: Literal["", "folder", "environment"] = ""
    lab: bool = False
    again: str = ""


UNSAID = Typed()
typed: ContextVar[Typed] = ContextVar("typed", default=UNSAID)


def pasteable(text: str) -> str:
    """`text` with every hint in it made a command to paste; without its quotes where it is all there is."""
    alone = _ALONE.fullmatch(text)
    if alone:
        return f"{alone[1]}{_command(alone[3], alone[2])}"
    return _HINT.sub(lambda hint: f"`{_command(hint[2], hint[1])}`", text)


def _command(words: str, sudo: str | None) -> str:
    said = typed.get()
    found = _ON_INVENTORY.match(words)
    rooted = said.root and (sudo or (found and (found[2] == "lab" or (said.lab and found[2] == "cluster"))))
    program = said.root if rooted else said.program
    if words == " ...":
        return f"{program} {said.again}"
    program = program.replace("sudo ", sudo or "sudo ", 1)
    if found is None or not said.inventory:
        return program + words
    left_out = said.implied == "folder" or (said.implied == "environment" and not rooted)
    path = "" if left_out or words[found.end() :].startswith(f" {quote([said.inventory])}") else said.inventory
    lab = " --lab" if said.lab and found[2] == "cluster" and " --lab" not in words else ""
    return program + found[0] + (f" {quote([path])}" if path else "") + lab + words[found.end() :]


def wrapped(text: str, width: int, indent: str = "", hyphens: bool = True) -> list[str]:
    """Lines of `text`, broken between words, further ones after `indent`; a hint is one word and is never broken."""
    whole = _HINT.sub(lambda found: found[0].replace(" ", _SPACE), text)
    plain = whole == text
    lines = textwrap.wrap(
        whole, width, subsequent_indent=indent, break_long_words=plain, break_on_hyphens=hyphens and plain
    )
    return [line.replace(_SPACE, " ") for line in lines]
