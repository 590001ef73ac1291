"""What no file can change, on nodes: a cable out, a node off, a port taken, a full disk; before `up` and while it runs."""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lab.labs import Ended, Rig, same, sparkctl

LOG = logging.getLogger(__name__)
LIMIT = 10.0  # seconds that a connection may take (sparkctl/ssh/connect.py)
PAUSE = 3.0  # between two looks at a carrier


@contextmanager
def faulty(rig: Rig, verb: str, subject: str, mend: str) -> Iterator[None]:
    rig.fault(verb, subject)
    try:
        yield
    finally:
        rig.fault(mend, subject)


def timed(rig: Rig, *words: str) -> tuple[Ended, float]:
    begun = time.monotonic()
    ended = rig.cluster(*words)
    return ended, time.monotonic() - begun


def quick(rig: Rig) -> float:
    """What a plan takes here just now, doubled: others use these cores, too."""
    return 2 * timed(rig, "plan")[1]


def refused(rig: Rig, within: float, *words: str) -> None:
    """`plan` shows and `up` refuses: 4, by name, in time."""
    for verb in (["plan"], ["up", "--yes"]):
        ended, seconds = timed(rig, *verb)
        said = ended.out + ended.err
        assert ended.code == 4 and "blocked by" in said, said
        assert all(word in " ".join(said.split()) for word in words), said
        LOG.info("%s refused in %.1f s", verb[0], seconds)
        assert seconds < within, f"{verb[0]} took {seconds:.1f} s"


def test_a_cable_that_is_out_is_refused_and_a_link_that_is_down_is_brought_up(bare: Rig) -> None:
    assert bare.cluster("up", "--yes").code == 0
    bare.root("spark-2", "for d in enp1s0f1np1 enP2p1s0f1np1; do ip link set $d down; done")
    assert bare.cluster("up", "--yes").code == 0, "down by hand: planned, brought up, judged"
    usual = quick(bare)
    with faulty(bare, "cut", "0", "mend"):
        before = bare.capture()
        refused(bare, usual + PAUSE + 2, "cable 0 has no link: spark-1:p1 to spark-2:p1", "port p1 of spark-2")
        same(before, bare.capture())
        assert bare.cluster("diff").code == 10
        assert bare.cluster("down", "--yes").code == 0, "teardown is never blocked"
    assert bare.cluster("up", "--yes").code == 0


def test_a_node_that_is_off_is_a_row_among_the_others(bare: Rig) -> None:
    assert bare.cluster("up", "--yes").code == 0
    usual = quick(bare)
    with faulty(bare, "kill", "spark-2", "boot"):
        refused(bare, usual + LIMIT + 2, "spark-2: does not answer")
        for verb in ("status", "verify"):
            ended, seconds = timed(bare, verb, "--json")
            LOG.info("%s in %.1f s", verb, seconds)
            assert ended.code == 7, ended.err
            rows = ended.json["verdicts"]
            assert isinstance(rows, list)
            wrong = [(r["id"], r["where"], r["message"], r["measured"]) for r in rows if r["state"] in ("fail", "unknown")]
            assert [w[:2] for w in wrong] == [("node-off", "spark-2")], wrong
            assert any(r["state"] == "pass" and "spark-1" in r["where"] for r in rows)
    until = time.monotonic() + 60
    while bare.cluster("status").code != 0 and time.monotonic() < until:
        time.sleep(1)
    assert bare.cluster("status").code == 0


def test_ssh_that_comes_over_the_fabric_is_refused(bare: Rig) -> None:
    """The address that management comes in at is on a netdev of the fabric, too."""
    at = bare.state.node("spark-2").address
    before, usual = bare.capture(), quick(bare)
    bare.root("spark-2", f"ip link set enp1s0f1np1 up; ip addr add {at}/32 dev enp1s0f1np1")
    refused(bare, usual + 2, "SSH to spark-2 arrives on enp1s0f1np1, which this plan renumbers", "management address")
    bare.root("spark-2", f"ip addr del {at}/32 dev enp1s0f1np1; ip link set enp1s0f1np1 down")
    same(before, bare.capture())


def verdicts(rig: Rig) -> set[tuple[str, str]]:
    """Check and state of what `status` says."""
    return {(v["id"], v["state"]) for v in rig.cluster("status", "--json").json["verdicts"]}  # type: ignore[attr-defined]


@pytest.mark.more
def test_a_cable_that_goes_while_up_runs(serving: Rig) -> None:
    """The engine's stop and netplan's time, and 5 s: then both nodes are back, though their engine waits for the cable."""
    assert serving.cluster("up", "--yes").code == 0
    serving.root("spark-1", "ip link set enp1s0f1np1 mtu 1500")
    serving.plant_netplan("spark-1", 'if [ "$1" = apply ] && [ ! -e /run/planted ]; then touch /run/planted; sleep 4; fi')
    try:
        running = serving.started("up", "--yes")
        until = time.monotonic() + 120
        while "yes" not in serving.root("spark-1", "[ -e /run/planted ] && echo yes || :"):
            assert time.monotonic() < until and running.poll() is None
            time.sleep(0.2)
        with faulty(serving, "cut", "0", "mend"):
            said, begun = "", 0.0
            assert running.stdout is not None
            for line in running.stdout:
                said += line
                begun = time.monotonic() if "putting every node back" in line else begun
            seconds = time.monotonic() - begun
            LOG.info("undone and proved in %.1f s\n%s", seconds, said)
            assert running.wait(30) == 5 and "is as before" in said, said
            assert begun and seconds < 45, said
            assert "RunState" not in said
    finally:
        serving.heal()
    until = time.monotonic() + 120
    while ("engine-canary", "pass") not in verdicts(serving):  # the MTU is as the test left it, which is another verdict
        assert time.monotonic() < until, "the engine did not come with its cable"
        time.sleep(2)
    assert serving.cluster("up", "--yes").code == 0


def test_a_port_that_is_taken_is_refused_before_anything_is_stopped(serving: Rig) -> None:
    assert serving.cluster("down", "--yes").code == 0
    holder = subprocess.Popen(
        [*serving.ssh_words("spark-1"), "python3 -c 'import socket,time; s=socket.create_server((\"0.0.0.0\",8000)); time.sleep(300)'"]
    )
    try:
        time.sleep(2)
        before = serving.capture()
        refused(serving, quick(serving) + 2, "port 8000 is taken by python3 (pid ")
        same(before, serving.capture())
        assert serving.cluster("up", "--yes", "--only", "network").code == 0, "the network does not rest on it"
    finally:
        holder.kill()
        holder.wait()
        serving.root("spark-1", "pkill -f create_server || :")
        sparkctl("cluster", "down", str(serving.inventory), "--lab", "--yes")


@pytest.mark.more
def test_a_cable_that_goes_while_the_engine_loads(serving: Rig) -> None:
    """Noticed while ranks wait for one another, long before `ready_timeout`; then all is as before, without the cable."""
    before = serving.capture()
    running = serving.started("up", "--yes")
    until = time.monotonic() + 180
    while serving.root("spark-1", "systemctl is-active sparkctl-engine || :").strip() != "active":
        assert time.monotonic() < until and running.poll() is None
        time.sleep(0.5)
    with faulty(serving, "cut", "0", "mend"):
        begun = time.monotonic()
        said, _ = running.communicate(timeout=180)
        seconds = time.monotonic() - begun
        LOG.info("noticed, undone and proved in %.1f s\n%s", seconds, said)
    assert running.returncode == 5 and "has lost its link" in said and "is as before" in said, said
    assert seconds < 45, said
    same(before, serving.capture())
