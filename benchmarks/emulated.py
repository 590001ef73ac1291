"""The emulated nodes that benchmarks run on: inventories of any size, labs that go down again, commands on nodes."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from sparkctl.lab.container import cgroups
from sparkctl.lab.enter import ssh_words
from sparkctl.lab.state import LabState, find, group
from sparkctl.lab.state import folder as folder_of

SPARKCTL = str(Path(sys.executable).with_name("sparkctl"))
PATIENCE = 600  # seconds: bounds every command and every wait
CONTROLLER_CORES = 0.5  # left to sparkctl itself and to the lab's bridges
PERIOD = 20_000  # microseconds: short, so that a limited node is slow and does not stutter

# The same network on any number of nodes: one switch, no engine.
SWITCHED = """\
apiVersion: sparkctl/v1
kind: Cluster
metadata: {{name: bench-{count}}}
nodes:
{nodes}
links:
{links}
switches: [{{name: sw1, l2mtu: 9216}}]
fabric: {{topology: switch}}
"""


def ran(words: list[str], *, text: str | None = None, codes: tuple[int, ...] = (0,)) -> str:
    """Standard output of a program that must end with one of `codes`."""
    ended = subprocess.run(words, input=text, capture_output=True, text=True, timeout=PATIENCE)
    if ended.returncode not in codes:
        sys.exit(f"{shlex.join(words)}: exit {ended.returncode}\n{(ended.stdout + ended.stderr)[-3000:]}")
    return ended.stdout


def sparkctl(*words: str | Path) -> str:
    """Standard output of a command that must succeed."""
    return ran([SPARKCTL, *map(str, words)])


def timed(*words: str | Path) -> float:
    """Wall time of a whole command."""
    begin = time.perf_counter()
    sparkctl(*words)
    return time.perf_counter() - begin


def on_node(inventory: Path, node: str, *words: str) -> str:
    """Standard output of a command on an emulated node."""
    return sparkctl("lab", "ssh", inventory, node, "--", shlex.join(words))


def switched(folder: Path, count: int) -> Path:
    """An inventory of `count` nodes on a switch."""
    nodes = "\n".join(f"  - {{name: spark-{i}, address: 192.0.2.{10 + i}}}" for i in range(1, count + 1))
    links = "\n".join(f"  - [spark-{i}:p1, sw1:port-{i}]" for i in range(1, count + 1))
    path = folder / f"bench-{count}.yaml"
    path.write_text(SWITCHED.format(count=count, nodes=nodes, links=links))
    return path


def files(inventory: Path) -> dict[str, dict[str, str]]:
    """What sparkctl would write: per node and path the content."""
    nodes = json.loads(sparkctl("render", inventory, "--format", "json"))["nodes"]
    return {node: {path: f["content"] for path, f in made["files"].items()} for node, made in nodes.items()}


@contextmanager
def lab(inventory: Path, *options: str) -> Iterator[Path]:
    """The emulated nodes of `inventory`; taken down whatever happens."""
    try:
        sparkctl("lab", "up", inventory, *options)
        yield inventory
    finally:
        sparkctl("lab", "down", inventory)


def alike(inventory: Path, most: int) -> None:
    """Give each node of the running lab the share of the cores that it has in a lab of `most` nodes, and no more.

    Real nodes bring their own cores; emulated ones share this machine's, so that more of them would be slower ones.
    """
    share = ((os.cpu_count() or 1) - CONTROLLER_CORES) / most
    for home in cgroups.homes(group(folder_of(inventory.stem))):
        for node in home.glob("node*"):
            _limit(node, int(share * PERIOD))


def packed(inventory: Path, most: int) -> None:
    """The same for virtual machines, whose processes need no cgroup: together on as many cores as are their share."""
    running = state(inventory)
    cores = max(1, (os.cpu_count() or 1) * len(running.nodes) // most)
    machines = ran(["pgrep", "-P", str(running.supervisor.pid), "-f", "qemu"]).split()
    for task in (task for pid in machines for task in Path("/proc", pid, "task").iterdir()):
        os.sched_setaffinity(int(task.name), range(cores))


def _limit(node: Path, quota: int) -> None:
    """In v1 and v2 words; other hierarchies have neither file."""
    if (node / "cpu.max").exists():
        (node / "cpu.max").write_text(f"{quota} {PERIOD}")
    elif (node / "cpu.cfs_quota_us").exists():
        (node / "cpu.cfs_period_us").write_text(str(PERIOD))
        (node / "cpu.cfs_quota_us").write_text(str(quota))


def state(inventory: Path) -> LabState:
    """How the nodes of the running lab of `inventory` are reached."""
    return find(inventory.stem)


def inside(running: LabState) -> list[str]:
    """The words that run a program inside the lab's network."""
    return ["nsenter", f"--net=/proc/{running.supervisor.pid}/ns/net", "--"]


def at_once(inventory: Path, words: dict[str, list[str]], text: str = "") -> dict[str, str]:
    """Run a command as root on each node, all at once, with `text` on stdin; the standard outputs."""
    running = state(inventory)

    def one(node: str) -> str:
        remote = [shlex.join(["sudo", "-n", *words[node]])]
        return ran([*inside(running), *ssh_words(running.node(node), remote)], text=text)

    with ThreadPoolExecutor(len(words)) as pool:
        return dict(zip(words, pool.map(one, words), strict=True))
