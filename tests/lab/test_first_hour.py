"""A new user's first hour: README, then every hint as it was printed, with the wheel in a fresh venv and no clone."""

from __future__ import annotations

import os
import pty
import re
import select
import time
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

import pytest

from tests.wheel import ROOT, built

README = (ROOT / "README.md").read_text()
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
QUESTION = re.compile(r"(\[[^\]]*\]|\?):? *$")
PATIENCE = 900.0  # seconds for one line: the first `lab up` builds the image and the engine
EVERYTHING = 0.2  # seconds of silence: the question is complete
STEP = """[ -f {state} ] && . {state}
cd {folder}
{line}
code=$?
export -p > {state}
exit $code"""


def blocks(heading: str) -> list[list[str]]:
    """The lines of every fenced block of a section of README, without their notes."""
    section = README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    fenced = re.findall(r"^```\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    return [[line.partition("  #")[0].strip() for line in block.splitlines()] for block in fenced]


@dataclass
class Terminal:
    """A folder, a shell whose variables go on from line to line, and what the last line printed."""

    folder: Path
    said: str = ""

    def type(self, line: str, answer: str = "", code: int = 0) -> str:
        """Run a line; every question gets `answer` and Enter."""
        state = self.folder.parent / "state"
        script = STEP.format(state=quote(str(state)), folder=quote(str(self.folder)), line=line)
        pid, end = pty.fork()
        if pid == 0:
            os.execv("/bin/bash", ["bash", "-c", script])
        self.said = plain(read(end, answer))
        ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.close(end)
        assert ended == code, f"$ {line}\nended with {ended}\n{self.said}"
        return self.said

    def hint(self, label: str) -> str:
        """The command that the last line printed behind `label:`."""
        found = re.findall(rf"^ *{label}: +(?:.*`)?((?:\S*/)?sparkctl [^`\n]*)", self.said, re.MULTILINE)
        assert len(found) == 1, f"{label}: {found}\n{self.said}"
        return str(found[0].strip())


def plain(printed: bytes) -> str:
    return ANSI.sub("", printed.decode(errors="replace")).replace("\r\n", "\n")


def read(end: int, answer: str) -> bytes:
    """All that a program prints on its terminal, which answers its questions."""
    seen, answered, until = b"", 0, time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if select.select([end], [], [], EVERYTHING)[0]:
            try:
                chunk = os.read(end, 65536)
            except OSError:  # its last program has ended
                return seen
            if not chunk:
                return seen
            seen += chunk
        elif QUESTION.search(plain(seen[answered:]).rpartition("\n")[2]):
            answered = len(seen)
            os.write(end, f"{answer}\n".encode())
    raise AssertionError(f"no end after {PATIENCE:.0f} s:\n{plain(seen)}")


@pytest.fixture
def terminal(tmp_path: Path, _own_state: None, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A folder with the wheel and nothing else; the packages it asks for come in the versions of the lock."""
    folder = tmp_path / "a new user"
    folder.mkdir()
    built(folder)
    locked = re.findall(r"^([\w.-]+==.+?)(?: --hash=| \\|$)", (ROOT / ".ci/lock/run.txt").read_text(), re.MULTILINE)
    assert len(locked) > 5
    (tmp_path / "constraints").write_text("\n".join(locked))
    monkeypatch.setenv("PIP_CONSTRAINT", str(tmp_path / "constraints"))
    monkeypatch.setenv("PATH", ":".join(p for p in os.environ["PATH"].split(":") if not p.startswith(str(ROOT))))
    monkeypatch.setenv("TERM", "xterm")
    for name in ("PYTHONPATH", "VIRTUAL_ENV", "SPARKCTL_INVENTORY", "SUDO_UID"):
        monkeypatch.delenv(name, raising=False)
    return Terminal(folder)


def test_readme_and_every_hint_lead_to_a_token_and_back(terminal: Terminal) -> None:
    install, _, emulated = blocks("The first hour")
    for line in install[:-1]:
        terminal.type(line)
    doctor = terminal.type(f"{install[-1]} || [ $? = 7 ]")  # who builds has perhaps no key to log in with
    assert "lab (container)  ok" in doctor

    begin, *rest = emulated
    terminal.type(begin)
    assert {"sparkctl.yaml", "secrets"} <= {path.name for path in terminal.folder.iterdir()}
    up = terminal.hint("next")
    assert up == rest.pop(0)
    starter = (terminal.folder / "sparkctl.yaml").read_text()
    comments = [line.partition("  # ")[0] for line in re.findall(r"^#   (sparkctl .*)$", starter, re.MULTILINE)]
    terminal.type(comments[0])
    assert "no findings" in terminal.said
    terminal.type(comments[-1], code=2)  # for real: nobody has these addresses
    assert "documentation addresses" in terminal.said and up in terminal.said

    try:
        terminal.type(up)
        apply = terminal.hint("next")
        assert apply == rest.pop(0) and apply in comments
        terminal.type(apply.replace(" up", " plan"))
        served = terminal.type(apply, answer="y")
        verify, status, down = (terminal.hint(label) for label in ("prove it", "look at it", "put it back"))
        request = re.findall(r"^ +(.*\bcurl .*)$", served, re.MULTILINE)
        assert len(request) == 1, served
        assert "HTTP 401" not in terminal.type(f"{request[0]} | grep -o '\"completion_tokens\":[0-9]*'")
        assert int(terminal.said.rpartition(":")[2]) >= 1
        without = re.sub(r' -H "Authorization[^"]*"', "", request[0])
        assert without != request[0] and "401" in terminal.type(f"{without} -o /dev/null -w '%{{http_code}}'")
        for line in (verify, status):
            terminal.type(line)
        assert down == rest.pop(0)
        terminal.type(down, answer="y")
        end = terminal.hint("end the lab")
        assert [end] == rest
        terminal.type(end)
    finally:
        terminal.type("sparkctl lab down")
    assert "there was none" in terminal.said
