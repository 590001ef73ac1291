"""One rank of the all-gather: a transient unit around the engine's own container or venv, bounded in time and size."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache

from sparkctl.commands.base import Command, Effect, functions
from sparkctl.commands.shell import quote
from sparkctl.resources import share

NAME = "sparkctl-gather"
"""The unit and the container are called so, and after the token of the run: no run ends what another has begun."""
SECONDS = 150
"""For everything, whoever may have gone: some 20 s to start Python with torch, 60 to meet, 5 for each size."""
MEET_SECONDS = 60
STEP_SECONDS = 4.0
MEBIBYTE = 1 << 20
GIBIBYTE = 1 << 30
LEAST, MOST = 512 * MEBIBYTE, 4096 * MEBIBYTE
"""Facts ff37: 512 MiB to 4 GiB; 16 GiB freezes hosts."""
QUICK = 1024 * MEBIBYTE
SHARE = 8
"""Of MemAvailable, 1/8 at most: result, part and NCCL's buffers take about twice the size, and the rest is others'."""
ROOM = 8 * GIBIBYTE
"""MemAvailable that a rank on a GPU needs: its memory is the node's, torch, the CUDA context and NCCL take over 1 GiB
before the first byte is gathered, and with little left the kernel would kill somebody's program, not only ours."""
SPARE = 64 * MEBIBYTE
"""What a rank without a GPU is content with: it moves 8 MiB, and only that it runs is judged."""


@dataclass(frozen=True)
class Place:
    """One rank among `ranks`; they meet at `address`:`port` of the head."""

    rank: int
    ranks: int
    address: str
    port: int


def sizes(available: int, *, gpu: bool, quick: bool = False) -> tuple[int, ...]:
    """Bytes of each step, ascending, with `available` KiB on the node that has least; none: too little memory."""
    if gpu and available * 1024 < ROOM:
        return ()
    most = min(QUICK if quick else MOST, available * 1024 // SHARE)
    if most < LEAST:
        return (SPARE,) if most >= SPARE else ()
    return tuple(size for n in range(4) if (size := LEAST << n) <= most)


def argument(place: Place, steps: tuple[int, ...]) -> str:
    """The argument of `templates/load/all_gather.py`."""
    meeting = {"rank": place.rank, "ranks": place.ranks, "address": place.address, "port": place.port}
    limits = {"sizes": steps, "seconds": STEP_SECONDS, "patience": MEET_SECONDS}
    return json.dumps(meeting | limits, sort_keys=True)


@cache
def _program() -> bytes:
    return (share("templates") / "load/all_gather.py").read_bytes()


def name(token: str) -> str:
    """Of the unit and of the container of the run `token`."""
    return f"{NAME}-{token}"


def _remove(token: str) -> str:
    return f"docker rm --force {name(token)} >/dev/null 2>&1"


def command(script: str, token: str, unit: str, *, docker: bool, user: str = "root") -> Command:
    """Run one rank by `script`, which reads the program on stdin, unless the engine's `unit` or another test runs.

    systemd ends it, should nobody else.
    """
    script = f"{functions('load/rank.sh')}{quote(('rank_begins', unit))}\n{script}"
    properties = [f"RuntimeMaxSec={SECONDS}", "TimeoutStopSec=10", "LimitMEMLOCK=infinity", "LimitNOFILE=1048576"]
    properties += [f"ExecStopPost=-/bin/sh -c '{_remove(token)}'"] if docker else [f"User={user}"]
    words = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", f"--unit={name(token)}"]
    words += [f"--property={written}" for written in properties]
    # systemd puts variables into the words of a unit; `$$` is its way to write the sign itself.
    line = quote((*words, "/bin/sh", "-c", script.replace("$", "$$")))
    return Command("all-gather", f"exec {line}\n", Effect.LOAD, _program(), timeout=SECONDS + 30)


def stop(token: str, *, docker: bool) -> Command:
    """End a rank of the run `token`, should it still run. The container first: its program need not hear a signal."""
    container = f"{_remove(token)} || :\n" if docker else ""
    script = f"{container}systemctl stop {name(token)}.service 2>/dev/null || [ $? -eq 5 ]\n"
    return Command("end the all-gather", script, Effect.LOAD, timeout=40)
