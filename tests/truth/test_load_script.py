"""The node's script of load tests, with real shells, signals and an sshd: whatever happens, it leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import pytest

from sparkctl.commands.base import functions
from sparkctl.commands.shell import quote
from sparkctl.loadtest.perftest import EMULATED, FULL, QUICK, End, command, stop
from sparkctl.loadtest.perftest_output import BUSY, NO_TOOL, SLOW, STOPPED, ends
from tests.contract.sshd import Sshd, make_key, running

FOREVER = "exec sleep 300"
REFUSED = """echo "Couldn't connect to 10.20.2.13:18515" >&2; exit 1"""


class Node:
    """A folder for the script's state, and a mark by which whatever it started can be found."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = f"{folder}/mark"

    def script(self, *steps: tuple[str, ...]) -> str:
        lines = "".join(quote(step) + "\n" for step in steps)
        return functions("load/perftest.sh") + f"load_root={quote([str(self.folder)])}\n" + lines

    def lanes(self, *programs: str, role: str = "server", seconds: int = 20, token: str = "t") -> str:
        """A script whose lanes run shell programs in the place of perftest; the mark is their $0."""
        steps = (("lane", str(k), str(seconds), role, "sh", "-c", p, self.mark) for k, p in enumerate(programs))
        return self.script(("load_begins", token), *steps, ("load_ends",))

    def left(self) -> list[str]:
        """Command lines that carry the mark, and folders of runs."""
        found = subprocess.run(["pgrep", "-af", self.mark], capture_output=True, text=True, timeout=20).stdout
        folders = [str(path) for path in self.folder.glob("sparkctl-load.*.*")]
        return [line for line in found.splitlines() if "pgrep" not in line] + folders

    def gone(self, seconds: float) -> bool:
        return within(seconds, lambda: not self.left())


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if holds():
            return True
        time.sleep(0.1)
    return holds()


def marked(program: str) -> str:
    """`program` as a child whose command line shows the mark too."""
    return f'sh -c "{program}" "$0"; :'


@pytest.fixture
def spot(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path)
    yield made
    subprocess.run(["pkill", "-KILL", "-f", made.mark], timeout=20)  # the mark names this test's own folder


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60)


def begun(script: str) -> subprocess.Popen[str]:
    # A shell cannot trap what was ignored when it began, and whoever runs the tests may ignore hang-ups (nohup).
    words = ["env", "--default-signal=HUP", "sh", "-c", script]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_each_lane_has_its_own_report_status_and_reason(spot: Node) -> None:
    write = 'for w; do case $w in --out_json_file=*) echo {json} >"${w#*=}" ;; esac; done; echo text'
    ran = run(spot.lanes("echo text; echo why >&2; exit 3", write, "exec /nonexistent/ib_write_bw"))
    found = ends(ran.stdout)
    assert (found[0].status, found[0].report, found[0].stderr) == (3, "text\n", "why\n")
    assert (found[1].status, found[1].report) == (0, "{json}\n"), "JSON comes before text"
    assert found[2].status == NO_TOOL
    assert ran.returncode == 0 and spot.left() == []


def test_a_lane_ends_at_its_bound_even_when_it_ignores_the_signal(spot: Node) -> None:
    ran = run(spot.lanes("trap '' TERM; while :; do sleep 0.2; done", FOREVER, seconds=1))
    assert {end.status for end in ends(ran.stdout).values()} <= {SLOW, 137}
    assert spot.left() == []


def test_a_client_waits_for_its_server(spot: Node) -> None:
    flag = spot.folder / "listening"
    script = begun(spot.lanes(f"[ -e {flag} ] && exit 0; {REFUSED}", role="client"))
    time.sleep(1)
    flag.touch()
    out, _ = script.communicate(timeout=20)
    assert ends(out)[0].status == 0


def test_a_client_does_not_wait_for_ever_nor_repeat_another_error(spot: Node) -> None:
    tries = spot.folder / "tries"
    ran = run(spot.lanes(f"echo >>{tries}; {REFUSED}", role="client"))
    assert ends(ran.stdout)[0].status == 1 and len(tries.read_text()) == 40
    tries.unlink()
    run(spot.lanes(f"echo >>{tries}; echo 'IB device x not found' >&2; exit 1", role="client"))
    assert len(tries.read_text()) == 1


def test_when_nobody_reads_any_more_it_ends(spot: Node) -> None:
    script = begun(spot.lanes(marked(FOREVER), marked(FOREVER)))
    assert within(5, lambda: len(spot.left()) > 2)
    assert script.stdout is not None
    script.stdout.close()
    assert spot.gone(5)
    assert script.wait(timeout=10) == 77


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_it_all(spot: Node, sent: signal.Signals) -> None:
    script = begun(spot.lanes(marked(FOREVER)))
    assert within(5, lambda: len(spot.left()) > 2)
    script.send_signal(sent)
    assert spot.gone(5)
    script.communicate(timeout=10)


def test_killed_outright_its_lanes_end_at_their_bound_and_the_next_one_cleans_up(spot: Node) -> None:
    script = begun(spot.lanes(marked(FOREVER), seconds=3))
    assert within(5, lambda: len(spot.left()) > 2)
    script.kill()
    script.communicate(timeout=10)
    assert within(8, lambda: all("sparkctl-load" in line for line in spot.left())), "only its folder is left"
    assert run(spot.lanes("exit 0")).returncode == 0
    assert spot.left() == []


def test_stop_ends_the_runs_of_its_token_and_no_others(spot: Node) -> None:
    script = begun(spot.lanes(marked(FOREVER), token="mine"))
    assert within(5, lambda: len(spot.left()) > 2)
    assert run(spot.script(("load_stops", "yours"))).returncode == 0
    assert script.poll() is None
    assert run(spot.script(("load_stops", "mine"))).returncode == 0
    assert spot.left() == []
    script.communicate(timeout=10)
    assert script.returncode == STOPPED


def test_two_runs_do_not_share_a_node(spot: Node) -> None:
    first = begun(spot.lanes(marked(FOREVER)))
    assert within(5, lambda: len(spot.left()) > 2)
    assert run(spot.lanes("exit 0", token="u")).returncode == BUSY
    first.terminate()
    first.communicate(timeout=10)
    assert run(spot.lanes("exit 0", token="u")).returncode == 0


@pytest.fixture
def rank(spot: Node, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """The script of a rank that runs `program` beside an engine in the given state."""
    fake = spot.folder / "systemctl"
    monkeypatch.setenv("PATH", f"{spot.folder}:{os.environ['PATH']}")

    def made(engine: str, program: str = "exit 0") -> str:
        fake.write_text(f"#!/bin/sh\n{engine}\n")
        fake.chmod(0o755)
        root = f"load_root={quote([str(spot.folder)])}\n"
        return f"{functions('load/rank.sh')}{root}rank_begins x.service\nexec {quote(['sh', '-c', program, spot.mark])}\n"

    return made


def test_a_rank_and_perftest_do_not_share_a_node(spot: Node, rank: Callable[..., str]) -> None:
    first = begun(spot.lanes(marked(FOREVER)))
    assert within(5, lambda: len(spot.left()) > 2)
    refused = run(rank("echo inactive"))
    assert (refused.returncode, refused.stderr) == (BUSY, "another test under load runs there\n")
    first.terminate()
    first.communicate(timeout=10)
    second = begun(rank("echo inactive", 'touch "$0"; while :; do sleep 0.2; done'))
    assert within(5, Path(spot.mark).exists)
    assert run(spot.lanes("exit 0")).returncode == BUSY, "the rank keeps the lock as long as it runs"
    second.kill()
    second.communicate(timeout=10)
    assert run(rank("echo inactive")).returncode == 0


@pytest.mark.parametrize("engine", ["echo active", "echo activating", "echo reloading", "echo deactivating", "exit 1"])
def test_a_rank_does_not_run_beside_the_engine(spot: Node, rank: Callable[..., str], engine: str) -> None:
    refused = run(rank(engine, "echo ran"))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("the engine was started meanwhile")
    assert run(rank("echo failed", "echo ran")).stdout == "ran\n"


CONTROLLER = """
import asyncio, sys
from pathlib import Path
from sparkctl.commands.base import Command, Effect
from sparkctl.ssh.connection import Login, SshTransport

port, user, known, key, script = sys.argv[1:]
login = Login("n", "127.0.0.1", int(port), user, known, key, own_config=False)
command = Command("load", Path(script).read_text(), Effect.LOAD, timeout=100)
asyncio.run(SshTransport(login).run(command))
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Sshd]:
    key = make_key(tmp_path / "key")
    with running(tmp_path / "sshd") as server:
        server.authorise(key)
        (tmp_path / "known").write_text(server.line)
        yield server


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP])
def test_a_controller_that_dies_leaves_nothing(spot: Node, daemon: Sshd, tmp_path: Path, sent: signal.Signals) -> None:
    """Killed: the heartbeat finds nobody. Stopped, so that the connection stays: the bound."""
    script = tmp_path / "script"
    script.write_text(spot.lanes(marked(FOREVER), marked(FOREVER), seconds=6))
    words = [sys.executable, "-c", CONTROLLER, str(daemon.port), os.environ.get("USER") or "root"]
    controller = subprocess.Popen([*words, str(tmp_path / "known"), str(tmp_path / "key"), str(script)])
    try:
        assert within(15, lambda: len(spot.left()) > 4)
        controller.send_signal(sent)
        assert spot.gone(4 if sent == signal.SIGKILL else 12)
    finally:
        controller.kill()
        controller.wait(timeout=10)


def test_shellcheck_has_nothing_to_say() -> None:
    end, client = End("rocep1s0f1", 3), End("rocep1s0f1", None, "10.20.0.11")
    kinds = product(("bandwidth", "latency"), (end, client), (FULL, QUICK, EMULATED))
    made = [command("t", tool, (each, each), effort) for tool, each, effort in kinds]
    rank = functions("load/rank.sh") + "rank_begins x.service\n"
    for script in {c.script for c in made} | {stop("t").script, rank}:
        words = ["shellcheck", "--shell=sh", "--exclude=SC2317,SC2329", "-"]
        judged = subprocess.run(words, input=script, capture_output=True, text=True, timeout=60)
        assert judged.returncode == 0, judged.stdout
