"""Whatever breaks while the network changes, both nodes end as they were, and the message says what to do."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lab.labs import LEASE, Rig, same, sparkctl

OURS = "/etc/netplan/95-sparkctl.yaml"


def test_the_network_part_alone(bare: Rig) -> None:
    before = bare.capture()
    up = bare.cluster("up", "--yes", "--json")
    assert up.code == 0, up.err
    counted = dict(up.json["ssh"])  # type: ignore[call-overload]
    assert counted.pop("critical_path") <= 10
    assert {n["connections"] for n in counted.values()} == {2}, f"one, and one for the confirmation: {up.err}"
    assert bare.cluster("up", "--yes", "--json").json["plan"]["steps"] == []  # type: ignore[index]
    assert bare.cluster("down", "--yes").code == 0
    same(before, bare.capture())


def test_netplan_apply_fails_on_the_worker(bare: Rig) -> None:
    bare.plant_netplan("spark-2", f'if [ "$1" = apply ] && [ -e {OURS} ]; then echo planted failure >&2; exit 1; fi')
    before = bare.capture()
    up = bare.cluster("up", "--yes")
    assert up.code == 5, up.err
    for word in ("spark-2", "network, workers", "planted failure", "do:"):
        assert word in up.err, up.err
    same(before, bare.capture())


def test_netplan_refuses_before_anything_changes(bare: Rig) -> None:
    bare.root("spark-2", "printf 'network:\\n  nonsense: true\\n' >/etc/netplan/99-broken.yaml; chmod 600 /etc/netplan/99-broken.yaml")
    before = bare.capture()
    up = bare.cluster("up", "--yes")
    bare_after = bare.capture()
    bare.root("spark-2", "rm /etc/netplan/99-broken.yaml")
    assert up.code == 5 and "prepare" in up.err and "99-broken.yaml" in up.err, up.err
    same(before, bare_after)


@pytest.mark.more
def test_the_worker_disk_is_full(bare: Rig) -> None:
    """/var/lib on a filesystem of its own with a few kilobytes left."""
    bare.root(
        "spark-2",
        "set -e; mkdir /run/small; mount -t tmpfs -o size=512k tmpfs /run/small; head -c 508k /dev/zero >/run/small/fill || :;"
        "mkdir /run/small/var-lib; mount -t overlay -o lowerdir=/var/lib,upperdir=/run/small/up,workdir=/run/small/work"
        " overlay /var/lib 2>/dev/null || mount --bind /run/small/var-lib /var/lib",
    )
    try:
        before = bare.capture()
        up = bare.cluster("up", "--yes")
        after = bare.capture()
    finally:
        bare.root("spark-2", "umount /var/lib; umount /run/small; rmdir /run/small")
    assert up.code == 4 and "spark-2" in up.err and "No space left" in up.err, up.err
    same(before, after)


@pytest.mark.more
def test_a_full_disk_below_etc_at_commit(bare: Rig) -> None:
    bare.root("spark-2", "mkdir /etc/sparkctl; mount -t tmpfs -o size=4k,mode=755 tmpfs /etc/sparkctl; head -c 9k /dev/zero >/etc/sparkctl/fill || :")
    try:
        before = bare.capture()
        up = bare.cluster("up", "--yes")
        after = bare.capture()
    finally:
        bare.root("spark-2", "umount /etc/sparkctl; rmdir /etc/sparkctl")
    assert up.code == 5 and "network, workers" in up.err and "No space left" in up.err, up.err
    same(before, after)


def test_ssh_is_cut_after_the_commit(bare: Rig) -> None:
    """The effect is done, the answer lost: an unknown outcome is undone like a failure."""
    cut = f'if [ "$1" = apply ] && [ -e {OURS} ]; then /usr/sbin/netplan.real apply; pkill -9 -f "^sshd: .*@"; exit 0; fi'
    bare.plant_netplan("spark-2", cut)
    before = bare.capture()
    up = bare.cluster("up", "--yes")
    assert up.code == 5 and "unknown outcome" in up.err and "spark-2" in up.err, up.err
    same(before, bare.capture())


def test_the_controller_is_killed_before_the_confirmation(bare: Rig) -> None:
    """Nobody is left to undo: each node does it alone, within its timer."""
    bare.plant_netplan("spark-1", f'if [ "$1" = apply ] && [ -e {OURS} ]; then /usr/sbin/netplan.real apply; touch /run/planted; sleep 3; exit 0; fi')
    before = bare.capture()
    running = bare.started("up", "--yes", *bare.quick)
    until = time.monotonic() + 60
    while "yes" not in bare.root("spark-1", "[ -e /run/planted ] && echo yes || :"):
        assert time.monotonic() < until and running.poll() is None, "the head's network was never changed"
        time.sleep(0.2)
    running.send_signal(signal.SIGKILL)
    running.wait(10)
    assert "10.20." in bare.root("spark-1", "ip -4 -o addr"), "the network had been changed"
    bare.heal()
    deadline = time.monotonic() + 2 * LEASE
    while any("sparkctl" in bare.root(node, "ls /var/lib") for node in ("spark-1", "spark-2")):
        assert time.monotonic() < deadline, "the timers did not put the nodes back"
        time.sleep(1)
    same(before, bare.capture())


@pytest.mark.more
def test_a_slow_step_is_not_taken_for_a_dead_controller(bare: Rig) -> None:
    """The step takes longer than the lease, and the controller says meanwhile that it lives."""
    bare.plant_netplan("spark-2", f'if [ "$1" = apply ] && [ -e {OURS} ]; then sleep {LEASE + 10:.0f}; fi')
    up = bare.cluster("up", "--yes", *bare.quick)
    assert up.code == 0, up.err


def test_an_interruption_stops_at_the_barrier_and_undoes(bare: Rig) -> None:
    bare.plant_netplan("spark-2", f'if [ "$1" = apply ] && [ -e {OURS} ]; then touch /run/planted; sleep 3; fi')
    before = bare.capture()
    running = bare.started("up", "--yes", *bare.quick)
    until = time.monotonic() + 60
    while "yes" not in bare.root("spark-2", "[ -e /run/planted ] && echo yes || :"):
        assert time.monotonic() < until and running.poll() is None
        time.sleep(0.2)
    running.send_signal(signal.SIGINT)
    said, _ = running.communicate(timeout=90)
    assert running.returncode == 130 and "every node was put back" in said, said
    bare.root("spark-2", "rm -f /run/planted")
    same(before, bare.capture())


def test_a_stale_plan_is_refused(bare: Rig) -> None:
    saved = bare.inventory.parent / "plan.json"
    assert bare.cluster("plan", "-o", str(saved)).code == 0
    bare.root("spark-2", "ip link set dev enp1s0f1np1 mtu 1600")
    before = bare.capture()
    up = bare.cluster("up", "--yes", "--plan", str(saved))
    after = bare.capture()
    bare.root("spark-2", "ip link set dev enp1s0f1np1 mtu 1500")
    assert up.code == 4 and "spark-2 changed since the plan was made" in up.err, up.err
    same(before, after)


def test_a_second_run_is_told_who_holds_the_lock(bare: Rig) -> None:
    bare.plant_netplan("spark-1", f'if [ "$1" = apply ] && [ -e {OURS} ]; then touch /run/planted; sleep 4; fi')
    first = bare.started("up", "--yes", *bare.quick)
    until = time.monotonic() + 60
    while "yes" not in bare.root("spark-1", "[ -e /run/planted ] && echo yes || :"):
        assert time.monotonic() < until and first.poll() is None
        time.sleep(0.2)
    second = bare.cluster("up", "--yes")
    said, _ = first.communicate(timeout=90)
    assert first.returncode == 0, said
    assert second.code == 4, second.err
    bare.root("spark-1", "rm -f /run/planted")


def test_a_later_edit_survives_teardown(bare: Rig) -> None:
    assert bare.cluster("up", "--yes").code == 0
    bare.root("spark-1", "echo '# mine' >>/etc/sparkctl/nccl.env")
    down = bare.cluster("down", "--yes")
    assert down.code == 0 and "left alone" in down.out
    assert "# mine" in bare.root("spark-1", "cat /etc/sparkctl/nccl.env; rm -r /etc/sparkctl")


def refused(rig: Rig) -> str:
    """`up` ends with 4; the message and its remedy."""
    up = rig.cluster("up", "--yes", "--json")
    assert up.code == 4, up.err
    error = json.loads(up.out)["error"]
    assert error["remedy"], error
    return str(error["message"])


def test_every_refusal_is_one_clear_message_and_changes_nothing(bare: Rig) -> None:
    """Wrong host key, unknown host, refused key, sudo that asks: exit 4, and the node is named."""
    before = bare.capture()
    node = bare.state.node("spark-2")
    hosts, key = Path(node.known_hosts), Path(node.identity_file)
    public = Path(f"{key}.pub")
    kept_hosts, kept_key, kept_public = hosts.read_text(), key.read_bytes(), public.read_bytes()
    ours, others = kept_hosts.splitlines()[:2]
    try:
        hosts.write_text(f"{ours}\n{others.split()[0]} {ours.split(maxsplit=1)[1]}\n")
        message = refused(bare)
        assert "spark-2" in message and "is not the one in" in message and "spark-1" not in message
        hosts.write_text(f"{ours}\n")
        assert "no host key for it" in refused(bare)
        hosts.write_text(kept_hosts)
        stranger = bare.inventory.parent / "stranger"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(stranger)], check=True, timeout=20)
        key.write_bytes(stranger.read_bytes())
        assert "cannot use the key" in refused(bare), "its public half lies beside it and does not fit"
        public.write_bytes(stranger.with_suffix(".pub").read_bytes())
        assert "refused" in refused(bare)
    finally:
        hosts.write_text(kept_hosts)
        key.write_bytes(kept_key)
        public.write_bytes(kept_public)
        key.chmod(0o600)
    same(before, bare.capture())


ASK = """
import asyncio, sys
from sparkctl.commands.base import Command, Effect
from sparkctl.errors import AccessRefused
from sparkctl.ssh.passwords import Secrets
from sparkctl.ssh.connection import Login, SshTransport
from sparkctl.lab.enter import enter
from sparkctl.lab.state import find

state = find(sys.argv[1])
node = state.node("spark-2")
enter(state)

async def ask(password):
    asked = iter((password,))
    async def answer(question):
        return next(asked, None)
    login = Login(node.name, node.address, node.port, "asked", node.known_hosts, node.identity_file, own_config=False,
                  sudo_asks=password is not None, secrets=Secrets(answer))
    transport = SshTransport(login)
    try:
        script = "id -u; cat"
        print(await transport.run(Command("test", script, Effect.READ, b"payload", timeout=20)))
    except AccessRefused as error:
        print("refused:", error.message)
    finally:
        await transport.close()

for password in (None, "wrong", "right"):
    asyncio.run(ask(password))
"""


@pytest.mark.more
def test_a_sudo_password_goes_over_stdin_and_nowhere_else(bare: Rig) -> None:
    """A user whose sudo asks: without and with a wrong password refused, with the right one root, stdin intact."""
    user = bare.state.node("spark-2").user
    bare.root(
        "spark-2",
        "useradd -m -G sudo -s /bin/bash asked; echo asked:right | chpasswd;"
        f"cp -a ~{user}/.ssh ~asked/ && chown -R asked: ~asked/.ssh",
    )
    ran = subprocess.run([sys.executable, "-c", ASK, bare.name], capture_output=True, text=True, timeout=90)
    bare.root("spark-2", "pkill -KILL -u asked; sleep 1; userdel -r asked 2>/dev/null; rm -rf /var/lib/sudo/lectured")
    lines = ran.stdout.splitlines()
    assert len(lines) == 3, ran.stderr
    assert lines[0].startswith("refused:") and lines[1].startswith("refused:"), lines
    assert "0\\npayload" in lines[2], lines


def test_a_node_without_power_is_refused_by_name(bare: Rig) -> None:
    assert sparkctl("lab", "fault", str(bare.inventory), "kill", "spark-2").code == 0
    try:
        message = refused(bare)
    finally:
        assert sparkctl("lab", "fault", str(bare.inventory), "boot", "spark-2").code == 0
    assert "spark-2" in message and "cannot be reached" in message
