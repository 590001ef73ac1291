"""Hellos for real: machines that are network namespaces, cables that are veth pairs, a switch that is a bridge."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

from sparkctl.facts.neighbours import Hello, parse

ROOT = Path(__file__).resolve().parents[2]
HELLO = ROOT / "templates" / "facts" / "hello.py"
P0, P1 = "enp1s0f0np0", "enp1s0f1np1"
Q0, Q1 = "enP2p1s0f0np0", "enP2p1s0f1np1"
WINDOW = 6.0
# What a program may take to start and to end on a machine that is busy with other suites.
BUSY = 4.0
SERIAL = count()


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, timeout=20, capture_output=True)


@dataclass
class Ground:
    """Namespaces by the node's name; what each says, and how long it took."""

    names: dict[str, str] = field(default_factory=dict)

    def node(self, name: str) -> str:
        if name not in self.names:
            space = f"hello{os.getpid()}-{next(SERIAL)}"
            ip("netns", "add", space)
            self.names[name] = space
        return self.names[name]

    def cable(self, a: str, b: str) -> None:
        """`node:netdev` to `node:netdev`, both up."""
        (one, left), (other, right) = a.split(":"), b.split(":")
        ends = ("netns", self.node(one), "type", "veth", "peer", "name", right, "netns", self.node(other))
        ip("link", "add", left, *ends)
        ip("-n", self.node(one), "link", "set", left, "up")
        ip("-n", self.node(other), "link", "set", right, "up")

    def switch(self, *ends: str) -> None:
        space = self.node("switch")
        ip("-n", space, "link", "add", "br0", "type", "bridge")
        ip("-n", space, "link", "set", "br0", "up")
        for number, end in enumerate(ends):
            self.cable(f"switch:port{number}", end)
            ip("-n", space, "link", "set", f"port{number}", "master", "br0")

    def inside(self, node: str, *words: str) -> subprocess.Popen[str]:
        command = ["ip", "netns", "exec", self.node(node), sys.executable, *words]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def call(self, node: str, *ears: str, token: str = "t0", after: float = 0.0) -> Callable[[], Called]:
        time.sleep(after)
        begun = time.monotonic()
        program = self.inside(node, "-I", "-S", str(HELLO), token, node, str(WINDOW), *ears)

        def ended() -> Called:
            stdout, stderr = program.communicate(timeout=20)
            assert (program.returncode, stderr) == (0, "")
            return Called(parse(stdout), time.monotonic() - begun)

        return ended

    def close(self) -> None:
        for space in self.names.values():
            ip("netns", "del", space)


@dataclass(frozen=True)
class Called:
    hellos: tuple[Hello, ...]
    seconds: float


@pytest.fixture
def ground() -> Iterator[Ground]:
    made = Ground()
    yield made
    made.close()


def test_both_ends_of_both_rails_hear_each_other_and_end_early(ground: Ground) -> None:
    ground.cable(f"a:{P1}", f"b:{P1}")
    ground.cable(f"a:{Q1}", f"b:{Q1}")
    a, b = ground.call("a", f"{P1}=b", f"{Q1}=b", f"{P0}=", "lo="), ground.call("b", f"{P1}=a", f"{Q1}=a")
    said, answered = a(), b()
    assert said.hellos == (Hello(P1, "b", P1), Hello(Q1, "b", Q1))
    assert answered.hellos == (Hello(P1, "a", P1), Hello(Q1, "a", Q1))
    assert max(said.seconds, answered.seconds) < WINDOW - 0.5


def test_swapped_cables_are_heard_where_they_end(ground: Ground) -> None:
    ground.cable(f"a:{P0}", f"b:{P1}")
    ground.cable(f"a:{P1}", f"b:{P0}")
    ground.cable(f"b:{Q0}", f"c:{Q0}")
    a = ground.call("a", f"{P0}=b", f"{P1}=c")
    b = ground.call("b", f"{P0}=c", f"{P1}=a", f"{Q0}=")
    c = ground.call("c", f"{P0}=", f"{Q0}=a")
    assert a().hellos == (Hello(P0, "b", P1), Hello(P1, "b", P0))
    assert b().hellos == (Hello(P0, "a", P1), Hello(P1, "a", P0), Hello(Q0, "c", Q0))
    assert c().hellos == (Hello(Q0, "b", Q0),)


def test_who_starts_a_second_late_is_heard_and_hears(ground: Ground) -> None:
    ground.cable(f"a:{P1}", f"b:{P1}")
    a = ground.call("a", f"{P1}=b")
    b = ground.call("b", f"{P1}=a", after=1.0)
    early, late = a(), b()
    assert early.hellos == (Hello(P1, "b", P1),)
    assert late.hellos == (Hello(P1, "a", P1),)
    assert early.seconds < WINDOW
    assert late.seconds < WINDOW - 1.0


def test_a_silent_peer_costs_the_window_and_is_no_answer(ground: Ground) -> None:
    ground.cable(f"a:{P1}", f"b:{P1}")
    called = ground.call("a", f"{P1}=b")()
    assert called.hellos == ()
    assert WINDOW <= called.seconds < WINDOW + BUSY


def test_a_cable_that_is_cut_costs_nothing(ground: Ground) -> None:
    """Its port has no carrier: nobody can be heard there, and the other cable is heard all the same."""
    ground.cable(f"a:{P0}", f"b:{P1}")
    ground.cable(f"a:{P1}", f"b:{P0}")
    ip("-n", ground.node("b"), "link", "set", P0, "down")
    a, b = ground.call("a", f"{P0}=b", f"{P1}=b"), ground.call("b", f"{P1}=a", f"{P0}=a")
    said, answered = a(), b()
    assert (said.hellos, answered.hellos) == ((Hello(P0, "b", P1),), (Hello(P1, "a", P0),))
    assert max(said.seconds, answered.seconds) < WINDOW - 0.5
    only = ground.call("a", f"{P1}=b")()
    assert only.hellos == () and only.seconds < BUSY


def test_a_cable_that_was_moved_is_heard_where_it_is_now(ground: Ground) -> None:
    """The port where it belongs has no carrier, another has: who calls there begins later."""
    ground.cable(f"a:{P0}", f"b:{P1}")
    ground.cable(f"a:{P1}", f"b:{P0}")
    ip("-n", ground.node("b"), "link", "set", P0, "down")
    a = ground.call("a", f"{P1}=b", f"{P0}=")
    b = ground.call("b", f"{P1}=a", after=1.0)
    assert a().hellos == (Hello(P0, "b", P1),)
    assert b().hellos == (Hello(P1, "a", P0),)


def test_nothing_to_listen_on_costs_nothing(ground: Ground) -> None:
    ground.cable(f"a:{P1}", f"b:{P1}")
    ip("-n", ground.node("a"), "link", "set", P1, "down")
    called = ground.call("a", f"{P1}=b", f"{P0}=")()
    assert called.hellos == ()
    assert called.seconds < BUSY


def test_four_nodes_on_a_switch_hear_the_three_others(ground: Ground) -> None:
    nodes = ("a", "b", "c", "d")
    ground.switch(*(f"{node}:{P1}" for node in nodes))
    calls = {n: ground.call(n, f"{P1}={','.join(m for m in nodes if m != n)}") for n in nodes}
    for node, call in calls.items():
        called = call()
        assert called.hellos == tuple(Hello(P1, other, P1) for other in nodes if other != node)
        assert called.seconds < WINDOW


def test_two_clusters_on_one_switch_do_not_mix(ground: Ground) -> None:
    ground.switch(*(f"{node}:{P1}" for node in "abc"))
    a, b = ground.call("a", f"{P1}=b"), ground.call("b", f"{P1}=a")
    c = ground.call("c", f"{P1}=a", token="t1")
    assert a().hellos == (Hello(P1, "b", P1),)
    assert b().hellos == (Hello(P1, "a", P1),)
    assert c().hellos == ()


NOISE = """
import json, socket, sys, time
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sock.bind((sys.argv[1], 0x88B5))
def said(**changed):
    return json.dumps({"token": "t0", "node": "x", "netdev": "y", "heard": []} | changed).encode()
magic = b"sparkctl hello 1\\n"
bodies = [b"", b"\\xff" * 1400, magic, magic + b"[" * 1300, magic + b"{", magic + b"null", magic + said() + b"}",
    b"sparkctl hello 2\\n" + said(), magic + said(token="t1"), magic + said(token=["t0"]), magic + said(heard=None),
    magic + said(node=""), magic + said(node="\\x1b[2J"), magic + said(node=7), magic + said(netdev="a b"),
    magic + said(node="n" * 64), magic + said(netdev=None), magic + b'{"token": 1' + b"0" * 1300, magic + said(node="a")]
bodies += [magic + said(node="m" * 20, heard=[[["a"]], 7, None, {}])] if len(sys.argv) > 2 else []
for _ in range(10):
    for body in bodies:
        sock.send(b"\\xff" * 6 + bytes(6) + b"\\x88\\xb5" + body)
    time.sleep(0.1)
"""


def test_frames_of_others_and_broken_ones_are_ignored(ground: Ground) -> None:
    ground.cable(f"a:{P1}", f"x:{P1}")
    a = ground.call("a", f"{P1}=x")
    noise = ground.inside("x", "-c", NOISE, P1)
    assert noise.communicate(timeout=20)[1] == ""
    assert a().hellos == ()


def test_who_calls_but_does_not_hear_is_a_neighbour_and_the_window_is_kept(ground: Ground) -> None:
    ground.cable(f"a:{P1}", f"x:{P1}")
    a = ground.call("a", f"{P1}={'m' * 20}")
    noise = ground.inside("x", "-c", NOISE, P1, "and one that is in order")
    assert noise.communicate(timeout=20)[1] == ""
    called = a()
    assert called.hellos == (Hello(P1, "m" * 20, "y"),)
    assert called.seconds >= WINDOW


def test_more_callers_than_any_cluster_has_are_bounded(ground: Ground) -> None:
    crowd = NOISE.split("bodies = ", maxsplit=1)[0] + (
        "for n in range(500):\n    body = magic + said(node=f'{n:060}')\n"
        "    sock.send(b'\\xff' * 6 + bytes(6) + b'\\x88\\xb5' + body)\n    time.sleep(0.001)\n"
    )
    ground.cable(f"a:{P1}", f"x:{P1}")
    a = ground.call("a", f"{P1}=x")
    time.sleep(0.3)
    assert ground.inside("x", "-c", crowd, P1).communicate(timeout=20)[1] == ""
    assert len(a().hellos) == 64


def test_without_the_right_to_listen_the_answer_is_a_reason_and_not_nobody(ground: Ground) -> None:
    ground.cable(f"a:{P1}", f"b:{P1}")
    command = ["ip", "netns", "exec", ground.node("a"), "setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=-all"]
    program = HELLO.read_text()  # the folder of the tests may be closed to others than root
    words = [*command, "/usr/bin/python3", "-I", "-S", "-c", program, "t0", "a", "2.5", f"{P1}=b"]
    said = subprocess.run(words, capture_output=True, text=True, timeout=20, check=True)
    with pytest.raises(ValueError, match=f"{P1}: .*{os.strerror(errno.EPERM)}"):
        parse(said.stdout)
