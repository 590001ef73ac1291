"""What whole commands cost that only look, over the least that looking costs: `ssh NODE true`, and a pyinfra deploy.

python benchmarks/processes.py [--json] [--only ssh|pyinfra]      needs root; exit 1 when a limit is broken
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from against import NCCL, NETPLAN, installed
from bytecode import pinned
from emulated import PATIENCE, SPARKCTL, files, inside, lab, ran, sparkctl, state, switched
from figures import Figure, measured

from sparkctl.lab.enter import ssh_words

HERE = Path(__file__).resolve().parent
ROUNDS = 7


def spent(words: list[str]) -> tuple[float, float]:
    """Seconds on the clock and of this machine's processors that one program takes, its children with it."""
    before, begin = os.times(), time.perf_counter()
    ended = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE)
    after, seconds = os.times(), time.perf_counter() - begin
    if ended.returncode:
        sys.exit(f"{words}: exit {ended.returncode}\n{(ended.stdout + ended.stderr)[-3000:]}")
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return seconds, used


def ssh(folder: Path) -> list[Figure]:
    """`plan` and `status` of two settled nodes; in turn, so that a busy moment hits all."""
    pinned()
    with lab(switched(folder, 2)) as inventory:
        sparkctl("cluster", "up", inventory, "--lab", "--yes")
        running = state(inventory)
        commands = {
            "ssh NODE true": [*inside(running), *ssh_words(running.nodes[0], ["true"])],
            "cluster plan": [SPARKCTL, "cluster", "plan", str(inventory), "--lab"],
            "cluster status": [SPARKCTL, "cluster", "status", str(inventory), "--lab"],
        }
        taken = [{name: spent(words) for name, words in commands.items()} for _ in range(ROUNDS + 1)][1:]
    clock = {name: median(one[name][0] for one in taken) for name in commands}
    base = clock["ssh NODE true"]
    return [
        *(Figure(name, seconds, "s") for name, seconds in clock.items()),
        Figure("cluster plan over ssh NODE true", clock["cluster plan"] / base, "x", limit=3.0),
        Figure("cluster status over ssh NODE true", clock["cluster status"] / base, "x", limit=3.0),
        Figure("processor time of cluster status", median(one["cluster status"][1] for one in taken), "s", limit=0.4),
    ]


def pyinfra(folder: Path) -> list[Figure]:
    """The same files on the same two nodes, when there is nothing to do: each a whole process."""
    pinned()
    with lab(switched(folder, 2)) as inventory:
        sparkctl("cluster", "up", inventory, "--lab", "--yes")
        theirs = [*inside(state(inventory)), str(installed("pyinfra")), *deploy(inventory, folder)]
        ours = [SPARKCTL, "cluster", "up", str(inventory), "--lab", "--yes"]
        ran(theirs)
        taken = [(spent(ours)[0], spent(theirs)[0]) for _ in range(ROUNDS)]
    mine, other = (median(column) for column in zip(*taken, strict=True))
    return [
        Figure("cluster up, nothing to do", mine, "s"),
        Figure("pyinfra, nothing to do", other, "s"),
        Figure("cluster up over pyinfra, nothing to do", mine / other, "x", limit=1.0),
    ]


def deploy(inventory: Path, folder: Path) -> list[str]:
    """pyinfra's words: its inventory, and a deploy that puts the files and applies netplan when they changed."""
    hosts = []
    for node in state(inventory).nodes:
        reached = {
            "ssh_user": node.user,
            "ssh_port": node.port,
            "ssh_key": node.identity_file,
            "ssh_known_hosts_file": node.known_hosts,
            "ssh_strict_host_key_checking": "yes",
            "_sudo": True,
        }
        written = {path: str(folder / f"{node.name}-{Path(path).name}") for path in (NETPLAN, NCCL)}
        for path, source in written.items():
            Path(source).write_text(files(inventory)[node.name][path])
        hosts.append((node.address, reached | {"files": written}))
    (folder / "hosts.py").write_text(f"nodes = {hosts!r}\n")
    return ["-y", str(folder / "hosts.py"), str(HERE / "pyinfra" / "up.py")]


if __name__ == "__main__":
    sys.exit(measured({"ssh": ssh, "pyinfra": pyinfra}, __doc__))
