"""The vm backend, for real: kernels of their own, Soft-RoCE over both rails, faults without root, and no leftovers."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sparkctl.lab.vm import image
from tests.lab.conftest import DIRECT, Booted, sparkctl

ROOT = Path(__file__).resolve().parents[2]
RAILS = {"enp1s0f1np1": "rocep1s0f1", "enP2p1s0f1np1": "roceP2p1s0f1"}
SUBNETS = dict(zip(RAILS, ("10.20.0", "10.20.1"), strict=True))
HOSTS = {"spark-1": 11, "spark-2": 12}
# 25 to 60 s on two idle cores without KVM; the bound is for machines that have other work.
GENEROUS = 300

MESH = """apiVersion: sparkctl/v1
kind: Cluster
metadata: {name: lab-mesh}
ssh: {user: nvidia}
nodes:
  - {name: spark-1, address: 192.0.2.11}
  - {name: spark-2, address: 192.0.2.12}
  - {name: spark-3, address: 192.0.2.13}
links:
  - [spark-1:p0, spark-2:p1]
  - [spark-2:p0, spark-3:p1]
  - [spark-3:p0, spark-1:p1]
fabric: {topology: mesh, transport: tcp, subnet_pool: 10.40.0.0/16}
"""


@pytest.fixture(scope="module")
def pair(boot: Callable[..., Booted]) -> Booted:
    """Two virtual nodes with addresses on both rails."""
    lab = boot(DIRECT.format(name="lab-vm"), "--backend", "vm")
    for node, host in HOSTS.items():
        wired(lab, node, host)
    return lab


def wired(lab: Booted, node: str, host: int) -> None:
    for netdev, subnet in SUBNETS.items():
        lab.said(
            node, f"sudo ip address replace {subnet}.{host}/24 dev {netdev} && sudo ip link set {netdev} mtu 9000 up"
        )


def ping(lab: Booted, node: str, address: str, size: int = 8972) -> bool:
    return lab.ssh(node, f"ping -M do -s {size} -c 5 -i 0.3 -W 2 {address}").returncode == 0


def flags(lab: Booted, node: str, netdev: str) -> list[str]:
    return json.loads(lab.said(node, f"ip -j link show {netdev}"))[0]["flags"]


def dark(lab: Booted, node: str, netdev: str, wanted: bool) -> bool:
    """Whether the netdev loses its carrier, or gets it back, within some seconds."""
    for _ in range(20):
        if ("NO-CARRIER" in flags(lab, node, netdev)) is wanted:
            return True
        time.sleep(0.5)
    return False


def test_nodes_run_and_are_who_the_inventory_says(pair):
    for name in HOSTS:
        said = pair.said(name, "hostname; whoami; sudo -n id -u; systemctl is-system-running").split()
        assert said == [name, "nvidia", "0", "running"]
    nodes = pair.state["nodes"]
    assert pair.state["backend"] == "vm"
    assert max(node["seconds"] for node in nodes) < GENEROUS
    assert {node["address"] for node in nodes} == {"127.0.0.1"}


def test_kernels_are_their_own(pair):
    boots = {pair.said(name, "cat /proc/sys/kernel/random/boot_id /etc/machine-id") for name in HOSTS}
    assert len(boots) == 2
    assert Path("/proc/sys/kernel/random/boot_id").read_text() not in "".join(boots)


def test_rdma_devices_are_named_as_on_a_spark_and_have_gids(pair):
    for name, host in HOSTS.items():
        told = json.loads(pair.said(name, "rdma -j link"))
        assert {link["netdev"]: link["ifname"] for link in told} == RAILS
        for netdev, device in RAILS.items():
            gids = pair.said(name, f"cat /sys/class/infiniband/{device}/ports/1/gids/[0-9] | sort -u").split()
            address = [int(part) for part in f"{SUBNETS[netdev]}.{host}".split(".")]
            mapped = "0000:0000:0000:0000:0000:ffff:{:02x}{:02x}:{:02x}{:02x}".format(*address)
            assert mapped in gids
            types = pair.said(name, f"cat /sys/class/infiniband/{device}/ports/1/gid_attrs/types/0").strip()
            assert types == "RoCE v2"


@pytest.mark.long
@pytest.mark.parametrize("netdev", RAILS)
@pytest.mark.parametrize(("program", "more"), [("ib_write_bw", "-D 1"), ("ib_write_lat", "-n 100")])
@pytest.mark.parametrize(("server", "client"), [("spark-1", "spark-2"), ("spark-2", "spark-1")])
def test_rdma_runs_on_both_rails_and_both_ways(pair, netdev, program, more, server, client):
    line = f"timeout 50 {program} -d {RAILS[netdev]} -R --report_gbits {more}"
    pair.said(server, f"pkill ib_write; (nohup {line} </dev/null >/tmp/server.log 2>&1 &)")
    listens = "rdma resource show cm_id | grep -q 'state LISTEN.*18515'"
    pair.said(
        server, f"for i in $(seq 60); do if {listens}; then exit 0; fi; sleep 0.3; done; cat /tmp/server.log; exit 1"
    )
    run = pair.ssh(client, f"{line} {SUBNETS[netdev]}.{HOSTS[server]}")
    assert run.returncode == 0, run.stdout + run.stderr + pair.said(server, "cat /tmp/server.log")
    counters = f"/sys/class/infiniband/{RAILS[netdev]}/ports/1/hw_counters"
    assert int(pair.said(client, f"cat {counters}/sent_pkts")) > 0
    assert int(pair.said(client, f"cat {counters}/send_err")) == 0


def test_management_reaches_the_other_node_and_nothing_else(pair):
    assert ping(pair, "spark-1", "198.18.0.12", 1000)
    assert "default" not in pair.said("spark-1", "ip route")
    gateway = pair.ssh("spark-1", "timeout 5 bash -c '</dev/tcp/198.18.0.1/22'")
    assert gateway.returncode != 0


def test_a_cable_that_is_cut_is_dark_at_both_ends(pair):
    assert ping(pair, "spark-1", "10.20.0.12")
    pair.fault("cut", "0")
    for node in HOSTS:
        for netdev in RAILS:
            assert dark(pair, node, netdev, True)
    pair.fault("mend", "0")
    for node in HOSTS:
        assert dark(pair, node, "enp1s0f1np1", False)
    assert ping(pair, "spark-2", "10.20.0.11")


@pytest.mark.more
def test_a_port_that_carries_less_drops_jumbo_frames_and_passes_small_ones(pair):
    pair.fault("mtu", "spark-2:p1=1500")
    assert not ping(pair, "spark-1", "10.20.0.12")
    assert ping(pair, "spark-1", "10.20.0.12", 1472)
    assert not ping(pair, "spark-2", "10.20.1.11")
    pair.fault("mtu", "spark-2:p1=9216")
    assert ping(pair, "spark-1", "10.20.0.12")


@pytest.mark.long
def test_an_isolated_node_falls_silent_and_does_not_notice(pair):
    told = "cat /proc/sys/kernel/random/boot_id; cat /sys/class/net/enP7s7/carrier_changes"
    before = pair.said("spark-2", told)
    pair.fault("isolate", "spark-2")
    assert pair.ssh("spark-2", "true").returncode == 255
    assert not ping(pair, "spark-1", "198.18.0.12", 1000)
    assert ping(pair, "spark-1", "10.20.0.12")
    pair.fault("join", "spark-2")
    assert pair.said("spark-2", told) == before


@pytest.mark.long
def test_neighbours_see_one_another_through_lldp(pair):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if "spark-2" in pair.said("spark-1", "sudo lldpcli update; sudo lldpcli show neighbors ports enp1s0f1np1"):
            return
        pair.said("spark-2", "sudo lldpcli update")
        time.sleep(1)
    pytest.fail("no LLDP neighbour on the cable")


@pytest.mark.long
def test_the_network_comes_up_and_goes_without_a_trace(pair):
    """The cluster commands, on real kernels: what the node has afterwards is what it had before."""
    told = "ls /etc/netplan /etc/sparkctl 2>&1; ip -br link; cat /sys/class/net/enp*/mtu"
    for node in HOSTS:
        for netdev in RAILS:
            pair.said(node, f"sudo ip address flush dev {netdev}; sudo ip link set {netdev} mtu 1500 down")
    before = {node: pair.said(node, told) for node in HOSTS}
    up = sparkctl("cluster", "up", pair.inventory, "--lab", "--yes", "--only", "network")
    assert up.returncode == 0, up.stdout + up.stderr
    report = json.loads(sparkctl("cluster", "verify", pair.inventory, "--lab", "--json").stdout)
    assert not [v for v in report["verdicts"] if v["state"] in ("fail", "unknown")]
    assert not any("transport" in line for line in report["overlays"])
    down = sparkctl("cluster", "down", pair.inventory, "--lab", "--yes")
    assert down.returncode == 0, down.stdout + down.stderr
    assert {node: pair.said(node, told) for node in HOSTS} == before


@pytest.mark.long
def test_a_node_loses_its_power_and_gets_it_back(pair):
    pair.said("spark-1", "echo kept | sudo tee /etc/kept; sudo sync")
    pair.said("spark-2", "sudo ip link set enp1s0f1np1 up")
    pair.fault("kill", "spark-1")
    assert pair.ssh("spark-1", "true").returncode == 255
    assert dark(pair, "spark-2", "enp1s0f1np1", True)
    run = sparkctl("lab", "fault", pair.inventory, "boot", "spark-1", seconds=GENEROUS)
    assert run.returncode == 0, run.stderr
    assert pair.said("spark-1", "cat /etc/kept; systemctl is-system-running").split() == ["kept", "running"]
    assert dark(pair, "spark-2", "enp1s0f1np1", False)
    assert len(json.loads(pair.said("spark-1", "rdma -j link"))) == len(RAILS)


@pytest.mark.long
def test_a_node_may_reboot_itself(pair):
    before = pair.said("spark-2", "cat /proc/sys/kernel/random/boot_id")
    pair.ssh("spark-2", "sudo systemctl reboot")
    deadline = time.monotonic() + GENEROUS
    while time.monotonic() < deadline:
        run = pair.ssh("spark-2", "cat /proc/sys/kernel/random/boot_id")
        if run.returncode == 0 and run.stdout != before:
            return
        time.sleep(2)
    pytest.fail("the node did not come back")


def test_the_other_backend_under_the_same_name_is_refused(pair):
    run = sparkctl("lab", "up", pair.inventory)
    assert run.returncode == 4
    assert "its backend is vm, not container" in run.stderr


def qemus(lab: Booted) -> list[int]:
    """The pids of the lab's machines."""
    folder = str(Path(lab.state["nodes"][0]["known_hosts"]).parent)
    lines = subprocess.run(
        ["ps", "-eww", "-o", "pid,args"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return [int(line.split()[0]) for line in lines if "qemu-system" in line and folder in line]


def test_the_machines_end_with_their_supervisor(pair):
    machines = qemus(pair)
    assert len(machines) == len(HOSTS)
    os.kill(pair.state["supervisor"]["pid"], signal.SIGKILL)
    deadline = time.monotonic() + 10
    while qemus(pair) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not qemus(pair)
    run = sparkctl("lab", "ssh", pair.inventory, "spark-1", "--", "true")
    assert run.returncode == 4
    assert "ended by itself" in run.stderr
    assert pair.down().returncode == 0
    assert sparkctl("lab", "list", "--json").stdout.count("lab-vm") == 0


@pytest.fixture
def person(tmp_path: Path) -> Iterator[tuple[list[str], dict[str, str], Path]]:
    """Somebody without root, whose cache has the image: how their programs begin, their environment and folder."""
    nobody = pwd.getpwnam("nobody")
    home = Path("/tmp") / f"sparkctl-person-{os.getpid()}"
    home.mkdir(mode=0o755)
    try:
        folder = image.image(print)
        there = home / "cache/sparkctl/lab" / folder.name
        there.parent.mkdir(parents=True)
        shutil.copytree(folder, there, copy_function=shutil.copy2)
        for path in (home, *home.rglob("*")):
            if not path.is_file():
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "XDG_CACHE_HOME": str(home / "cache"),
            "XDG_STATE_HOME": str(home / "state"),
            "PYTHONPATH": str(ROOT),
        }
        # The Python of this run may be in a folder of root's: it may be read, and that is all that is lent.
        read = "-all,+dac_read_search"
        rights = [f"--inh-caps={read}", f"--ambient-caps={read}", f"--bounding-set={read}", "--no-new-privs"]
        user = [f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
        yield ["setpriv", *user, *rights], environment, home
    finally:
        shutil.rmtree(home)


@pytest.mark.more
def test_running_needs_no_root(person):
    begin, environment, home = person
    inventory = home / "cluster.yaml"
    inventory.write_text(DIRECT.format(name="lab-person"))

    def typed(*words: str) -> subprocess.CompletedProcess[str]:
        line = [*begin, sys.executable, "-m", "sparkctl", *words]
        return subprocess.run(line, capture_output=True, text=True, timeout=600, check=False, env=environment, cwd="/")

    try:
        up = typed("lab", "up", str(inventory), "--backend", "vm")
        assert up.returncode == 0, up.stdout + up.stderr
        assert typed("lab", "ssh", str(inventory), "spark-2", "--", "hostname").stdout == "spark-2\n"
        assert typed("lab", "fault", str(inventory), "cut", "0").returncode == 0
        carrier = "sudo ip link set enp1s0f1np1 up; sleep 1; cat /sys/class/net/enp1s0f1np1/carrier"
        assert typed("lab", "ssh", str(inventory), "spark-1", "--", carrier).stdout == "0\n"
    finally:
        down = typed("lab", "down", str(inventory))
    assert down.returncode == 0, down.stderr
    assert not list((home / "state/sparkctl/labs").glob("*/state.json"))


@pytest.mark.parametrize("backend", ["container", pytest.param("vm", marks=pytest.mark.long)])
def test_plugs_in_each_others_ports(boot, backend):
    """What was in spark-1:p0 is in spark-1:p1 and the other way round: each rail meets another node, then not."""
    lab = boot(MESH.replace("lab-mesh", f"lab-mesh-{backend}"), "--backend", backend)
    for node, netdev, host in (
        ("spark-1", "enp1s0f0np0", 1),
        ("spark-2", "enp1s0f1np1", 2),
        ("spark-3", "enp1s0f0np0", 3),
    ):
        lab.said(
            node, f"sudo ip address replace 10.9.0.{host}/24 dev {netdev} && sudo ip link set {netdev} mtu 9000 up"
        )
    assert ping(lab, "spark-1", "10.9.0.2") and not ping(lab, "spark-1", "10.9.0.3")
    lab.fault("swap", "spark-1:p0 spark-1:p1")
    lab.said("spark-1", "sudo ip neigh flush all")
    assert ping(lab, "spark-1", "10.9.0.3") and not ping(lab, "spark-1", "10.9.0.2")
    lab.fault("cut", "2")
    assert dark(lab, "spark-1", "enp1s0f0np0", True), "its cable is now links[2]"
    lab.fault("mend", "2")
    lab.fault("swap", "spark-1:p1 spark-1:p0")
    lab.said("spark-1", "sudo ip neigh flush all")
    assert ping(lab, "spark-1", "10.9.0.2") and not ping(lab, "spark-1", "10.9.0.3")
    assert lab.down().returncode == 0
