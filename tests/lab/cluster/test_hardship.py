"""Full disks, read-only folders, clocks, cut books, two at once, signals and closed terminals: refused or undone, clearly."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.cluster.matrix.course import REST, Course
from tests.lab.cluster.matrix.driver import Event
from tests.lab.cluster.test_faults import OURS
from tests.lab.labs import LEASE, Ended, Rig, same

SMALL = "/run/small"
ALL_AT_REST = {"spark-1": "rest\n", "spark-2": "rest\n"}
HEAD = Event("spark-1", "network, head", 3, "", 0)


@contextmanager
def small(rig: Rig, folder: str, free: int) -> Iterator[None]:
    """`folder` of the worker on a filesystem with `free` KiB left; its content as it was."""
    rig.root(
        "spark-2",
        f"set -e; [ -d {folder} ] || {{ mkdir {folder}; touch /run/made-folder; }}; mkdir -p {SMALL}; mount -t tmpfs -o size=64m,mode=755 tmpfs {SMALL};"
        f"mkdir {SMALL}/it; head -c 4096 /dev/zero >{SMALL}/fill; cp -a {folder}/. {SMALL}/it; used=$(df -Pk {SMALL} | awk 'NR == 2 {{ print $3 }}');"
        f"mount -o remount,size=$((used + {free}))k {SMALL}; mount --bind {SMALL}/it {folder}",
        timeout=120,
    )
    try:
        yield
    finally:
        rig.root("spark-2", f"umount {folder}; umount {SMALL}; rmdir {SMALL}; if [ -e /run/made-folder ]; then rmdir {folder}; rm /run/made-folder; fi")


def inside(rig: Rig, folder: str) -> str:
    """What a capture does not see of a mounted folder."""
    return rig.root("spark-2", f"cd {folder}; find . -printf '%y %m %U:%G %p %l\\n' | sort; find . -type f -print0 | sort -z | xargs -0 -r sha256sum")


def clear(up: Ended, *words: str) -> None:
    """Undone or refused, and the message names the node and the cause."""
    assert up.code in (4, 5), f"{up.code}: {up.err}"
    for word in ("spark-2", "do:", *words):
        assert word in up.err, up.err


@pytest.mark.more
def test_the_disk_below_var_lib_is_full_at_any_write(bare: Rig) -> None:
    """More and more room, until it is enough: each time another write is the one that fails."""
    before, failed = bare.capture(), []
    for free in range(0, 400, 20):
        bare.root("spark-2", f"mkdir -p -m 700 {SMALL}.lib; mount -t tmpfs -o size={free + 4}k,mode=755 tmpfs {SMALL}.lib; mkdir {SMALL}.lib/it; mount --bind {SMALL}.lib/it /var/lib")
        try:
            up = bare.cluster("up", "--yes", *bare.quick)
            left = bare.root("spark-2", "ls -A /var/lib")
        finally:
            bare.root("spark-2", f"umount /var/lib; umount {SMALL}.lib; rmdir {SMALL}.lib")
        if up.code == 0:
            break
        clear(up, "No space left")
        assert left == "", f"with {free} KiB: {left}"
        failed.append(free)
    assert len(failed) >= 3 and up.code == 0, failed
    # The record went with that filesystem: put the node back by hand, so that only the fabric's own history counts.
    bare.root("spark-2", f"rm -rf /etc/sparkctl {OURS}; netplan apply; for d in enp1s0f1np1 enP2p1s0f1np1; do ip link set $d mtu 1500; ip link set $d down; done")
    assert bare.cluster("down", "--yes").code == 0
    same(before, bare.capture())


@pytest.mark.parametrize("folder", ["/etc/netplan", *(pytest.param(f, marks=pytest.mark.more) for f in ("/etc/systemd/system", "/etc/sparkctl"))])
def test_a_folder_below_etc_is_full(bare: Rig, folder: str) -> None:
    """Page by page more room; whatever fits, the rest is as before."""
    codes = []
    for free in (0, 4, 8, 12):
        with small(bare, folder, free):
            before, content = bare.capture(), inside(bare, folder)
            up = bare.cluster("up", "--yes", *bare.quick)
            codes.append(up.code)
            if up.code == 0:
                assert bare.cluster("down", "--yes").code == 0
            else:
                clear(up, "No space left")
            assert inside(bare, folder) == content
            same(before, bare.capture())
        if up.code == 0:
            break
    assert codes[0] != 0, "nothing was written there"


@pytest.mark.parametrize("folder", ["/etc", "/var/lib"])
def test_a_read_only_folder_refuses(bare: Rig, folder: str) -> None:
    before = bare.capture()
    bare.root("spark-2", f"mount --bind {folder} {folder}; mount -o remount,ro,bind {folder}")
    try:
        up = bare.cluster("up", "--yes", *bare.quick)
    finally:
        bare.root("spark-2", f"umount --lazy {folder}")
    clear(up, "Read-only file system")
    same(before, bare.capture())


def test_a_node_without_netplan_is_refused(bare: Rig) -> None:
    bare.root("spark-2", "mv /usr/sbin/netplan /usr/sbin/netplan.away")
    try:
        before = bare.capture()
        up = bare.cluster("up", "--yes")
        after = bare.capture()
    finally:
        bare.root("spark-2", "mv /usr/sbin/netplan.away /usr/sbin/netplan")
    clear(up, "netplan")
    same(before, after)


# Every look at the clock shows an hour less than the one before.
BACKWARDS = """#!/bin/sh
count=$(cat /run/planted-clock 2>/dev/null || echo 0)
echo $((count + 1)) >/run/planted-clock
exec /bin/date.real -d "-$count hours" "$@"
"""


@pytest.mark.more
def test_a_clock_that_is_set_back_stretches_no_lease(bare: Rig, tmp_path: Path) -> None:
    """Leases and timers run on the seconds since boot: with a clock that goes back an hour at every look, nothing changes."""
    course = Course(bare, "direct", tmp_path)
    before = bare.capture()
    bare.root("spark-2", f"mv /bin/date /bin/date.real; cat >/bin/date <<'EOF'\n{BACKWARDS}EOF\nchmod 755 /bin/date")
    try:
        code, said, passed = course.struck("up", "CONTROLLER_KILLED", HEAD, late=True)
        assert code == -9 and any(e.fired for e in passed), said
        begun = time.monotonic()
        assert course.each(REST) == ALL_AT_REST
        assert time.monotonic() - begun < LEASE + 25
        assert int(bare.root("spark-2", "cat /run/planted-clock")) >= 1, "nobody looked at the clock"
    finally:
        bare.root("spark-2", "mv /bin/date.real /bin/date; rm -f /run/planted-clock")
    same(before, bare.capture())


@pytest.mark.more
def test_a_journal_that_was_cut_stops_recover(bare: Rig, tmp_path: Path) -> None:
    """At every line's end, one byte before and one after it. What is no whole book is named; nothing is changed by guessing."""
    course = Course(bare, "direct", tmp_path)
    before = bare.capture()
    code, said, _ = course.struck("up", "CONTROLLER_KILLED", HEAD, late=True)
    assert code == -9, said
    # The timer would be faster than all these cuts.
    course.each("systemctl stop sparkctl-revert.timer")
    whole = bare.root("spark-2", "cat /var/lib/sparkctl/journal")
    ends = [at + 1 for at, byte in enumerate(whole) if byte == "\n"]
    refused = 0
    for cut in sorted({max(0, end + step) for end in (0, *ends) for step in (-1, 0, 1) if end + step < len(whole)}):
        bare.root("spark-2", f"head -c {cut} >/var/lib/sparkctl/journal <<'EOF'\n{whole}EOF\n")
        told = bare.cluster("recover", "--dry-run", "--json")
        if cut in ends and cut > ends[1]:
            assert told.code in (0, 4), told.err
        else:
            assert told.code == 4, f"cut at {cut}: {told.out}{told.err}"
        if told.code == 4:
            refused += 1
            assert "spark-2" in told.err and "journal" in told.err and "Traceback" not in told.err, told.err
    assert refused >= 2 * len(ends)
    bare.root("spark-2", f"cat >/var/lib/sparkctl/journal <<'EOF'\n{whole}EOF\n")
    assert bare.cluster("recover", "--yes", "--break-lock").code == 0
    same(before, bare.capture())


@pytest.mark.more
def test_two_at_the_same_moment(bare: Rig) -> None:
    """One wins, the other is told by whom; or both are refused and nothing was changed. Never both, never half.

    On a busy machine one may come when the other has ended: it finds nothing to do, and that was no contest.
    """
    wins = 0
    for _ in range(10):
        before = bare.capture()
        both = [bare.started("up", "--yes", *bare.quick) for _ in range(2)]
        said = [run.communicate(timeout=120)[0] for run in both]
        codes = sorted(run.returncode for run in both)
        late = codes == [0, 0] and sum("nothing to do" in text for text in said) == 1
        assert late or codes in ([0, 4], [4, 4]), said
        for run, text in zip(both, said, strict=True):
            if run.returncode == 4:
                assert any(w in text for w in ("locked by", "busy on this node", "interrupted run", "changed since the plan")), text
        if 0 in codes:
            wins += not late
            assert bare.cluster("verify").code == 0
            assert bare.cluster("down", "--yes").code == 0
        same(before, bare.capture())
        if wins == 3:
            return
    pytest.fail(f"{wins} of 10 rounds had a winner and a loser")


def course_of(rig: Rig, folder: Path) -> Course:
    return Course(rig, "direct", folder)


def begun(rig: Rig, running: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    """Until the worker's network was changed."""
    until = time.monotonic() + 90
    while "yes" not in rig.root("spark-2", "[ -e /var/lib/sparkctl/run/started.network ] && echo yes || :"):
        assert time.monotonic() < until and running.poll() is None, "the network was never changed"
        time.sleep(0.05)


def slowed(rig: Rig) -> dict[str, str]:
    """The nodes as they are; the head's network will take its time, so that the run is met in the middle on any machine."""
    rig.plant_netplan("spark-1", 'if [ "$1" = apply ]; then sleep 5; fi')
    return rig.capture()


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.more)], ids=["SIGTERM", "SIGHUP"])
def test_a_signal_stops_at_the_barrier_and_undoes(bare: Rig, number: signal.Signals) -> None:
    before = slowed(bare)
    running = bare.started("up", "--yes", *bare.quick)
    begun(bare, running)
    running.send_signal(number)
    said, _ = running.communicate(timeout=120)
    assert running.returncode == 130 and "every node was put back" in said, said
    same(before, bare.capture())


def on_a_terminal(rig: Rig, *words: str) -> tuple[subprocess.Popen[bytes], int]:
    """sparkctl on a terminal of its own, and our end of that."""
    ours, theirs = pty.openpty()

    def own() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    line = [sys.executable, "-m", "sparkctl", "cluster", "up", str(rig.inventory), "--lab", *words]
    running = subprocess.Popen(line, stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=own)
    os.close(theirs)
    return running, ours


def read_away(ours: int, running: subprocess.Popen[bytes]) -> None:
    """A terminal that nobody reads stops its program; short looks, so that nobody holds it when it is closed."""

    def read() -> None:
        while running.poll() is None:
            try:
                if select.select([ours], [], [], 0.02)[0]:
                    os.read(ours, 4096)
            except (OSError, ValueError):
                return

    threading.Thread(target=read, daemon=True).start()


def test_a_closed_terminal_undoes(bare: Rig) -> None:
    before = slowed(bare)
    running, ours = on_a_terminal(bare, "--yes", *bare.quick)
    read_away(ours, running)
    begun(bare, running)
    os.close(ours)
    assert running.wait(120) == 130
    same(before, bare.capture())


@pytest.mark.more
def test_a_laptop_that_sleeps_longer_than_the_lease(bare: Rig, tmp_path: Path) -> None:
    """The nodes put themselves back; the controller wakes, finds that its lock is gone, and says that all is as before."""
    before = slowed(bare)
    running = bare.started("up", "--yes", *bare.quick)
    begun(bare, running)
    running.send_signal(signal.SIGSTOP)
    try:
        assert course_of(bare, tmp_path).each(REST) == ALL_AT_REST
    finally:
        running.send_signal(signal.SIGCONT)
    said, _ = running.communicate(timeout=260)
    assert running.returncode == 5 and "every node was put back" in said, said
    same(before, bare.capture())
