"""What may be an API key's file: one line of a short plain file; anything else is refused before a node is asked."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sparkctl.cli import places
from sparkctl.errors import Refused
from sparkctl.execute import site
from sparkctl.study import controller_of

PEM = b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n-----END OPENSSH PRIVATE KEY-----\n"


@pytest.mark.parametrize("content", [b"sk-1\n", b"sk-1", b"a b 'c' $(d)\r\n", b"x" * site.LONGEST_KEY])
def test_a_key_is_read_as_it_is(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    (tmp_path / "link").symlink_to(tmp_path / "key")
    assert site._secret(str(tmp_path / "key")) == site._secret(str(tmp_path / "link")) == content


@pytest.mark.parametrize("content", [b"", b"\n", PEM, PEM.replace(b"\n", b" "), b"a\nb\n", b"k\x1b[2J", b"k\x00", "ключ".encode(), b"x" * (site.LONGEST_KEY + 1)])
def test_what_is_no_key_is_refused_and_not_shown(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(Refused, match=r"is not an API key|not a plain file of at most") as refused:
        site._secret(str(tmp_path / "key"))
    assert "\x1b" not in str(refused.value) and "b3Blb" not in str(refused.value)


@pytest.mark.parametrize("path", ["/proc/self/environ", "/proc/self/cmdline", "/dev/zero", "/dev/tty", "/", "/sys/kernel/notes", "/nowhere/key"])
def test_what_is_no_file_is_refused_and_never_waited_for(path: str) -> None:
    with pytest.raises(Refused, match=path):
        site._secret(path)


@pytest.mark.parametrize("path", ["/proc/sys/kernel/ostype", "/sys/class/net/lo/mtu", "/", "/dev/null"])
def test_what_the_kernel_makes_is_no_file_however_much_it_looks_like_a_key(path: str) -> None:
    with pytest.raises(Refused, match="not a plain file"):
        site._secret(path)


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=f"cannot be read: {os.strerror(errno.ENOENT)}"):
        site._secret(str(tmp_path / "key"))


def test_a_pipe_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Refused, match="not a plain file"):
        site._secret(str(tmp_path / "pipe"))


@pytest.mark.parametrize("path", ["/dev/null", "/dev/zero", "/proc/self/environ", "/proc/self/status", "/tmp"])
def test_nobody_is_told_to_change_the_mode_of_what_is_no_file(path: str, tmp_path: Path) -> None:
    assert not controller_of(tmp_path / "inventory.yaml").is_open(path)


def test_what_is_written_for_the_owner_alone_is_so_from_its_first_byte(tmp_path: Path) -> None:
    there = tmp_path / "plan.json"
    there.write_text("old")
    there.chmod(0o666)
    before = os.umask(0)
    try:
        places.write(there, "{}")
        places.write(tmp_path / "new.json", "{}")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in (there, tmp_path / "new.json")} == {0o600} and there.read_text() == "{}"


PROGRAM = [sys.executable, "-c", "from sparkctl.cli.main import main; main()"]
INVENTORY = str(Path(__file__).parents[2] / "inventories" / "dual.yaml")


@pytest.mark.parametrize("words", [["validate", INVENTORY], ["explain", "TOP001"], ["--version"], ["cluster", "up", "--help"]])
def test_a_stdout_that_is_closed_or_full_is_no_bug(words: list[str]) -> None:
    def ended(how: str) -> tuple[int, str]:
        ran = subprocess.run(["sh", "-c", f'exec "$@" {how}', "sh", *PROGRAM, *words], capture_output=True, text=True)
        return ran.returncode, ran.stderr

    assert ended(">&-") == (0, "") and ended("<&- >&- 2>&-") == (0, "")
    code, said = ended(">/dev/full")
    assert code == 2 and "cannot be written: No space left" in said and "bug" not in said


@pytest.mark.parametrize("home", [{}, {"HOME": ""}, {"HOME": "/nowhere"}])
def test_a_user_without_a_name_or_a_home_is_no_bug(home: dict[str, str], tmp_path: Path) -> None:
    """In namespaces of its own: it is another user there, and no node can be reached."""
    alone = ["unshare", "--net", "--user", "--map-user=12345", "--map-group=12345"]
    inventory = tmp_path / "mine.yaml"
    inventory.write_text(Path(INVENTORY).read_text().replace("192.0.2.", "192.168.77."))
    words = [*alone, *PROGRAM, "cluster", "plan", str(inventory)]
    ran = subprocess.run(words, capture_output=True, text=True, env=home, cwd=tmp_path)
    assert ran.returncode == 4 and "spark-1" in ran.stderr and "bug" not in ran.stderr, ran.stderr
