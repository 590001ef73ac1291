"""Hints: what a message tells people to type exists, is quoted, and names the inventory as it was typed."""

from __future__ import annotations

import ast
import os
import re
import shlex
from collections.abc import Iterator
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from sparkctl.cli import typed as calling
from sparkctl.cli.main import app
from sparkctl.commands.shell import hint
from sparkctl.report.hints import _ON_INVENTORY, Typed, pasteable, typed, wrapped
from tests.unit.judged import judged

ROOT = Path(__file__).resolve().parents[2]
USAGE: Any = typer.BadParameter.__base__
COMMAND = typer.main.get_command(app)
HINT = re.compile(r"`(?:sudo [^`]*)?sparkctl ([^`]+)`")
PLACE = "\N{BLACK SQUARE}"
"""What stands in a message where the program puts a value."""


def verbs(group: Any = COMMAND, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every verb with its words."""
    if not hasattr(group, "list_commands"):
        yield words, group
        return
    context = typer.Context(group)
    for name in group.list_commands(context):
        yield from verbs(group.get_command(context, name), (*words, name))


VERBS = dict(verbs())


def parsed(line: str) -> str:
    """What the real command line says of it: nothing, where it can be typed."""
    words = shlex.split(line, comments=True)
    known = next((verb for verb in VERBS if tuple(words[: len(verb)]) == verb), None)
    if known is None:
        return "no such verb"
    try:
        copy_context().run(VERBS[known].make_context, " ".join(known), words[len(known) :])
    except USAGE as error:
        return str(error.format_message())
    return ""


def texts(path: Path) -> Iterator[str]:
    """Every text in a file but its first line, values as PLACE."""
    for node in ast.walk(ast.Module(ast.parse(path.read_text()).body[1:], [])):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(v.value) if isinstance(v, ast.Constant) else PLACE for v in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "hint":
            words = (a.value if isinstance(a, ast.Constant) else PLACE for a in node.args if not isinstance(a, ast.Starred))
            yield f"`sparkctl {' '.join(map(str, words))}`"


def hints() -> list[str]:
    """Every command that a message of the product names."""
    found = {h for path in (ROOT / "sparkctl").rglob("*.py") for text in texts(path) for h in HINT.findall(text)}
    return sorted(found - {"...", "VERB ...", PLACE})


EXAMPLES = sorted(
    (line.strip() for _, command in VERBS.items() for line in (command.help or "").splitlines() if line.startswith("  sparkctl ")),
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an inventory of the usual name."""
    (tmp_path / "sparkctl.yaml").write_text((ROOT / "inventories/dual.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(calling.ENVIRONMENT, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))  # no lab of anybody
    return tmp_path


def test_the_parser_sees_what_does_not_exist(folder: Path) -> None:
    assert parsed("cluster fly") == "no such verb" and "--wings" in parsed("cluster up --wings")
    assert parsed("cluster up --dry-run  # the plan") == "" and "VERB" in parsed("lab fault sparkctl.yaml")


@pytest.mark.parametrize("line", hints())
def test_what_a_message_names_can_be_typed(line: str, folder: Path) -> None:
    assert parsed(line.replace(f"--{PLACE} {PLACE}", "--backend vm").replace(PLACE, "x").replace("ID", "TOP001")) == ""


@pytest.mark.parametrize("line", EXAMPLES)
def test_an_example_of_the_help_can_be_typed(line: str, folder: Path) -> None:
    assert parsed(line.removeprefix("sparkctl ").partition("|")[0].partition(">")[0]) == ""


def test_there_are_hints_and_examples_of_every_verb() -> None:
    assert len(hints()) > 20
    assert {verb for verb in VERBS if not any(f"sparkctl {' '.join(verb)}" in line for line in EXAMPLES)} <= {("lab", "down"), ("lab", "list")}


def test_the_verbs_that_take_an_inventory_are_those_that_get_one() -> None:
    takes = {verb for verb, command in VERBS.items() if any(p.name in ("inventory", "inventories") for p in command.params)}
    assert {verb for verb in VERBS if _ON_INVENTORY.match(f" {' '.join(verb)}")} == takes


NAMED = Typed(inventory="my x.yaml")
LAB = Typed("/v/bin/sparkctl", "sudo /v/bin/sparkctl", "sparkctl.yaml", "folder", lab=True)


@pytest.mark.parametrize(
    ("said", "text", "shown"),
    [
        (Typed(), "`sparkctl cluster up`", "sparkctl cluster up"),
        (NAMED, "`sparkctl cluster up`", "sparkctl cluster up 'my x.yaml'"),
        (NAMED, "then `sparkctl cluster up --yes` again", "then `sparkctl cluster up 'my x.yaml' --yes` again"),
        (NAMED, "`sparkctl cluster up 'my x.yaml' --yes`", "sparkctl cluster up 'my x.yaml' --yes"),
        (NAMED, "`sparkctl lab list`", "sparkctl lab list"),
        (NAMED, "`sparkctl explain TOP001`", "sparkctl explain TOP001"),
        (NAMED, "`docker ps`", "`docker ps`"),
        (LAB, "`sparkctl cluster up`", "sudo /v/bin/sparkctl cluster up --lab"),
        (LAB, "`sparkctl cluster up --lab`", "sudo /v/bin/sparkctl cluster up --lab"),
        (LAB, "`sparkctl validate`", "/v/bin/sparkctl validate"),
        (Typed(root="sudo /v/s", inventory="a", implied="environment"), "`sparkctl lab up`", "sudo /v/s lab up a"),
        (Typed(root="sudo /v/s", inventory="a", implied="environment"), "`sparkctl validate`", "sparkctl validate"),
        (Typed(root="sudo /v/s", again="lab up 'my x.yaml'"), "`sudo sparkctl ...`", "sudo /v/s lab up 'my x.yaml'"),
        (Typed(root="sudo /v/s", inventory="a"), "`sudo A=b sparkctl lab down`", "sudo A=b /v/s lab down a"),
    ],
)  # fmt: skip
def test_a_hint_is_what_was_typed(said: Typed, text: str, shown: str) -> None:
    token = typed.set(said)
    try:
        assert pasteable(text) == shown and pasteable(pasteable(f"do: {text}")) == pasteable(f"do: {text}")
    finally:
        typed.reset(token)


def test_a_hint_is_quoted_and_never_broken() -> None:
    line = hint("cluster", "up", "--force-path", "/a b/c-d")
    assert line == "`sparkctl cluster up --force-path '/a b/c-d'`"
    assert line in "\n".join(wrapped(f"a word or two and then {line} and more words", 20))


def test_the_program_is_named_so_that_this_shell_and_sudo_find_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "a venv" / "sparkctl"
    here.parent.mkdir()
    here.write_text("")
    here.chmod(0o755)
    monkeypatch.setattr("sys.argv", [str(here), "lab", "up"])
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", "/usr/bin")
    assert calling.called() == (f"'{here}'", f"sudo '{here}'")
    monkeypatch.setenv("PATH", str(here.parent))
    assert calling.called() == ("sparkctl", f"sudo '{here}'")
    monkeypatch.setattr(calling, "SECURE_PATH", str(here.parent))
    assert calling.called() == ("sparkctl", "sudo sparkctl")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.delenv("SUDO_UID", raising=False)
    assert calling.called() == ("sparkctl", "")


def test_the_inventory_that_is_not_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = CliRunner().invoke
    assert "1 inventory: no findings" in run(app, ["validate"]).output
    (folder / "sparkctl.yaml").rename(folder / "mine.yaml")
    missing = run(app, ["validate"])
    assert missing.exit_code == 2 and "No inventory was named" in missing.output
    monkeypatch.setenv(calling.ENVIRONMENT, "mine.yaml")
    assert run(app, ["validate"]).exit_code == 0
    assert "no lab runs for cluster dual" in run(app, ["lab", "fault", "cut", "0"]).output
    assert typed.get() == Typed(), "a command's inventory ends with it"


@pytest.mark.parametrize("verb", [["cluster", "plan"], ["cluster", "down", "--yes"], ["inventory", "trust"]])
def test_documentation_addresses_are_not_dialled(verb: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dialled(*args: Any, **options: Any) -> None:
        raise AssertionError("dialled")

    monkeypatch.setattr("asyncssh.connect", dialled)
    monkeypatch.setattr("asyncssh.get_server_host_key", dialled)
    monkeypatch.setenv("HOME", str(folder))
    ran = CliRunner().invoke(app, verb)
    assert ran.exit_code == 2 and "192.0.2.11 and 192.0.2.12" in ran.output and "Nothing was dialled" in ran.output


def test_no_verdict_leads_back_to_what_shows_it() -> None:
    for name in ("dual", "mesh-3"):
        told = {v.remedy for v in judged(name, faults=True).verdicts}
        assert not [remedy for remedy in told if "`sparkctl cluster verify`" in remedy or "`sparkctl cluster status`" in remedy]
