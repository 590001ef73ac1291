"""Every kind of drift, planted on real nodes: named with node and subject, exit 10; healed: exit 0."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.labs import Rig

NODE = "spark-2"
DEV = "enp1s0f1np1"
NETPLAN = "/etc/netplan/95-sparkctl.yaml"
NCCL = "/etc/sparkctl/nccl.env"
UNIT = "/etc/systemd/system/sparkctl-engine.service"
SERVICE = "[Service]\\nExecStart=/bin/sleep 600\\n"

# kind, subject, what somebody does, what undoes it
PLANTED = [
    ("edited", NCCL, f"cp -a {NCCL} /root/k; echo NCCL_DEBUG=TRACE >>{NCCL}", f"cp -a /root/k {NCCL}; rm /root/k"),
    ("edited", NETPLAN, f"cp -a {NETPLAN} /root/k; sed -i s/9000/4200/ {NETPLAN}", f"cp -a /root/k {NETPLAN}; rm /root/k"),
    ("mode", NETPLAN, f"chmod 644 {NETPLAN}", f"chmod 600 {NETPLAN}"),
    ("mode", NCCL, f"chown 7:7 {NCCL}", f"chown 0:0 {NCCL}"),
    ("missing", NCCL, f"mv {NCCL} /root/k", f"mv /root/k {NCCL}"),
    ("left over", "/etc/sparkctl/engine.env", "echo A=1 >/etc/sparkctl/engine.env", "rm /etc/sparkctl/engine.env"),
    ("mtu", DEV, f"ip link set {DEV} mtu 1500", f"ip link set {DEV} mtu 9000"),
    ("address", DEV, f"ip addr show dev {DEV} | awk '$1 == \"inet\" {{print $2}}' >/root/k; ip addr del $(cat /root/k) dev {DEV}",
     f"ip addr add $(cat /root/k) dev {DEV}; rm /root/k"),
    ("stray address", DEV, f"ip addr add 10.88.0.1/24 dev {DEV} noprefixroute", f"ip addr del 10.88.0.1/24 dev {DEV}"),
    ("stray route", DEV, f"ip route add 10.77.0.0/16 dev {DEV}", f"ip route del 10.77.0.0/16 dev {DEV}"),
    ("stray route", DEV, f"ip route add default dev {DEV} metric 4000", f"ip route del default dev {DEV} metric 4000"),
    ("stray route", DEV, "ip route add 10.20.0.0/25 dev enP7s7", "ip route del 10.20.0.0/25 dev enP7s7"),
    ("stray route", DEV, f"ip route add default dev {DEV} table 77", f"ip route del default dev {DEV} table 77"),
    ("route", DEV, f"ip route show dev {DEV} >/root/k; ip route del 10.20.0.0/24 dev {DEV}",
     f"ip route add $(cat /root/k) dev {DEV}; rm /root/k"),
    ("foreign", "/etc/netplan/40-cx7.yaml",
     f"printf 'network:\\n  ethernets:\\n    {DEV}: {{dhcp4: true}}\\n' >/etc/netplan/40-cx7.yaml; chmod 600 /etc/netplan/40-cx7.yaml",
     "rm /etc/netplan/40-cx7.yaml"),
    ("unit", "sparkctl-engine.service",
     f"printf '{SERVICE}' >{UNIT}; systemctl daemon-reload; systemctl start sparkctl-engine",
     f"systemctl stop sparkctl-engine; rm {UNIT}; systemctl daemon-reload"),
    ("no record", "record", "mv /var/lib/sparkctl/record.json /root/k", "mv /root/k /var/lib/sparkctl/record.json"),
    ("other cluster", "record", "cp -a /var/lib/sparkctl/record.json /root/k; sed -i 's/\"cluster\": *\"[^\"]*\"/\"cluster\":\"other\"/' /var/lib/sparkctl/record.json",
     "mv /root/k /var/lib/sparkctl/record.json"),
    ("unreadable", "record", "cp -a /var/lib/sparkctl/record.json /root/k; echo '{' >/var/lib/sparkctl/record.json",
     "mv /root/k /var/lib/sparkctl/record.json"),
    ("unreadable", "foreign netplan files", "printf 'match: 1\\n' >/etc/netplan/10-x.yaml; mv /usr/lib/python3/dist-packages/yaml /root/k",
     "mv /root/k /usr/lib/python3/dist-packages/yaml; rm /etc/netplan/10-x.yaml"),
    ("interrupted", "an earlier run", "mkdir /var/lib/sparkctl/run", "rmdir /var/lib/sparkctl/run"),
]  # fmt: skip


@pytest.fixture(scope="module")
def running(bare_lab: Rig) -> Iterator[Rig]:
    """The fabric up, once for all tests here."""
    up = bare_lab.cluster("up", "--yes")
    assert up.code == 0, up.err
    yield bare_lab
    down = bare_lab.cluster("down", "--yes")
    assert down.code == 0, down.err


def drifts(rig: Rig) -> list[dict[str, Any]]:
    ended = rig.cluster("diff", "--json")
    listed = ended.json["drift"]
    assert isinstance(listed, list)
    assert ended.code == (10 if listed else 0), ended.err
    return listed


def test_right_after_up_there_is_none(running: Rig) -> None:
    ended = running.cluster("diff")
    assert ended.code == 0 and "no drift: 2 nodes" in ended.out, ended.out


def leveled() -> Iterator[object]:
    """The first of each kind is always planted."""
    seen: set[str] = set()
    for number, planted in enumerate(PLANTED):
        yield pytest.param(*planted, id=f"{planted[0]}-{number}", marks=pytest.mark.more if planted[0] in seen else ())
        seen.add(planted[0])


@pytest.mark.parametrize(("kind", "subject", "plant", "heal"), list(leveled()))
def test_planted(running: Rig, kind: str, subject: str, plant: str, heal: str) -> None:
    running.root(NODE, plant)
    try:
        found = drifts(running)
    finally:
        running.root(NODE, heal)
    assert (NODE, kind, subject) in {(d["node"], d["kind"], d["subject"]) for d in found}, found
    assert {d["node"] for d in found} == {NODE} and all(d["remedy"] and d["expected"] and d["found"] for d in found)
    assert drifts(running) == []


def test_an_edit_is_shown_line_by_line_and_up_leaves_it(running: Rig) -> None:
    running.root(NODE, f"echo NCCL_DEBUG=TRACE >>{NCCL}")
    shown = running.cluster("diff")
    assert shown.code == 10 and "+NCCL_DEBUG=TRACE" in shown.out and "--force-path" in shown.out, shown.out
    assert running.cluster("up", "--yes", "--force-path", NCCL).code == 0
    assert drifts(running) == []


def test_a_netdev_that_is_down_is_said_once(running: Rig) -> None:
    running.root(NODE, f"ip link set {DEV} down")
    found = drifts(running)
    running.root(NODE, f"ip link set {DEV} up; netplan apply")
    assert [(d["node"], d["kind"], d["found"]) for d in found] == [(NODE, "link", "down")], found
    settled(running)


@pytest.mark.more
def test_a_silent_node_is_said_and_the_others_are_read(running: Rig) -> None:
    running.root(NODE, "systemd-run --on-active=25 --timer-property=AccuracySec=1s systemctl start ssh; systemctl stop ssh.socket ssh")
    try:
        ended = running.cluster("diff", "--json")
        assert ended.code == 10, ended.err
        assert [(d["node"], d["kind"]) for d in ended.json["drift"]] == [(NODE, "unreadable")]  # type: ignore[attr-defined]
    finally:
        deadline = time.monotonic() + 60
        while running.cluster("diff", "--quiet").code != 0 and time.monotonic() < deadline:
            time.sleep(2)
    settled(running)


def settled(rig: Rig) -> None:
    deadline = time.monotonic() + 20
    while drifts(rig) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert drifts(rig) == []
