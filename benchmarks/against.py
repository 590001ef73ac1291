"""The yardstick: the same change by ansible-core, with pipelining, kept connections and a fork per node."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from emulated import PATIENCE, files, inside, ran, state
from platformdirs import user_cache_path

from sparkctl.lab.state import LabNode

HERE = Path(__file__).resolve().parent
LOCK = HERE.parent / ".ci/lock/bench.txt"
NETPLAN = "/etc/netplan/95-sparkctl.yaml"
NCCL = "/etc/sparkctl/nccl.env"
# No host key questions: the keys of the lab's nodes are pinned as for sparkctl.
SETTINGS = """\
[defaults]
forks = {forks}
gathering = explicit
interpreter_python = /usr/bin/python3
retry_files_enabled = false
home = {folder}/home
local_tmp = {folder}/tmp
[ssh_connection]
pipelining = true
control_path_dir = {folder}/cp
ssh_args = -F none -o ControlMaster=auto -o ControlPersist=60s -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes
"""


def installed(program: str) -> Path:
    """A program of the other tools, in a venv of their own that is made anew whenever their lock changes."""
    home = user_cache_path("sparkctl") / "bench"
    mark = home / "installed"
    if not mark.exists() or mark.read_text() != LOCK.read_text():
        ran([sys.executable, "-m", "venv", "--clear", str(home)])
        exactly = ["install", "-qq", "--require-hashes", "--only-binary=:all:", "--requirement", str(LOCK)]
        ran([str(home / "bin" / "pip"), *exactly])
        mark.write_text(LOCK.read_text())
    return home / "bin" / program


@dataclass(frozen=True)
class Ansible:
    """ansible-core, ready for the nodes of one lab."""

    words: tuple[str, ...]
    folder: Path

    def play(self, name: str) -> float:
        """Seconds of one playbook; the end of the program when it fails."""
        environment = {"ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        words = [*self.words, str(HERE / "ansible" / f"{name}.yml")]
        begin = time.perf_counter()
        ended = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, env=environment)
        seconds = time.perf_counter() - begin
        if ended.returncode:
            sys.exit(f"ansible-playbook {name}: exit {ended.returncode}\n{(ended.stdout + ended.stderr)[-3000:]}")
        return seconds

    def part(self) -> None:
        """End the kept connections."""
        for socket in (self.folder / "cp").glob("*"):
            words = ["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "node"]
            subprocess.run(words, capture_output=True, check=False)


@contextmanager
def ansible(inventory: Path, folder: Path) -> Iterator[Ansible]:
    """ansible-core for the running lab of `inventory`; nothing of it runs afterwards."""
    running = state(inventory)
    (folder / "ansible.cfg").write_text(SETTINGS.format(forks=len(running.nodes), folder=folder))
    (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts(inventory, folder)}}))
    program = Ansible((*inside(running), str(installed("ansible-playbook")), "-i", str(folder / "hosts.json")), folder)
    try:
        yield program
    finally:
        program.part()


def hosts(inventory: Path, folder: Path) -> dict[str, dict[str, object]]:
    """Per node how it is reached and what it gets: the values that sparkctl would write."""
    written = files(inventory)
    netdevs = {node: yaml.safe_load(f[NETPLAN])["network"]["ethernets"] for node, f in written.items()}
    made: dict[str, dict[str, object]] = {}
    for node in state(inventory).nodes:
        environment = folder / f"{node.name}.env"
        environment.write_text(written[node.name][NCCL])
        rails = [rail(node.name, name, netdevs) for name in netdevs[node.name]]
        made[node.name] = reached(node) | {"environment_file": str(environment), "mtu": "9000", "rails": rails}
    return made


def rail(node: str, netdev: str, netdevs: dict[str, dict[str, dict[str, list[str]]]]) -> dict[str, str]:
    """One rail of a node, and for check.sh the same in one word: NETDEV=ADDRESS=PEER,PEER..."""
    address = netdevs[node][netdev]["addresses"][0]
    peers = [found[netdev]["addresses"][0].split("/")[0] for peer, found in netdevs.items() if peer != node]
    return {"netdev": netdev, "address": address, "check": f"{netdev}={address}={','.join(peers)}"}


def reached(node: LabNode) -> dict[str, object]:
    """Ansible's words for the way to a node."""
    return {
        "ansible_host": node.address,
        "ansible_port": node.port,
        "ansible_user": node.user,
        "ansible_ssh_private_key_file": node.identity_file,
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={node.known_hosts}",
    }
