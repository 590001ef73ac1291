"""What the documents promise exists: the commands and options they show, the files they link to."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sparkctl.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
SPARKCTL = str(Path(sys.executable).with_name("sparkctl"))
PLAIN = {"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1", "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
GUIDES = ["README.md", "CONTRIBUTING.md", *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/[!a]*/**/*.md"))]
PAGES = sorted(str(p.relative_to(ROOT)) for p in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")))


def commands(text: str) -> list[str]:
    """Every command line of sparkctl in fenced blocks and in `inline code`."""
    fenced = "\n".join(re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    lines = re.findall(r"^\s*(?:\$ )?(?:sudo )?(?:\S*/)?(sparkctl .+)$", fenced, re.MULTILINE)
    inline = re.findall(r"`(sparkctl [^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    return sorted({line.partition("#")[0].strip() for line in lines + inline})


def verb(line: str) -> tuple[str, ...]:
    """The subcommands of a command line: its leading lower-case words."""
    words: list[str] = []
    for word in shlex.split(line)[1:]:
        if not re.fullmatch(r"[a-z][a-z-]*", word):
            break
        words.append(word)
    return tuple(words)


def options(line: str) -> set[str]:
    """`--lab` and `-o`, without their values; what follows `--` is for another program."""
    words = shlex.split(line)
    ours = words[: words.index("--")] if "--" in words else words
    return {word.partition("=")[0] for word in ours if re.match(r"--?[a-z]", word)}


def wrong(line: str) -> list[str]:
    """What is not in the program's own help."""
    status, shown = help_of(verb(line))
    if status:
        return [f"`{' '.join(verb(line))}`: {shown.strip().splitlines()[-1:]}"]
    return [option for option in sorted(options(line)) if not re.search(rf"(?<![\w-]){option}(?![\w-])", shown)]


@cache
def help_of(words: tuple[str, ...]) -> tuple[int, str]:
    """Exit status and text of `sparkctl WORDS --help`, asked in this process."""
    ran = CliRunner().invoke(app, [*words, "--help"], prog_name="sparkctl", env=PLAIN)
    return ran.exit_code, ran.output


def broken_links(page: Path, text: str) -> list[str]:
    """Relative links that lead nowhere."""
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    return [target for target in targets if not (page.parent / target).exists()]


def shown() -> list[str]:
    """Every command line that a guide shows, once."""
    return sorted({line for name in GUIDES for line in commands((ROOT / name).read_text())})


def test_the_checkers_see_a_violation(tmp_path: Path) -> None:
    text = "Type `sparkctl cluster fly`:\n```\n$ sudo sparkctl validate x.yaml --wings  # soon\nmake\n```\n[a](gone.md)"
    assert commands(text) == ["sparkctl cluster fly", "sparkctl validate x.yaml --wings"]
    assert wrong("sparkctl cluster fly x.yaml")
    assert wrong("sparkctl validate x.yaml --wings") == ["--wings"]
    assert wrong("sparkctl validate x.yaml --format json") == []
    assert broken_links(tmp_path / "page.md", text) == ["gone.md"]


@pytest.mark.parametrize("words", [("cluster", "up"), ("cluster", "fly")], ids=" ".join)
def test_the_installed_program_says_the_same(words: tuple[str, ...]) -> None:
    ran = subprocess.run([SPARKCTL, *words, "--help"], env=PLAIN, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout + ran.stderr) == help_of(words)


@pytest.mark.parametrize("line", shown())
def test_a_command_that_is_shown_exists(line: str) -> None:
    assert wrong(line) == []


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    assert broken_links(ROOT / page, (ROOT / page).read_text()) == []
