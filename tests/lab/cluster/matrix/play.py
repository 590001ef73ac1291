"""Plays all cells of the fault matrix on several labs at once, and keeps the table of how they ended."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import asdict
from pathlib import Path
from threading import Lock, Thread

from tests.lab.cluster.matrix.cells import Cell, Outcome, Topology
from tests.lab.cluster.matrix.course import Course, running

# All turns at once, one lab after the other within a turn: eight nodes at most, for each has nine of root's 128 inotify
# instances and more for moments, and another suite has its own nodes at the same time.
TURNS: tuple[dict[str, Topology], ...] = (
    {"m-direct": "direct"},
    {"m-pair": "direct"},
    {"m-mesh": "mesh", "m-switch": "switch"},
)


class Played:
    """The outcomes to come, one per cell. Labs of one topology share its cells; each takes what begins where it is."""

    def __init__(self, cells: Iterable[Cell], folder: Path) -> None:
        self.folder = folder
        self.outcomes: dict[Cell, Future[Outcome]] = {cell: Future() for cell in cells}
        topologies = {topology for turn in TURNS for topology in turn.values()}
        self.left = {topology: deque(c for c in self.outcomes if c.topology == topology) for topology in topologies}
        self.courses: dict[str, Course] = {}
        self._lock = Lock()
        self._threads = [Thread(target=self._play_all, args=(turn,)) for turn in TURNS]

    def start(self) -> None:
        """All turns at once: most of a cell is waiting."""
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """No further cell is begun; until the last lab is down."""
        with self._lock:
            for left in self.left.values():
                left.clear()
        for thread in self._threads:
            thread.join(1200)

    def _play_all(self, turn: dict[str, Topology]) -> None:
        for name, topology in turn.items():
            if self.left[topology]:
                self._play(name, topology)

    def _play(self, name: str, topology: Topology) -> None:
        try:
            with running(topology, self.folder / name, name) as course:
                course.learn()
                self.courses[name] = course
                while (cell := self._next(course)) is not None:
                    outcome = course.run(cell)
                    self.outcomes[cell].set_result(outcome)
                    with (self.folder / "outcomes.txt").open("a") as book:
                        book.write(line(outcome) + "".join(f"\n{wrong}" for wrong in outcome.wrong) + "\n")
        except BaseException as error:  # else the tests would wait for ever
            for future in self._unplayed(topology):
                future.set_exception(error)

    def _next(self, course: Course) -> Cell | None:
        with self._lock:
            left = self.left[course.topology]
            if not left:
                return None
            # The long ones first: what is left at the end is short.
            fits = sorted(left, key=lambda cell: (cell.begin != course.now, cell.kind != "SSH_LOST"))
            left.remove(fits[0])
            return fits[0]

    def _unplayed(self, topology: Topology) -> list[Future[Outcome]]:
        with self._lock:
            self.left[topology].clear()
            return [f for cell, f in self.outcomes.items() if cell.topology == topology and not f.done()]


def table(outcomes: Iterable[Outcome]) -> str:
    """One line per cell."""
    head = f"{'cell':<58} {'fault fired at':<32} exit outcome recovered  seconds"
    return "\n".join([head, *map(line, outcomes)]) + "\n"


def line(o: Outcome) -> str:
    """Its line of the table."""
    ended = "WRONG" if o.wrong else o.ended
    return f"{o.cell!s:<58} {o.fired:<32} {o.code!s:>4} {ended:<7} {o.recovered:<10} {o.seconds:>7.1f}"


def keep(outcomes: list[Outcome], folder: Path) -> str:
    """The table as text and as JSON below `folder`; the text."""
    folder.mkdir(exist_ok=True)
    text = table(outcomes)
    (folder / "fault-matrix-lab.txt").write_text(text)
    cells: list[Mapping[str, object]] = [{**asdict(o), "cell": str(o.cell)} for o in outcomes]
    (folder / "fault-matrix-lab.json").write_text(json.dumps({"version": 1, "cells": cells}, indent=1) + "\n")
    return text
