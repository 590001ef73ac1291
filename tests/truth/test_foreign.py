"""The real netplan agrees: what a foreign file does to the fabric, and that after a cut all else is generated as before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.test_foreign import CASES, CX7, EUGR, FABRIC, HEAD, MANAGED, NM, SYNC, Machine

Real = Callable[..., Any]
REFUSED_BY_NETPLAN = {
    "byte order mark": "netplan 0.106 does not know it",
    "a section twice": "made of what cannot be together",
    "a block scalar": "an MTU of two lines",
    "an anchor elsewhere": "an id that is no netdev",
}
FAMOUS = {
    "40-cx7.yaml": CX7,
    "99-nvidia-sync-cluster.yaml": SYNC,
    "98-spark-vllm-docker.yaml": EUGR,
    "90-NM-14f.yaml": NM % "{name: enp1s0f1np1}",
}
ONLY_WITH_MANAGER = "NetworkManager/conf.d/10-globally-managed-devices.conf"
NAMES = {*FABRIC, "NM-14f59568-5076-387a-aef6-10adfcca2e26"}


def generated(real: Real, machine: Machine) -> dict[str, str]:
    """What netplan makes of the machine's files, by path and, for udev's rules, line by line."""
    made = real(["netplan", "generate", "--root-dir", str(machine.root)])
    assert made.returncode == 0, made.stderr
    run = machine.root / "run"
    texts = {str(p.relative_to(run)): p.read_text() for p in sorted(run.rglob("*")) if p.is_file() and "netplan/" not in str(p.relative_to(run))}
    rules = {f"rule {line}": line for name, text in texts.items() if name.endswith(".rules") for line in text.splitlines()}
    return {name: text for name, text in texts.items() if not name.endswith(".rules")} | rules


def without_fabric(found: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in found.items() if not any(netdev in name for netdev in NAMES)}


def cleared(machine: Machine) -> None:
    for path in sorted((machine.root / "run").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def cut(machine: Machine, where: Path) -> None:
    found = machine.only()
    assert found.movable, found.why_not
    left = machine.excise(found.path)
    assert (left == "absent") == (found.after == "absent")
    if isinstance(left, bytes):
        where.write_bytes(left)
    else:
        where.unlink()


@pytest.mark.parametrize("name", FAMOUS)
@pytest.mark.parametrize("renderer", ["networkd", "NetworkManager"])
def test_the_famous_files(name: str, renderer: str, tmp_path: Path, real: Real) -> None:
    machine = Machine(tmp_path)
    where = machine.write(f"/etc/netplan/{name}", FAMOUS[name])
    machine.write("/etc/netplan/50-cloud-init.yaml", MANAGED.replace("version: 2", f"version: 2\n  renderer: {renderer}"))
    before = generated(real, machine)
    assert without_fabric(before) != before, "the file does something to the fabric"
    cut(machine, where)
    cleared(machine)
    before.pop(ONLY_WITH_MANAGER, None)
    after = generated(real, machine)
    assert (ONLY_WITH_MANAGER in after) == (renderer == "NetworkManager"), "the rest keeps its renderer"
    after.pop(ONLY_WITH_MANAGER, None)
    assert after == without_fabric(before)


@pytest.mark.parametrize("name", [name for name in CASES if name not in REFUSED_BY_NETPLAN])
def test_every_cut(name: str, tmp_path: Path, real: Real) -> None:
    machine = Machine(tmp_path)
    text = CASES[name][0].replace("mtu: 1}", "mtu: 1280}").replace("mtu: 1\n", "mtu: 1280\n").replace("wl: {dhcp4: yes}", WIFI)
    where = machine.write("/etc/netplan/10-user.yaml", text.replace("w: {}", f"w{WIFI[2:]}"))
    before = generated(real, machine)
    assert without_fabric(before) != before
    cut(machine, where)
    cleared(machine)
    assert generated(real, machine) == without_fabric(before)


WIFI = "wl: {dhcp4: yes, access-points: {a: {}}}"


@pytest.mark.parametrize("match", ["{}", "{name: 'en*'}", "{driver: mlx5_core}", "{name: enp1s0f1np1}"])
def test_a_leftover_match_reaches_the_fabric(match: str, tmp_path: Path, real: Real) -> None:
    """`match: {}` is everything: netplan writes an empty [Match], as we read it."""
    machine = Machine(tmp_path)
    machine.netdev("enp1s0f1np1", "4c:bb:47:00:00:02")
    machine.write("/etc/netplan/10-user.yaml", HEAD + f"    any: {{match: {match}, dhcp4: true}}\n")
    text = generated(real, machine)["systemd/network/10-netplan-any.network"]
    asked = text.split("[Match]\n")[1].split("\n[")[0].strip()
    assert bool(asked) == (match != "{}")
    assert "enp1s0f1np1" in machine.only().stanzas[0].netdevs


def test_hiding_and_merging_are_netplans(tmp_path: Path, real: Real) -> None:
    machine = Machine(tmp_path)
    machine.write("/etc/netplan/40-x.yaml", EUGR)
    machine.write("/run/netplan/40-x.yaml", MANAGED)
    machine.write("/lib/netplan/10-a.yaml", HEAD + "    rail: {match: {name: enp1s0f1np1}}\n")
    machine.write("/etc/netplan/20-b.yaml", HEAD + "    rail: {mtu: 9000}\n")
    machine.write("/etc/netplan/.30-c.yaml", EUGR)
    made = generated(real, machine)
    assert not any("10.20." in text for text in made.values())
    assert "enp1s0f1np1" in made["systemd/network/10-netplan-rail.network"] and "9000" in made["systemd/network/10-netplan-rail.network"]
    assert [file.path for file in machine.scan()] == ["/lib/netplan/10-a.yaml", "/etc/netplan/20-b.yaml"]


def test_two_files_give_two_addresses(tmp_path: Path, real: Real) -> None:
    """Why foreign files matter at all: lists of several files are joined."""
    machine = Machine(tmp_path)
    machine.write("/etc/netplan/95-sparkctl.yaml", HEAD + "    enp1s0f1np1: {addresses: [10.20.0.11/24]}\n")
    machine.write("/etc/netplan/99-nvidia-sync-cluster.yaml", SYNC)
    text = generated(real, machine)["systemd/network/10-netplan-enp1s0f1np1.network"]
    assert "Address=10.20.0.11/24" in text and "Address=10.100.0.1/24" in text
