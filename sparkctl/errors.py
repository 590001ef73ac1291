"""The exception tree; every leaf knows its exit code.

    SparkctlError                1   a bug
    |-- UsageError               2   the command line asks for something that cannot be
    |-- InventoryError           3   the inventory has errors (carries the findings)
    |-- Refused                  4   nothing was changed
    |   |-- AccessRefused            a node does not let us in
    |   |   `-- Unreachable            nobody answers there: no power, no network, another address
    |   |-- StalePlan                the nodes have moved since the plan was made
    |   |-- Locked                   another run holds the lock
    |   `-- EffectRefused            a command with more effect than this phase allows
    |-- ApplyFailed              5   a step failed; every node is as before
    |-- RollbackIncomplete       6   a step failed and a node could not be proved to be as before
    |-- Unfinished               6   what was done is right, and on a node something is left to be done
    `-- ChecksFailed             7   the cluster is not as it should be
"""

from __future__ import annotations

from typing import ClassVar

from sparkctl.outcome import Finding


class SparkctlError(Exception):
    """Anything that ends a command with a message for people; `remedy` says what to do next.

    `bug`: the exception that nobody foresaw and that led to it, if one did.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, remedy: str = "", bug: BaseException | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.bug = bug


class UsageError(SparkctlError):
    """The command line asks for something that cannot be."""

    exit_code = 2


class InventoryError(SparkctlError):
    """The inventory has errors."""

    exit_code = 3

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        said = f"{len(findings)} finding" + "s" * (len(findings) != 1)
        super().__init__(said, "fix the inventory; `sparkctl explain ID` tells more")
        self.findings = findings


class Refused(SparkctlError):
    """Nothing was changed, because going on would not be safe."""

    exit_code = 4


class AccessRefused(Refused):
    """A node cannot be reached or does not let us in."""


class Unreachable(AccessRefused):
    """Nobody answers there: no power, no network, or another address."""


class StalePlan(Refused):
    """The nodes are not as they were when the plan was made."""


class Locked(Refused):
    """Another run holds the lock of a node."""


class EffectRefused(Refused):
    """A command has more effect than this phase of the run allows."""


class ApplyFailed(SparkctlError):
    """A step failed and every node was put back."""

    exit_code = 5


class RollbackIncomplete(SparkctlError):
    """A step failed and at least one node could not be proved to be as before."""

    exit_code = 6


class Unfinished(SparkctlError):
    """What was done is right, and on at least one node something is left to be done."""

    exit_code = 6


class ChecksFailed(SparkctlError):
    """The cluster is not as it should be."""

    exit_code = 7
