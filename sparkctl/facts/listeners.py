"""What listens at an address by name: `ss` to programs and TCP ports."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sparkctl.facts.base import Probe, number
from sparkctl.inventory.words import visible

NAME = "listeners"
_SOCKET = re.compile(r"(?:^|\s)\[?([0-9.]{7,15})\]?(?:%\S+)?:(\d{1,5})\s")
_PROGRAM = re.compile(r'users:\(\("([^"]{1,64})"')


@dataclass(frozen=True, order=True)
class Listener:
    """A TCP socket that listens at one address of a node alone; `program` empty where the kernel does not say."""

    address: str
    port: int
    program: str

    def __str__(self) -> str:
        return f"{self.program or 'a program'} at {self.address}:{self.port}"


def probe(addresses: Iterable[str]) -> Probe:
    """Ask for those of `addresses` (at least one); who listens at every address is not among them."""
    first, *others = addresses
    chosen = ("src", first, *(word for address in others for word in ("or", "src", address)))
    return Probe(NAME, ("ss", "-Hltnp", *chosen))


def parse(text: str) -> tuple[Listener, ...]:
    """Each socket once, by address; ValueError for a line without one."""
    return tuple(sorted({_listener(line) for line in text.splitlines() if line.strip()}))


def _listener(line: str) -> Listener:
    socket, program = _SOCKET.search(line), _PROGRAM.search(line)
    if socket is None:
        raise ValueError("no socket in a line of ss")
    return Listener(socket[1], number(socket[2]), visible(program[1]) if program else "")
