"""Whoever else has netdevs of the fabric is named, refused or taken over and given back, and what verify says of the next boot comes true."""

from __future__ import annotations

import time
from typing import NamedTuple

import pytest

from sparkctl.study import study
from tests.lab.labs import LabKind, Labs, Rig, fabric, same

EXAMPLES = ("dual", "dual-switch", "mesh-3", "ring-4")
FIRST = "spark-1"
SHORT = ("dual", "NetworkManager")
CELLS = [
    *(
        pytest.param(example, renderer, 1, marks=[] if (example, renderer) == SHORT else pytest.mark.more, id=f"{example}-{renderer}-1")
        for example in EXAMPLES
        for renderer in ("networkd", "NetworkManager")
    ),
    *(pytest.param(e, r, 3, marks=pytest.mark.long, id=f"{e}-{r}-3") for e in EXAMPLES for r in ("networkd", "NetworkManager")),
]
# What can be moved, on both rails of the first node: each gives its rail an address of its own.
NETWORK = """
printf '[Match]\\nName={dev}\\n\\n[Network]\\nAddress=192.168.20{rail}.1/24\\nLinkLocalAddressing=no\\n' >/etc/systemd/network/05-cx7-{rail}.network
networkctl reload; networkctl reconfigure {dev}
"""
PROFILE = """
nmcli connection add type ethernet con-name 'cx7 {rail}' ifname {dev} ipv4.method manual ipv4.addresses 192.168.20{rail}.1/24 ipv6.method disabled
nmcli connection up 'cx7 {rail}'
"""
SAVE = "mkdir /root/kept; cp -a /etc/systemd/network/05-cx7-* /etc/NetworkManager/system-connections/cx7* /root/kept/ 2>/dev/null; ls /root/kept"
AGAIN_NETWORK = "cp -a /root/kept/* /etc/systemd/network/; networkctl reload; networkctl reconfigure {dev}"
AGAIN_PROFILE = "cp -a /root/kept/* /etc/NetworkManager/system-connections/; nmcli connection reload; nmcli connection up 'cx7 {rail}'"
STATE = """
for file in /etc/systemd/network/*.network /etc/NetworkManager/system-connections/*; do
  [ ! -f "$file" ] || { stat -c '%a %U %Y %n' "$file"; sha256sum "$file"; }
done
ip -4 -o addr show | awk '$2 ~ /np[01]$/ && $4 !~ /^169/ {print $2, $4}' | sort
! command -v nmcli >/dev/null || nmcli -t -f NAME,DEVICE connection show --active | grep cx7 | sort
"""


class Refused(NamedTuple):
    """What cannot be moved: how it comes, how it goes, and what is said of it."""

    plant: str
    away: str
    words: str


# On the first rail of the last node.
BRIDGE = Refused("ip link add br9 type bridge; ip link set {dev} master br9", "ip link set {dev} nomaster; ip link del br9", "(br9) also has {dev}")
IFUPDOWN = Refused(
    "mkdir -p /etc/network; printf 'auto {dev}\\niface {dev} inet static\\n  address 10.9.0.1/24\\n' >/etc/network/interfaces; printf '#!/bin/sh\\n' >/sbin/ifup",
    "rm -r /etc/network /sbin/ifup",
    "/etc/network/interfaces (ifupdown) also has {dev}",
)
UNMANAGED = Refused(
    "printf '[keyfile]\\nunmanaged-devices=interface-name:{dev}\\n' >/etc/NetworkManager/conf.d/99-cx7.conf; nmcli general reload conf",
    "rm /etc/NetworkManager/conf.d/99-cx7.conf; nmcli general reload conf; sleep 1",
    "/etc/NetworkManager/conf.d/99-cx7.conf (NetworkManager) also has {dev}",
)


def rails(rig: Rig, node: str) -> list[str]:
    """The first two netdevs of a node."""
    found = study(rig.inventory).fabric
    assert found is not None
    return [each.netdev for each in found.of(node)[:2]]


def reboot(rig: Rig) -> None:
    for verb in ("kill", "boot"):
        for node in rig.state.nodes:
            rig.fault(verb, node.name)


def states(rig: Rig, code: int = 0, seconds: float = 30) -> dict[str, set[str]]:
    """By check, once `verify` ends with `code`: a renderer takes a moment after a boot."""
    deadline = time.monotonic() + seconds
    while (ended := rig.cluster("verify", "--json")).code != code and time.monotonic() < deadline:
        time.sleep(1)
    assert ended.code == code, ended.out[-3000:] + ended.err
    found: dict[str, set[str]] = {}
    for verdict in ended.json["verdicts"]:  # type: ignore[attr-defined]
        found.setdefault(verdict["id"], set()).add(verdict["state"])
    return found


def on_each_rail(rig: Rig, script: str) -> None:
    rig.root(FIRST, "\n".join(script.format(dev=dev, rail=rail) for rail, dev in enumerate(rails(rig, FIRST))))


def refused(rig: Rig, kinds: list[Refused]) -> None:
    """All of them at once, each by its name, and nothing is changed; then they go."""
    node = rig.state.nodes[-1].name
    dev = rails(rig, node)[0]
    try:
        for kind in kinds:
            rig.root(node, kind.plant.format(dev=dev))
        ended = rig.cluster("up", "--yes", "--take-over")
        assert ended.code == 4 and all(kind.words.format(dev=dev) in ended.err for kind in kinds), ended.err
        assert "192.168.20" not in ended.err, "what can be moved is no obstacle"
    finally:
        for kind in kinds:
            rig.root(node, kind.away.format(dev=dev))


@pytest.mark.parametrize(("example", "renderer", "boots"), CELLS)
def test_owners_are_named_taken_over_and_given_back(example: str, renderer: str, boots: int, labs: Labs, request: pytest.FixtureRequest) -> None:
    by_nm = renderer == "NetworkManager"
    kind = LabKind(f"test-own-{example}-{'nm' if by_nm else 'nd'}", fabric(example), renderer, used=not by_nm)
    rig = labs.of(kind, request.node.nodeid)
    on_each_rail(rig, PROFILE if by_nm else NETWORK)
    rig.root(FIRST, SAVE)
    before = {FIRST: rig.root(FIRST, STATE)}
    assert before[FIRST].count("192.168.20") == 2, before[FIRST]
    named = rig.cluster("plan")
    assert named.code == 4 and named.err.count("192.168.20") == 2 and "--take-over" in named.err, named.err
    refused(rig, [BRIDGE, IFUPDOWN, *([UNMANAGED] if by_nm else [])])
    up = rig.cluster("up", "--yes", "--take-over")
    assert up.code == 0, up.err
    for _ in range(boots):
        reboot(rig)
        found = states(rig)
        assert found["next-boot"] == found["rail-address"] == found["rail-ping"] == {"pass"}
    if boots > 1:
        comes_true(rig, AGAIN_PROFILE if by_nm else AGAIN_NETWORK)
    down = rig.cluster("down", "--yes")
    assert down.code == 0, down.err
    after, deadline = {FIRST: rig.root(FIRST, STATE)}, time.monotonic() + 15
    while after != before and time.monotonic() < deadline:
        time.sleep(0.5)
        after = {FIRST: rig.root(FIRST, STATE)}
    same(before, after)


def comes_true(rig: Rig, again: str) -> None:
    """The owners are there again: verify says who has the rails at the next boot, and that is so."""
    on_each_rail(rig, again)
    assert "fail" in states(rig, code=7)["next-boot"]
    reboot(rig)
    assert "192.168.20" in rig.root(FIRST, f"sleep 5; {STATE}")
    taken = rig.cluster("up", "--yes", "--take-over")
    assert taken.code == 0, taken.err
    assert states(rig)["next-boot"] == {"pass"}
