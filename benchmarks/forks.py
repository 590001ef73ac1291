"""What the network part of `cluster up` asks of each node: processes, bytes, and round trips when the way is long.

python benchmarks/forks.py [--json] [--only processes|trips]  root; nothing else may run; exit 1 when a limit is broken

Processes: /proc/stat counts all that this machine started; the kernel's trace of forks tells whose each was, so that
the controller's own are left out, and which of a node's a shell started, that is one of our scripts. Round trips: how
much longer the whole command takes for each second that the way there and back takes; the quickest of some rounds.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from emulated import inside, lab, ran, sparkctl, state, switched
from figures import Figure, measured
from transaction import up

HERE = Path(__file__).resolve().parent
COUNT = 2
ROUNDS = 5
THERE_AND_BACK = 0.05
FORK = re.compile(r"sched_process_fork: comm=(.*) pid=(\d+) child_comm=.* child_pid=(\d+)$", re.MULTILINE)


@dataclass
class Family:
    """Who started whom: the parent of every process and thread, and each fork with the name of the one that forked."""

    parents: dict[int, int] = field(default_factory=dict)
    forks: list[tuple[str, int]] = field(default_factory=list)
    total: int = 0

    def below(self, roots: set[int]) -> list[str]:
        """The names of those that forked, for every fork below `roots`."""
        return [name for name, child in self.forks if any(pid in roots for pid in self._line(child))]

    def _line(self, pid: int) -> Iterator[int]:
        while pid := self.parents.get(pid, 0):
            yield pid


def started() -> int:
    """Processes and threads that this machine has started since it was booted."""
    return int(re.findall(r"^processes (\d+)", Path("/proc/stat").read_text(), re.MULTILINE)[0])


def alive() -> dict[int, int]:
    """The parent of every process and thread that runs now."""
    found: dict[int, int] = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            parent = int(re.findall(r"^PPid:\t(\d+)", status.read_text(), re.MULTILINE)[0])
            found |= {int(task.name): parent for task in (status.parent / "task").iterdir()}
        except OSError:
            continue  # it has just ended
    return found


@contextmanager
def watched_forks() -> Iterator[Family]:
    """Every fork of this machine during the body."""
    family = Family(alive())
    with tempfile.TemporaryDirectory() as folder:
        ran(["mount", "-t", "tracefs", "none", folder])
        trace = Path(folder, "instances", f"sparkctl-{os.getpid()}")
        try:
            trace.mkdir()
            (trace / "buffer_size_kb").write_text("16384")
            (trace / "events/sched/sched_process_fork/enable").write_text("1")
            before = started()
            yield family
            family.total = started() - before
            (trace / "tracing_on").write_text("0")
            for name, parent, child in FORK.findall((trace / "trace").read_text()):
                family.parents[int(child)] = int(parent)
                family.forks.append((name, int(child)))
        finally:
            trace.rmdir()
            ran(["umount", folder])


def machines() -> dict[str, int]:
    """The process of each emulated node's container on this machine."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode().split("\0")
        except OSError:
            continue
        names = [word.partition("=")[2] for word in words if word.startswith("--machine=")]
        if names and words[0].endswith("systemd-nspawn"):
            found[names[0]] = int(path.parent.name)
    return found


def sent(inventory: Path) -> dict[str, int]:
    """Bytes that each node's management cable has carried to it: all layers, from Ethernet up."""
    links = json.loads(ran([*inside(state(inventory)), "ip", "-json", "-statistics", "link"]))
    return {x["ifname"]: x["stats64"]["tx"]["bytes"] for x in links if re.fullmatch(r"m\d+", x["ifname"])}


def down(inventory: Path) -> None:
    """And back."""
    sparkctl("cluster", "down", inventory, "--lab", "--yes")


def processes(folder: Path) -> list[Figure]:
    """Forks and bytes; of each figure the node that has most."""
    every, ours, machine, kilobytes, names = [], [], [], [], Counter[str]()
    with lab(switched(folder, COUNT)) as inventory:
        for _ in range(ROUNDS):
            before, nodes = sent(inventory), machines()
            with watched_forks() as family:
                up(inventory)
            kilobytes.append(max(size - before[wire] for wire, size in sent(inventory).items()) / 1000)
            shares = [Counter(family.below({pid})) for pid in nodes.values()]
            every.append(max(share.total() for share in shares))
            machine.append(family.total - len(family.below({os.getpid()})))
            ours.append(max(share["sh"] for share in shares))
            names.update(shares[0])
            down(inventory)
    told = [Figure(f"  started by {name}", count / ROUNDS) for name, count in names.most_common(12)]
    return [
        Figure("processes of this machine by /proc/stat, both nodes", median(machine)),
        Figure("processes of a node, the node with most", median(every), limit=200),
        Figure("processes of our scripts, the node with most", median(ours), limit=100),
        *told,
        Figure("sent to a node, the node with most", median(kilobytes), "kB", limit=100),
    ]


@contextmanager
def longer(inventory: Path, seconds: float) -> Iterator[None]:
    """Between controller and nodes everything takes `seconds` longer there and back."""
    words = [*inside(state(inventory)), sys.executable, str(HERE / "delayed.py"), str(seconds / 2), *sent(inventory)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as relay:
        assert relay.stdout is not None and relay.stdin is not None
        if relay.stdout.readline() != "ready\n":
            sys.exit("the delay cannot be put in")
        time.sleep(1)  # a bridge learns anew where everybody is
        yield
        relay.stdin.close()


def trips(folder: Path) -> list[Figure]:
    """The same command over a short and over a long way, in turn."""
    seconds: dict[float, list[float]] = {0.0: [], THERE_AND_BACK: []}
    with lab(switched(folder, COUNT)) as inventory:
        for _ in range(ROUNDS):
            for way, found in seconds.items():
                with longer(inventory, way):
                    found.append(up(inventory).whole)
                down(inventory)
    near, far = (min(found) for found in seconds.values())
    return [
        Figure("cluster up, network", near, "s"),
        Figure("cluster up, network, 50 ms there and back", far, "s"),
        Figure("round trips of cluster up, network", (far - near) / THERE_AND_BACK, limit=32),
    ]


if __name__ == "__main__":
    sys.exit(measured({"processes": processes, "trips": trips}, __doc__))
