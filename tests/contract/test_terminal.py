"""A terminal that closes, and a pipe that nobody reads, while a command works on a real node: the undo goes on."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contract.sshd import Sshd, make_key, running

INVENTORY = """\
apiVersion: sparkctl/v1
kind: Cluster
metadata: {{name: watched}}
ssh: {{user: nvidia, known_hosts: known_hosts, identity_file: key}}
nodes:
  - {{name: spark-1, address: 192.0.2.11, port: {port}, user: root}}
  - {{name: spark-2, address: 192.0.2.12, port: {port}, user: root}}
links:
  - [spark-1:p1, spark-2:p1]
fabric: {{topology: direct}}
"""
CONFIG = "Host 192.0.2.*\n HostName 127.0.0.1\n"
PROGRAM = """
import asyncio, os, sys
from pathlib import Path
from sparkctl.cli.desk import Desk
from sparkctl.cli.opening import run
from sparkctl.commands.base import Command, Effect
from sparkctl.errors import ApplyFailed
from sparkctl.report.events import Note

folder = Path(sys.argv[1])

async def work(site):
    site.interruption.running = True
    with site.fleet.allow(Effect.WRITE):
        begun = Command("begin", f"echo begun >> {folder}/begun; sleep 1", Effect.WRITE)
        await site.fleet.each("begin", {"spark-1": begun, "spark-2": begun})
        await asyncio.wait_for(site.interruption.asked.wait(), 30)
        for number in range(200):
            site.fleet.observer(Note(f"undoing, line {number}"))
            desk.people.print("for people, line", number)
        undo = Command("undo", f"sleep 0.5; echo undone >> {folder}/undone", Effect.WRITE)
        results = await site.fleet.each("undo", {"spark-1": undo, "spark-2": undo})
    (folder / "results").write_text(repr(sorted(results)))
    raise ApplyFailed("every node was put back")

desk = Desk(folder / "mine.yaml", json="--json" in sys.argv)
try:
    run("test", desk, work)
except BaseException as end:
    (folder / "code").write_text(str(getattr(end, "exit_code", end)))
    sys.exit(getattr(end, "exit_code", 1))
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running(tmp_path_factory.mktemp("node")) as server:
        yield server


@dataclass
class Place:
    """Where the program runs and what it leaves."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"HOME": str(self.folder), "TERM": "dumb"}

    @property
    def words(self) -> list[str]:
        return [sys.executable, str(self.folder / "program.py"), str(self.folder)]

    def begun(self) -> None:
        self.wait_for("begun")

    def wait_for(self, name: str) -> None:
        until = time.monotonic() + 30
        while (self.folder / name).exists() is False or (self.folder / name).read_text().count("\n") < 2:
            assert time.monotonic() < until, f"{name} was not reached"
            time.sleep(0.05)

    def undone(self) -> None:
        """On both nodes, and the program came to its own end."""
        self.wait_for("undone")
        until = time.monotonic() + 10
        while not (self.folder / "code").exists():
            assert time.monotonic() < until, "the program did not end by itself"
            time.sleep(0.05)
        assert (self.folder / "code").read_text() == "5", "exit code of an undone run"


@pytest.fixture
def place(node: Sshd, tmp_path: Path) -> Place:
    (tmp_path / "mine.yaml").write_text(INVENTORY.format(port=node.port))
    (tmp_path / "known_hosts").write_text(node.line)
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text(CONFIG)
    (tmp_path / "program.py").write_text(PROGRAM)
    node.authorise(make_key(tmp_path / "key"))
    return Place(tmp_path)


def drained(end: int, seconds: float) -> bytes:
    """What stands on a terminal by then, so that its buffer never fills."""
    seen, until = b"", time.monotonic() + seconds
    os.set_blocking(end, False)
    while time.monotonic() < until:
        try:
            seen += os.read(end, 65536)
        except BlockingIOError:
            time.sleep(0.02)
        except OSError:
            break
    return seen


def reaped(pid: int) -> int:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise AssertionError("the program hangs")


def test_a_closed_terminal_is_an_interruption_and_the_undo_runs_to_its_end(place: Place) -> None:
    pid, end = pty.fork()
    if pid == 0:
        os.execve(place.words[0], place.words, place.environment)
    place.begun()
    os.close(end)  # the kernel sends SIGHUP; every write is EIO from here on
    assert reaped(pid) == 5
    place.undone()


def test_a_second_hangup_from_the_shell_does_not_cut_the_undo_short(place: Place) -> None:
    pid, end = pty.fork()
    if pid == 0:
        os.execve(place.words[0], place.words, place.environment)
    place.begun()
    os.kill(pid, signal.SIGHUP)
    drained(end, 0.3)
    os.kill(pid, signal.SIGHUP)
    os.close(end)
    assert reaped(pid) == 5
    place.undone()


@pytest.mark.parametrize("gone", ["stdout", "stderr", "both"])
def test_a_pipe_that_nobody_reads_changes_nothing(place: Place, gone: str) -> None:
    program = subprocess.Popen(
        [*place.words, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=place.environment
    )
    assert program.stdout is not None and program.stderr is not None
    try:
        place.begun()
        if gone != "stderr":
            program.stdout.close()
        if gone != "stdout":
            program.stderr.close()
        program.send_signal(signal.SIGINT)
        if gone == "stderr":
            report = json.loads(program.stdout.read())
            assert (report["exit_code"], report["error"]["message"]) == (5, "every node was put back")
        assert program.wait(30) == 5
    finally:
        program.kill()
        program.wait(10)
        for stream in (program.stdout, program.stderr):
            stream.close()
    place.undone()


def test_a_full_disk_under_the_report_changes_nothing(place: Place) -> None:
    with Path("/dev/full").open("w") as full:
        program = subprocess.Popen([*place.words, "--json"], stdout=full, stderr=full, env=place.environment)
    place.begun()
    program.send_signal(signal.SIGTERM)
    assert program.wait(30) == 5
    place.undone()


ASKING = """
import asyncio, sys
from sparkctl.cli.asking import ask
answer = asyncio.run(ask("password: "))
print(None if answer is None else len(answer), flush=True)
"""


def test_a_secret_is_asked_for_without_echo() -> None:
    pid, end = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [sys.executable, "-c", ASKING], dict(os.environ))
    seen, typed = b"", False
    try:
        while chunk := os.read(end, 4096):
            seen += chunk
            if b"password: " in seen and not typed:
                typed = True
                os.write(end, b"tr0ubadour\n")
    except OSError:  # the end of a terminal whose program has ended
        pass
    os.close(end)
    assert reaped(pid) == 0
    assert b"10" in seen and b"tr0ubadour" not in seen


def test_without_a_terminal_nobody_is_asked() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", ASKING], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30
    )
    assert ran.stdout == "None\n"


def test_an_interrupted_question_gives_the_echo_back() -> None:
    import termios

    near, far = pty.openpty()
    # A shell starts what runs in its background with the interrupt ignored, and whoever runs the tests may be there.
    words = ["env", "--default-signal=INT", sys.executable, "-c", ASKING]
    program = subprocess.Popen(words, stdin=far, stdout=far, stderr=subprocess.DEVNULL)
    try:
        assert b"password: " in drained(near, 2)
        assert not termios.tcgetattr(far)[3] & termios.ECHO
        program.send_signal(signal.SIGINT)
        program.wait(10)
        assert termios.tcgetattr(far)[3] & termios.ECHO
    finally:
        program.kill()
        program.wait(10)
        os.close(near)
        os.close(far)


COMPLAINING = """
import sys
from sparkctl.cli import terminal
from sparkctl.errors import UsageError
terminal.complain(UsageError("wrong", "another"))
terminal.confess(ValueError("odd"))
"""


@pytest.mark.parametrize("words", [(), ("--no-color",)])
def test_errors_are_red_on_a_terminal_unless_no_colour_is_wanted(words: tuple[str, ...], tmp_path: Path) -> None:
    near, far = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "TMPDIR": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", COMPLAINING, *words], stderr=far, env=environment, timeout=30)
    said = drained(near, 0.2)
    os.close(near)
    os.close(far)
    assert ran.returncode == 0 and b"error:" in said and b"this is a bug in sparkctl:" in said
    assert (b"31m" in said) is not bool(words)
