"""The Plan: ordered steps with their undo, what it was made from, and what will be on record afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from sparkctl.facts.record import Frozen, Record
from sparkctl.plan.changes import Change, FileChange, NetworkChange, Risk, Stage, UnitChange

RISKS: tuple[Risk, ...] = ("none", "restart", "link-drop", "lock-out")


class Step(Frozen):
    """Changes that nodes make in parallel; all nodes end one step before any begins the next."""

    stage: Stage
    title: str
    changes: dict[str, tuple[Change, ...]]


class Plan(Frozen):
    """Everything that a run needs but the nodes' consent. `records` None: the node forgets sparkctl.

    `spared`: per node, edited paths whose baseline is laid beside them instead of being put back.
    """

    version: Literal[1] = 1
    action: Literal["up", "reprovision", "down"]
    cluster: str
    nodes: tuple[str, ...]
    fingerprints: dict[str, str]
    records: dict[str, Record | None]
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()
    spared: dict[str, dict[str, str]] = Field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Nothing to do."""
        return not self.steps

    def of(self, node: str) -> Iterator[Change]:
        """The changes of `node` in the order of the run."""
        for step in self.steps:
            yield from step.changes.get(node, ())

    def numbered(self, node: str) -> Iterator[tuple[int, Change]]:
        """The changes of `node`, those of files first, each with its number among its kind."""
        counts: Counter[str] = Counter()
        for change in sorted(self.of(node), key=lambda change: change.kind):
            yield counts[change.kind], change
            counts[change.kind] += 1

    def files(self, node: str) -> tuple[FileChange, ...]:
        """The file changes of `node`; their position numbers their before- and after-images."""
        return tuple(c for c in self.of(node) if isinstance(c, FileChange))

    def network(self, node: str) -> tuple[NetworkChange, ...]:
        """The network changes of `node`: at most one."""
        return tuple(c for c in self.of(node) if isinstance(c, NetworkChange))

    def units(self, node: str) -> tuple[UnitChange, ...]:
        """The unit changes of `node`."""
        return tuple(c for c in self.of(node) if isinstance(c, UnitChange))

    @property
    def changed_nodes(self) -> tuple[str, ...]:
        """Nodes that the plan touches, in rank order."""
        return tuple(node for node in self.nodes if any(True for _ in self.of(node)))

    @property
    def risk(self) -> Risk:
        """The highest risk of any change."""
        found = (change.risk for node in self.nodes for change in self.of(node))
        return max(found, key=RISKS.index, default="none")

    def moved(self, other: Plan) -> tuple[str, ...]:
        """Nodes whose facts are not those that `other` was made from."""
        return tuple(node for node in self.nodes if self.fingerprints[node] != other.fingerprints.get(node))

    def differences(self, other: Plan) -> tuple[str, ...]:
        """Names of the fields in which the two are not equal."""
        return tuple(name for name in type(self).model_fields if getattr(self, name) != getattr(other, name))
