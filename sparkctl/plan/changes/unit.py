"""Stop or start the engine's unit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import model_validator

from sparkctl.commands import systemd
from sparkctl.commands.base import Words
from sparkctl.inventory.names import ONLY
from sparkctl.plan.changes.base import ChangeKind, Risk, Stage, Undoing


class UnitChange(ChangeKind):
    """Stop or start the engine's unit on one node; always part of an operation on the gang.

    `ready`: ports where it must listen after a start, because ranks that start later look for it there.
    """

    kind: Literal["unit"] = "unit"
    stage: Stage = "engine"
    unit: str
    container: str
    action: Literal["start", "stop"]
    was_enabled: bool
    was_running: bool
    ready: tuple[int, ...] = ()
    risk: ClassVar[Risk] = "restart"

    @model_validator(mode="after")
    def _ours(self) -> UnitChange:
        if (self.unit, self.container) != (ONLY.unit, ONLY.container):
            raise ValueError(f"{self.unit} ({self.container}) is not a unit of sparkctl")
        return self

    @property
    def summary(self) -> str:
        """One line for people."""
        return f"{self.action} {self.unit}"

    @property
    def runs_again(self) -> bool:
        """As ChangeKind.runs_again."""
        return self.action == "start" and self.was_running

    def steps(self, number: int) -> Iterator[Words]:
        """As ChangeKind.steps."""
        yield systemd.start(self.unit) if self.action == "start" else systemd.stop(self.unit, self.container)
        yield from (systemd.ready(self.unit, port) for port in self.ready)

    def undo(self, number: int) -> Iterator[tuple[Undoing, Words]]:
        """As ChangeKind.undo; a stop and a start of one run undo the same."""
        yield Undoing.STOP, systemd.stop(self.unit, self.container)
        yield Undoing.START, systemd.undo(self.unit, self.container, self.was_enabled, self.was_running)
        again = self.ready if self.was_running else ()
        yield from ((Undoing.READY, systemd.ready(self.unit, port, back=True)) for port in again)
