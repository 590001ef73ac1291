"""sparkctl with a stop-watch: every round over the nodes with its time, and a failure planted where it is wanted.

python benchmarks/watched.py REPORT TITLE|- COMMAND...
Runs `sparkctl COMMAND...` and writes JSON to REPORT: per round its title, begin and end (seconds since the start), and
the processor time of this program. The round called TITLE is reported to have failed on the first of its nodes, after
all of its effect.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

START = time.monotonic()

from sparkctl.cli.main import main  # noqa: E402  (the clock runs before the imports)
from sparkctl.commands.base import Command  # noqa: E402
from sparkctl.outcome import Failed, Result  # noqa: E402
from sparkctl.ssh.fleet import Fleet  # noqa: E402

PLANTED = Failed(1, "", "planted by the benchmark")


@dataclass
class Round:
    """One round; `cpu` is processor time of this program, `machine` that of all programs of this machine."""

    title: str
    begin: float
    end: float
    cpu: float
    machine: float


@dataclass
class Watch:
    """What was seen."""

    failing: str
    rounds: list[Round] = field(default_factory=list)

    @contextmanager
    def over(self, title: str) -> Iterator[None]:
        """Time the body."""
        begin, cpu, machine = time.monotonic(), time.process_time(), machine_seconds()
        try:
            yield
        finally:
            end = time.monotonic()
            spent = (time.process_time() - cpu, machine_seconds() - machine)
            self.rounds.append(Round(title, begin - START, end - START, *spent))

    def spoil(self, title: str, results: dict[str, Result]) -> dict[str, Result]:
        """What the runner is told of a round."""
        return results | {next(iter(results)): PLANTED} if title == self.failing else results


def machine_seconds() -> float:
    """Processor time that this machine has spent since it was booted, idle time left out."""
    with Path("/proc/stat").open() as stat:
        user, nice, system, _idle, _wait, irq, soft, *_ = map(int, stat.readline().split()[1:])
    return (user + nice + system + irq + soft) / 100  # USER_HZ, always 100 (man 5 proc)


def watch(fleet: type[Fleet], seen: Watch) -> None:
    """Put the stop-watch around every round of `fleet`."""
    each, ask, connect = fleet.each, fleet.ask, fleet.connect

    async def timed_each(
        self: Fleet, title: str, commands: Mapping[str, Command], on_line: Callable[[str, str], None] | None = None
    ) -> dict[str, Result]:
        with seen.over(title):
            results = await each(self, title, commands, on_line)
        return seen.spoil(title, results)

    async def timed_ask(
        self: Fleet, title: str, commands: Mapping[str, Command], *, patient: bool = False
    ) -> dict[str, Result]:
        with seen.over(title):
            return await ask(self, title, commands, patient=patient)

    async def timed_connect(self: Fleet, nodes: Iterable[str] | None = None) -> None:
        with seen.over("connect"):
            await connect(self, nodes)

    fleet.each, fleet.ask, fleet.connect = timed_each, timed_ask, timed_connect  # type: ignore[method-assign]


if __name__ == "__main__":
    report, failing, *words = sys.argv[1:]
    seen = Watch(failing)
    watch(Fleet, seen)
    sys.argv = ["sparkctl", *words]
    try:
        main()
    finally:
        ended = {"seconds": time.monotonic() - START, "cpu": time.process_time()}
        Path(report).write_text(json.dumps(ended | {"rounds": [asdict(r) for r in seen.rounds]}))
