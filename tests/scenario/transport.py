"""A node of a scenario as the controller sees it, the faults on the way, and a clock that only waiting moves."""

from __future__ import annotations

import asyncio
import re
import selectors
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from sparkctl.commands.base import Command
from sparkctl.errors import AccessRefused
from sparkctl.outcome import Failed, Lost, Ok, Result
from sparkctl.ssh.transport import Counters, LineSink
from tests.scenario.world import World

T = TypeVar("T")
Kind = Literal["FAIL", "LOST_DONE", "LOST_NOT_DONE", "SSH_LOST", "CONTROLLER_KILLED", "NODE_KILLED", "POWER_CUT", "BUG"]
STEP = re.compile(r"^(?P<step>.*) \|\| (?P<rest>failed \$\? .*)$", re.MULTILINE)
HEALS_AFTER = 400
"""Seconds after which a management network that was lost is there again, when no timer of the node fired before."""


class Killed(SystemExit):
    """kill -9 of the controller: nothing of sparkctl catches this."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong at event `at` of a run, before its step `step`; step = number of steps: after the last."""

    kind: Kind
    at: int
    step: int = 0


@dataclass(frozen=True)
class Event:
    """One thing that the controller sent."""

    node: str
    title: str
    steps: int


@dataclass
class Wire:
    """All that goes between controller and nodes: counted, and spoilt at one place."""

    world: World
    fault: Fault | None = None
    events: list[Event] = field(default_factory=list)
    commands: list[tuple[str, Command]] = field(default_factory=list)
    delays: dict[tuple[str, str], float] = field(default_factory=dict)
    before: dict[tuple[str, str], Callable[[], None]] = field(default_factory=dict)
    dead: bool = False
    cut: dict[str, float] = field(default_factory=dict)

    def sent(self, node: str, command: Command) -> Result:
        """The fate of one command."""
        index = self._event(node, command.title, len(steps_of(command)))
        if self.unreachable(node):
            return Lost("no answer within 30 s")
        fault = self.fault
        if fault is None or fault.at != index:
            return self.done(node, command, command.script)
        return self._spoilt(node, command, fault)

    def _event(self, node: str, title: str, steps: int) -> int:
        if self.dead:
            raise Killed(137)
        self.events.append(Event(node, title, steps))
        return len(self.events) - 1

    def done(self, node: str, command: Command, script: str) -> Result:
        """The script runs to its end."""
        said = self.world.run(node, script, command.stdin)
        return Ok(said.out, said.err) if said.status == 0 else Failed(said.status, said.out, said.err)

    def _spoilt(self, node: str, command: Command, fault: Fault) -> Result:
        total = len(steps_of(command))
        if fault.kind == "FAIL":
            if not total:
                return Failed(1, "", "planted failure")
            return self.done(node, command, failing(command.script, fault.step))
        if fault.kind == "BUG":
            if fault.step >= total:
                self.done(node, command, command.script)
            raise KeyError(f"planted in the controller, about {node}")
        if fault.kind == "LOST_NOT_DONE":
            return Lost("no answer within 30 s")
        if fault.kind == "SSH_LOST":
            self.cut[node] = self.world.now + HEALS_AFTER
            return Lost("the connection was lost")
        if fault.step >= max(total, 1):
            self.done(node, command, command.script)
        elif fault.step or fault.kind in ("NODE_KILLED", "POWER_CUT"):
            self.done(node, command, stopped(command.script, fault.step))
        return self._struck(node, fault)

    def _struck(self, node: str, fault: Fault) -> Result:
        if fault.kind == "CONTROLLER_KILLED":
            self.dead = True
            raise Killed(137)
        if fault.kind in ("NODE_KILLED", "POWER_CUT"):
            self.world.boot(node, cut=fault.kind == "POWER_CUT")
        return Lost("no answer within 30 s")

    def opened(self, node: str) -> None:
        """A new connection; an event like any other."""
        index = self._event(node, "connect", 0)
        if self.fault is not None and self.fault.at == index:
            self._opening(node, self.fault)
        if self.unreachable(node):
            raise AccessRefused(f"{node}: cannot be reached: timed out", "is it switched on?")

    def _opening(self, node: str, fault: Fault) -> None:
        if fault.kind == "BUG":
            raise KeyError(f"planted in the controller, about {node}")
        if fault.kind == "SSH_LOST":
            self.cut[node] = self.world.now + HEALS_AFTER
        elif fault.kind in ("CONTROLLER_KILLED", "NODE_KILLED", "POWER_CUT"):
            self._struck(node, fault)
        else:
            raise AccessRefused(f"{node}: cannot be reached: planted", "is it switched on?")

    def unreachable(self, node: str) -> bool:
        """While the node boots, and while SSH is lost: until its own timer fired, or somebody mends the network."""
        if self.world.now < self.world.machines[node].away_until:
            return True
        if node in self.cut and (node in self.world.fired or self.world.now >= self.cut[node]):
            del self.cut[node]
        return node in self.cut


def steps_of(command: Command) -> list[str]:
    """The lines of a script that are steps; none in a script that only reads."""
    return [found["step"] for found in STEP.finditer(command.script)]


def failing(script: str, step: int) -> str:
    """The same script with one step that fails before it begins; the last number: all steps done, then status 1."""
    found = list(STEP.finditer(script))
    if step >= len(found):
        return script + "\nexit 1\n"
    place = found[step]
    return f"{script[: place.start()]}(exit 1) || {place['rest']}{script[place.end() :]}"


def stopped(script: str, step: int) -> str:
    """The same script that ends in silence before one of its steps."""
    found = list(STEP.finditer(script))
    return script[: found[step].start()] + "exit 143\n" if found else "exit 143\n"


@dataclass
class ScenarioTransport:
    """One node behind the wire; answers as SSH does."""

    wire: Wire
    node: str
    counters: Counters = field(default_factory=Counters)

    async def run(self, command: Command, on_line: LineSink | None = None) -> Result:
        """As Transport.run."""
        self.counters.round_trips += 1
        place = (self.node, command.title)
        self.wire.commands.append((self.node, command))
        if place in self.wire.before:
            self.wire.before.pop(place)()
        delay = self.wire.delays.get(place, 0.0)
        if delay:
            await asyncio.sleep(min(delay, command.timeout))
        result = self.wire.sent(self.node, command)
        if delay > command.timeout:
            return Lost(f"no answer within {command.timeout:.0f} s")
        if isinstance(result, Ok) and on_line is not None:
            for line in result.stdout.splitlines():
                on_line(line)
        return result

    async def renew(self) -> None:
        """As Transport.renew."""
        self.counters.connections += 1
        self.wire.opened(self.node)

    async def close(self) -> None:
        """Nothing is open."""


class Clockwork(selectors.DefaultSelector):
    """Waiting costs no time: it moves the world's clock."""

    world: World

    def select(self, timeout: float | None = None) -> Any:
        """Nobody but the clock wakes the loop."""
        assert timeout is not None, "the run waits for ever"
        if timeout > 0:
            self.world.advance(timeout)
        return super().select(0)


class Loop(asyncio.SelectorEventLoop):
    """An event loop on the world's clock."""

    def __init__(self, world: World) -> None:
        clockwork = Clockwork()
        clockwork.world = world
        super().__init__(clockwork)
        self._world = world

    def time(self) -> float:
        """Seconds on the world's clock."""
        return self._world.now


@contextmanager
def clock_of(world: World) -> Iterator[None]:
    """`time.monotonic` is the world's clock, too."""
    real = time.monotonic
    time.monotonic = lambda: world.now  # type: ignore[assignment]
    try:
        yield
    finally:
        time.monotonic = real  # type: ignore[assignment]


def played(world: World, work: Callable[[], Awaitable[T]]) -> T:
    """Run `work` to its end in the world's time."""
    loop = Loop(world)
    try:
        with clock_of(world):
            return loop.run_until_complete(work())
    finally:
        abandoned(loop)


def abandoned(loop: Loop) -> None:
    """What a dead controller was about to do is dropped; the wire is dead, so that none of it reaches a node."""
    loop.set_exception_handler(lambda _loop, _context: None)
    while tasks := asyncio.all_tasks(loop):
        for task in tasks:
            task.cancel()
        try:
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        except Killed:
            continue
    loop.close()
