"""Where in the fabric a verdict belongs: which nodes, ports and rails it is about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sparkctl.outcome import State, Verdict
from sparkctl.report.verdicts import WORST


@dataclass
class Spots:
    """The worst state at each place: a node or switch, `(node, port)`, `(node, port, rail)`; none: nothing judged."""

    places: dict[tuple[str, ...], State] = field(default_factory=dict)
    by_owner: dict[str, list[Verdict]] = field(default_factory=dict)
    elsewhere: list[Verdict] = field(default_factory=list)

    def state(self, *place: str) -> State | None:
        """The worst verdict at a place and at all that is part of it."""
        return self.places.get(place)

    def rail(self, ends: Iterable[tuple[str, str]], rail: str) -> State | None:
        """The worst at the ends of one rail of a cable."""
        found = {self.places.get((node, port, rail)) for node, port in ends}
        return next((state for state in WORST if state in found), None)

    def _mark(self, place: tuple[str, ...], state: State) -> None:
        before = self.places.get(place)
        if before is None or WORST.index(state) < WORST.index(before):
            self.places[place] = state


def spots(verdicts: Sequence[Verdict], owners: Sequence[str]) -> Spots:
    """Verdicts by the owners (nodes, switches) that they are about; those about no single one are `elsewhere`."""
    made = Spots(by_owner={owner: [] for owner in owners})
    for verdict in verdicts:
        about = [place for place in verdict.ends or [(node,) for node in verdict.nodes] if place[0] in made.by_owner]
        for owner in dict.fromkeys(place[0] for place in about):
            made.by_owner[owner].append(verdict)
        if not about:
            made.elsewhere.append(verdict)
        for place in about:
            for depth in range(1, len(place) + 1):
                made._mark(place[:depth], verdict.state)
    return made
