"""Owners of fabric netdevs that are no netplan files: who is named, what may be moved aside, and that no secret is told."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from sparkctl.errors import Refused
from sparkctl.fabric.ports import MANAGEMENT
from sparkctl.facts.foreign import ForeignFile
from sparkctl.facts.owners import parse
from sparkctl.facts.record import FileRecord, Record
from sparkctl.inventory.names import NETWORKS, PROFILES, may_change
from sparkctl.outcome import Unknown
from sparkctl.plan.changes import FileChange, FileImage
from sparkctl.plan.diff import Wishes, beside, obstacles
from sparkctl.plan.steps import plan_down
from tests.unit.test_foreign import FABRIC, PROGRAM, Machine
from tests.unit.test_foreign import machine as machine  # a fixture
from tests.unit.test_plan import CLUSTER, FakeNode, desired, planned

OWNERS = PROGRAM.with_name("owners.py")
BY_NM = "network: {version: 2, renderer: NetworkManager}\n"
UUID = "06068768-b754-4157-9975-56de0d9d4952"
PROFILE = f"[connection]\nid=cx7 port0 a\nuuid={UUID}\ntype=ethernet\n%s\n[ipv4]\naddress1=10.0.7.1/30\nmethod=manual\n"
BOUND = PROFILE % "interface-name=enp1s0f1np1"
NETWORK = "[Match]\nName=%s\n\n[Network]\nAddress=10.66.0.2/24\n"
CONFIG = "[keyfile]\nunmanaged-devices=%s\n"


@pytest.fixture
def desk(machine: Machine) -> Machine:
    """A Spark whose network NetworkManager has; its configuration keeps it away from nothing."""
    machine.write("/etc/netplan/01-network-manager-all.yaml", BY_NM)
    machine.write("/usr/sbin/NetworkManager", '#!/bin/sh\n[ "$1" = --print-config ] && cat "$SPARKCTL_ROOT"/printed\n', 0o755)
    machine.write("/printed", "[main]\nplugins=keyfile\n")
    return machine


def ran(machine: Machine) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-c", OWNERS.read_text(), PROGRAM.read_text(), *FABRIC]
    env = {"SPARKCTL_ROOT": str(machine.root), "PATH": f"{machine.root}/usr/sbin:/usr/bin:/bin"}
    return subprocess.run(line, capture_output=True, env=env, timeout=60, text=True)


def scan(machine: Machine) -> tuple[ForeignFile, ...]:
    done = ran(machine)
    assert done.returncode == 0, done.stderr
    return parse(done.stdout)


def only(machine: Machine) -> ForeignFile:
    (found,) = scan(machine)
    return found


# --- NetworkManager ---------------------------------------------------------------------------------------------


def test_a_profile_is_named_and_may_go(desk: Machine) -> None:
    desk.write(f"{PROFILES}cx7 port0 a.nmconnection", BOUND)
    found = only(desk)
    assert (found.path, found.movable, found.after) == (f"{PROFILES}cx7 port0 a.nmconnection", True, "absent")
    assert found.who == "the profile cx7 port0 a of NetworkManager"
    (stanza,) = found.stanzas
    assert (stanza.kind, stanza.id, stanza.netdevs, stanza.says) == ("profile", UUID, ("enp1s0f1np1",), "manual 10.0.7.1/30")


def test_an_active_one_is_said_to_be(desk: Machine) -> None:
    desk.write(f"{PROFILES}a.nmconnection", BOUND)
    desk.write("/sys/class/net/enp1s0f1np1/ifindex", "7\n")
    desk.write("/run/NetworkManager/devices/7", f"[device]\nconnection-uuid={UUID}\n")
    assert only(desk).stanzas[0].says == "manual 10.0.7.1/30, active now"


@pytest.mark.parametrize(
    "line",
    [
        "interface-name=enp1s0f1np1\nautoconnect=true",
        "interface-name=enp1s0f1np1\nautoconnect-priority=10",
        "interface-name=enp1s0f1np1\nautoconnect-priority=99999",
        "interface-name=enp1s0f1np1\ninterface-name=enp1s0f1np1",
        "[ethernet]\nmac-address=4C:BB:47:00:00:02",
        "[802-3-ethernet]\nmac-address=4c:bb:47:00:00:02",
        "[match]\ninterface-name=enp1*np1;",
        "[match]\ndriver=mlx5*\ninterface-name=!enp1s0f0np0;!enP*;!wl*",
    ],
)
def test_profiles_that_may_start(desk: Machine, line: str) -> None:
    macs = {name: desk.root / f"sys/class/net/{name}/address" for name in ("enp1s0f1np1", "enp1s0f0np0")}
    macs["enp1s0f1np1"].write_text("4c:bb:47:00:00:02\n")
    macs["enp1s0f0np0"].write_text("4c:bb:47:00:00:99\n")
    for other in ("enP2p1s0f0np0", "enP2p1s0f1np1"):
        (desk.root / f"sys/class/net/{other}/address").write_text("4c:bb:47:00:01:00\n")
    desk.write(f"{PROFILES}a.nmconnection", PROFILE % line)
    found = only(desk)
    assert found.stanzas[0].netdevs == ("enp1s0f1np1",) and found.movable, found.why_not


@pytest.mark.parametrize(
    "line",
    [
        "interface-name=enp1s0f1np1\nautoconnect=false",
        "interface-name=enp1s0f1np1\nautoconnect-priority=-999",
        "interface-name=enp1s0f0np0",
        f"interface-name={MANAGEMENT}",
        "[ethernet]\nmac-address=4C:BB:47:00:00:10",
        "[match]\ninterface-name=!en*;",
    ],
)
def test_profiles_that_cannot(desk: Machine, line: str) -> None:
    desk.write(f"{PROFILES}a.nmconnection", PROFILE % line)
    assert scan(desk) == ()


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        (f"{PROFILES}a.nmconnection", PROFILE % "", f"sudo nmcli connection modify {UUID} connection.interface-name {MANAGEMENT}"),
        (f"{PROFILES}a.nmconnection", PROFILE % "interface-name=enp1s0f1np1\ncontroller=bond0", "port of bond0"),
        (f"{PROFILES}a.nmconnection", PROFILE.replace("ethernet", "vlan") % "[vlan]\nparent=enp1s0f1np1", "built on"),
        ("/run/NetworkManager/system-connections/a.nmconnection", BOUND, "another program"),
        ("/usr/lib/NetworkManager/system-connections/a.nmconnection", BOUND, "package"),
        (f"{PROFILES}a\x1b[2J.nmconnection", BOUND, "unusual"),
        (f"{PROFILES}a.nmconnection", "[connection]\n" + "x" * (1 << 16), "larger"),
    ],
)
def test_profiles_that_are_refused(desk: Machine, path: str, text: str, words: str) -> None:
    desk.write(path, text)
    found = only(desk)
    assert not found.movable and words in found.why_not, found


def test_one_that_uncovers_another_or_is_a_link_stays(desk: Machine) -> None:
    desk.write(f"{PROFILES}a.nmconnection", BOUND)
    desk.write("/usr/lib/NetworkManager/system-connections/b.nmconnection", BOUND)
    assert "its uuid" in scan(desk)[0].why_not
    (desk.root / "usr/lib/NetworkManager/system-connections/b.nmconnection").unlink()
    os.link(desk.root / PROFILES[1:] / "a.nmconnection", desk.root / "elsewhere")
    assert "second name" in scan(desk)[0].why_not


def test_what_networkmanager_passes_over_is_no_owner(desk: Machine) -> None:
    for name in (".a.nmconnection.before-sparkctl", "a.nmconnection~", "key.pem"):
        desk.write(f"{PROFILES}{name}", BOUND)
    desk.write("/run/NetworkManager/system-connections/netplan-enp1s0f1np1.nmconnection", BOUND)
    (desk.root / PROFILES[1:] / "folder").mkdir()
    assert scan(desk) == ()


def test_a_secret_is_never_told(desk: Machine) -> None:
    desk.write(f"{PROFILES}a.nmconnection", BOUND + "[802-1x]\npassword=hunter2hunter2\nidentity=hunter3\n[ipv4]\ndns=hunter4\n")
    said = ran(desk).stdout
    assert UUID in said and "hunter" not in said


@pytest.mark.parametrize("specs", ["interface-name:enp1s0f*;interface-name:enP2p1s0f*", "*,except:type:wifi", "type:ethernet", "4c:bb:47:00:00:02", "mac:4C:BB:47:00:00:02", "driver:mlx5_core", "interface-name:=enp1s0f1np1"])
def test_unmanaged_devices_name_their_file(desk: Machine, specs: str) -> None:
    (desk.root / "sys/class/net/enp1s0f1np1/address").write_text("4c:bb:47:00:00:02\n")
    desk.write("/etc/NetworkManager/conf.d/99-cx7.conf", CONFIG % specs)
    desk.write("/printed", CONFIG % specs)
    found = only(desk)
    assert found.path == "/etc/NetworkManager/conf.d/99-cx7.conf" and "enp1s0f1np1" in found.stanzas[0].netdevs
    assert not found.movable and "renderer: networkd" in found.why_not


@pytest.mark.parametrize("specs", ["", "interface-name:wl*", "*,except:interface-name:en*", "type:wifi", "interface-name:=enp1s0f*"])
def test_other_unmanaged_devices(desk: Machine, specs: str) -> None:
    desk.write("/printed", CONFIG % specs)
    assert scan(desk) == ()


def test_a_device_section_without_management(desk: Machine) -> None:
    desk.write("/printed", "[device-cx7]\nmatch-device=interface-name:enp1s0f1np1\nmanaged=0\n[ifupdown]\nmanaged=false\n")
    assert only(desk).stanzas[0].netdevs == ("enp1s0f1np1",)


def test_a_configuration_that_cannot_be_read_is_not_taken_for_none(desk: Machine) -> None:
    (desk.root / "usr/sbin/NetworkManager").unlink()
    assert ran(desk).returncode == 1


def test_profiles_are_nothing_where_networkd_has_the_network(machine: Machine) -> None:
    machine.write(f"{PROFILES}a.nmconnection", BOUND)
    assert scan(machine) == ()


# --- networkd, ifupdown, other netdevs --------------------------------------------------------------------------


def test_a_file_of_networkd(machine: Machine) -> None:
    machine.write(f"{NETWORKS}05-cx7.network", NETWORK % "enp1s0f1np1", 0o644)
    found = only(machine)
    assert found.movable and found.stanzas[0].says == "Address 10.66.0.2/24" and found.mode == 0o644


@pytest.mark.parametrize("name", ["20-cx7.network", "10-netplan-x.network", "05-cx7.link"])
def test_later_files_of_networkd_and_others(machine: Machine, name: str) -> None:
    machine.write(f"{NETWORKS}{name}", NETWORK % "enp1s0f1np1")
    assert scan(machine) == ()


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        (f"{NETWORKS}05-x.network", NETWORK % "en*", "also for enP2p1s0f0np0, enP7s7"),
        (f"{NETWORKS}05-x.network", NETWORK % "!wl*", "also for enP2p1s0f0np0, enP7s7"),
        (f"{NETWORKS}05-x.network", NETWORK % "enp1s0f1np1" + "Bond=bond0\n", "bond0"),
        (f"{NETWORKS}10-netplan-enp1s0f1np1.network.d/x.conf", "[Network]\nDHCP=yes\n", "changes what netplan writes"),
        ("/run/systemd/network/05-x.network", NETWORK % "enp1s0f1np1", "another program"),
        ("/usr/lib/systemd/network/05-x.network", NETWORK % "enp1s0f1np1", "package"),
    ],
)
def test_files_of_networkd_that_are_refused(machine: Machine, path: str, text: str, words: str) -> None:
    machine.write(path, text)
    found = only(machine)
    assert not found.movable and words in found.why_not


def test_a_file_that_is_hidden_or_matches_nothing(machine: Machine) -> None:
    machine.write("/usr/lib/systemd/network/05-x.network", NETWORK % "enp1s0f1np1")
    machine.write(f"{NETWORKS}05-x.network", "")
    assert scan(machine) == ()


def test_networkd_counts_beside_networkmanager_where_it_starts(desk: Machine) -> None:
    desk.write(f"{NETWORKS}05-cx7.network", NETWORK % "enp1s0f1np1")
    assert scan(desk) == ()
    desk.write("/etc/systemd/system/multi-user.target.wants/systemd-networkd.service", "")
    assert only(desk).path == f"{NETWORKS}05-cx7.network"


def test_ifupdown(machine: Machine) -> None:
    machine.write("/etc/network/interfaces", "source /etc/network/more/*\nauto lo\niface lo inet loopback\n")
    machine.write("/etc/network/more/cx7", "auto enp1s0f1np1\niface enp1s0f1np1 inet static\n  address 10.0.0.1/24\n")
    assert scan(machine) == (), "nothing reads it"
    machine.write("/sbin/ifup", "", 0o755)
    found = only(machine)
    assert (found.path, found.who, found.movable) == ("/etc/network/more/cx7", "ifupdown", False)


def test_a_port_of_a_bond(machine: Machine) -> None:
    (machine.root / "sys/class/net/enp1s0f1np1/master").symlink_to("../bond0")
    found = only(machine)
    assert found.who == "bond0" and "sudo ip link set enp1s0f1np1 nomaster" in found.why_not


def test_every_name_that_may_go_is_one_that_may_be_put_back() -> None:
    space: dict[str, object] = {}
    exec(OWNERS.read_text().split("# --- files")[0].replace("exec(sys.argv[1], vars(foreign))\nROOT, shown = foreign.ROOT, foreign.shown", ""), space)
    for name in ("a", "Wired connection 1.nmconnection", "a (1)", " a", "a ", ".a", "a;b", "a\nb", "ä", "a/b", "..", "$(x)"):
        assert bool(space["NAME"].fullmatch(name)) == may_change(f"{PROFILES}{name}"), name  # type: ignore[attr-defined]


# --- plans ------------------------------------------------------------------------------------------------------


def owned(path: str = f"{PROFILES}cx7 port0 a.nmconnection", movable: bool = True) -> str:
    case = Path(__file__).parents[1] / "cases/facts/owners/profile/input.txt"
    text = case.read_text().replace(f"{PROFILES}cx7 port0 a.nmconnection", path)
    return text if movable else text.replace('"movable": true', '"movable": false').replace('"why_not": ""', '"why_not": "by hand"')


def nodes(**owners: str) -> dict[str, FakeNode]:
    return {node.name: FakeNode(node.name, owners=owners.get(node.name.replace("-", "_"), "")) for node in CLUSTER.nodes}


def test_an_owner_is_refused_by_name_and_taken_over_when_asked() -> None:
    with pytest.raises(Refused) as refused:
        planned(nodes(spark_2=owned()))
    assert all(word in str(refused.value) for word in ("spark-2", "cx7 port0 a", UUID, "10.0.7.1/30", "--take-over"))
    plan = planned(nodes(spark_2=owned()), wishes=Wishes(take_over=True))
    (change,) = (c for c in plan.files("spark-2") if c.aside)
    assert change.after is None and list(change.members(0, {})) == [] and list(change.drafts(0)) == []
    kept = plan.records["spark-2"]
    assert kept is not None
    (name,) = (f.baseline for f in kept.files.values() if f.aside)
    assert name == "etc_NetworkManager_system-connections_cx7_port0_a.nmconnection." + ("ab" * 32)[:12]
    node = replace(nodes()["spark-2"], record=kept)
    (back,) = (c for c in plan_down(CLUSTER.name, {"spark-2": node.facts()}).files("spark-2") if c.path == change.path)
    assert back.baseline == name and back.after is not None and back.after.digest == "ab" * 32


def test_one_that_cannot_be_moved_stays_refused() -> None:
    with pytest.raises(Refused, match="by hand"):
        planned(nodes(spark_1=owned(movable=False)), wishes=Wishes(take_over=True))


def test_unknown_owners_stop_up_and_not_down() -> None:
    facts = replace(nodes()["spark-1"].facts(), owners=Unknown("status 1"))
    assert any("owners of netdevs: status 1" in reason for reason in obstacles(CLUSTER.name, facts, desired()["spark-1"].attachments))
    assert list(obstacles(CLUSTER.name, facts, ())) == []


def test_the_fingerprint_is_that_of_old_where_there_is_none_and_knows_one() -> None:
    without, with_one = (FakeNode("spark-1", owners=text).facts() for text in ("", owned()))
    idle = FakeNode("spark-1", owners=owned().replace(", active now", "")).facts()
    assert without.fingerprint(()) != with_one.fingerprint(()) == idle.fingerprint(())
    assert replace(without, owners=Unknown("x")).fingerprint(()) != without.fingerprint(())


@pytest.mark.parametrize(
    ("after", "aside", "baseline"),
    [
        (FileImage(digest="d", mode=0o600, content="[connection]"), (), None),
        (FileImage(digest="d", mode=0o600), ("enp1s0f1np1",), None),
        (None, (), None),
    ],
)
def test_an_owners_file_is_never_written_nor_removed_for_good(after: FileImage | None, aside: tuple[str, ...], baseline: str | None) -> None:
    with pytest.raises(ValidationError):
        FileChange(stage="network", reason="", path=f"{PROFILES}a", before=None, after=after, aside=aside, baseline=baseline)


def test_a_record_names_an_owner_only_as_taken_over() -> None:
    for aside in (True, False):
        files = {f"{NETWORKS}05-x.network": FileRecord(digest="absent", mode=0, stage="network", aside=aside)}
        if aside:
            Record(cluster="x", files=files)
        else:
            with pytest.raises(ValidationError):
                Record(cluster="x", files=files)


def test_what_cannot_be_put_back_is_laid_where_networkmanager_does_not_read() -> None:
    assert beside(f"{PROFILES}a b") == f"{PROFILES}.a b.before-sparkctl"
    assert beside("/etc/netplan/a.yaml") == "/etc/netplan/a.yaml.before-sparkctl"
