"""What every kind of change has: what it says, what it sends to a node, and how it is undone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from typing import ClassVar, Literal

from sparkctl.commands import netplan
from sparkctl.commands.base import Words
from sparkctl.facts.record import Frozen, Record

Risk = Literal["none", "restart", "link-drop", "lock-out"]
Stage = Literal["network", "engine"]
ABSENT = "absent"


class Undoing(IntEnum):
    """The way back, in its order: engine down, network as before, engine files, units as before, ports open again."""

    STOP = 0
    NETWORK_FILES = 1
    NETWORK = 2
    ENGINE_FILES = 3
    START = 4
    READY = 5


class ChangeKind(Frozen):
    """One difference on one node. A kind is a file in this folder and a name in its union.

    `number` counts the changes of the kind on the node, from 0: it names the images that are kept of each. What the
    methods yield are steps of a script (words) or members of the run's archive; none by default.
    """

    kind: str
    stage: Stage
    reason: str
    reversible: ClassVar[bool] = True
    risk: ClassVar[Risk] = "none"
    seconds: ClassVar[float] = 2.0 * netplan.APPLY_SECONDS
    """How long the step that makes it may take."""

    @property
    @abstractmethod
    def summary(self) -> str:
        """One line for people."""

    @property
    def runs_again(self) -> bool:
        """Whether the way back starts something that ran before."""
        return False

    def details(self) -> Iterable[str]:
        """Lines that show the difference, as a unified diff does."""
        return ()

    def members(self, number: int, secrets: Mapping[str, bytes]) -> Iterable[tuple[str, bytes]]:
        """Files below the run's folder that come with it; `secrets` by their path on the node."""
        return ()

    def saves(self, number: int) -> Iterable[Words]:
        """Keeps what the way back needs, before anything is changed; refuses what is not as planned."""
        return ()

    def drafts(self, number: int) -> Iterable[Words]:
        """Makes on the node, from what was kept, what could not be sent."""
        return ()

    @abstractmethod
    def steps(self, number: int) -> Iterator[Words]:
        """Makes the change."""

    def undo(self, number: int) -> Iterable[tuple[Undoing, Words]]:
        """Takes it back; each step in its part of the way."""
        return ()

    def keeps(self, number: int, record: Record | None) -> Iterable[Words]:
        """Makes baselines of what this run touched for the first time; `record`: as it will be, None after teardown."""
        return ()
