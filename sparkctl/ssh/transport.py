"""The way to one node: run a Command, get a Result; and the one gate that every command passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from sparkctl.commands.base import Command, Effect
from sparkctl.errors import EffectRefused
from sparkctl.outcome import Result

LineSink: TypeAlias = Callable[[str], None]


@dataclass
class Counters:
    """SSH connections opened and commands run on one node; `given`: when it got the latest, by this machine's clock."""

    connections: int = 0
    round_trips: int = 0
    given: float = 0.0


class Transport(Protocol):
    """One node. A command that timed out or lost its connection is Lost, never Failed."""

    counters: Counters

    async def run(self, command: Command, on_line: LineSink | None = None) -> Result:
        """Run `command` as root; `on_line` gets each line of stdout as it comes. AccessRefused: it never started."""

    async def renew(self) -> None:
        """Open a new connection, authenticated anew, and drop the old one; AccessRefused when that fails."""

    async def close(self) -> None:
        """Drop the connection, if there is one."""


@dataclass
class Gate:
    """Lets a command through up to `ceiling`; the only door to a Transport."""

    inner: Transport
    ceiling: Effect = Effect.READ

    async def run(self, command: Command, on_line: LineSink | None = None) -> Result:
        """As Transport.run; EffectRefused before anything is sent."""
        if command.effect > self.ceiling:
            wanted, allowed = command.effect.name, self.ceiling.name
            raise EffectRefused(f"{command.title} is a {wanted} command, only {allowed} is allowed in this phase")
        return await self.inner.run(command, on_line)

    async def renew(self) -> None:
        """As Transport.renew."""
        await self.inner.renew()

    async def close(self) -> None:
        """As Transport.close."""
        await self.inner.close()
