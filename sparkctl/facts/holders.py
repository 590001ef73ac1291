"""Who holds the ports that an engine is about to open: `ss -Hltnp` to Holder."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sparkctl.facts.base import Probe, Rows, each, number
from sparkctl.inventory.words import quoted, visible

_HOLDER = re.compile(r'users:\(\("(.{1,100}?)",pid=(\d{1,10}),')


@dataclass(frozen=True)
class Holder:
    """A TCP socket that listens. `program` and `pid` (0: not seen) of the first process that has it."""

    port: int
    program: str
    pid: int

    def __str__(self) -> str:
        return f"{self.program} (pid {self.pid})" if self.pid else "a process that cannot be seen"


def probe(ports: Iterable[int]) -> Probe:
    """Asks who listens at `ports`, of which there is at least one."""
    return Probe("holders", ("ss", "-Hltnp", " or ".join(f"sport = :{port}" for port in ports)))


def parse(text: str) -> tuple[Holder, ...] | Rows[tuple[Holder, ...]]:
    """One socket a line: state, two queues, own and peer's address, processes; ValueError for any other line."""
    return each(filter(str.strip, text.splitlines()), _holder, tuple)


def _holder(line: str) -> Holder:
    state, _, _, own, *_ = line.split(maxsplit=4)
    if state != "LISTEN":
        raise ValueError(f"no listening socket: {quoted(line)}")
    holder = _HOLDER.search(line)
    return Holder(number(own.rpartition(":")[2]), *((visible(holder[1]), int(holder[2])) if holder else ("", 0)))
