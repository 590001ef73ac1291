"""Foreign netplan files: who touches the fabric, what may be moved aside, and that a cut takes the stanzas and nothing else."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sparkctl.fabric.ports import MANAGEMENT, NETDEVS
from sparkctl.facts.foreign import ForeignFile, ForeignStanza, parse, parse_files

PROGRAM = Path(__file__).parents[2] / "templates" / "facts" / "foreign.py"
OURS = "/etc/netplan/95-sparkctl.yaml"
FABRIC = ("enp1s0f1np1", "enP2p1s0f1np1")
SPEC = importlib.util.spec_from_file_location("foreign_program", PROGRAM)
assert SPEC is not None and SPEC.loader is not None
program: Any = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(program)

HEAD = "network:\n  version: 2\n  ethernets:\n"
CX7 = HEAD + "".join(f"    {netdev}:\n      link-local: [ ipv4 ]\n" for netdev in NETDEVS)
SYNC = HEAD + (
    "    enp1s0f1np1:\n      dhcp4: false\n      mtu: 9000\n      addresses:\n        - 10.100.0.1/24\n"
    "    enP2p1s0f1np1:\n      dhcp4: false\n      mtu: 9000\n      addresses:\n        - 10.100.1.1/24\n"
)
EUGR = HEAD + "".join(f"    {n}:\n      addresses: [10.20.{i}.11/24]\n      mtu: 9000\n" for i, n in enumerate(FABRIC))
NM = """network:
  version: 2
  ethernets:
    NM-14f59568-5076-387a-aef6-10adfcca2e26:
      renderer: NetworkManager
      match: %s
      dhcp4: true
      networkmanager:
        uuid: "14f59568-5076-387a-aef6-10adfcca2e26"
        name: "Wired connection 1"
        passthrough:
          connection.timestamp: "1698738534"
"""
MANAGED = HEAD + f"    {MANAGEMENT}:\n      dhcp4: true\n"


@dataclass
class Machine:
    """A tree that looks like a node's files."""

    root: Path

    def write(self, path: str, content: str | bytes, mode: int = 0o600) -> Path:
        where = self.root / path.lstrip("/")
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_bytes(content.encode() if isinstance(content, str) else content)
        where.chmod(mode)
        return where

    def netdev(self, name: str, mac: str, driver: str = "mlx5_core", kind: str = "1") -> None:
        self.write(f"/sys/class/net/{name}/type", kind + "\n", 0o644)
        self.write(f"/sys/class/net/{name}/address", mac + "\n", 0o644)
        device = self.root / f"sys/class/net/{name}/device"
        device.mkdir()
        (device / "driver").symlink_to(f"../../bus/pci/drivers/{driver}")

    def run(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        line = [sys.executable, "-c", PROGRAM.read_text(), *words]
        return subprocess.run(line, capture_output=True, env={"SPARKCTL_ROOT": str(self.root)}, timeout=60)

    def scan(self) -> tuple[ForeignFile, ...]:
        done = self.run("scan", OURS, *FABRIC)
        assert done.returncode == 0, done.stderr
        return parse(done.stdout.decode())

    def only(self) -> ForeignFile:
        (found,) = self.scan()
        return found

    def excise(self, path: str) -> bytes | str:
        """The rest, or `absent`, or the words of a refusal."""
        done = self.run("excise", path, OURS, *FABRIC)
        return {0: done.stdout, 44: "absent"}.get(done.returncode, done.stderr.decode())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A Spark: four fabric netdevs, management, Wi-Fi, docker's bridge."""
    made = Machine(tmp_path)
    for number, name in enumerate(NETDEVS):
        made.netdev(name, f"4c:bb:47:00:00:{number:02x}")
    made.netdev(MANAGEMENT, "4c:bb:47:00:00:10", "r8127")
    made.netdev("wlP9s9", "4c:bb:47:00:00:20", "mt7925e")
    (tmp_path / "sys/class/net/wlP9s9/wireless").mkdir()
    made.netdev("docker0", "02:42:00:00:00:01", "none")
    (tmp_path / "sys/class/net/docker0/bridge").mkdir()
    made.netdev("lo", "00:00:00:00:00:00", "none", kind="772")
    return made


# --- the files that everybody meets -----------------------------------------------------------------------------


def test_nothing_foreign(machine: Machine) -> None:
    machine.write("/etc/netplan/50-cloud-init.yaml", MANAGED)
    machine.write(OURS, HEAD + "    enp1s0f1np1: {mtu: 9000}\n")
    assert machine.scan() == ()


def test_the_files_of_nvidia_keep_the_other_port(machine: Machine) -> None:
    machine.write("/etc/netplan/40-cx7.yaml", CX7)
    found = machine.only()
    assert (found.who, found.movable, found.why_not) == ("the cluster helper of NVIDIA", True, "")
    assert [(s.id, s.netdevs, s.others, s.how) for s in found.stanzas] == [(n, (n,), (), "is its name") for n in FABRIC]
    left = machine.excise(found.path)
    others = [netdev for netdev in NETDEVS if netdev not in FABRIC]
    assert left == (HEAD + "".join(f"    {n}:\n      link-local: [ ipv4 ]\n" for n in others)).encode()


@pytest.mark.parametrize(
    ("name", "text", "who", "says"),
    [
        ("99-nvidia-sync-cluster.yaml", SYNC, "NVIDIA Sync", "addresses 10.100.0.1/24, mtu 9000"),
        ("98-spark-vllm-docker.yaml", EUGR, "spark-vllm-docker", "addresses 10.20.0.11/24, mtu 9000"),
    ],
)
def test_files_that_are_all_fabric_go(machine: Machine, name: str, text: str, who: str, says: str) -> None:
    machine.write(f"/etc/netplan/{name}", text)
    found = machine.only()
    assert (found.who, found.movable, found.after, found.mode) == (who, True, "absent", 0o600)
    assert found.stanzas[0].says == says
    assert machine.excise(found.path) == "absent"


def test_a_profile_of_networkmanager_with_a_name(machine: Machine) -> None:
    machine.write("/etc/netplan/90-NM-14f.yaml", NM % "{name: enp1s0f1np1}")
    found = machine.only()
    assert (found.who, found.movable, found.after) == ("NetworkManager", True, "absent")
    assert (found.stanzas[0].how, found.stanzas[0].says) == ("matches name enp1s0f1np1", "dhcp4, renderer NetworkManager, and networkmanager")


def test_a_profile_for_everything_says_how_to_bind_it(machine: Machine) -> None:
    machine.write("/etc/netplan/90-NM-14f.yaml", NM % "{}")
    machine.write("/etc/netplan/50-cloud-init.yaml", MANAGED)
    found = machine.only()
    assert found.stanzas[0].how == "matches every ethernet netdev"
    assert set(found.stanzas[0].netdevs) == set(FABRIC) and MANAGEMENT in found.stanzas[0].others
    assert not found.movable
    assert "nmcli connection modify 14f59568-5076-387a-aef6-10adfcca2e26 connection.interface-name" in found.why_not
    assert MANAGEMENT not in found.why_not, "management has a stanza of its own"
    assert "nmcli" in machine.excise(found.path)  # type: ignore[operator]


def test_a_profile_for_everything_goes_where_all_else_is_defined(machine: Machine) -> None:
    machine.write("/etc/netplan/90-NM-14f.yaml", NM % "{}")
    rest = [MANAGEMENT, *(n for n in NETDEVS if n not in FABRIC)]
    machine.write("/etc/netplan/50-mine.yaml", HEAD + "".join(f"    {n}: {{dhcp4: true}}\n" for n in rest))
    assert (machine.only().movable, machine.only().after) == (True, "absent")


def test_a_user_who_matches_everything_may_mean_it(machine: Machine) -> None:
    """networkd takes the first match: without this stanza other netdevs could be set up differently."""
    machine.write("/etc/netplan/10-all.yaml", HEAD + "    all:\n      match: {}\n      dhcp4: true\n")
    machine.write("/etc/netplan/50-mine.yaml", MANAGED)
    assert not machine.only().movable and "narrow this one" in machine.only().why_not


# --- ways to touch a netdev -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("match", "movable"),
    [
        ("{name: enp1s0f1*}", True),
        ('{name: "en[pP]*f1np1"}', True),
        ("{macaddress: '4C:BB:47:00:00:02'}", True),
        ("{name: enp1s0f1np1, driver: mlx5_core}", True),
        ("{driver: 'mlx5*', name: enp1s0f1np1}", True),
        ("{driver: [r8127, mlx5_core], name: 'enp1s0f1*'}", True),
        ("{name: 'en*'}", False),
        ("{driver: mlx5_core}", False),
        ("{name: '*'}", False),
    ],
)
def test_matches_that_catch_the_fabric(machine: Machine, match: str, movable: bool) -> None:
    machine.write("/etc/netplan/10-user.yaml", HEAD + f"    any:\n      match: {match}\n      dhcp4: true\n")
    found = machine.only()
    assert "enp1s0f1np1" in found.stanzas[0].netdevs and found.stanzas[0].how.startswith("matches ")
    assert found.movable is movable, found.why_not
    assert bool(found.stanzas[0].others) is not movable


@pytest.mark.parametrize(
    "match",
    ["{name: enp1s0f1np}", "{name: 'enP7*'}", "{driver: r8127}", "{macaddress: '4c:bb:47:00:00:10'}", "{name: enp1s0f1np1, driver: r8127}"],
)
def test_matches_that_do_not(machine: Machine, match: str) -> None:
    machine.write("/etc/netplan/10-user.yaml", HEAD + f"    any:\n      match: {match}\n      dhcp4: true\n")
    assert machine.scan() == ()


def test_an_id_of_ours_that_matches_another_netdev(machine: Machine) -> None:
    machine.write("/etc/netplan/10-odd.yaml", HEAD + f"    enp1s0f1np1: {{match: {{name: {MANAGEMENT}}}}}\n")
    assert machine.only().stanzas[0].others == (MANAGEMENT,) and not machine.only().movable


def test_a_match_in_one_file_counts_in_the_other(machine: Machine) -> None:
    machine.write("/etc/netplan/10-a.yaml", HEAD + "    rail:\n      match: {name: enp1s0f1np1}\n")
    machine.write("/etc/netplan/20-b.yaml", HEAD + "    rail:\n      mtu: 9000\n")
    assert [(f.path[-6:], f.stanzas[0].says) for f in machine.scan()] == [("a.yaml", ""), ("b.yaml", "mtu 9000")]


@pytest.mark.parametrize(
    "text",
    [
        "  bonds:\n    bond0: {interfaces: [enp1s0f1np1, enP7s7]}\n",
        "  bridges:\n    br0:\n      interfaces:\n      - enp1s0f1np1\n",
        "  vlans:\n    vlan5: {id: 5, link: enp1s0f1np1}\n",
        "  vrfs:\n    v: {table: 7, interfaces: [enp1s0f1np1]}\n",
        "  ethernets:\n    x: {match: {name: enp1s0f1np1}}\n  bonds:\n    b: {interfaces: [x]}\n",
        "  ethernets:\n    x: {match: {macaddress: '4c:bb:47:00:00:02'}, set-name: rail-a}\n",
        "  ethernets:\n    x: {match: {macaddress: 'aa:bb:47:00:00:02'}, set-name: enp1s0f1np1}\n",
        "  nm-devices:\n    NM-1: {networkmanager: {passthrough: {connection.interface-name: enp1s0f1np1}}}\n",
    ],
)
def test_what_is_built_on_the_fabric_is_left_to_people(machine: Machine, text: str) -> None:
    machine.write("/etc/netplan/10-user.yaml", "network:\n  version: 2\n" + text)
    found = machine.only()
    assert not found.movable and "by hand" in found.why_not, found
    assert "by hand" in machine.excise(found.path)  # type: ignore[operator]


# --- where a file lies, and what it is --------------------------------------------------------------------------


def test_read_order_and_hiding(machine: Machine) -> None:
    machine.write("/lib/netplan/40-x.yaml", CX7)
    machine.write("/etc/netplan/40-x.yaml", EUGR)
    machine.write("/run/netplan/20-a.yaml", EUGR)
    machine.write("/lib/netplan/30-b.yaml", EUGR)
    machine.write("/etc/netplan/.hidden.yaml", EUGR)
    machine.write("/etc/netplan/old.yaml.sync-disabled-1", EUGR)
    assert [file.path for file in machine.scan()] == ["/run/netplan/20-a.yaml", "/lib/netplan/30-b.yaml", "/etc/netplan/40-x.yaml"]
    run, lib, hiding = machine.scan()
    assert not run.movable and "every boot" in run.why_not
    assert not lib.movable and "package" in lib.why_not
    assert not hiding.movable and "/lib/netplan/40-x.yaml" in hiding.why_not


def test_a_file_that_hides_ours(machine: Machine) -> None:
    machine.write("/run/netplan/95-sparkctl.yaml", MANAGED)
    assert (machine.only().path, machine.only().movable) == ("/run/netplan/95-sparkctl.yaml", False)
    assert "hides" in machine.only().why_not


def test_links_and_strangers(machine: Machine) -> None:
    real = machine.write("/srv/real.yaml", EUGR)
    folder = machine.root / "etc/netplan"
    folder.mkdir(parents=True)
    (folder / "10-soft.yaml").symlink_to(real)
    (folder / "20-hard.yaml").hardlink_to(real)
    soft, hard = machine.scan()
    assert (soft.digest, soft.movable, hard.movable) == ("symlink", False, False)
    assert "link" in soft.why_not and "hard link" in hard.why_not


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_somebody_else(machine: Machine) -> None:
    os.chown(machine.write("/etc/netplan/10-user.yaml", EUGR), 1234, 1234)
    assert not machine.only().movable and "root" in machine.only().why_not and machine.only().uid == 1234


@pytest.mark.parametrize("text", ["network: {ethernets: {enp1s0f1np1: [}}\n", "a: b\tenp1s0f1np1: :\n  - x\n", b"\xffenp1s0f1np1"])
def test_what_cannot_be_read(machine: Machine, text: str | bytes) -> None:
    machine.write("/etc/netplan/10-broken.yaml", text)
    assert not machine.only().movable and "repair it" in machine.only().why_not


def test_alias_bombs_and_giants(machine: Machine) -> None:
    bomb = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9))
    machine.write("/etc/netplan/10-bomb.yaml", bomb + "z: enp1s0f1np1\n")
    machine.write("/etc/netplan/20-giant.yaml", "# enp1s0f1np1\n" + "#" * (1 << 17))
    assert [f.movable for f in machine.scan()] == [False, False]
    deep = "network: " + "[" * 5000
    machine.write("/etc/netplan/30-deep.yaml", deep + " enp1s0f1np1")
    assert len(machine.scan()) == 3


def test_secrets_stay(machine: Machine) -> None:
    secret = "hunter2hunter2"
    auth = f"      auth: {{key-management: '802.1x', password: {secret}}}\n      nameservers: {{search: [{secret}]}}\n"
    machine.write("/etc/netplan/10-user.yaml", HEAD + "    enp1s0f1np1:\n      dhcp4: yes\n" + auth)
    machine.write("/etc/netplan/20-broken.yaml", f"enp1s0f1np1: [{secret}")
    done = machine.run("scan", OURS, *FABRIC)
    assert len(done.stdout.splitlines()) == 2
    assert secret.encode() not in done.stdout + done.stderr


def test_control_characters_are_not_passed_on(machine: Machine) -> None:
    machine.write("/etc/netplan/10-user.yaml", HEAD + '    enp1s0f1np1: {mtu: "\\e[31m9000"}\n')
    assert machine.only().stanzas[0].says == "mtu _[31m9000"


# --- cutting ----------------------------------------------------------------------------------------------------

KEPT = "    # about management\n    enP7s7:\n      dhcp4: true\n"
GONE = "    enp1s0f1np1: # rail A\n      addresses: [10.0.0.1/24]\n\n      # mtu: 9000\n      mtu: 1500\n      # the end\n"
CASES: dict[str, tuple[str, str]] = {
    "first": (HEAD + GONE + KEPT, HEAD + KEPT),
    "last": (HEAD + KEPT + GONE, HEAD + KEPT),
    "between": (HEAD + KEPT + GONE + "  # the bonds\n  bonds: {}\n", HEAD + KEPT + "  # the bonds\n  bonds: {}\n"),
    "no final newline": ((HEAD + KEPT + GONE).removesuffix("      # the end\n").removesuffix("\n"), HEAD + KEPT),
    "CRLF": ((HEAD + GONE + KEPT).replace("\n", "\r\n"), (HEAD + KEPT).replace("\n", "\r\n")),
    "byte order mark": ("\ufeff" + HEAD + GONE + KEPT, "\ufeff" + HEAD + KEPT),
    "an emptied section goes": (
        "# mine\nnetwork:\n  version: 2\n  ethernets:\n    enp1s0f1np1: {mtu: 1}\n  wifis:\n    wl: {dhcp4: yes}\n# end",
        "# mine\nnetwork:\n  version: 2\n  wifis:\n    wl: {dhcp4: yes}\n# end",
    ),
    "the renderer stays, for it is everybody's": (
        "network:\n  version: 2\n  renderer: NetworkManager\n  ethernets:\n    enp1s0f1np1: {mtu: 1}\n",
        "network:\n  version: 2\n  renderer: NetworkManager\n",
    ),
    "flow": (
        "network: {version: 2, ethernets: {enp1s0f1np1: {mtu: 1500}, enP7s7: {dhcp4: true}}}\n",
        "network: {version: 2, ethernets: { enP7s7: {dhcp4: true}}}\n",
    ),
    "flow, last": (
        "network: {ethernets: {enP7s7: {}, enp1s0f1np1: {mtu: 1500}}, version: 2}",
        "network: {ethernets: {enP7s7: {}, }, version: 2}",
    ),
    "flow, a section": (
        "network: {ethernets: {enp1s0f1np1: {mtu: 1500},}, wifis: {w: {}}}",
        "network: { wifis: {w: {}}}",
    ),
    "JSON": (
        '{"network": {"version": 2, "ethernets": {\n  "enp1s0f1np1": {"mtu": 9000},\n  "enP7s7": {"dhcp4": true}\n}}}',
        '{"network": {"version": 2, "ethernets": {\n  \n  "enP7s7": {"dhcp4": true}\n}}}',
    ),
    "quoted id": (HEAD + '    "enp1s0f1np1":\n      mtu: 1\n' + KEPT, HEAD + KEPT),
    "twice": (HEAD + GONE + KEPT + GONE, HEAD + KEPT),
    "a section twice": (
        HEAD + GONE + "  ethernets:\n" + KEPT + "network:\n  ethernets:\n" + GONE + "  bonds: {}\n",
        "network:\n  version: 2\n  ethernets:\n" + KEPT + "network:\n  bonds: {}\n",
    ),
    "an anchor elsewhere": (
        HEAD + "    enP7s7: &m\n      dhcp4: true\n    enp1s0f1np1: *m\n    other: *m\n",
        HEAD + "    enP7s7: &m\n      dhcp4: true\n    other: *m\n",
    ),
    "an alias last": (
        HEAD + "    enP7s7: {addresses: &a [10.0.0.1/24]}\n    enp1s0f1np1:\n      addresses: *a\n    # kept\n",
        HEAD + "    enP7s7: {addresses: &a [10.0.0.1/24]}\n    # kept\n",
    ),
    "four spaces": (
        "network:\n    ethernets:\n        enp1s0f1np1:\n            mtu: 1\n        x:\n            mtu: 2\n",
        "network:\n    ethernets:\n        x:\n            mtu: 2\n",
    ),
    "a block scalar": (HEAD + "    enp1s0f1np1:\n      mtu: |\n        1500\n" + KEPT, HEAD + KEPT),
    "markers": ("---\n" + HEAD + GONE + KEPT + "...\n", "---\n" + HEAD + KEPT + "...\n"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_cut_takes_the_stanza_and_nothing_else(machine: Machine, name: str) -> None:
    before, after = CASES[name]
    machine.write("/etc/netplan/10-user.yaml", before)
    found = machine.only()
    assert found.movable, found.why_not
    left = machine.excise(found.path)
    assert left == after.encode()
    machine.write("/etc/netplan/10-user.yaml", after)
    assert machine.scan() == (), "nothing of the fabric is left"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEAD + "    enp1s0f1np1: &m\n      dhcp4: true\n    enP7s7: *m\n", "anchor"),
        (HEAD + "    enp1s0f1np1:\n      <<: {mtu: 1}\n", "merge key"),
        (HEAD + GONE + "---\nnetwork: {}\n", "several YAML documents"),
        (HEAD + "    ? enp1s0f1np1\n    : {mtu: 1}\n    enP7s7: {dhcp4: true}\n", "by hand"),
        ("network: {ethernets: &e {enp1s0f1np1: {mtu: 1}}, wifis: {w: {}}, bonds: *e}\n", "by hand"),
    ],
)
def test_what_cannot_be_cut_is_refused(machine: Machine, text: str, words: str) -> None:
    machine.write("/etc/netplan/10-user.yaml", text)
    assert not machine.only().movable and words in machine.only().why_not
    assert words in machine.excise("/etc/netplan/10-user.yaml")  # type: ignore[operator]


def test_excise_of_what_is_not_foreign(machine: Machine) -> None:
    machine.write("/etc/netplan/10-user.yaml", MANAGED)
    assert "does not touch the fabric" in machine.excise("/etc/netplan/10-user.yaml")  # type: ignore[operator]
    assert "does not touch the fabric" in machine.excise("/etc/netplan/none.yaml")  # type: ignore[operator]


# --- properties -------------------------------------------------------------------------------------------------


def rest_of(text: str) -> str | None:
    """The program's cut of all stanzas of the fabric in `text`."""
    source = program.Source.__new__(program.Source)
    source.path, source.raw, source.text = "/etc/netplan/x.yaml", text.encode(), ""
    assert source._composed() == ""
    left: str | None = program.rest(source, [s for s in source.stanzas() if s.id in FABRIC])
    return left


BODIES = st.sampled_from(
    (
        ":\n      mtu: 9000\n",
        ": {dhcp4: true} # flow\n",
        ":   # why\n      addresses:\n      - 10.0.0.1/24   # one\n      -   10.0.0.2/24\n",
        ":\n\n      dhcp4: no\n\n      # indented\n      routes:\n        - {to: default, via: 10.0.0.9}\n         # odd\n",
        ":\n      nameservers:\n        search: [a,\n b]\n",
        ": {\n}\n",
        ":\n        match: {name: 'x'}\n        set-name: \"x\\\n          y\"\n",
    )
)
BETWEEN = st.sampled_from(("", "", "    # a word\n", "\n", "\n    # two\n\n"))
IDS = st.sampled_from((*FABRIC, MANAGEMENT, "en-other", '"quoted id"', "eth0"))


@given(st.lists(st.tuples(BETWEEN, IDS, BODIES), min_size=1, max_size=8), st.booleans(), st.booleans(), st.sampled_from(("", "  version: 2\n", "# end\n")))
def test_every_other_byte_is_kept(entries: list[tuple[str, str, str]], crlf: bool, final: bool, tail: str) -> None:
    """A file made of pieces is the same pieces afterwards, without those of the fabric."""
    ending = "\r\n" if crlf else "\n"
    pieces = [("", HEAD), *((id_, between + "    " + id_ + body) for between, id_, body in entries), ("", tail)]
    betweens = ["", *(between for between, _, _ in entries), ""]
    kept = [between if id_ in FABRIC else text for (id_, text), between in zip(pieces, betweens, strict=True)]
    before, after = ("".join(parts).replace("\n", ending) for parts in ([text for _, text in pieces], kept))
    if not final and not before.endswith("\n" * 2):
        before = before.removesuffix(ending)
        after = after.removesuffix(ending) if pieces[-1][1] or pieces[-2][0] not in FABRIC else after
    left = rest_of(before)
    if all(id_ in FABRIC for _, id_, _ in entries):
        assert left is None
    else:
        assert left == after


SCALARS = st.one_of(st.booleans(), st.integers(), st.text("ab:#{}[], '\"\n", max_size=6))
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=3))
SECTION = st.dictionaries(st.sampled_from((*FABRIC, MANAGEMENT, "a", "b: c")), st.dictionaries(st.text("mtu", max_size=3), VALUES, max_size=3), max_size=5)


@given(SECTION, SECTION, st.sampled_from((None, True, False)), st.integers(2, 6), st.sampled_from((20, 80)))
def test_any_layout_of_yaml_is_cut_right(first: Any, second: Any, flow: bool | None, indent: int, width: int) -> None:
    tree = {"network": {"ethernets": first, "version": 2, "wifis": second, "renderer": "networkd"}}
    text = yaml.safe_dump(tree, default_flow_style=flow, indent=indent, width=width, sort_keys=False)
    left = rest_of(text)
    assert left is not None
    network = yaml.safe_load(text)["network"]  # what was dumped, but for a fault of PyYAML's own with line breaks
    for kind in ("ethernets", "wifis"):
        section = network[kind]
        rest = {id_: value for id_, value in section.items() if id_ not in FABRIC}
        if section and not rest:
            del network[kind]
        else:
            network[kind] = rest
    assert yaml.safe_load(left) == {"network": network}


# --- what the controller makes of it ----------------------------------------------------------------------------


def test_the_parser_gives_typed_values(machine: Machine) -> None:
    machine.write("/etc/netplan/98-spark-vllm-docker.yaml", EUGR, 0o644)
    stanza = machine.only().stanzas[0]
    assert isinstance(stanza, ForeignStanza) and stanza.netdevs == ("enp1s0f1np1",) and machine.only().mode == 0o644


@pytest.mark.parametrize("broken", ["{}", "[]", "not json", '{"path": 1}'])
def test_the_parser_refuses_the_rest(broken: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        parse(broken)


def test_states_of_all_netplan_files() -> None:
    text = "link /run/netplan/l.yaml\nstate 600 0 5 /etc/netplan/a b.yaml\ndigest abc  /etc/netplan/a b.yaml\n"
    found = parse_files(text)
    assert found["/etc/netplan/a b.yaml"].mode == 0o600 and found["/etc/netplan/a b.yaml"].digest == "abc"
    assert found["/run/netplan/l.yaml"].digest == "special"
    with pytest.raises(KeyError):
        parse_files("state 600 0 0 /etc/netplan/a.yaml\n")
