"""Fetch the engine's image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from sparkctl.commands import systemd
from sparkctl.commands.base import Words
from sparkctl.plan.changes.base import ChangeKind, Stage


class ImageChange(ChangeKind):
    """Fetch the engine's image. Teardown leaves it: fetching 20 to 35 GB again is what nobody wants."""

    kind: Literal["image"] = "image"
    stage: Stage = "engine"
    image: str
    reversible: ClassVar[bool] = False
    seconds: ClassVar[float] = systemd.PULL_SECONDS

    @property
    def summary(self) -> str:
        """One line for people."""
        return f"pull image {self.image}"

    def steps(self, number: int) -> Iterator[Words]:
        """As ChangeKind.steps."""
        yield systemd.pull(self.image)
