"""The kinds of change that a plan is made of: one file each, and its name in the union."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sparkctl.plan.changes.base import ABSENT, Risk, Stage, Undoing
from sparkctl.plan.changes.file import FileChange, FileImage
from sparkctl.plan.changes.image import ImageChange
from sparkctl.plan.changes.network import NetdevTarget, NetworkChange
from sparkctl.plan.changes.unit import UnitChange

Change = Annotated[FileChange | NetworkChange | UnitChange | ImageChange, Field(discriminator="kind")]

__all__ = [
    "ABSENT",
    "Change",
    "FileChange",
    "FileImage",
    "ImageChange",
    "NetdevTarget",
    "NetworkChange",
    "Risk",
    "Stage",
    "Undoing",
    "UnitChange",
]
