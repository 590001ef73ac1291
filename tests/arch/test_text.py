"""What no tracked file may say: where it was written, or whom it was downloaded from."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Each word is broken, so that this file can be searched too.
MACHINE_PATHS = [
    r"/wo[r]k/",
    r"/ro[o]t/\.pyenv",
    r"/o[p]t/(pypi|wheels)",
    r"/tm[p]/briefs",
    r"\.\./sha[r]ed/",
]
REGISTRY_HOSTS = [
    r"py[p]i\.org",
    r"python[h]osted\.org",
    r"deb\.deb[i]an\.org",
    r"security\.deb[i]an\.org",
    r"np[m]js\.(org|com)",
]
ORIGINS = [
    r"\bcla[u]de\b",
    r"\bcop[i]lot\b",
    r"\bchat[g]pt\b",
    r"co-authored-[b]y",
    r"\bAI[ -]as[s]istant",
    r"\bsub-?ag[e]nt",
]
FORBIDDEN = re.compile("|".join(MACHINE_PATHS + REGISTRY_HOSTS + ORIGINS), re.IGNORECASE)
LEFT_OPEN = re.compile(r"\b(TO[D]O|FIX[M]E|XX[X])\b|Not[I]mplementedError|shell=[T]rue|StrictHostKeyChecking=[n]o")


def found(pattern: re.Pattern[str], text: str) -> list[str]:
    """Line number and match of everything that `pattern` finds."""
    lines = enumerate(text.splitlines(), start=1)
    return [f"{number}: {match[0]}" for number, line in lines for match in pattern.finditer(line)]


def tracked() -> list[Path]:
    """Every file that git would ship: committed, or new and not ignored."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return sorted(ROOT / name for name in names if name and (ROOT / name).is_file())


def offences(pattern: re.Pattern[str], paths: list[Path]) -> list[str]:
    """`file:line: match` in all of `paths`; bytes that are not text are searched all the same."""
    texts = {path.relative_to(ROOT): path.read_text(errors="replace") for path in paths}
    return [f"{path}:{hit}" for path, text in texts.items() for hit in found(pattern, text)]


@pytest.mark.parametrize(
    "text",
    ["cd /wo" + "rk/main", "/ro" + "ot/.pyenv", "https://py" + "pi.org", "deb.deb" + "ian.org", "AI as" + "sistant"],
)
def test_the_checker_sees_a_forbidden_word(text: str) -> None:
    assert len(found(FORBIDDEN, f"fine\n{text}\n")) == 1


def test_the_checker_sees_unfinished_work() -> None:
    assert found(LEFT_OPEN, "x = 1  # TO" + "DO later") == ["1: TO" + "DO"]


def test_no_file_names_the_machine_it_was_written_on() -> None:
    assert offences(FORBIDDEN, tracked()) == []


def test_nothing_shipped_is_unfinished() -> None:
    shipped = [p for p in tracked() if p.relative_to(ROOT).parts[0] in {"sparkctl", "templates", "playbooks"}]
    assert offences(LEFT_OPEN, shipped) == []


def test_no_file_of_a_session_is_shipped() -> None:
    assert [str(p.relative_to(ROOT)) for p in tracked() if p.suffix in {".log", ".tmp", ".orig", ".rej"}] == []
