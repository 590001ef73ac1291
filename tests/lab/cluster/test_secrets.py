"""A sudo password and an API key, planted: they are in their own files, and nowhere else, during and after a full run."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.lab.cluster.matrix.driver import Event, Order
from tests.lab.labs import ROOT, SERVING, Labs, Rig

PASSWORD, KEY = "planted-Passw0rd-7c1f", "planted-key-93ab1e5d"
SECRETS = (PASSWORD.encode(), KEY.encode())
ENGINE = SECRETS[:1]
ENGINE_CGROUPS = (b"/sparkctl-engine.service", b"/docker/")
# A pattern that finds the secrets and is none of them: the watcher sees argv of this search, too.
PATTERN = f"-e {PASSWORD.replace('-', '[-]')} -e {KEY.replace('-', '[-]')}"
# Everything that a node keeps or shows to others; the user database has a hash of the password only.
SEARCH = f"""
grep -rla {PATTERN} /etc /var /run /tmp /root /home --exclude-dir=journal 2>/dev/null
journalctl --no-pager -o export 2>/dev/null | grep -a {PATTERN}
systemctl show '*' 2>/dev/null | grep -a {PATTERN}
:
"""
# The lab plays `sudo: passwordless`, so this program puts the inventory's own wish back before it starts the driver.
ASKS = """
import runpy, sys
from dataclasses import replace
from sparkctl.lab import overlay
plain = overlay.overlay
def asking(cluster, state):
    twin, said = plain(cluster, state)
    return replace(twin, ssh=replace(twin.ssh, sudo="prompt", user="asked"),
                   nodes=tuple(replace(node, user="asked") for node in twin.nodes)), said
overlay.overlay = asking
runpy.run_module("tests.lab.cluster.matrix.driver", run_name="__main__", alter_sys=True)
"""


@dataclass
class Watcher:
    """Looks at the argv and environment of every program of this machine, and with them of the nodes, all the time."""

    seen: set[str] = field(default_factory=set)
    looks: int = 0
    programs: set[tuple[str, bytes]] = field(default_factory=set)

    def look(self) -> None:
        """Once at all of them; an environment when its program is new."""
        self.looks += 1
        for pid in (entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()):
            try:
                argv = Path(f"/proc/{pid}/cmdline").read_bytes()
                if (pid, argv) in self.programs:
                    continue
                self.programs.add((pid, argv))
                environ = Path(f"/proc/{pid}/environ").read_bytes()
                cgroup = Path(f"/proc/{pid}/cgroup").read_bytes()
            except OSError:
                continue
            self._judge("argv", argv, argv, SECRETS)
            # vLLM takes its key from its environment (or its argv, where all could read it): only programs of its unit.
            ours = ENGINE if any(word in cgroup for word in ENGINE_CGROUPS) else SECRETS
            self._judge("environ", environ, argv, ours)

    def _judge(self, what: str, content: bytes, argv: bytes, secrets: tuple[bytes, ...]) -> None:
        if any(secret in content for secret in secrets):
            self.seen.add(f"{what} of {argv[:120]!r}")

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Every 20 ms, until the body ends."""
        done = threading.Event()

        def look() -> None:
            while not done.wait(0.02):
                self.look()

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


@dataclass
class Typist:
    """Runs sparkctl on a terminal, and types the password when it is asked for."""

    rig: Rig
    folder: Path
    turn: int = 0

    def run(self, verb: str, *words: str, kind: str = "NONE", place: Event | None = None) -> tuple[int, bytes]:
        """Exit code, and all that the terminal showed."""
        self.turn += 1
        order = self.folder / f"{self.turn}.json"
        where = (place.title, place.node, place.at) if place else ("", "", 0)
        Order(self.rig.name, str(self.folder / f"{self.turn}.log"), kind, *where).save(order)  # type: ignore[arg-type]
        ours, theirs = pty.openpty()
        line = [sys.executable, "-c", ASKS, str(order), "cluster", verb, str(self.rig.inventory), "--lab", *words]
        with (self.folder / f"{self.turn}.out").open("wb") as out:
            running = subprocess.Popen(
                ["sh", "-c", 'ulimit -c unlimited; exec "$@"', "sh", *line], cwd=ROOT, stdin=theirs, stdout=out, stderr=theirs,
                env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.folder)}, start_new_session=True,
            )
        os.close(theirs)
        shown = self._type(running, ours)
        os.close(ours)
        return running.wait(30), shown

    def _type(self, running: subprocess.Popen[bytes], ours: int) -> bytes:
        shown, answered, until = b"", 0, time.monotonic() + 400
        while time.monotonic() < until:
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    shown += os.read(ours, 4096)
                except OSError:
                    break
            elif running.poll() is not None:
                break
            if shown.lower().count(b"password") > answered and shown.rstrip().endswith(b":"):
                answered = shown.lower().count(b"password")
                time.sleep(0.2)
                os.write(ours, f"{PASSWORD}\n".encode())
        return shown


@pytest.fixture(scope="module")
def guarded(labs: Labs, request: pytest.FixtureRequest) -> Rig:
    """A lab with an engine, whose nodes have a user that sudo asks for the password, and with the planted key."""
    rig = labs.of(SERVING, request.node.nodeid)
    first = rig.state.nodes[0]
    key = Path(first.known_hosts).with_name("api.key")
    assert key.exists(), "the lab keeps its key elsewhere"
    key.write_text(f"{KEY}\n")
    key.chmod(0o600)
    rig.each(
        f"useradd -m -G sudo -s /bin/bash asked; echo asked:{PASSWORD} | chpasswd;"
        f"cp -a ~{first.user}/.ssh ~asked/ && chown -R asked: ~asked/.ssh"
    )
    return rig


def places(rig: Rig) -> dict[str, list[str]]:
    """Where a secret lies on each node, once a line."""
    return {node.name: sorted(set(rig.root(node.name, SEARCH, timeout=120).splitlines())) for node in rig.state.nodes}


@pytest.mark.more
def test_secrets_stay_in_their_files(guarded: Rig, tmp_path: Path) -> None:
    typist, watcher = Typist(guarded, tmp_path), Watcher()
    saved = tmp_path / "plan.json"
    with watcher.watching():
        code, shown = typist.run("plan", "-o", str(saved))
        assert code == 0, shown.decode(errors="replace")
        code, shown = typist.run("up", "--yes", "--json", "-v", kind="FAIL", place=Event("spark-1", "network, head", 3, "", 0))
        assert code == 5, shown.decode(errors="replace")
        assert places(guarded) == {"spark-1": [], "spark-2": []}, "after the undo"
        code, shown = typist.run("up", "--yes", "--json", "-v")
        assert code == 0, shown.decode(errors="replace")
        code, shown = typist.run("status", "--json")
        assert code == 0, shown.decode(errors="replace")
        at_work = places(guarded)
        modes = {node: guarded.root(node, "stat -c '%a %u:%g' /etc/sparkctl/api.key") for node in at_work}
        code, shown = typist.run("up", "--yes", kind="NONE")
        assert code == 0, shown.decode(errors="replace")
        code, shown = typist.run("down", "--yes", "--json", kind="CONTROLLER_KILLED", place=Event("spark-1", "prepare", 2, "", 0))
        assert code == -9, shown.decode(errors="replace")
        code, shown = typist.run("recover", "--yes", "--break-lock")
        assert code == 0, shown.decode(errors="replace")
        code, shown = typist.run("down", "--yes", "--json")
        assert code == 0, shown.decode(errors="replace")
    assert watcher.looks > 100
    assert not watcher.seen, watcher.seen
    for node, found in at_work.items():
        assert found == ["/etc/sparkctl/api.key"], f"{node}: {found}"
    assert set(map(str.strip, modes.values())) == {"600 0:0"}, modes
    assert places(guarded) == {"spark-1": [], "spark-2": []}, "after down"
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) >= 8 and saved in written
    assert [path for path in written if any(secret in path.read_bytes() for secret in SECRETS)] == []


def test_the_watcher_sees_a_secret() -> None:
    """What cannot see is no proof."""
    watcher = Watcher()
    running = subprocess.Popen(["sleep", "30"], env={**os.environ, "PLANTED": KEY})
    try:
        time.sleep(0.3)
        watcher.look()
    finally:
        running.kill()
        running.wait(10)
    assert watcher.seen == {f"environ of {b'sleep' + bytes(1) + b'30' + bytes(1)!r}"}
