"""A running lab is read back into the inventory that it was booted from: hellos and LLDP over its own wires."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sparkctl.inventory.model import Cluster
from sparkctl.study import study
from tests.lab.labs import LabKind, Labs, Rig, fabric, sparkctl

UP = "for dev in /sys/class/net/en*np*; do ip link set ${dev##*/} up; done"
ASLEEP = "ip -o link | grep -c 'np[01].*state DOWN' || :"


LONG = [pytest.param(example, marks=pytest.mark.long) for example in ("mesh-3", "quad-switch")]


@pytest.fixture(scope="module", params=["dual", *LONG])
def rig(labs: Labs, request: pytest.FixtureRequest) -> Rig:
    """The lab of one example."""
    return labs.of(LabKind(f"found-{request.param}", fabric(request.param)), request.node.nodeid)


def meant(path: Path) -> Cluster:
    found = study(path)
    assert found.cluster is not None and not found.errors, found.findings
    return found.cluster


def cables(cluster: Cluster) -> set[frozenset[str]]:
    """Pairs of ends; ports of a switch have made-up names, for the lab's bridges tell none."""
    switches = {switch.name for switch in cluster.switches}
    ends = ((link.a, link.b) for link in cluster.links)
    return {frozenset("switch" if e.owner in switches else f"{e.owner}:{e.port}" for e in pair) for pair in ends}


def test_a_lab_comes_back_as_it_was_written(rig: Rig, tmp_path: Path) -> None:
    written, fresh = meant(rig.inventory), tmp_path / "fresh.yaml"
    for node in rig.state.nodes:
        rig.root(node.name, UP)
    ended = sparkctl("inventory", "discover", "--lab", str(rig.inventory), "-o", str(fresh), "-q")
    assert ended.code == 0, ended.err
    found = meant(fresh)
    assert cables(found) == cables(written)
    assert [(node.name, node.address) for node in found.nodes] == [(node.name, node.address) for node in written.nodes]
    assert (found.fabric.topology, found.fabric.mtu) == (written.fabric.topology, 9000)
    assert "no fabric address is in use" in fresh.read_text()
    again = sparkctl("inventory", "discover", "--lab", str(rig.inventory), "-o", str(fresh), "-q")
    assert again.code == 2 and "not overwritten" in again.err


def test_addresses_in_use_tell_the_pool(rig: Rig, tmp_path: Path) -> None:
    assert rig.cluster("up", "--yes", "-q", timeout=300).code == 0
    ended = sparkctl("inventory", "discover", "--lab", str(rig.inventory), "--json", "-q")
    assert ended.code == 0, ended.err
    fresh = tmp_path / "fresh.yaml"
    fresh.write_text(str(ended.json["text"]))
    found, written = meant(fresh), meant(rig.inventory)
    assert cables(found) == cables(written)
    assert (found.fabric.subnet_pool, found.fabric.mtu) == (written.fabric.subnet_pool, written.fabric.mtu)
    assert "the addresses in use are those of this pool" in fresh.read_text()


@pytest.mark.more
def test_ports_that_are_down_are_named_and_left_down(rig: Rig) -> None:
    for node in rig.state.nodes:
        rig.root(node.name, UP.replace(" up;", " down;"))
    before = {node.name: rig.root(node.name, ASLEEP) for node in rig.state.nodes}
    ended = sparkctl("inventory", "discover", "--lab", str(rig.inventory), "--json", "-q")
    assert ended.code == 3
    idle = ended.json["idle"]
    assert isinstance(idle, dict)
    assert any("ip link set enp1s0f1np1 up" in looks for looks in idle.values())
    assert {node.name: rig.root(node.name, ASLEEP) for node in rig.state.nodes} == before
    assert "0\n" not in before.values()


def inside(rig: Rig, *words: str) -> subprocess.CompletedProcess[str]:
    """`inventory discover` as a person types it who sits in the lab's network."""
    enter = ["nsenter", f"--net=/proc/{rig.state.supervisor.pid}/ns/net"]
    line = [*enter, sys.executable, "-m", "sparkctl", "inventory", "discover", *words]
    return subprocess.run(line, capture_output=True, text=True, timeout=120)


@pytest.mark.more
def test_a_host_key_that_nobody_pinned_is_refused_with_its_fingerprint(rig: Rig, tmp_path: Path) -> None:
    node, pins = rig.state.nodes[0], tmp_path / "known_hosts"
    pins.write_text("")
    targets = [f"{n.user}@{n.address}" for n in rig.state.nodes]
    ended = inside(rig, *targets, "--known-hosts", str(pins), "-i", node.identity_file)
    assert ended.returncode == 4, ended.stderr
    assert "no key of it is known; it shows 256 SHA256:" in ended.stderr
    for one in rig.state.nodes:
        rig.root(one.name, UP)
    ended = inside(rig, *targets, "--known-hosts", node.known_hosts, "-i", node.identity_file, "-q")
    assert ended.returncode == 0, ended.stderr


def test_init_asks_the_nodes_and_writes_what_they_say(rig: Rig, tmp_path: Path) -> None:
    """Told everything by options, over SSH as a user has it: ~/.ssh/config, no pinned key, no terminal."""
    for node in rig.state.nodes:
        rig.root(node.name, UP)
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/config").write_text(f"Host *\n IdentityFile {rig.state.nodes[0].identity_file}\n")
    home = {**os.environ, "HOME": str(tmp_path)}
    hosts = [f"{node.user}@{node.address}" for node in rig.state.nodes]

    def init(*words: str) -> subprocess.CompletedProcess[str]:
        inside = ["nsenter", f"--net=/proc/{rig.state.supervisor.pid}/ns/net", sys.executable, "-m", "sparkctl"]
        reached = [word for host in hosts for word in ("--ssh", host)]
        line = [*inside, "inventory", "init", "--model", "some/model", *reached, *words]
        return subprocess.run(line, capture_output=True, text=True, timeout=300, env=home, cwd=tmp_path, stdin=subprocess.DEVNULL)

    unseen = init()
    assert unseen.returncode == 2 and "--expect" in unseen.stderr and not (tmp_path / "sparkctl.yaml").exists()
    keys = dict(re.findall(r"^(\S+) .*(SHA256:\S+)", unseen.stderr, re.MULTILINE))
    assert list(keys) == hosts
    made = init(*(word for host in hosts for word in ("--expect", f"{host}={keys[host]}")))
    assert made.returncode == 0, made.stderr
    found = meant(tmp_path / "sparkctl.yaml")
    assert cables(found) == cables(meant(rig.inventory)) and found.engine is not None and found.engine.model == "some/model"
    assert len((tmp_path / "known_hosts").read_text().splitlines()) == len(hosts)
    assert (tmp_path / "secrets/api.key").stat().st_mode & 0o777 == 0o600
    assert re.search(r"^next: sparkctl cluster up$", made.stderr, re.MULTILINE), made.stderr
