"""Which cells the fault matrix on real nodes has: topology, verb, stage, kind of fault, and how it is planted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from tests.lab.cluster.matrix.driver import Event, Kind

Topology = Literal["direct", "mesh", "switch"]
Verb = Literal["up", "down", "reprovision", "recover"]
State = Literal["blank", "goal", "wiped"]
STRIKES: tuple[Kind, ...] = ("FAIL", "LOST_DONE", "LOST_NOT_DONE", "SSH_LOST", "CONTROLLER_KILLED", "NODE_KILLED")
STAGES = ("facts", "lock", "prepare", "workers", "head", "settle", "connect", "confirm", "record")
"""Stages of a run, in its order; every command of a healthy run belongs to one of them, or the matrix fails."""
RECOVERY = ("facts", "lock", "end", "prove", "unlock")
TITLES = {
    "lock": "lock",
    "prepare": "prepare",
    "network, workers": "workers",
    "network, head": "head",
    "connect anew": "connect",
    "confirm": "confirm",
    "record": "record",
    "put everything back": "end",
    "finish the run": "end",
    "unlock": "unlock",
}
READS = {"": "facts", "workers": "settle", "head": "settle", "connect": "settle", "record": "verify", "unlock": "verify", "end": "prove"}
"""Commands that read have one title; the stage depends on what came before."""


def staged(passed: Iterable[Event]) -> dict[str, list[Event]]:
    """The commands of a healthy run by stage; KeyError where one belongs to none."""
    found: dict[str, list[Event]] = {}
    last = ""
    for event in passed:
        reads = event.title == "read facts"
        stage = READS[last] if reads else TITLES[event.title]
        last = last if reads else stage
        found.setdefault(stage, []).append(event)
    return found


@dataclass(frozen=True)
class Cell:
    """One fault at one stage. `finish`: the dead run that is to be recovered had been confirmed everywhere.

    `wait`: after a dead controller, wait for the timers of the nodes; otherwise recover at once.
    """

    topology: Topology
    verb: Verb
    stage: str
    kind: Kind
    step: int = 0
    late: bool = False
    wait: bool = False
    finish: bool = False

    def __str__(self) -> str:
        marks = [m for m, on in (("late", self.late), ("wait", self.wait), ("finish", self.finish)) if on]
        marks += [f"step{self.step}"] if self.kind == "FAIL" else []
        return "-".join([self.topology, self.verb, self.stage, self.kind.lower(), *marks])

    @property
    def begin(self) -> State:
        """What all nodes are when the cell begins; a dead run is made by the cell itself, from a blank cluster."""
        return {"up": "blank", "down": "goal", "reprovision": "wiped", "recover": "blank"}[self.verb]  # type: ignore[return-value]

    @property
    def goal(self) -> State:
        """What a healthy run leads to."""
        if self.verb == "recover":
            return "goal" if self.finish else "blank"
        return "blank" if self.verb == "down" else "goal"


@dataclass
class Outcome:
    """How a cell ended."""

    cell: Cell
    fired: str = ""
    code: int | None = None
    ended: str = ""
    recovered: str = ""
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


def _varied(topology: Topology, verb: Verb, stage: str, kind: Kind, turn: int) -> Cell:
    """Every other cell has its fault late; FAIL comes before the first, in the middle, or after the last step."""
    return Cell(topology, verb, stage, kind, step=(0, 3, -1)[turn % 3], late=turn % 2 == 1, wait=turn % 2 == 0)


TOPOLOGIES: tuple[Topology, ...] = ("direct", "mesh", "switch")


def every(whole: bool = True) -> Iterator[Cell]:
    """Every kind at every stage of `up` on two nodes; elsewhere every kind for each verb, over all of its stages.

    Where a command only reads, half of the kinds are enough. Not `whole`: each kind for each verb on one fabric only.
    """
    for row, stage in enumerate(STAGES):
        kinds = STRIKES[row % 2 :: 2] if stage == "facts" else STRIKES
        yield from (_varied("direct", "up", stage, kind, row + n) for n, kind in enumerate(kinds))
    for turn, (topology, shift) in enumerate(zip(TOPOLOGIES, (0, 2, 5), strict=True)):
        for cell in _spread(topology, shift):
            if whole or STRIKES.index(cell.kind) % len(TOPOLOGIES) == turn:
                yield cell


def brief(cells: Iterable[Cell]) -> Iterator[Cell]:
    """Of `up` on two nodes every third kind at each stage, so that three stages in a row have all; and every other cell."""
    for cell in cells:
        turn = STRIKES.index(cell.kind) + STAGES.index(cell.stage) if cell.stage in STAGES else 0
        if (cell.topology, cell.verb) != ("direct", "up") or turn % 3 == 0:
            yield cell


def _spread(topology: Topology, shift: int) -> Iterator[Cell]:
    verbs: dict[Verb, tuple[str, ...]] = {
        "up": STAGES[1:],
        "down": STAGES[1:],
        "reprovision": tuple(stage for stage in STAGES[1:] if stage != "head"),
    }
    for row, (verb, stages) in enumerate(verbs.items()):
        if (topology, verb) == ("direct", "up"):
            continue
        for n, kind in enumerate(STRIKES):
            yield _varied(topology, verb, stages[(shift + row + n) % len(stages)], kind, n + row)
    for n, kind in enumerate(STRIKES):
        ending = (shift + n) % 2 == 1
        yield Cell(topology, "recover", RECOVERY[(shift + n) % 4], kind, (0, -1)[n % 2], n % 2 == 1, False, ending)
