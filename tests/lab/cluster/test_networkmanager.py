"""Nodes whose network NetworkManager has, as on DGX OS: changed without a blink of management, and put back to what it had."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sparkctl.lab.state import folder
from tests.lab.labs import Ended, Rig, fabric, same

OURS = "/etc/netplan/95-sparkctl.yaml"
RAILS = ("enp1s0f1np1", "enP2p1s0f1np1")
# Names that systemd has read of since `netplan apply` asked for them; there is no unit behind them.
READ_OF = r"(netplan-ovs-cleanup|ovsdb-server)\.service .*\n"
# lo and docker0 are not NetworkManager's: it describes them by profiles with new UUIDs whenever it starts.
HELD = """
echo "# NetworkManager"; nmcli -t -f DEVICE,STATE,CONNECTION,CON-UUID device | grep '^en' | sort
nmcli -t -f NAME,UUID,TYPE,AUTOCONNECT,DEVICE,FILENAME connection show | grep -v -e '^lo:' -e '^docker0:' | sort
for dev in /sys/class/net/en*; do nmcli -t -f GENERAL.NM-MANAGED,GENERAL.AUTOCONNECT device show ${dev##*/}; done
"""


def capture(rig: Rig) -> dict[str, str]:
    """All that has to come back, and what NetworkManager holds; its time stamps of profiles are its own."""
    return {
        node: re.sub(rf".*/var/lib/NetworkManager/timestamps.*\n|{READ_OF}", "", text) + rig.root(node, HELD)
        for node, text in rig.capture().items()
    }


def back(rig: Rig, before: dict[str, str], seconds: float = 15) -> None:
    """As before, once NetworkManager asks for an address again where it did."""
    deadline = time.monotonic() + seconds
    after = capture(rig)
    while after != before and time.monotonic() < deadline:
        time.sleep(0.5)
        after = capture(rig)
    same(before, after)


def started(rig: Rig) -> list[str]:
    """When NetworkManager was started, per node."""
    asked = "systemctl show -P ActiveEnterTimestampMonotonic NetworkManager"
    return [rig.root(node.name, asked) for node in rig.state.nodes]


@contextmanager
def pinged(rig: Rig) -> Iterator[list[str]]:
    """Ping every node's management address 50 times a second meanwhile; one line for each that lost an answer."""
    image = json.loads((folder(rig.name) / "order.json").read_text())["image"]
    enter = ["nsenter", f"--net=/proc/{rig.state.supervisor.pid}/ns/net", "chroot", image]
    running = [
        subprocess.Popen([*enter, "ping", "-n", "-i", "0.02", "-w", "300", node.address], stdout=subprocess.PIPE, text=True)
        for node in rig.state.nodes
    ]
    lost: list[str] = []
    try:
        yield lost
    finally:
        for ping in running:
            ping.send_signal(2)
            said, _ = ping.communicate(timeout=10)
            sent, received = map(int, re.findall(r"(\d+) packets transmitted, (\d+) received", said)[0])
            assert sent > 20, said
            # The last one may be on its way.
            lost += [said] if sent - received > 1 else []


def of_port(rig: Rig, node: str, fields: str, netdev: str = RAILS[0]) -> str:
    return rig.root(node, f"nmcli -g {fields} device show {netdev}").strip()


def refused(ended: Ended, *words: str) -> None:
    assert ended.code == 5, ended.err
    for word in words:
        assert word in ended.err, ended.err


def test_up_verify_again_down_and_management_never_blinks(desktop: Rig) -> None:
    before, running = capture(desktop), started(desktop)
    assert "Wired connection" in before["spark-1"]
    assert desktop.cluster("plan", "--exit-code").code == 10
    with pinged(desktop) as lost:
        up = desktop.cluster("up", "--yes", "--json")
    assert up.code == 0, up.err
    for node in ("spark-1", "spark-2"):
        for netdev in RAILS:
            assert of_port(desktop, node, "GENERAL.CONNECTION", netdev) == f"netplan-{netdev}"
    verified = desktop.cluster("verify", "--json")
    assert verified.code == 0, verified.err
    states = {v["id"]: v["state"] for v in verified.json["verdicts"]}  # type: ignore[attr-defined]
    for check in ("rail-carrier", "rail-mtu", "rail-address", "rail-ping"):
        assert states[check] == "pass"
    assert desktop.cluster("up", "--yes", "--json").json["plan"]["steps"] == []  # type: ignore[index]
    with pinged(desktop) as lost_down:
        down = desktop.cluster("down", "--yes")
    assert down.code == 0, down.err
    assert lost + lost_down == []
    assert started(desktop) == running, "NetworkManager was not restarted"
    back(desktop, before)


@pytest.mark.more
def test_a_profile_of_the_user_comes_back(desktop: Rig) -> None:
    mine = "ipv4.method manual ipv4.addresses 10.99.0.2/24 ipv6.method disabled ethernet.mtu 2000"
    added = f"nmcli connection add type ethernet ifname {RAILS[0]} con-name mine {mine} && nmcli connection up mine"
    desktop.root("spark-2", added)
    try:
        before = capture(desktop)
        asked = desktop.cluster("up", "--yes")
        assert asked.code == 4 and "the profile mine of NetworkManager" in asked.err, asked.err
        assert desktop.cluster("up", "--yes", "--take-over").code == 0
        assert of_port(desktop, "spark-2", "GENERAL.CONNECTION") == f"netplan-{RAILS[0]}"
        assert "10.99.0.2" not in desktop.root("spark-2", "ip -4 addr")
        assert desktop.cluster("down", "--yes").code == 0
        assert of_port(desktop, "spark-2", "GENERAL.CONNECTION") == "mine"
        back(desktop, before)
    finally:
        desktop.root("spark-2", "nmcli connection delete mine")


# The case 10-ip-addr-add-ephemeral of the field: rails that only `ip` and `nmcli device set` made, and a route over them.
BY_HAND = """
i=$(hostname | sed 's/.*-//')
nmcli dev set enp1s0f1np1 managed no; nmcli dev set enP2p1s0f1np1 managed no
ip link set enp1s0f1np1 up mtu 9000; ip link set enP2p1s0f1np1 up mtu 9000
ip addr add 192.168.200.$i/24 dev enp1s0f1np1; ip addr add 192.168.201.$i/24 dev enP2p1s0f1np1
ip route add 10.100.176.$((3 - i))/32 via 192.168.200.$((3 - i)) dev enp1s0f1np1
"""
ROUTES = "ip route show table all | grep -v -e docker -e linkdown | sort"


@pytest.mark.more
def test_rails_that_were_set_by_hand_come_back_with_their_route(desktop: Rig) -> None:
    fresh = capture(desktop)
    desktop.each(BY_HAND)
    try:
        before, routes = capture(desktop), desktop.each(ROUTES)
        planned = desktop.cluster("plan").out
        assert "192.168.200.1/24 becomes 10.20.0.11/24" in planned and "10.100.176.2/32 via 192.168.200.2" in planned
        assert desktop.cluster("up", "--yes").code == 0
        assert "192.168.200" not in desktop.root("spark-1", "ip addr; ip route")
        down = desktop.cluster("down", "--yes")
        assert down.code == 0, down.err
        back(desktop, before)
        assert desktop.each(ROUTES) == routes
    finally:
        for rail in RAILS:
            desktop.each(f"ip addr flush dev {rail} scope global; ip link set {rail} mtu 1500; nmcli dev set {rail} managed yes")
        back(desktop, fresh, 60)


@pytest.mark.more
def test_a_port_that_was_disconnected_or_unmanaged_stays_so(desktop: Rig) -> None:
    desktop.root("spark-1", f"nmcli device disconnect {RAILS[0]}")
    desktop.root("spark-2", f"nmcli device set {RAILS[1]} managed no")
    try:
        before = capture(desktop)
        assert desktop.cluster("up", "--yes").code == 0
        assert desktop.cluster("down", "--yes").code == 0
        back(desktop, before)
    finally:
        desktop.root("spark-1", f"nmcli device set {RAILS[0]} autoconnect yes; nmcli --wait 0 device connect {RAILS[0]}")
        desktop.root("spark-2", f"nmcli device set {RAILS[1]} managed yes")


def test_the_apply_fails_on_the_worker_after_it_was_done(desktop: Rig) -> None:
    """The gentle way is closed, netplan restarts NetworkManager, and then fails: all of it is undone, the same way."""
    done = f'if [ "$1" = apply ] && [ -e {OURS} ]; then /usr/sbin/netplan.real apply; echo planted failure >&2; exit 1; fi'
    desktop.plant_netplan("spark-2", done)
    before = capture(desktop)
    refused(desktop.cluster("up", "--yes"), "spark-2", "network, workers", "planted failure")
    back(desktop, before)


@pytest.mark.more
def test_down_the_hard_way(desktop: Rig) -> None:
    """`netplan apply` leaves the MTU, and NetworkManager anew: what was there comes back all the same."""
    before = capture(desktop)
    assert desktop.cluster("up", "--yes").code == 0
    for node in ("spark-1", "spark-2"):
        desktop.plant_netplan(node, "")
    running = started(desktop)
    assert desktop.cluster("down", "--yes").code == 0
    assert started(desktop) != running
    desktop.heal()
    back(desktop, before)


@pytest.mark.more
def test_an_idle_port_gets_no_address_and_keeps_its_profile(desktop: Rig, tmp_path: Path) -> None:
    """One rail only: its twin has a cable and no stanza; another port has neither."""
    inventory = tmp_path / "one-rail.yaml"
    inventory.write_text(fabric("dual").replace("rails: both", "rails: A").replace("name: dual", "name: test-desktop", 1))
    one = Rig(inventory, desktop.name)
    desktop.root("spark-1", "ip link add enp1s0f0np0 type veth peer name nocable; nmcli device set nocable managed no")
    try:
        before = capture(desktop)
        assert one.cluster("up", "--yes").code == 0
        assert of_port(desktop, "spark-1", "GENERAL.CONNECTION") == f"netplan-{RAILS[0]}"
        for node in ("spark-1", "spark-2"):
            assert of_port(desktop, node, "GENERAL.CONNECTION", RAILS[1]).startswith("Wired connection")
            assert "169.254." not in desktop.root(node, "ip -4 addr")
        time.sleep(3)
        assert "169.254." not in desktop.root("spark-1", "ip -4 addr")
        assert one.cluster("down", "--yes").code == 0
        back(desktop, before)
    finally:
        desktop.root("spark-1", "ip link delete enp1s0f0np0")


@pytest.mark.parametrize("kind", ["desktop", "bare"])
def test_an_edit_that_nobody_applied_is_refused(kind: str, request: pytest.FixtureRequest) -> None:
    """Half a management stanza: applying ours would lock everybody out."""
    rig: Rig = request.getfixturevalue(kind)
    file = "/etc/netplan/50-lab.yaml"
    rig.root("spark-2", f"cp -p {file} /root/kept.yaml; sed -i 's/198.18/198.19/' {file}")
    try:
        before = rig.capture()
        refused(rig.cluster("up", "--yes"), "nobody applied yet", f"enP7s7 ({file})", "sudo netplan apply")
        same(before, rig.capture())
    finally:
        rig.root("spark-2", f"cp -p /root/kept.yaml {file}; rm /root/kept.yaml")
