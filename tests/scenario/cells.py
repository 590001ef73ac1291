"""The cells of the fault matrix: every fault at every command of a healthy run, and what the nodes must be afterwards."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import get_args

from sparkctl.errors import RollbackIncomplete, SparkctlError, Unfinished
from tests.scenario.rig import Outcome, Rig, Verb, recover
from tests.scenario.transport import Event, Fault, Killed, Kind
from tests.scenario.world import STARTED_AT, State

KINDS: tuple[Kind, ...] = get_args(Kind)
STRIKES = ("NODE_KILLED", "POWER_CUT")
LEFT = ("/var/lib/sparkctl/run", "/var/lib/sparkctl/lock")
"""What a dead run may leave until somebody recovers it."""
PATIENCE = 600
"""Seconds after a dead controller in which every node must have come to rest: a lease of 120, the revert and its repetitions."""
JOURNAL = "/var/lib/sparkctl/journal"


@dataclass
class Cell:
    """One fault at one place, and how it ended."""

    topology: str
    verb: str
    kind: str
    at: int
    step: int
    node: str
    title: str
    ended: str = ""
    nodes: str = ""
    recovered: bool = False
    wrong: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.topology} {self.verb}: {self.kind} at {self.at}.{self.step} ({self.title!r} on {self.node})"


@dataclass
class Ends:
    """The states that a node may end in: before, at the goal, and each as a boot leaves it."""

    before: dict[str, list[State]]
    goal: dict[str, list[State]]


@dataclass
class Case:
    """One verb on one cluster, from given states at a given time. `ending`: it ends what a dead run left.

    `every_step`: a command may fail at each of its steps; otherwise at the first, in the middle and after the last.
    """

    topology: str
    verb: str
    rig: Rig
    work: Verb
    begin: Mapping[str, str]
    clock: float = STARTED_AT
    ending: bool = False
    every_step: bool = False
    events: list[Event] = field(default_factory=list)
    tracked: dict[str, str] = field(default_factory=dict)

    def healthy(self) -> Outcome:
        """Run without a fault: its events are the places of the faults, its end is the goal."""
        self.reset()
        outcome = self.rig.run(self.work)
        assert outcome.error is None, outcome.error
        self.events = outcome.events
        goal = self.rig.world.states()
        self.ends = Ends(self._booted(self.rig.base if self.ending else self.begin), self._booted(goal))
        self.goal = goal
        return outcome

    def reset(self) -> None:
        """To the beginning, with the same controller every time."""
        self.rig.controllers = 10 if self.ending else 0
        self.rig.world.reset(self.begin, self.clock)

    def _booted(self, states: Mapping[str, str]) -> dict[str, list[State]]:
        """Each state, and what a boot makes of it."""
        found = {}
        world = self.rig.world
        for node, state in states.items():
            world.reset(states)
            world.boot(node)
            found[node] = [settled(world.look(node, state)), settled(world.look(node))]
        return found

    def faults(self, kinds: Iterable[str] = KINDS) -> Iterator[Fault]:
        """Every fault at every place where it makes a difference."""
        for kind in kinds:
            for at, event in enumerate(self.events):
                for step in self._steps(kind, event):
                    yield Fault(kind, at, step)  # type: ignore[arg-type]

    def _steps(self, kind: str, event: Event) -> Iterable[int]:
        """A controller that dies after a command dies before the next: the last command alone has both."""
        half, end = event.steps // 2, event.steps
        if kind == "FAIL":
            return range(end + 1) if self.every_step else sorted({0, half, end})
        if kind == "CONTROLLER_KILLED":
            return sorted({0, half, end} if event is self.events[-1] else {0, half})
        if kind == "BUG":
            return sorted({0, end})
        return sorted({half, end}) if kind in STRIKES else (end,)

    def cell(self, fault: Fault) -> Cell:
        """Run with one fault and judge."""
        event = self.events[fault.at]
        found = Cell(self.topology, self.verb, fault.kind, fault.at, fault.step, event.node, event.title)
        world = self.rig.world
        self.reset()
        if fault.kind == "POWER_CUT":
            world.track(event.node)
        outcome = self.rig.run(self.work, fault)
        found.ended = outcome.name
        if isinstance(outcome.error, Killed | Unfinished | RollbackIncomplete) or fault.kind in (*STRIKES, "BUG") or self.ending:
            world.advance(PATIENCE)
            self._recover(found)
        self._judge(found, outcome, fault)
        return found

    def _recover(self, found: Cell) -> None:
        """What a dead run left is ended by another controller."""
        if any(path in self.rig.world.look(n)["tree"] for n in self.rig.names for path in LEFT):
            found.recovered = True
            outcome = self.rig.run(recover)
            if outcome.error is not None:
                found.wrong.append(f"recover: {outcome.error!r}")

    def _judge(self, found: Cell, outcome: Outcome, fault: Fault) -> None:
        at = {node: self._where(node) for node in self.rig.names}
        alike = set.intersection(*at.values())
        found.nodes = next((end for end in ("goal", "before") if end in alike and self._said(end, outcome, fault)), "")
        if not found.nodes:
            shown = {node: " or ".join(sorted(ends)) or "in between" for node, ends in at.items()}
            found.wrong += [f"{outcome.name}, but the nodes are {shown}", *self._details()]
        if fault.kind == "BUG" and any(event.title == "lock" for event in outcome.events):
            found.wrong += self._untold(outcome)
        elif isinstance(outcome.error, Exception) and not isinstance(outcome.error, SparkctlError) and fault.kind != "BUG":
            found.wrong.append(f"a bug: {outcome.error!r}")

    def _untold(self, outcome: Outcome) -> Iterator[str]:
        """What a run that a bug ended does not say: what the bug was, and of every node what becomes of it."""
        error = outcome.error
        if not isinstance(error, SparkctlError) or not isinstance(error.bug, KeyError):
            yield f"the bug is lost: {error!r}"
        elif "every node was put back" not in error.message:
            yield from (f"nothing of {node} in {error.message}" for node in self.rig.names if f"\n  {node}: " not in error.message)

    def _said(self, end: str, outcome: Outcome, fault: Fault) -> bool:
        """Whether the exit says which end it is; a node that was struck, or a controller that died, cannot always know."""
        if self.ending:
            return True
        unfinished = isinstance(outcome.error, Unfinished)
        if end == "goal":
            told = outcome.error is None or unfinished or "as planned and confirmed" in str(outcome.error)
            return told or fault.kind in ("CONTROLLER_KILLED", *STRIKES)
        unproved = isinstance(outcome.error, RollbackIncomplete) and fault.kind not in ("SSH_LOST", *STRIKES)
        return outcome.error is not None and not unproved and not unfinished

    def _where(self, node: str) -> set[str]:
        """The ends that this node could be at: nothing changes on some nodes, so that it may be both."""
        now = settled(self.rig.world.look(node))
        ends = {"before": self.ends.before, "goal": self.ends.goal}
        return {name for name, states in ends.items() if now in states[node]}

    def _details(self) -> Iterator[str]:
        """How each node differs from the nearest of its allowed ends."""
        for node in self.rig.names:
            ends = {"before": self.begin[node], "goal": self.goal[node]}
            found = {name: self.rig.world.differences(node, state) for name, state in ends.items()}
            name = min(found, key=lambda n: len(found[n]))
            yield from (f"{node} is not {name}: {line}" for line in found[name][:6])


def settled(state: State) -> State:
    """A state without the journal's text (it tells of every attempt), the flush log, and what systemd has read."""
    tree = {p: e for p, e in state["tree"].items() if not p.startswith(("/tmp/", "/run/scenario/loaded/"))}
    if JOURNAL in tree:
        tree[JOURNAL] = [*tree[JOURNAL][:4], ""]
    return {"tree": tree, "net": state["net"]}


@dataclass
class Matrix:
    """All cells that were run, kept as a file when the suite ends."""

    cells: list[Cell] = field(default_factory=list)
    seconds: Counter[str] = field(default_factory=Counter)

    def run(self, case: Case, kinds: Iterable[str], every: int = 1) -> list[Cell]:
        """Run the cells of some kinds; `every` n-th of them. Returns those that ended badly."""
        begun = time.perf_counter()
        found = [case.cell(fault) for number, fault in enumerate(case.faults(kinds)) if number % every == 0]
        self.cells += found
        self.seconds[f"{case.topology} {case.verb}"] += time.perf_counter() - begun
        return [cell for cell in found if cell.wrong]

    def table(self) -> str:
        """One line for each verb and kind of fault: how many cells, and how they ended."""
        rows: dict[tuple[str, str, str], Counter[str]] = {}
        for cell in self.cells:
            ended = "WRONG" if cell.wrong else f"{cell.nodes} ({cell.ended}{', recovered' if cell.recovered else ''})"
            rows.setdefault((cell.topology, cell.verb, cell.kind), Counter())[ended] += 1
        lines = [f"{t:7} {v:11} {k:17} {sum(c.values()):4}  {told(c)}" for (t, v, k), c in rows.items()]
        times = [f"{name}: {seconds:.1f} s" for name, seconds in self.seconds.items()]
        wrong = [f"WRONG {cell.name}: {cell.wrong[0]}" for cell in self.cells if cell.wrong]
        return "\n".join([*lines, f"{len(self.cells)} cells; " + ", ".join(times), *wrong]) + "\n"

    def keep(self, folder: Path) -> None:
        """Write the table for people and the cells for programs."""
        folder.mkdir(exist_ok=True)
        (folder / "fault-matrix-scenario.txt").write_text(self.table())
        (folder / "fault-matrix-scenario.json").write_text(json.dumps([asdict(cell) for cell in self.cells], indent=1) + "\n")


def told(counts: Counter[str]) -> str:
    """Outcomes, the most frequent first."""
    return "; ".join(f"{count} x {ended}" for ended, count in counts.most_common())
