"""The probes of the fabric, run by a real shell over a tree that is laid out as sysfs is."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sparkctl.facts import counters, gids, neighbours, netdevs, paths
from sparkctl.facts.base import Probe, answers, batch, parsed
from sparkctl.facts.netdevs import Ethernet
from sparkctl.facts.survey import PARSERS
from sparkctl.outcome import Absent, Fact, Known, Unknown

ZERO = "0000:" * 7 + "0000"
MAPPED = "0000:0000:0000:0000:0000:ffff:0a14:000b"
LOCAL = "fe80:0000:0000:0000:4ebb:47ff:fe2c:0001"
UP = {"type": "1", "address": "4c:bb:47:2c:00:01", "flags": "0x1003", "mtu": "9000", "carrier_down_count": "2"}
RUNS = UP | {"carrier": "1", "speed": "200000", "duplex": "full"}


class Tree:
    """A sysfs in a folder; None stands for a file that the kernel refuses to read."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "class/net").mkdir(parents=True)

    def put(self, folder: str, files: dict[str, str | None]) -> None:
        for name, content in files.items():
            path = self.root / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir() if content is None else path.write_text(f"{content}\n")

    def link(self, path: str, target: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).symlink_to(self.root / target)

    def port(self, netdev: str, pci: str, rdma: str, files: dict[str, str | None]) -> None:
        """One half of a ConnectX-7."""
        device = f"devices/pci/{pci}"
        self.put(f"class/net/{netdev}", files)
        self.put(device, {"current_link_speed": "32.0 GT/s PCIe", "current_link_width": "4"})
        (self.root / device / "infiniband" / rdma).mkdir(parents=True)
        (self.root / "bus/pci/drivers/mlx5_core").mkdir(parents=True, exist_ok=True)
        self.link(f"{device}/driver", "bus/pci/drivers/mlx5_core")
        self.link(f"class/net/{netdev}/device", device)
        self.put(f"class/infiniband/{rdma}", {"fw_ver": "28.45.4028"})
        self.link(f"class/infiniband/{rdma}/device", device)

    def gid(self, rdma: str, index: int, gid: str, kind: str | None, netdev: str | None) -> None:
        port = f"class/infiniband/{rdma}/ports/1"
        entry = {f"gids/{index}": gid, f"gid_attrs/types/{index}": kind, f"gid_attrs/ndevs/{index}": netdev}
        self.put(port, entry)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "sys")


def asked(probe: Probe, tree: Tree, path: str | None = None) -> Fact[Any]:
    env = os.environ | {"SPARKCTL_SYS": str(tree.root)} | ({"PATH": path} if path else {})
    ran = subprocess.run(["sh"], input=batch((probe,)).script, env=env, capture_output=True, text=True, timeout=30)
    return parsed(answers(ran.stdout)[probe.name], PARSERS[probe.name])


def known(probe: Probe, tree: Tree) -> Any:
    found = asked(probe, tree)
    assert isinstance(found, Known), found
    return found.value


def test_a_port_of_a_spark_and_one_that_sleeps(tree: Tree) -> None:
    tree.port("enp1s0f1np1", "0000:01:00.1", "rocep1s0f1", RUNS)
    down = UP | {"flags": "0x1002", "carrier": None, "speed": None, "duplex": None}
    tree.port("enP2p1s0f1np1", "0002:01:00.1", "roceP2p1s0f1", down)
    found = known(netdevs.PROBE, tree)
    assert found["enp1s0f1np1"] == Ethernet(
        "enp1s0f1np1", "4c:bb:47:2c:00:01", True, True, 9000, 2, 200000, "full", "mlx5_core", "28.45.4028",
        "0000:01:00.1", 32.0, 4, "rocep1s0f1",
    )  # fmt: skip
    asleep = found["enP2p1s0f1np1"]
    assert (asleep.up, asleep.carrier, asleep.speed, asleep.duplex) == (False, None, None, "")
    assert (asleep.pcie_address, asleep.rdma) == ("0002:01:00.1", "roceP2p1s0f1")


def test_what_is_no_ethernet_port_is_left_out(tree: Tree) -> None:
    tree.put("class/net/enp1s0f1np1", dict(RUNS))
    tree.put("class/net/lo", RUNS | {"type": "772"})
    for name, mark in (("br0", "bridge/x"), ("wlP9s9", "phy80211/x"), ("tap0", "tun_flags"), ("bond0", "bonding/x")):
        tree.put(f"class/net/{name}", RUNS | {mark: ""})
    for name in ("veth1234", "docker0", "dummy0"):
        tree.put(f"class/net/{name}", dict(RUNS))
    assert list(known(netdevs.PROBE, tree)) == ["enp1s0f1np1"]


@pytest.mark.parametrize("how", ["parent", "ports/1/gid_attrs/ndevs/0"])
def test_a_soft_roce_device_is_found_by_its_netdev(how: str, tree: Tree) -> None:
    tree.put("class/net/enp1s0f1np1", dict(RUNS))
    tree.put("class/net/enp1s0f1", dict(RUNS))
    tree.put("class/infiniband/rocep1s0f1", {how: "enp1s0f1np1"})
    found = known(netdevs.PROBE, tree)
    assert found["enp1s0f1np1"].rdma == "rocep1s0f1"
    assert found["enp1s0f1"].rdma is None
    assert found["enp1s0f1np1"].pcie_width is None


def test_firmware_from_ethtool_where_sysfs_has_none(tree: Tree, tmp_path: Path) -> None:
    tree.port("enp1s0f1np1", "0000:01:00.1", "rocep1s0f1", RUNS)
    (tree.root / "class/infiniband/rocep1s0f1/fw_ver").unlink()
    tool = tmp_path / "ethtool"
    tool.write_text("#!/bin/sh\necho 'driver: mlx5_core'\necho 'firmware-version: 28.45.4028 (NVD0000000087)'\n")
    tool.chmod(0o755)
    found = asked(netdevs.PROBE, tree, f"{tmp_path}:{os.environ['PATH']}")
    assert isinstance(found, Known)
    assert found.value["enp1s0f1np1"].firmware == "28.45.4028 (NVD0000000087)"


def test_a_gid_table_of_256_entries_is_read_in_one_go(tree: Tree) -> None:
    for index in range(256):
        tree.gid("rocep1s0f1", index, ZERO, None, None)
    tree.put("class/infiniband/rocep1s0f1/ports/1/gids", {"2": LOCAL, "3": MAPPED, "200": LOCAL})
    for index in (2, 3):
        for name, text in (("types", "RoCE v2"), ("ndevs", "enp1s0f1np1")):
            entry = tree.root / f"class/infiniband/rocep1s0f1/ports/1/gid_attrs/{name}/{index}"
            entry.rmdir()
            entry.write_text(f"{text}\n")
    found = known(gids.PROBE, tree)
    assert [(gid.index, gid.type, gid.netdev, str(gid.address)) for gid in found] == [
        (2, "RoCE v2", "enp1s0f1np1", "None"),
        (3, "RoCE v2", "enp1s0f1np1", "10.20.0.11"),
        (200, "", "", "None"),
    ]


def test_counters_of_the_port_prevail_over_the_devices(tree: Tree) -> None:
    tree.put("class/infiniband/rocep1s0f1/hw_counters", {"duplicate_request": "1", "lifespan": "10"})
    tree.put("class/infiniband/rocep1s0f1/ports/1/hw_counters", {"duplicate_request": "7", "packet_seq_err": "3"})
    tree.put("class/infiniband/rocep1s0f1/ports/1/counters", {"port_xmit_data": "48213", "broken": None})
    found = known(counters.PROBE, tree)
    assert found == {"rocep1s0f1": {"duplicate_request": 7, "packet_seq_err": 3, "port_xmit_data": 48213}}


@pytest.mark.parametrize("probe", [gids.PROBE, counters.PROBE], ids=lambda probe: probe.name)
def test_a_node_without_rdma_has_no_gids_and_no_counters(probe: Probe, tree: Tree) -> None:
    assert isinstance(asked(probe, tree), Absent)


@pytest.mark.parametrize("probe", [gids.PROBE, counters.PROBE], ids=lambda probe: probe.name)
def test_a_node_with_rdma_and_no_device_has_none(probe: Probe, tree: Tree) -> None:
    (tree.root / "class/infiniband").mkdir()
    assert len(known(probe, tree)) == 0


def test_without_tools(tree: Tree, tmp_path: Path) -> None:
    for tool in ("sh", "base64", "timeout", "cat"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
    hellos = asked(neighbours.probe("t0", "a", {}), tree, str(tmp_path))
    assert hellos == Unknown("unreadable answer: python3 is not installed")
    assert isinstance(asked(paths.probe([("10.0.0.1", "10.0.0.2")]), tree, str(tmp_path)), Absent)
    assert isinstance(asked(neighbours.LLDP_PROBE, tree, str(tmp_path)), Absent)


def test_a_batch_without_a_survey_has_none_of_it() -> None:
    script = batch((Probe("x", ("true",)),)).script
    assert "ethernet_netdevs" not in script
    assert "HELLO=" not in script


def test_early_probes_run_beside_the_others_and_last_ones_after_them() -> None:
    early = tuple(
        Probe(f"early{n}", ("sh", "-c", f"sleep 0.5; printf {n}; date +%s.%N"), moment="early") for n in (1, 2)
    )
    then = Probe("then", ("sh", "-c", "sleep 0.5; cat; date +%s.%N"))
    last = Probe("last", ("date", "+%s.%N"), moment="last")
    script = batch((last, *early, then)).script
    ran = subprocess.run(["sh"], input=script, capture_output=True, text=True, timeout=30, check=True)
    said = {name: fact.value for name, fact in answers(ran.stdout).items() if isinstance(fact, Known)}
    assert set(said) == {"early1", "early2", "then", "last"}
    times = [float(said["early1"][1:]), float(said["early2"][1:]), float(said["then"])]
    assert max(times) - min(times) < 0.4, "one after another they would be half a second apart"
    assert float(said["last"]) >= max(times)
