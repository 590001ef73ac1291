"""The container backend, for real: systemd nodes with sshd, netplan, Docker, cables to cut, and no leftovers."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.conftest import DIRECT, ENGINE, SWITCHED, Booted, sparkctl

RAILS = ("enp1s0f1np1", "enP2p1s0f1np1")


@pytest.fixture(scope="module")
def direct(boot: Callable[[str], Booted]) -> Booted:
    return boot(DIRECT.format(name="lab-direct") + ENGINE)


@pytest.fixture(scope="module")
def switched(boot: Callable[[str], Booted]) -> Booted:
    return boot(SWITCHED.format(name="lab-switched"))


def links(lab: Booted, node: str) -> dict[str, dict]:
    return {link["ifname"]: link for link in json.loads(lab.said(node, "ip -j link"))}


def test_nodes_run_and_are_who_the_inventory_says(direct):
    for name in ("spark-1", "spark-2"):
        said = direct.said(name, "hostname; whoami; sudo -n id -u; systemctl is-system-running").split()
        assert said == [name, "nvidia", "0", "running"]


def test_identities_differ(direct):
    one, two = (
        direct.said(name, "cat /etc/machine-id /sys/class/net/enP7s7/address") for name in ("spark-1", "spark-2")
    )
    assert one.split()[0] != two.split()[0]
    assert one.split()[1] != two.split()[1]


def test_a_wrong_host_key_is_refused(direct):
    known_hosts = Path(direct.state["nodes"][0]["known_hosts"])
    right = known_hosts.read_text()
    keys = [line.split(" ", 1) for line in right.splitlines()]
    crossed = [f"{keys[0][0]} {keys[1][1]}", f"{keys[1][0]} {keys[0][1]}"]
    known_hosts.write_text("\n".join(crossed) + "\n")
    try:
        run = direct.ssh("spark-1", "true")
    finally:
        known_hosts.write_text(right)
    assert run.returncode == 255
    assert direct.ssh("spark-1", "true").returncode == 0, "it was the key"


def test_fabric_netdevs_are_as_on_a_fresh_spark(direct):
    found = links(direct, "spark-1")
    assert set(found) == {"lo", "docker0", "enP7s7", *RAILS}
    for name in RAILS:
        assert found[name]["mtu"] == 1500
        assert "UP" not in found[name]["flags"]
    assert direct.said("spark-1", "ls /etc/netplan").split() == ["50-lab.yaml"]


def test_management_leads_nowhere(direct):
    routes = json.loads(direct.said("spark-1", "ip -j route"))
    assert all(route["dst"] != "default" for route in routes)
    assert {route["dev"] for route in routes} == {"enP7s7", "docker0"}


def plugged(lab: Booted, addresses: dict[str, str], netdev: str = RAILS[0]) -> None:
    for node, address in addresses.items():
        lab.said(node, f"sudo ip address replace {address}/24 dev {netdev} && sudo ip link set {netdev} mtu 9000 up")


def ping(lab: Booted, node: str, address: str) -> bool:
    """Jumbo frames, not fragmented; a port that just came up gets some tries."""
    return lab.ssh(node, f"ping -M do -s 8972 -c 5 -i 0.3 -W 1 {address}").returncode == 0


def test_a_cable_carries_jumbo_frames_until_it_is_cut(direct):
    plugged(direct, {"spark-1": "10.20.0.11", "spark-2": "10.20.0.12"})
    assert ping(direct, "spark-1", "10.20.0.12")
    direct.fault("cut", "0")
    for node in ("spark-1", "spark-2"):
        assert "NO-CARRIER" in links(direct, node)[RAILS[0]]["flags"]
    assert not ping(direct, "spark-1", "10.20.0.12")
    direct.fault("mend", "0")
    assert ping(direct, "spark-2", "10.20.0.11")


def test_the_rails_are_two_wires(direct):
    plugged(direct, {"spark-1": "10.20.1.11", "spark-2": "10.20.1.12"}, RAILS[1])
    assert ping(direct, "spark-1", "10.20.1.12")
    direct.said("spark-2", f"sudo ip link set {RAILS[1]} down")
    assert not ping(direct, "spark-1", "10.20.1.12")
    assert ping(direct, "spark-1", "10.20.0.12")


def test_neighbours_see_one_another_through_lldp(direct):
    deadline = time.monotonic() + 45
    while time.monotonic() < deadline:
        if "spark-2" in direct.said("spark-1", "sudo lldpcli update; sudo lldpcli show neighbors ports enp1s0f1np1"):
            return
        direct.said("spark-2", "sudo lldpcli update")
        time.sleep(1)
    pytest.fail("no LLDP neighbour on the cable")


def test_netplan_is_real(direct):
    text = "network: {version: 2, ethernets: {enp1s0f1np1: {mtu: 9000, link-local: [], addresses: [10.20.0.31/24]}}}"
    direct.said("spark-2", f"echo '{text}' | sudo tee /etc/netplan/95-x.yaml && sudo chmod 600 /etc/netplan/95-x.yaml")
    direct.said("spark-2", "sudo netplan apply")
    wanted = (
        "ip -br address show dev enp1s0f1np1 | grep -q 10.20.0.31/24 && grep -q 9000 /sys/class/net/enp1s0f1np1/mtu"
    )
    direct.said("spark-2", f"for i in $(seq 50); do if {wanted}; then exit 0; fi; sleep 0.1; done; exit 1")
    assert direct.said("spark-2", "hostname").strip() == "spark-2"


def test_timers_fire_when_they_should(direct):
    direct.said("spark-1", "sudo systemd-run --on-active=1 --timer-property=AccuracySec=100ms touch /run/fired")
    direct.said("spark-1", "for i in $(seq 40); do if [ -e /run/fired ]; then exit 0; fi; sleep 0.1; done; exit 1")


def test_a_unit_that_starts_is_seen_before_its_first_process(direct):
    """What `facts/knock.py` looks at, so that an engine finds its port free: there from the start of a unit to its end."""
    link = "/run/systemd/units/invocation:knocked.service"
    direct.said("spark-1", f"! test -L {link}")
    started = f"sudo systemd-run --wait --quiet --unit=knocked -p 'ExecStartPre=/usr/bin/test -L {link}' /usr/bin/test -L {link}"
    direct.said("spark-1", f"{started}; status=$?; ! test -L {link} && exit $status")


def test_docker_runs_the_image_with_the_limits_of_a_spark(direct):
    mounts = "-v /usr:/usr:ro -v /opt/sparkctl-lab/engine:/opt/sparkctl-lab/engine:ro"
    limits = "--ulimit memlock=-1 --ulimit nofile=1048576:1048576 --network host --ipc host"
    image = "sparkctl-lab/vllm-cpu:0.32.0"
    program = "--entrypoint python {image} -c 'import torch; print(torch.ones(2).sum())'"
    run = f"sudo docker run --rm {limits} {mounts} {program.format(image=image)}"
    assert direct.said("spark-1", run).strip() == "tensor(2.)"
    assert "tmpfs" in direct.said("spark-1", "findmnt -no FSTYPE /var/lib/docker")
    assert direct.said("spark-1", "docker info --format '{{.Driver}}'").strip() == "overlay2"


def test_the_engine_cannot_be_changed_from_a_node(direct):
    run = direct.ssh("spark-1", "sudo touch /opt/sparkctl-lab/engine/x")
    assert run.returncode != 0
    assert os.strerror(errno.EROFS) in run.stderr


def test_an_isolated_node_falls_silent_and_does_not_notice(direct):
    boot_id = direct.said("spark-2", "cat /proc/sys/kernel/random/boot_id; cat /sys/class/net/enP7s7/carrier_changes")
    direct.fault("isolate", "spark-2")
    assert direct.ssh("spark-2", "true").returncode == 255
    assert direct.ssh("spark-1", "true").returncode == 0
    direct.fault("kill", "spark-1")
    direct.fault("boot", "spark-1")
    assert direct.ssh("spark-2", "true").returncode == 255
    direct.fault("join", "spark-2")
    after = "cat /proc/sys/kernel/random/boot_id; cat /sys/class/net/enP7s7/carrier_changes"
    assert direct.said("spark-2", after) == boot_id


@pytest.mark.more
def test_a_node_stays_isolated_when_it_boots_again(direct):
    direct.fault("isolate", "spark-2")
    direct.fault("kill", "spark-2")
    direct.fault("boot", "spark-2")
    assert direct.ssh("spark-2", "true").returncode == 255
    direct.fault("join", "spark-2")
    assert direct.said("spark-2", "hostname").strip() == "spark-2"


def test_a_second_up_says_so_and_changes_nothing(direct):
    before = direct.state["supervisor"]
    run = direct.up()
    assert run.returncode == 0
    assert "already" in run.stdout
    assert direct.state["supervisor"] == before


def test_another_inventory_under_the_same_name_is_refused(direct):
    original = direct.inventory.read_text()
    direct.inventory.write_text(original.replace("[spark-1:p1, spark-2:p1]", "[spark-1:p0, spark-2:p0]"))
    try:
        run = direct.up()
    finally:
        direct.inventory.write_text(original)
    assert run.returncode == 4
    assert "is not what it was started from" in run.stderr


def test_a_node_loses_its_power_and_gets_it_back(direct):
    direct.said("spark-1", "echo kept | sudo tee /etc/kept; sudo sync")
    direct.said("spark-2", f"sudo ip link set {RAILS[0]} up")
    direct.fault("kill", "spark-1")
    assert direct.ssh("spark-1", "true").returncode == 255
    assert "NO-CARRIER" in links(direct, "spark-2")[RAILS[0]]["flags"]
    direct.fault("boot", "spark-1")
    assert direct.said("spark-1", "cat /etc/kept; systemctl is-system-running").split() == ["kept", "running"]
    assert "UP" not in links(direct, "spark-1")[RAILS[0]]["flags"]


def test_a_node_that_reboots_itself_comes_again(direct):
    before = direct.said("spark-1", "cat /proc/sys/kernel/random/boot_id")
    direct.ssh("spark-1", "sudo systemctl reboot")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        run = direct.ssh("spark-1", "cat /proc/sys/kernel/random/boot_id")
        if run.returncode == 0 and run.stdout != before:
            return
        time.sleep(0.3)
    pytest.fail("the node did not come again")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("cut", "7"), "there is no 7"),
        (("kill", "spark-9"), "there is no spark-9"),
        (("burn", "spark-1"), "there is no fault called"),
    ],
)
def test_a_fault_that_cannot_be_is_a_usage_error(direct, words, message):
    run = sparkctl("lab", "fault", direct.inventory, *words)
    assert (run.returncode, run.stdout) == (2, "")
    assert message in run.stderr


def test_a_switch_joins_its_ports_per_rail(switched):
    netdevs = ("enp1s0f0np0", "enP2p1s0f0np0")
    for rail, netdev in enumerate(netdevs):
        plugged(switched, {f"spark-{i}": f"10.30.{rail}.1{i}" for i in (1, 2, 3)}, netdev)
    for rail in (0, 1):
        assert ping(switched, "spark-1", f"10.30.{rail}.12")
        assert ping(switched, "spark-3", f"10.30.{rail}.12")
    switched.fault("cut", "0")
    assert not ping(switched, "spark-1", "10.30.0.12")
    assert ping(switched, "spark-3", "10.30.0.12")


def test_an_inventory_without_an_engine_gets_none(switched):
    assert switched.state["engine"] is None
    assert switched.said("spark-1", "docker images -q") == ""


def test_two_labs_run_side_by_side(direct, switched):
    labs = json.loads(sparkctl("lab", "list", "--json").stdout)["labs"]
    assert [lab["cluster"] for lab in labs if lab["alive"]] == ["lab-direct", "lab-switched"]


class Traces:
    """What a lab consists of, seen from outside; and what of it is there now."""

    def __init__(self, lab: Booted) -> None:
        state = lab.state
        self.supervisor = state["supervisor"]["pid"]
        folder = Path(state["nodes"][0]["known_hosts"]).parent
        self.cgroups = [Path(path) for path in json.loads((folder / "order.json").read_text())["cgroups"]]
        self.group = self.cgroups[0].name
        self.spaces = {namespace(pid, kind) for pid in self.programs() for kind in ("pid", "net", "mnt", "ipc")}
        self.spaces -= {namespace(os.getpid(), kind) for kind in ("pid", "net", "mnt", "ipc")}
        self.seen = time.clock_gettime(time.CLOCK_BOOTTIME)

    def programs(self) -> list[int]:
        return [pid for pid in pids() if self.group in text(f"/proc/{pid}/cgroup")]

    def keeper(self) -> int:
        return int(
            next(row for row in text(f"/proc/{self.supervisor}/status").splitlines() if "PPid" in row).split()[1]
        )

    def left(self) -> list[str]:
        # the kernel gives the number of a namespace that is gone to the next one, of another lab, say
        before = [pid for pid in pids() if began(pid) <= self.seen]
        spaces = {namespace(pid, kind) for pid in before for kind in ("pid", "net", "mnt", "ipc")}
        cgroups = [str(path) for path in self.cgroups if path.exists()]
        return [*map(str, self.programs()), *(self.spaces & spaces), *cgroups]

    def gone(self) -> None:
        deadline = time.monotonic() + 15
        while self.left() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert self.left() == []


def pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def began(pid: int) -> float:
    """When a program began, in seconds since the boot of this machine; later than now for one that is gone."""
    fields = text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK") if fields else float("inf")


def namespace(pid: int, kind: str) -> str:
    try:
        return str(Path(f"/proc/{pid}/ns/{kind}").readlink())
    except OSError:
        return ""


def outside() -> tuple[str, str, list[str]]:
    """The machine's own network, mounts and named namespaces."""
    network = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    names = [row.split(":")[1].strip() for row in network.splitlines()]
    return " ".join(names), text("/proc/self/mounts"), sorted(path.name for path in Path("/run/netns").glob("*"))


@pytest.fixture
def brief(tmp_path, boot) -> Booted:
    return boot(DIRECT.format(name="lab-brief"))


def test_down_leaves_nothing(brief):
    traces, before = Traces(brief), outside()
    assert len(traces.programs()) > 20
    assert len(traces.spaces) > 8
    assert brief.down().returncode == 0
    traces.gone()
    assert outside() == before
    again = brief.down()
    assert (again.returncode, again.stdout) == (0, "lab lab-brief: there was none\n")


@pytest.mark.parametrize("victim", ["supervisor", "keeper"])
def test_kill_9_leaves_nothing_and_the_lab_comes_up_again(brief, victim):
    traces = Traces(brief)
    keeper = traces.keeper()
    os.kill(keeper if victim == "keeper" else traces.supervisor, signal.SIGKILL)
    if victim == "keeper":
        # Nobody is left to remove the empty cgroups: the next command does.
        deadline = time.monotonic() + 15
        while traces.programs() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert brief.state["alive"] is False
        assert brief.down().returncode == 0
    traces.gone()
    run = brief.ssh("spark-1", "true")
    assert run.returncode == 4
    assert "no lab runs" in run.stderr
    assert brief.up().returncode == 0
    assert brief.said("spark-2", "systemctl is-system-running").strip() == "running"
    fresh = Traces(brief)
    assert brief.down().returncode == 0
    fresh.gone()


def test_a_lab_that_cannot_boot_says_why_and_leaves_nothing(tmp_path):
    inventory = tmp_path / "cluster.yaml"
    # A management netdev that is there already: the kernel refuses another one.
    broken = DIRECT.format(name="lab-broken").replace("192.0.2.11}", "192.0.2.11, management: {interface: lo}}")
    inventory.write_text(broken)
    before = outside()
    run = sparkctl("lab", "up", inventory)
    assert run.returncode == 4
    assert "the lab did not boot: ip link add m0" in run.stderr
    assert outside() == before
    assert not list(Path("/sys/fs/cgroup").glob("*/sparkctl-lab-lab-broken-*"))


def test_a_backend_that_is_none_is_refused(tmp_path):
    inventory = tmp_path / "cluster.yaml"
    inventory.write_text(DIRECT.format(name="lab-what"))
    run = sparkctl("lab", "up", inventory, "--backend", "cloud")
    assert run.returncode == 2
    assert "use --backend container or --backend vm" in run.stderr


def test_without_root_it_says_so(tmp_path):
    inventory = tmp_path / "cluster.yaml"
    inventory.write_text(DIRECT.format(name="lab-nobody"))
    code = "import os, runpy; os.geteuid = lambda: 1000; runpy.run_module('sparkctl', run_name='__main__')"
    python = Path(sys.executable)
    run = subprocess.run([python, "-c", code, "lab", "up", inventory], capture_output=True, text=True, check=False)
    assert run.returncode == 4
    assert "needs root" in run.stderr
