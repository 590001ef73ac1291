"""Virtual nodes without booting one: the switchboard, plugs in wrong ports, the words of QEMU, and what a node gets."""

import fcntl
import io
import os
import socket
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from sparkctl.errors import Refused, UsageError
from sparkctl.inventory.model import Switch
from sparkctl.lab.access import write_keys
from sparkctl.lab.cable_faults import carrying, ends, faulty, swapped
from sparkctl.lab.furnish import Keys
from sparkctl.lab.order import Order
from sparkctl.lab.overlay import overlay
from sparkctl.lab.spec import LabSpec
from sparkctl.lab.state import LabNode, LabState, Supervisor
from sparkctl.lab.vm import accelerator, backend
from sparkctl.lab.vm.furnish import archive, files
from sparkctl.lab.vm.machine import Parts, Running, words
from sparkctl.lab.vm.switchboard import Socket, Switchboard
from tests.unit.test_lab_overlay import CLUSTER
from tests.unit.test_lab_spec import cluster, direct, spec, switched

ONE, TWO, THREE = (bytes.fromhex(f"02000000000{i}") for i in (1, 2, 3))
ALL = b"\xff" * 6
LLDP = bytes.fromhex("0180c200000e")


def mesh() -> LabSpec:
    return spec(cluster("a", "b", "c"), ("a:p0", "b:p1"), ("b:p0", "c:p1"), ("c:p0", "a:p1"))


def frame(to: bytes, sender: bytes, size: int = 60, kind: bytes = b"\x08\x00") -> bytes:
    return (to + sender + kind).ljust(size, b"\0")


class Board:
    """A switchboard with ends that a test can write to and read from."""

    def __init__(self, *, is_cable: bool, names: str = "ab", mtu: int = 9216) -> None:
        self.board = Switchboard()
        self.board.bridge("x", is_cable)
        self.outside: dict[str, socket.socket] = {}
        for name in names:
            self.add(name, "x", mtu)

    def add(self, name: str, bridge: str, mtu: int = 9216) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for end in (ours, theirs):
            end.setblocking(False)
        self.board.plug(Socket(name, mtu, ours), bridge)
        self.outside[name] = theirs

    def say(self, name: str, what: bytes) -> dict[str, bytes]:
        """Who hears it when `name` sends `what`."""
        self.outside[name].send(what)
        list(self.board.pump(self.board.ends[name]))
        return {other: heard for other, wire in self.outside.items() if (heard := self.heard(wire)) is not None}

    @staticmethod
    def heard(wire: socket.socket) -> bytes | None:
        try:
            return wire.recv(65536)
        except BlockingIOError:
            return None


def test_a_cable_carries_everything_to_its_other_end():
    board = Board(is_cable=True)
    assert board.say("a", frame(TWO, ONE)) == {"b": frame(TWO, ONE)}
    assert set(board.say("b", frame(LLDP, TWO))) == {"a"}


def test_a_switch_learns_and_keeps_lldp_to_itself():
    board = Board(is_cable=False, names="abc")
    assert set(board.say("a", frame(ALL, ONE))) == {"b", "c"}
    assert set(board.say("b", frame(ONE, TWO))) == {"a"}
    assert set(board.say("a", frame(THREE, ONE))) == {"b", "c"}, "it was never heard of"
    assert board.say("a", frame(LLDP, ONE)) == {}
    assert board.say("a", frame(ONE, TWO)) == {}, "it is where it came from"


def test_the_gateway_of_one_node_is_not_seen_by_others():
    board = Board(is_cable=False)
    assert board.say("a", frame(ALL, bytes.fromhex("5255c6120001"))) == {}


@pytest.mark.parametrize(("size", "kind", "fits"), [(1514, b"\x08\x00", True), (1515, b"\x08\x00", False)])
@pytest.mark.parametrize("narrow", ["a", "b"])
def test_a_port_that_carries_less_drops_what_is_larger_both_ways(narrow, size, kind, fits):
    board = Board(is_cable=True)
    board.board.ends[narrow].mtu = 1500
    assert bool(board.say("a", frame(TWO, ONE, size, kind))) is fits


def test_a_vlan_tag_does_not_count():
    board = Board(is_cable=True, mtu=1500)
    assert board.say("a", frame(TWO, ONE, 1518, b"\x81\x00"))
    assert not board.say("a", frame(TWO, ONE, 1519, b"\x81\x00"))


def test_two_switches_with_two_cables_between_them_do_not_go_round_for_ever():
    board = Board(is_cable=False, names="a")
    board.board.bridge("y", is_cable=False)
    board.add("b", "y")
    for ends_ in (("t1", "t2"), ("u1", "u2")):
        board.board.trunk(ends_, ("x", "y"), (9216, 9216))
    assert "b" in board.say("a", frame(ALL, ONE))


def test_a_cut_cable_between_switches_carries_nothing():
    board = Board(is_cable=False, names="a")
    board.board.bridge("y", is_cable=False)
    board.add("b", "y")
    board.board.trunk(("t1", "t2"), ("x", "y"), (9216, 9216))
    assert set(board.say("a", frame(ALL, ONE))) == {"b"}
    board.board.ends["t1"].lit = False
    assert board.say("a", frame(ALL, ONE)) == {}


def test_what_an_end_cannot_take_waits_and_is_not_lost():
    board = Board(is_cable=True)
    wire = board.board.ends["b"].wire
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32768)
    late = []
    for number in range(40):
        board.outside["a"].send(frame(TWO, ONE, 9000) + bytes([number]))
        late += board.board.pump(board.board.ends["a"])
    assert late
    got = []
    for _ in range(200):
        while (heard := board.heard(board.outside["b"])) is not None:
            got.append(heard[-1])
        if board.board.drain(board.board.ends["b"]) and len(got) == 40:
            break
    assert got == list(range(40))


def test_an_end_whose_node_has_gone_loses_frames_and_stops_nobody():
    board = Board(is_cable=False, names="abc")
    board.outside.pop("b").close()
    assert set(board.say("a", frame(ALL, ONE))) == {"c"}
    assert list(board.board.pump(board.board.ends["b"])) == []


def test_an_end_that_is_plugged_elsewhere_is_heard_there():
    board = Board(is_cable=True)
    board.board.bridge("y", is_cable=True)
    board.add("c", "y")
    board.board.plug(board.board.ends["b"], "y")
    assert board.say("a", frame(ALL, ONE)) == {}
    assert set(board.say("c", frame(ALL, THREE))) == {"b"}


def met(lab: LabSpec) -> set[tuple[str, str, str]]:
    """Which ports are on one cable, with its rail."""
    by_bridge: dict[str, list[str]] = {}
    for wire in lab.wires:
        by_bridge.setdefault(wire.bridge, []).append(wire.port)
    return {(*sorted(ports), bridge[-1]) for bridge, ports in by_bridge.items()}


def test_swapped_plugs_meet_other_ports_on_both_rails():
    lab = swapped(mesh(), "a:p0", "a:p1")
    cables = {("a:p1", "b:p1"), ("b:p0", "c:p1"), ("a:p0", "c:p0")}
    assert met(lab) == {(*cable, rail) for cable in cables for rail in "AB"}
    assert {(w.port, w.far) for w in lab.wires if w.node != "a"} == {
        ("b:p1", "a:p1"),
        ("b:p0", "c:p1"),
        ("c:p1", "b:p0"),
        ("c:p0", "a:p0"),
    }


def test_swapped_twice_is_as_before():
    assert swapped(swapped(mesh(), "a:p0", "c:p1"), "a:p0", "c:p1") == mesh()


def test_both_ends_of_one_cable_swapped_are_the_same_cable():
    assert met(swapped(direct(), "spark-1:p1", "spark-2:p1")) == met(direct())


def test_ports_of_two_switches_are_swapped():
    made = cluster("a", "b", switches=(Switch("s1"), Switch("s2")))
    lab = swapped(spec(made, ("a:p0", "s1:x"), ("b:p0", "s2:y")), "s1:x", "s2:y")
    assert {(w.node, w.far, w.bridge) for w in lab.wires if w.rail == "A"} == {
        ("a", "s2:y", "s1A"),
        ("b", "s1:x", "s0A"),
    }


def test_a_port_of_a_switch_carries_less():
    lab = carrying(switched(), "sw1:port-b", 1500)
    assert {w.node: w.outer_mtu for w in lab.wires} == {"a": 9000, "b": 1500, "c": 9000}


def test_a_cable_between_switches_carries_less_at_one_end():
    made = cluster("a", "b", switches=(Switch("s1"), Switch("s2")))
    lab = spec(made, ("a:p0", "s1:x"), ("b:p0", "s2:y"), ("s1:t", "s2:t"))
    assert {trunk.mtus for trunk in carrying(lab, "s2:t", 1500).trunks} == {(9216, 1500)}
    assert "s1:t" in ends(lab)


@pytest.mark.parametrize(
    ("verb", "subject", "message"),
    [
        ("swap", "a:p0", "swap takes two ports"),
        ("swap", "a:p0 a:p0", "swap takes two ports"),
        ("swap", "a:p0 z:p0", "no cable is in z:p0"),
        ("mtu", "a:p0", "mtu takes a port and an MTU"),
        ("mtu", "a:p0=", "mtu takes a port and an MTU"),
        ("mtu", "a:p0=-5", "mtu takes a port and an MTU"),
        ("mtu", "a:p0=\u0663", "mtu takes a port and an MTU"),
        ("mtu", "a:p0=67", "67 is not an MTU"),
        ("mtu", "a:p0=99999", "99999 is not an MTU"),
        ("mtu", "z:p0=1500", "no cable is in z:p0"),
    ],
)
def test_faults_that_cannot_be_are_refused(verb, subject, message):
    with pytest.raises(UsageError, match=message):
        faulty(mesh(), verb, subject)


def test_a_node_and_a_switch_are_not_swapped():
    with pytest.raises(UsageError, match="a node and a switch"):
        faulty(switched(), "swap", "a:p0 sw1:port-b")


def parts(tmp_path: Path, lab: LabSpec) -> Parts:
    return Parts(lab, Path("/images,with commas"), tmp_path, "tcg", 2201)


def test_a_node_has_no_way_out_and_one_way_in(tmp_path):
    lab = direct()
    line = words(lab.nodes[0], parts(tmp_path, lab), {"enP7s7": 7, "enp1s0f1np1": 8, "enP2p1s0f1np1": 9}, 10)
    (way_in,) = [word for word in line if word.startswith("user,")]
    assert "restrict=on" in way_in and "ipv6=off" in way_in
    assert "hostfwd=tcp:127.0.0.1:2201-198.18.0.11:22" in way_in
    assert "socket,id=enp1s0f1np1,fd=8" in line
    assert line[line.index("-kernel") + 1] == "/images,with commas/vmlinuz"


def test_commas_in_a_path_do_not_end_an_option(tmp_path):
    folder = tmp_path / "a,b"
    lab = direct()
    line = words(lab.nodes[0], replace(parts(tmp_path, lab), folder=folder), {}, 10)
    assert f"file={tmp_path}/a,,b/spark-1.qcow2,if=virtio,format=qcow2" in line


def test_a_node_gets_its_own_identity_and_keeps_its_secrets():
    lab = direct()
    packed = archive(files(lab, lab.nodes[1], Keys("ssh-ed25519 AAA", {"spark-2": "PRIVATE"})))
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        modes = {entry.name: (entry.mode, entry.uid) for entry in tar.getmembers()}
        hostname = tar.extractfile("etc/hostname").read()
        link = tar.extractfile("etc/systemd/network/10-lab-enp1s0f1np1.link").read().decode()
    assert hostname == b"spark-2\n"
    assert "Name=enp1s0f1np1" in link
    assert modes["etc/ssh/ssh_host_ed25519_key"] == modes["etc/netplan/50-lab.yaml"] == (0o600, 0)
    assert modes["etc/sudoers.d/90-lab"] == (0o440, 0)


def test_a_hostile_user_name_stays_a_word():
    lab = direct()
    evil = lab.nodes[0].model_copy(update={"user": "x'; rm -rf /; '"})
    text, _ = files(lab, evil, Keys("k", {"spark-1": "p"}))["opt/sparkctl-lab/furnish"]
    assert text.splitlines()[0] == """set -- 'x'"'"'; rm -rf /; '"'"''"""


def test_what_systemd_says_of_a_boot_is_read_when_it_is_whole(tmp_path):
    lab = direct()
    one, two = socket.socketpair()
    running = Running(lab.nodes[0], parts(tmp_path, lab), None, {}, one)
    assert running.booted() is None
    (tmp_path / "spark-1.ready").write_bytes(b"running\r\n")
    assert running.booted() is None
    (tmp_path / "spark-1.ready").write_bytes(b"running\r\n.\r\n")
    assert running.booted() == "running"
    (tmp_path / "spark-1.ready").write_bytes(b"degraded\r\nssh.service loaded failed\r\n.\r\n")
    assert running.booted() == "degraded ssh.service loaded failed"
    two.close()
    running.close()


@pytest.mark.parametrize(("reason", "again"), [("guest-reset", True), ("guest-shutdown", False)])
def test_a_node_that_was_rebooted_is_told_from_one_that_was_shut_down(tmp_path, reason, again):
    ours, theirs = socket.socketpair()
    running = Running(direct().nodes[0], parts(tmp_path, direct()), None, {}, ours)
    theirs.sendall(f'{{"event": "SHUTDOWN", "data": {{"guest": true, "reason": "{reason}"}}}}\n'.encode())
    theirs.close()
    assert running.rebooted() is again


def test_virtual_nodes_are_known_by_their_ports(tmp_path):
    lab = direct().model_copy(update={"backend": "vm"})
    write_keys(tmp_path, lab, (2201, 2202))
    known = (tmp_path / "known_hosts").read_text().splitlines()
    assert [line.split()[0] for line in known] == ["[127.0.0.1]:2201", "[127.0.0.1]:2202"]
    order = Order(spec=lab, folder=str(tmp_path), image="i", engine=None, cgroups=(), limited=False, ports=(2201, 2202))
    state = order.state(Supervisor(pid=1, started=1))
    assert [(node.address, node.port) for node in state.nodes] == [("127.0.0.1", 2201), ("127.0.0.1", 2202)]
    assert state.backend == "vm"


def test_on_virtual_nodes_the_transport_stays_and_the_engine_is_left_out():
    nodes = tuple(
        LabNode(
            name=f"n{i}", address="127.0.0.1", port=2201 + i, user="u", netdev="m", known_hosts="k", identity_file="i"
        )
        for i in range(2)
    )
    state = LabState(cluster="demo", inventory="d", backend="vm", supervisor=Supervisor(pid=1, started=1), nodes=nodes)
    twin, said = overlay(CLUSTER, state)
    assert twin.fabric.transport == "roce"
    assert twin.engine is None
    assert said[0].startswith("ssh: emulated nodes at 127.0.0.1:2201 to 127.0.0.1:2202")
    assert said[1:] == ("engine: left out, because vm nodes have no room for it",)


def test_without_kvm_processors_are_emulated(monkeypatch, tmp_path):
    monkeypatch.setattr(accelerator, "DEVICE", tmp_path / "kvm")
    assert accelerator.chosen(tmp_path) == "tcg"


@pytest.mark.parametrize(("works", "chosen"), [(True, "kvm"), (False, "tcg")])
def test_kvm_is_tried_once_and_remembered(monkeypatch, tmp_path, works, chosen):
    device = tmp_path / "kvm"
    device.touch()
    tried = []
    monkeypatch.setattr(accelerator, "DEVICE", device)
    monkeypatch.setattr(accelerator, "cache", lambda: tmp_path / "cache")
    monkeypatch.setattr(accelerator, "_version", lambda: "7.2")
    monkeypatch.setattr(accelerator, "works", lambda image: tried.append(image) or works)
    assert [accelerator.chosen(tmp_path), accelerator.chosen(tmp_path)] == [chosen, chosen]
    assert len(tried) == 1


def test_a_lab_is_gone_when_nobody_holds_its_lock(tmp_path):
    assert backend.Machines().gone(tmp_path)
    with (tmp_path / backend.ALIVE).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert not backend.Machines().gone(tmp_path, 0.1)
    assert backend.Machines().gone(tmp_path)


def test_ports_are_different():
    assert len(set(backend.free_ports(8))) == 8


def test_who_may_not_build_the_disk_is_told_how(monkeypatch):
    monkeypatch.setattr(backend.image, "ready", lambda: False)
    monkeypatch.setattr(backend.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(backend.packages.shutil, "which", lambda program: program)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Refused, match="only that needs root"):
        backend.Machines().require(direct())


def test_other_machines_are_refused(monkeypatch):
    monkeypatch.setattr(backend.platform, "machine", lambda: "aarch64")
    with pytest.raises(Refused, match="x86-64"):
        backend.Machines().require(direct())
