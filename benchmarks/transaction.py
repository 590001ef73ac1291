"""What the network part of `cluster up` costs: over a bare `netplan apply`, with more nodes, by ansible-core, undone.

python benchmarks/transaction.py [--json] [--only network|growth|ansible|undo]  root; exit 1 when a limit is broken

The network part is everything from the first to the last command of the run: lock, prepare, both waves, proof, confirm,
record. The bare `netplan apply` runs on all nodes at the same moment, with the same file just put there; the slowest
counts.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypedDict

from against import ansible
from emulated import alike, at_once, files, lab, ran, sparkctl, switched
from figures import Figure, measured

HERE = Path(__file__).resolve().parent
ROUNDS = 3
NETPLAN = "/etc/netplan/95-sparkctl.yaml"
# On a node: put the file there, wait for the moment that all nodes wait for, apply.
APPLY = """\
import json, os, pathlib, subprocess, sys, time
path, text, moment = json.loads(sys.argv[1])
pathlib.Path(path).write_text(text)
os.chmod(path, 0o600)
if time.time() > moment:
    sys.exit("too late")
time.sleep(moment - time.time())
begin = time.perf_counter()
subprocess.run(["netplan", "apply"], check=True)
print(time.perf_counter() - begin)
"""
GATHER_SECONDS = 4.0
"""For all nodes to be reached and to wait: ten times what it takes."""
BACK = f"rm {NETPLAN} && netplan apply && for dev in /sys/class/net/en*np*; do ip link set ${{dev##*/}} mtu 1500; done"


class Round(TypedDict):
    """One round over the nodes, as watched.py writes it: seconds since the start of the command."""

    title: str
    begin: float
    end: float


@dataclass(frozen=True)
class Up:
    """One watched `cluster up`: seconds of the whole command, and its rounds in order."""

    whole: float
    rounds: list[Round]

    def between(self, first: str, last: str) -> float:
        """Seconds from the begin of the first round called `first` to the end of the last one called `last`."""
        begin = next(r["begin"] for r in self.rounds if r["title"] == first)
        return next(r["end"] for r in reversed(self.rounds) if r["title"] == last) - begin

    @property
    def part(self) -> float:
        """Seconds from the first to the last command of the run."""
        return self.between("lock", "record")


def bare_apply(inventory: Path) -> float:
    """Seconds of `netplan apply` on the slowest of all nodes."""
    written = files(inventory)
    moment = time.time() + GATHER_SECONDS
    words = {
        node: ["python3", "-c", APPLY, json.dumps([NETPLAN, found[NETPLAN], moment])] for node, found in written.items()
    }
    seconds = [float(out) for out in at_once(inventory, words).values()]
    at_once(inventory, {node: ["sh", "-c", BACK] for node in written})
    return max(seconds)


def up(inventory: Path, failing: str = "-", code: int = 0) -> Up:
    """`cluster up` for the network, watched; it must end with `code`."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = ["cluster", "up", str(inventory), "--lab", "--yes", "--only", "network"]
        ran([sys.executable, str(HERE / "watched.py"), str(report), failing, *command], codes=(code,))
        seen = json.loads(report.read_text())
    return Up(seen["seconds"], seen["rounds"])


def up_and_down(inventory: Path) -> Up:
    """One round from nothing to the network and back."""
    found = up(inventory)
    sparkctl("cluster", "down", inventory, "--lab", "--yes")
    return found


def part_of(ups: Iterable[Up]) -> float:
    """Median of the network part."""
    return median(u.part for u in ups)


def network(folder: Path) -> list[Figure]:
    """Two, four and eight nodes, each over its own bare `netplan apply`."""
    figures: list[Figure] = []
    wholes: dict[int, float] = {}
    for count in (2, 4, 8):
        with lab(switched(folder, count)) as inventory:
            bare = median(bare_apply(inventory) for _ in range(ROUNDS))
            ups = [up_and_down(inventory) for _ in range(ROUNDS)]
        wholes[count] = median(u.whole for u in ups)
        limit = 1.25 * bare + 1.0 if count == 4 else None
        figures += [
            Figure(f"netplan apply, {count} nodes at once, the slowest", bare, "s"),
            Figure(f"network part of up, {count} nodes", part_of(ups), "s", limit),
            *(Figure(f"  of it: {title}", seconds, "s") for title, seconds in phases(ups).items()),
            Figure(f"cluster up as a whole, {count} nodes", wholes[count], "s"),
        ]
    figures.append(Figure("cluster up as a whole, 4 nodes over 2 nodes", wholes[4] / wholes[2], "x", limit=1.3))
    return figures


def growth(folder: Path) -> list[Figure]:
    """Two and eight nodes that are equally fast: what more nodes cost when each brings its own cores."""
    parts = {}
    for count in (2, 8):
        with lab(switched(folder, count)) as inventory:
            alike(inventory, 8)
            parts[count] = part_of([up_and_down(inventory) for _ in range(ROUNDS)])
    return [
        *(Figure(f"network part of up, {count} equally slow nodes", parts[count], "s") for count in parts),
        Figure("8 equally slow nodes over 2", parts[8] / parts[2], "x", limit=4 / 3),
    ]


def phases(ups: list[Up]) -> dict[str, float]:
    """Median seconds of each round of the network part, in order."""
    titles = dict.fromkeys(r["title"] for r in ups[0].rounds if r["begin"] >= start(ups[0]))
    return {title: median(spent(u, title) for u in ups) for title in titles}


def start(run: Up) -> float:
    """When the network part begins."""
    return next(r["begin"] for r in run.rounds if r["title"] == "lock")


def spent(run: Up, title: str) -> float:
    """Seconds in all rounds called `title`, from the lock on."""
    return sum(r["end"] - r["begin"] for r in run.rounds if r["title"] == title and r["begin"] >= start(run))


def compared(folder: Path) -> list[Figure]:
    """The same change on the same four nodes by ansible-core, in turn; its connections are kept, ours are not."""
    ups: list[Up] = []
    plays: list[float] = []
    with lab(switched(folder, 4)) as inventory, ansible(inventory, folder) as other:
        for _ in range(ROUNDS):
            plays.append(other.play("up"))
            other.play("down")
            ups.append(up_and_down(inventory))
    theirs, ours = median(plays), median(u.whole for u in ups)
    return [
        Figure("ansible-playbook, 4 nodes", theirs, "s"),
        Figure("cluster up as a whole, 4 nodes", ours, "s"),
        Figure("network part of up, 4 nodes", part_of(ups), "s"),
        Figure("ansible-playbook over cluster up as a whole", theirs / ours, "x"),
        Figure("ansible-playbook over the network part", theirs / part_of(ups), "x", limit=4.0, least=True),
    ]


def undo(folder: Path) -> list[Figure]:
    """The head's network step fails after its effect: from there to the proof that every node is as before."""
    figures = []
    for count in (2, 4):
        with lab(switched(folder, count)) as inventory:
            runs = [up(inventory, failing="network, head", code=5) for _ in range(ROUNDS)]
        seconds = median(u.between("undo", "read again") for u in runs)
        figures.append(Figure(f"undo of a failed run, {count} nodes", seconds, "s", limit=3.0))
    return figures


if __name__ == "__main__":
    sys.exit(measured({"network": network, "growth": growth, "ansible": compared, "undo": undo}, __doc__))
