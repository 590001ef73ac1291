"""The fewest cable ends to move, so that the cables that are there become those of the inventory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

from sparkctl.inventory.model import LinkEnd as Port

Pair: TypeAlias = tuple[Port, Port]


@dataclass(frozen=True)
class Move:
    """Take the cable end out of `source` and put it into `target`; its other end stays where it is."""

    source: Port
    target: Port
    stays: Port

    def words(self, moves: Iterable[Move]) -> str:
        """What to do, with the move back where two ends change places."""
        said = f"move the cable end from {self.source} to {self.target} (its other end stays in {self.stays})"
        back = any((m.source, m.target) == (self.target, self.source) for m in moves)
        return said + (f", and the one that is in {self.target} to {self.source}" if back else "")


def moves(there: Iterable[Pair], wanted: Iterable[Pair]) -> Mapping[Pair, Move]:
    """By the wanted cable, which end to move; greedy, ends that stay on their node first."""
    options = sorted(filter(None, (_option(*pair) for pair in product(there, wanted))), key=_cost)
    found: dict[Pair, Move] = {}
    used: set[Pair] = set()
    for actual, cable, move in options:
        if actual not in used and cable not in found:
            found[cable] = move
            used.add(actual)
    return found


def _option(actual: Pair, wanted: Pair) -> tuple[Pair, Pair, Move] | None:
    """One move makes `wanted` of `actual` when they share an end."""
    shared = set(actual) & set(wanted)
    if len(shared) != 1:
        return None
    (stays,) = shared
    (source,), (target,) = set(actual) - shared, set(wanted) - shared
    return actual, wanted, Move(source, target, stays)


def _cost(option: tuple[Pair, Pair, Move]) -> tuple[bool, str]:
    actual, wanted, move = option
    return move.source.owner != move.target.owner, f"{wanted} {actual}"
