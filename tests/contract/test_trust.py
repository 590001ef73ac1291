"""`sparkctl inventory trust` and `init` against real sshd: what is shown, asked, pinned and refused."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import pytest
from typer.testing import CliRunner

from sparkctl.cli.main import app
from sparkctl.errors import Refused
from sparkctl.inventory.starter import MOST, starter, usual
from sparkctl.ssh import host_keys, known_hosts
from sparkctl.study import controller_of, study_text
from tests.contract.sshd import Sshd, fingerprint, free_port, make_key, public, running

SPARKCTL = str(Path(sys.executable).with_name("sparkctl"))
TEXT = """\
apiVersion: sparkctl/v1
kind: Cluster
metadata: {{name: trusting}}
ssh: {{user: nvidia, known_hosts: sub/known_hosts}}
nodes:
  - {{name: spark-1, address: 192.0.2.11, port: {one}}}
  - {{name: spark-2, address: 192.0.2.12, port: {two}}}
links:
  - [spark-1:p1, spark-2:p1]
fabric: {{topology: direct}}
"""
CONFIG = "Host 192.0.2.11\n HostName 127.0.0.1\nHost 192.0.2.12\n HostName 127.0.0.2\n"
"""An inventory may not name loopback."""


@dataclass
class Desk:
    """An inventory of two nodes, each a real sshd."""

    folder: Path
    one: Sshd
    two: Sshd

    @property
    def inventory(self) -> Path:
        return self.folder / "mine.yaml"

    @property
    def known(self) -> Path:
        return self.folder / "sub" / "known_hosts"

    @property
    def lines(self) -> str:
        return self.one.line + self.two.line.replace("127.0.0.1", "127.0.0.2")

    def ran(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Without a terminal."""
        return subprocess.run(
            [SPARKCTL, "inventory", "trust", str(self.inventory), *words],
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
            env=environment(self.folder),
        )

    def expectations(self) -> list[str]:
        return [f"--expect=spark-{n}={digest(s.host)}" for n, s in ((1, self.one), (2, self.two))]


def environment(home: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key != "SSH_AUTH_SOCK"}
    return kept | {"HOME": str(home), "COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"}


def digest(key: Path) -> str:
    return fingerprint(key).split()[1]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sshd, Sshd]]:
    folder = tmp_path_factory.mktemp("trust")
    with running(folder / "one") as one, running(folder / "two", "ListenAddress 127.0.0.2", "ecdsa") as two:
        yield one, two


@pytest.fixture
def at(servers: tuple[Sshd, Sshd], tmp_path: Path) -> Desk:
    made = Desk(tmp_path, *servers)
    made.inventory.write_text(TEXT.format(one=made.one.port, two=made.two.port))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text(CONFIG)
    return made


def on_a_terminal(at: Desk, answer: str, *words: str) -> tuple[int, str]:
    """Exit code and what a person saw, who types `answer` at the question."""
    pid, end = pty.fork()
    if pid == 0:
        os.execve(SPARKCTL, [SPARKCTL, "inventory", "trust", str(at.inventory), *words], environment(at.folder))
    seen, until = b"", time.monotonic() + 60
    asked = False
    while time.monotonic() < until:
        try:
            chunk = os.read(end, 4096)
        except OSError:
            break
        if not chunk:
            break
        seen += chunk
        if not asked and b"[y/N]" in seen:
            asked = True
            os.write(end, answer.encode() + b"\n")
    os.close(end)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.decode()


def test_what_is_shown_is_what_ssh_keygen_shows_and_yes_pins_it(at: Desk) -> None:
    code, seen = on_a_terminal(at, "y")
    assert code == 0, seen
    for name, place, server in (("spark-1", "127.0.0.1", at.one), ("spark-2", "127.0.0.2", at.two)):
        assert re.search(rf"{name} +{place}:{server.port} +{re.escape(fingerprint(server.host))} +not pinned yet", seen)
    assert "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub" in seen and str(at.known) in seen
    assert at.known.read_text() == at.lines
    again = at.ran()
    assert again.returncode == 0 and "every host key is pinned; nothing to do" in again.stdout
    assert at.known.read_text() == at.lines


@pytest.mark.parametrize("answer", ["n", "", "maybe\nno"])
def test_anything_but_yes_pins_nothing(at: Desk, answer: str) -> None:
    code, seen = on_a_terminal(at, answer)
    assert code == 4 and "nothing was pinned" in seen
    assert not at.known.exists()


def test_without_a_terminal_nothing_is_pinned_that_nobody_expects(at: Desk) -> None:
    ran = at.ran("--expect", f"spark-1={digest(at.one.host)}")
    assert ran.returncode == 2 and "--expect spark-2=SHA256:..." in ran.stderr and "spark-1=" not in ran.stderr
    assert not at.known.exists()


def test_what_was_expected_is_pinned_without_a_question(at: Desk) -> None:
    at.known.parent.mkdir()
    at.known.write_bytes(b"# ours\nother.example ssh-ed25519 AAAA broken\n\xff\xfe no newline at the end")
    at.known.chmod(0o640)
    before = at.known.read_bytes()
    ran = at.ran(*at.expectations(), "--json")
    assert ran.returncode == 0, ran.stderr
    assert at.known.read_bytes() == before + b"\n" + at.lines.encode()
    assert at.known.stat().st_mode & 0o777 == 0o640
    report = json.loads(ran.stdout)
    node = report["nodes"]["spark-2"]
    assert (report["version"], node["state"], node["pinned_now"], node["type"]) == (
        1,
        "new",
        True,
        "ecdsa-sha2-nistp256",
    )
    assert node["fingerprint"] == digest(at.two.host)
    assert json.loads(at.ran("--json").stdout)["nodes"]["spark-2"]["state"] == "pinned"


def test_one_node_that_is_not_as_expected_stops_all(at: Desk) -> None:
    wrong = digest(at.one.host)
    ran = at.ran(f"--expect=spark-1={wrong}", f"--expect=spark-2={wrong}")
    assert ran.returncode == 4 and f"spark-2: shows {digest(at.two.host)}, and {wrong} is expected" in ran.stderr
    assert not at.known.exists()


@pytest.mark.parametrize(
    "words", [["--expect=spark-9=SHA256:x"], ["--expect=spark-1"], ["--node=spark-9"], ["--replace=x"]]
)
def test_a_node_that_there_is_not_is_a_usage_error(at: Desk, words: list[str]) -> None:
    ran = at.ran(*words)
    assert ran.returncode == 2 and "Traceback" not in ran.stderr


def changed(at: Desk, tmp_path: Path) -> Path:
    """Pins of which the second is another key; returns that key."""
    old = make_key(tmp_path / "old", kind="ecdsa")
    at.known.parent.mkdir()
    at.known.write_text(f"# first\n{at.one.line}[127.0.0.2]:{at.two.port} {public(old)}\n# last\n")
    return old


def test_a_changed_key_stops_everything(at: Desk, tmp_path: Path) -> None:
    old = changed(at, tmp_path)
    before = at.known.read_bytes()
    ran = at.ran(*at.expectations())
    assert ran.returncode == 4
    assert fingerprint(at.two.host) in ran.stderr and fingerprint(old) in ran.stderr
    assert f"line 3 of {at.known}" in ran.stderr and "--replace" in ran.stderr
    code, seen = on_a_terminal(at, "y")
    assert code == 4 and "[y/N]" not in seen
    assert at.known.read_bytes() == before


def test_a_changed_key_is_replaced_when_told_so_and_confirmed(at: Desk, tmp_path: Path) -> None:
    old = changed(at, tmp_path)
    code, seen = on_a_terminal(at, "y", "--replace", "spark-2")
    assert code == 0, seen
    assert fingerprint(old) in seen and fingerprint(at.two.host) in seen
    theirs = at.two.line.replace("127.0.0.1", "127.0.0.2")
    assert at.known.read_text() == f"# first\n{at.one.line}# last\n{theirs}"


def test_a_node_that_does_not_answer_is_named_and_the_others_are_pinned(at: Desk) -> None:
    at.inventory.write_text(TEXT.format(one=at.one.port, two=free_port()))
    ran = at.ran(f"--expect=spark-1={digest(at.one.host)}")
    assert ran.returncode == 4 and "spark-2" in ran.stderr and "no host key" in ran.stderr
    assert at.known.read_text() == at.one.line
    assert at.ran("--node", "spark-1").returncode == 0


def test_a_port_that_answers_nothing_is_silent_within_the_time(at: Desk) -> None:
    import socket

    with socket.create_server(("127.0.0.2", 0)) as mute:
        at.inventory.write_text(TEXT.format(one=at.one.port, two=mute.getsockname()[1]))
        begun = time.monotonic()
        ran = at.ran("--node", "spark-2")
    assert ran.returncode == 4 and "no answer within 10 s" in ran.stderr
    assert time.monotonic() - begun < 55, "it did not wait for ever"


def test_nobody_logs_in(at: Desk) -> None:
    before = at.one.log().count("Accepted") + at.one.log().count("Failed")
    at.ran(*at.expectations())
    assert at.one.log().count("Accepted") + at.one.log().count("Failed") == before


def test_a_file_that_cannot_be_written_is_said_so(at: Desk) -> None:
    at.known.parent.mkdir()
    at.known.symlink_to("/dev/full")
    ran = at.ran(*at.expectations())
    assert ran.returncode == 4 and "cannot be written" in ran.stderr and "Traceback" not in ran.stderr


# Lines of known_hosts


def key(path: Path) -> asyncssh.SSHKey:
    return asyncssh.read_public_key(f"{path}.pub")


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_fingerprint_is_that_of_ssh_keygen(tmp_path: Path, kind: str) -> None:
    made = make_key(tmp_path / kind, kind=kind)
    assert host_keys.described(key(made)) == fingerprint(made)


def test_lines_are_matched_as_ssh_matches_them(tmp_path: Path) -> None:
    mine, file = make_key(tmp_path / "mine"), tmp_path / "known"
    blob = public(mine)
    cases = {
        f"spark {blob}": (22, True),
        f"a,spark,b {blob}": (22, True),
        f"SPARK {blob}": (22, False),
        f"[spark]:2222 {blob}": (2222, True),
        f"[spark]:2223 {blob}": (2222, False),
        f"spa* {blob}": (22, True),
        f"spa*,!spark {blob}": (22, False),
        f"# spark {blob}": (22, False),
        f"spark {blob[:-9]}": (22, False),
    }
    for line, (port, expected) in cases.items():
        file.write_text(f"junk\n{line}\n")
        assert bool(known_hosts.pins([file], "spark", port)) is expected, line
    file.write_text(f"spark {blob}\n[spark]:2222 {blob}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", file], check=True, timeout=20, capture_output=True)
    assert "|1|" in file.read_text()
    found = known_hosts.pins([file], "spark", 2222)
    assert [(pin.line, pin.loose, pin.key == key(mine)) for pin in found] == [(2, False, True)]
    assert known_hosts.pins([file], "other", 22) == ()


def test_a_line_without_the_port_may_vouch_but_never_accuse(tmp_path: Path) -> None:
    mine, other, file = make_key(tmp_path / "mine"), make_key(tmp_path / "other"), tmp_path / "known"
    file.write_text(f"spark {public(mine)}\n")
    found = known_hosts.pins([file], "spark", 2222)
    assert [pin.loose for pin in found] == [True]
    assert host_keys.judged(key(mine), found) == "pinned"
    assert host_keys.judged(key(other), found) == "new"


@pytest.mark.parametrize(
    ("marker", "state"), [("", "pinned"), ("@revoked ", "revoked"), ("@cert-authority ", "authority")]
)
def test_a_marker_changes_what_a_line_says(tmp_path: Path, marker: str, state: str) -> None:
    mine, file = make_key(tmp_path / "mine"), tmp_path / "known"
    file.write_text(f"{marker}spark {public(mine)}\n")
    assert host_keys.judged(key(mine), known_hosts.pins([file], "spark", 22)) == state


def test_a_revoked_key_is_never_pinned(tmp_path: Path) -> None:
    mine, file = make_key(tmp_path / "mine"), tmp_path / "known"
    file.write_text(f"@revoked spark {public(mine)}\n")
    known = known_hosts.pins([file], "spark", 22)
    standing = host_keys.Standing("spark-1", "revoked", key=key(mine), known=known)
    with pytest.raises(Refused, match=r"line 1 of .* revokes"):
        host_keys.to_pin([standing], {}, ["spark-1"])


def test_taking_a_pin_away_leaves_every_other_byte(tmp_path: Path) -> None:
    mine, file = make_key(tmp_path / "mine"), tmp_path / "known"
    blob = public(mine)
    file.write_text(f"# a\r\nspark {blob}\nother,spark  {blob} me@here\n[spark]:2222 {blob}\n\xe9 end")
    file.chmod(0o640)
    known_hosts.drop(known_hosts.pins([file], "spark", 22), "spark", 22)
    assert file.read_bytes() == f"# a\r\nother  {blob} me@here\n[spark]:2222 {blob}\n\xe9 end".encode()
    assert file.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_pattern_is_not_taken_away(tmp_path: Path) -> None:
    mine, file = make_key(tmp_path / "mine"), tmp_path / "known"
    file.write_text(f"spark* {public(mine)}\n")
    with pytest.raises(Refused, match="pins a pattern"):
        known_hosts.drop(known_hosts.pins([file], "spark", 22), "spark", 22)


def test_the_users_own_file_is_made_private(tmp_path: Path) -> None:
    mine, file = key(make_key(tmp_path / "mine")), tmp_path / ".ssh" / "known_hosts"
    known_hosts.append(file, [known_hosts.line_of("Spark", 22, mine)])
    assert file.read_text().startswith("spark ssh-ed25519 ")
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_the_answer_of_a_key_is_compared_with_its_like(servers: tuple[Sshd, Sshd], tmp_path: Path) -> None:
    """A node with two host keys, of which the one that ssh likes less is pinned: it shows that one."""
    second = make_key(tmp_path / "second", kind="ecdsa")
    with running(tmp_path / "both", f"HostKey {second}") as server:
        file = tmp_path / "known"
        file.write_text(f"[127.0.0.1]:{server.port} {public(second)}\n")
        login = host_keys.Login("spark-1", "127.0.0.1", server.port, "root", str(file), None, own_config=False)
        (standing,) = asyncio.run(host_keys.look([login]))
    assert standing.state == "pinned" and standing.shown == fingerprint(second)


# A first inventory


@pytest.mark.parametrize("nodes", [2, 3, 4, 8, 9, MOST])
@pytest.mark.parametrize("topology", ["direct", "mesh", "ring", "switch", None])
def test_a_first_inventory_has_nothing_wrong_with_it(nodes: int, topology: str | None, tmp_path: Path) -> None:
    file = tmp_path / "first.yaml"
    words = ["inventory", "init", str(file), "--lab", "--model", "none", "--nodes", str(nodes), *(["--topology", topology] if topology else [])]
    ran = CliRunner().invoke(app, words)
    fits = {"direct": nodes == 2, "mesh": nodes == 3, "ring": nodes >= 4}.get(topology or "", True)
    assert ran.exit_code == (0 if fits else 2), ran.output
    if fits:
        found = study_text(file.read_bytes(), str(file), controller_of(file))
        assert found.findings == () and found.cluster is not None
        assert (len(found.cluster.nodes), found.cluster.fabric.topology) == (nodes, topology or usual(nodes))
    else:
        assert not file.exists()


def test_the_engine_of_a_first_inventory_is_right_once_its_marks_are_taken_away(tmp_path: Path) -> None:
    for nodes in (2, 3, 4):
        text = starter("sparks", nodes, usual(nodes), "first.yaml")
        head, mark, engine = text.partition("# engine:\n")
        assert mark
        lines = "engine:\n" + "".join(line.removeprefix("# ") for line in engine.splitlines(keepends=True))
        file = tmp_path / "first.yaml"
        assert study_text((head + lines).encode(), str(file), controller_of(file)).errors == ()


def test_a_file_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("mine")
    ran = subprocess.run([SPARKCTL, "inventory", "init", str(file)], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 2 and "not overwritten" in ran.stderr and file.read_text() == "mine"


def test_a_name_that_no_inventory_can_have_writes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    words = [SPARKCTL, "inventory", "init", str(file), "--lab", "--name", "Not A Name"]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 3 and "Traceback" not in ran.stderr and not file.exists()
