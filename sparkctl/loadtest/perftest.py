"""perftest on both ends of a rail: one command per node and trial, bounded, and stopped when nobody listens."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from sparkctl.commands.base import Command, Effect, Words, functions
from sparkctl.commands.shell import quote
from sparkctl.facts.perftest_tool import PORT

"""perftest's own default (--port). The lane of rail B has the next one, and each trial ports of its own: what is left
of the one before must not be taken for it."""
LONGER = 4
"""Seconds that a server outlives its client, which may have begun later."""
ROOM = 15.0
"""Seconds beyond the bound of the node's own script until its answer is Lost."""
SIZE = 65536
"""Bytes of one write of a bandwidth test; perftest's default."""
TOOLS = {"bandwidth": "ib_write_bw", "latency": "ib_write_lat"}


@dataclass(frozen=True)
class Effort:
    """How long a trial takes. `depth`: writes in flight per queue pair; None: perftest's 128.

    `tries`: how often a rail that did connect is tried; one lost packet of a connection is no verdict.

    `patience`: seconds to connect, beside the test itself; perftest alone waits for ever.

    `together`: seconds where lanes run at once; None: as many as alone.
    """

    seconds: int = 2
    iterations: int = 5000
    depth: int | None = None
    patience: int = 12
    tries: int = 2
    together: int | None = None

    @property
    def bound(self) -> int:
        """Seconds after which one end is stopped."""
        return self.seconds + self.patience

    def among(self, lanes: int) -> Effort:
        """What a trial of so many lanes takes."""
        return replace(self, seconds=self.together or self.seconds) if lanes > 1 else self


FULL = Effort(together=4)
"""Lanes begin apart, and both must be under way in what is counted: perftest leaves out a quarter of the whole seconds
at either end (-f, by default duration / 4 in integers: 1 of 4, none of 2; perftest_parameters.c)."""
QUICK = Effort(seconds=1)
EMULATED = Effort(seconds=2, iterations=50, depth=8, patience=45)
"""Soft-RoCE in an emulator moves 0.3 Gb/s: a write takes 20 ms, and 128 of them outlast the whole test, and
a connection alone takes seconds while other nodes boot."""
EMULATED_QUICK = Effort(seconds=1, iterations=20, depth=4, patience=45)


@dataclass(frozen=True)
class End:
    """One end of a lane: RDMA device, index in its GID table (None: perftest chooses), and the peer of a client."""

    device: str
    gid: int | None
    peer: str | None = None


def command(token: str, tool: str, ends: Iterable[End], effort: Effort, port: int = PORT) -> Command:
    """The ends of one trial on one node, all at once. `token` marks the run, for `stop`; `port` is the first lane's."""
    steps: list[Words] = [("load_begins", token)]
    steps += [_lane(k, tool, end, effort, port + k) for k, end in enumerate(ends)]
    steps.append(("load_ends",))
    script = functions("load/perftest.sh") + "".join(quote(step) + "\n" for step in steps)
    return Command(f"{tool} under load", script, Effect.LOAD, timeout=effort.bound + ROOM)


def _lane(key: int, tool: str, end: End, effort: Effort, port: int) -> Words:
    """As NCCL connects: by sockets and the planned GID. Not by RDMA CM (`-R`), whose second connection perftest
    may refuse: then one end waits for the other for ever (seen in one test of seven on slow machines)."""
    size = _bandwidth(effort) if tool == "bandwidth" else ("-s", "2", "-n", str(effort.iterations))
    gid = () if end.gid is None else ("-x", str(end.gid))
    words = (TOOLS[tool], "-d", end.device, *gid, "-p", str(port), "-F", *size)
    if end.peer is None:
        return ("lane", str(key), str(effort.bound + LONGER), "server", *words)
    return ("lane", str(key), str(effort.bound), "client", *words, end.peer)


def _bandwidth(effort: Effort) -> Words:
    """Four queue pairs, as in the published measures of 111.7 Gb/s (facts ff3.4)."""
    depth = () if effort.depth is None else ("-t", str(effort.depth))
    return ("--report_gbits", "-s", str(SIZE), "-q", "4", *depth, "-D", str(effort.seconds))


def stop(token: str) -> Command:
    """Stop whatever the run `token` has on the node; fails when something is left."""
    script = functions("load/perftest.sh") + quote(("load_stops", token)) + "\n"
    return Command("stop the tests under load", script, Effect.LOAD, timeout=ROOM)
