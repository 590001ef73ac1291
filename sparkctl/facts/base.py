"""Probes and their batch: every fact of a node in one script, one round trip."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Generic, Literal, TypeAlias, TypeVar

from sparkctl.commands.base import Command, Effect, Words, functions
from sparkctl.commands.shell import quote, quote_word
from sparkctl.inventory.words import quoted, visible
from sparkctl.outcome import Absent, Fact, Known, Unknown

S = TypeVar("S")
T = TypeVar("T")
U = TypeVar("U")
K = TypeVar("K")
_HEAD = re.compile(rb"([!-~]{1,4096}) (\d{1,3}) (\d{1,8})\n")
MOST_ANSWERS = 1000
"""In one batch: ten times as many as any asks for."""
MOST_ANSWERED = 2**20
"""Bytes of one answer. Our choice of 2026-11-27: a file that is shown (64 KiB) comes as 87 KB of base64."""
MOST_UNREAD = 20  # rows of one answer; where more cannot be read, none of it is to be trusted
LONGEST = 255  # characters: an LLDP name has no more, a netdev's has 15
DIGITS = 20  # of the largest 64-bit number
QUICK, PATIENCE = 30.0, 90.0
"""Seconds: a survey took an emulated node 30 s while three others kept the same two cores busy (measured)."""
ALWAYS = ("facts/foreign.py", "facts/owners.py")
"""Programs of probe.sh."""
NOT_THERE = 44
NO_TOOL = 127


Moment: TypeAlias = Literal["early", "then", "last"]
"""`early`: runs beside all others from the beginning; `last`: after everything else has ended."""


@dataclass(frozen=True)
class Probe:
    """One question to a node: its name in the batch and the words that answer it on stdout.

    `sources` are the templates that define the words: shell functions, or a Python program that goes into the
    variable of its name (`facts/hello.py`: HELLO). `begin` is called before all others, beside which it then runs.
    """

    name: str
    words: Words
    sources: tuple[str, ...] = ()
    moment: Moment = "then"
    begin: Words = ()


def batch(probes: Iterable[Probe]) -> Command:
    """All `probes` as one READ command, with the sources that they need and no others."""
    asked = tuple(probes)
    at: dict[Moment, list[Probe]] = {"early": [], "then": [], "last": []}
    for probe in asked:
        at[probe.moment].append(probe)
    sources = (*ALWAYS, *dict.fromkeys(source for probe in asked for source in probe.sources))
    begun = "".join(quote(probe.begin) + "\n" for probe in asked if probe.begin)
    body = _beside(at["early"], begun + _calls(at["then"])) + _calls(at["last"])
    script = functions("facts/probe.sh") + "".join(map(_source, sources)) + "{\n" + body + "} | base64 -w0\n"
    return Command("read facts", script, Effect.READ, timeout=PATIENCE if len(sources) > len(ALWAYS) else QUICK)


def _source(path: str) -> str:
    if path.endswith(".sh"):
        return functions(path)
    return f"{PurePosixPath(path).stem.upper()}={quote_word(functions(path))}\n"


def _calls(probes: Iterable[Probe]) -> str:
    return "".join(quote(("probe", probe.name, *probe.words)) + "\n" for probe in probes)


def _beside(early: Iterable[Probe], body: str) -> str:
    """Each early probe runs while `body` does and waits in a pipe until that has ended: answers never mix."""
    body = body or ":\n"  # the shell knows no empty group
    for probe in early:
        body = f"{_calls((probe,)).rstrip()} </dev/null | {{\n{{\n{body}}} </dev/null\ncat\n}}\n"
    return body


def answers(stdout: str) -> dict[str, Fact[str]]:
    """The answers of a batch by the name of their probe."""
    found: dict[str, Fact[str]] = {}
    said, at = _decoded(stdout), 0
    for _ in range(MOST_ANSWERS):
        head = _HEAD.match(said, at)
        if head is None:
            break
        name, status, size = head[1].decode(), head[2].decode(), int(head[3])
        at = head.end() + size + 1
        found[name] = _answer(name, status, said[head.end() : at - 1], size)
    return found


def _decoded(stdout: str) -> bytes:
    """What was cut off on the way is read as far as it came."""
    last = stdout.strip().rpartition("\n")[2]
    try:
        return base64.b64decode(last[: len(last) // 4 * 4], validate=True)
    except (binascii.Error, ValueError):
        return b""


def _answer(name: str, status: str, body: bytes, size: int) -> Fact[str]:
    if status == str(NOT_THERE):
        return Absent(f"{name}: not there")
    if status == str(NO_TOOL):
        return Absent(f"{name}: the tool is not installed")
    if status != "0":
        return Unknown(f"{name}: the command ended with status {status}")
    if size > MOST_ANSWERED:
        return Unknown(f"{name}: {size} bytes are too many: not read")
    return Known(body.decode("utf-8", "replace")) if len(body) == size else Unknown(f"{name}: the answer was cut off")


def word(value: object) -> str:
    """A name that a node or its neighbour gave, fit to be shown; ValueError where there is none."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"not a name: {quoted(value)}")
    return visible(value)[:LONGEST]


def number(text: str) -> int:
    """A whole number from 0 that a kernel would write; ValueError for any other text."""
    if not (text.isascii() and text.isdigit() and len(text) <= DIGITS):
        raise ValueError(f"not a number: {quoted(text)}")
    return int(text)


@dataclass(frozen=True)
class Rows(Generic[T]):
    """What the rows that could be read make, and why each of the others could not be."""

    value: T
    unread: tuple[str, ...]


def each(rows: Iterable[S], read: Callable[[S], U], make: Callable[[Iterable[U]], T]) -> T | Rows[T]:
    """What `make` makes of all `rows`: one that cannot be read costs no other. Its error where all or too many are."""
    found: list[U] = []
    odd: list[tuple[S, Exception]] = []
    for row in rows:
        try:
            found.append(read(row))
        except Exception as error:
            odd.append((row, error))
            if len(odd) > MOST_UNREAD:
                break
    if odd and (not found or len(odd) > MOST_UNREAD):
        raise odd[0][1]
    unread = (visible(f"{' '.join(str(row).split()):.80}: {_why(error)}") for row, error in odd)
    return Rows(make(found), tuple(unread)) if odd else make(found)


def _why(error: Exception) -> str:
    return visible(" ".join(str(error).split()))[:300]


def parsed(answer: Fact[S], parser: Callable[[S], T | Rows[T]]) -> Fact[T]:
    """`parser` applied to what is known; text that it cannot read is Unknown, whatever it makes of it."""
    if not isinstance(answer, Known):
        return answer
    try:
        made = parser(answer.value)
    except Exception as error:
        return Unknown(f"unreadable answer: {_why(error)}")
    return Known(made.value, made.unread) if isinstance(made, Rows) else Known(made)


def entry(fact: Fact[Mapping[K, U]], key: K, missing: str) -> Fact[U]:
    """What a table has at `key`; where it has nothing Absent, or Unknown: it may be in a row that was not read."""
    if not isinstance(fact, Known):
        return fact
    if key in fact.value:
        return Known(fact.value[key])
    return Unknown(fact.unread[0]) if fact.unread else Absent(missing)
