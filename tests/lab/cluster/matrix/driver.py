"""sparkctl, as a person runs it, with one fault planted on its way to one node: `driver.py ORDER.json WORD...`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from sparkctl.cli.main import main
from sparkctl.commands.base import Command
from sparkctl.errors import AccessRefused
from sparkctl.lab.life import fault as lab_fault
from sparkctl.lab.state import find
from sparkctl.outcome import Lost, Result
from sparkctl.ssh.connection import SshTransport
from sparkctl.ssh.transport import Gate, LineSink
from tests.lab.labs import LEASE

Kind = Literal["NONE", "FAIL", "LOST_DONE", "LOST_NOT_DONE", "SSH_LOST", "CONTROLLER_KILLED", "NODE_KILLED"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SLOWEST = ".slowest"
CONNECT = "connect anew"
STEP = " || failed $? "
DARK_SECONDS = LEASE + 4
"""Longer than the transport waits for a silent node (20 s) and than the lease of the cells."""


@dataclass(frozen=True)
class Order:
    """One fault: at the `at`-th command on `node`, which must be `title`. `step` counts from the end where it is negative.

    `late`: after the command has had its effect (CONTROLLER_KILLED), or while it runs (SSH_LOST, NODE_KILLED).
    """

    lab: str
    log: str
    kind: Kind
    title: str = ""
    node: str = ""
    at: int = 0
    step: int = 0
    late: bool = False

    def save(self, path: Path) -> None:
        """For the driver to read."""
        path.write_text(json.dumps(asdict(self)))


@dataclass(frozen=True)
class Event:
    """One command that passed a gate, or the fault that struck it."""

    node: str
    title: str
    at: int
    effect: str
    steps: int
    fired: str = ""


def events(log: Path) -> list[Event]:
    """What a driver wrote down."""
    return [Event(**json.loads(line)) for line in log.read_text().splitlines()] if log.exists() else []


def step_lines(script: str) -> list[int]:
    """Indices of the lines of `script` that are steps."""
    return [number for number, line in enumerate(script.splitlines()) if STEP in line]


def failing(script: str, step: int) -> str:
    """`script`, which fails just before its `step`-th step (negative: after the last); one that only reads, at once."""
    lines, steps = script.splitlines(), step_lines(script)
    if not steps:
        return "echo planted >&2; exit 1\n" + script
    place = steps[-1] + 1 if step < 0 else steps[min(step, len(steps) - 1)]
    return "\n".join([*lines[:place], "false || failed $? planted", *lines[place:]]) + "\n"


class Planted:
    """Stands in the one door that every command passes, and strikes once."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.struck = False
        self.slowest = 0.0
        self.passed: Counter[str] = Counter()
        self.chores: set[asyncio.Task[None]] = set()

    def note(self, node: str, title: str, effect: str, steps: int, fired: str = "") -> None:
        """Written at once: the next thing may be the end."""
        line = json.dumps(asdict(Event(node, title, self.passed[node], effect, steps, fired)))
        with Path(self.order.log).open("a") as log:
            log.write(line + "\n")
            log.flush()

    def took(self, seconds: float) -> None:
        """Keep what the slowest command took that nothing struck."""
        self.slowest = max(self.slowest, seconds)
        Path(self.order.log).with_suffix(SLOWEST).write_text(f"{self.slowest}")

    def strikes(self, node: str, title: str) -> bool:
        """Whether this is the place; only the first time."""
        place = (node, title, self.passed[node])
        self.passed[node] += 1
        if self.struck or self.order.kind == "NONE" or place != (self.order.node, self.order.title, self.order.at):
            return False
        self.struck = True
        self.note(node, title, "", 0, self.order.kind)
        return True

    async def run(self, gate: Gate, command: Command, on_line: LineSink | None = None) -> Result:
        """As Gate.run."""
        node = _node(gate)
        self.note(node, command.title, command.effect.name, len(step_lines(command.script)))
        if not self.strikes(node, command.title):
            begun = time.monotonic()
            result = await RUN(gate, command, on_line)
            self.took(time.monotonic() - begun)
            return result
        if self.order.kind == "FAIL":
            return await RUN(gate, replace(command, script=failing(command.script, self.order.step)), on_line)
        if self.order.kind == "LOST_DONE":
            await RUN(gate, command, on_line)
        if self.order.kind in ("LOST_DONE", "LOST_NOT_DONE"):
            await gate.close()
            return Lost("planted: the answer was lost")
        return await self.struck_by(node, lambda: RUN(gate, command, on_line))

    async def renew(self, gate: Gate) -> None:
        """As Gate.renew."""
        node = _node(gate)
        self.note(node, CONNECT, "READ", 0)
        if not self.strikes(node, CONNECT):
            await RENEW(gate)
        elif self.order.kind == "LOST_DONE":
            await RENEW(gate)
            raise AccessRefused("planted: connected, and nobody knows")
        elif self.order.kind in ("FAIL", "LOST_NOT_DONE"):
            raise AccessRefused("planted: no connection")
        else:
            await self.struck_by(node, lambda: RENEW(gate))

    async def struck_by(self, node: str, work: Callable[[], Awaitable[Result | None]]) -> Result:
        """Faults of controller, node and wire, before the work or while it is done."""
        kind, late = self.order.kind, self.order.late
        if kind == "CONTROLLER_KILLED":
            if late:
                await work()
            os.kill(os.getpid(), signal.SIGKILL)
        task = asyncio.ensure_future(work()) if late else None
        if task:
            await asyncio.sleep(0.15)
        if kind == "NODE_KILLED":
            await self.lab("kill", node)
            self.later(0.5, "boot", node)
        else:
            await self.lab("isolate", node)
            self.later(DARK_SECONDS, "join", node)
        return await (task or work())  # type: ignore[return-value]

    async def lab(self, verb: str, node: str) -> None:
        """Ask the lab; its answer may take as long as a boot."""
        await asyncio.to_thread(lab_fault, find(self.order.lab), verb, node)

    def later(self, seconds: float, verb: str, node: str) -> None:
        """The same after a while, whatever happens meanwhile."""

        async def chore() -> None:
            await asyncio.sleep(seconds)
            await self.lab(verb, node)

        self.chores.add(asyncio.ensure_future(chore()))


def _node(gate: Gate) -> str:
    assert isinstance(gate.inner, SshTransport)
    return gate.inner.login.node


RUN, RENEW = Gate.run, Gate.renew


def _planted(order: Order) -> None:
    planted = Planted(order)

    async def run(gate: Gate, command: Command, on_line: LineSink | None = None) -> Result:
        return await planted.run(gate, command, on_line)

    async def renew(gate: Gate) -> None:
        await planted.renew(gate)

    Gate.run, Gate.renew = run, renew  # type: ignore[method-assign]


if __name__ == "__main__":
    _planted(Order(**json.loads(Path(sys.argv.pop(1)).read_text())))
    main()
