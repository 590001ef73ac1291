"""`sparkctl explain`: pages, exit codes, facts, the list, and the nearest id."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from sparkctl import resources
from sparkctl.checks import CHECKS, STAGES
from sparkctl.cli.explain import explain
from sparkctl.resources import page, share
from sparkctl.rules import rules

SECTIONS = ["What it judges", "Expected", "Why", "What to do", "Source"]


def ran(*words: str) -> Result:
    app = typer.Typer()
    app.command()(explain)
    return CliRunner().invoke(app, list(words))


@pytest.mark.parametrize("id", [rule.id for rule in rules()])
def test_a_rule_is_its_page(id: str) -> None:
    result = ran(id)
    assert result.exit_code == 0
    assert result.stdout == page("rules", id)


@pytest.mark.parametrize("id", CHECKS)
def test_a_check_is_its_page(id: str) -> None:
    text = page("checks", id)
    result = ran(id)
    assert (result.exit_code, result.stdout) == (0, text)
    assert text.startswith(f"# {id}: ")
    assert f"\nStage: {STAGES[id]}" in text
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    assert all(section.strip() for section in re.split(r"^## .+$", text, flags=re.MULTILINE))


def test_no_link_is_printed_that_cannot_be_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "See facts [ff3](../facts/field-faults.md#ff3) and [B3](../facts/x.md#B3); [NVIDIA](https://nvidia.com/x).\n"
    (tmp_path / "x.md").write_text(text)
    monkeypatch.setattr(resources, "share", lambda kind: tmp_path)
    assert page("rules", "x") == "See facts ff3 and B3; [NVIDIA](https://nvidia.com/x).\n"


@pytest.mark.parametrize("path", sorted(share("facts").glob("*.md")), ids=lambda path: path.stem)
def test_a_fact_is_its_part_of_a_page(path: Path) -> None:
    anchors = re.findall(r'<a id="([^"]+)"', path.read_text())
    assert anchors or path.stem == "README"
    for id in anchors:
        result = ran(id)
        assert result.exit_code == 0
        assert re.match(rf"# {re.escape(id)}(: .+)?\n\n\S", result.stdout)
        assert "<a id" not in result.stdout and not re.search(r"\n#+ ", result.stdout) and "](" not in result.stdout


def test_there_is_no_page_of_a_check_that_is_not_there() -> None:
    assert {path.stem for path in share("checks").iterdir()} == set(CHECKS)


def test_case_does_not_matter() -> None:
    assert ran("top003").stdout == ran("TOP003").stdout


@pytest.mark.parametrize(
    ("code", "words"),
    [("0", "done"), ("3", "inventory has errors"), ("6", "something is left"), ("130", "interrupted")],
)
def test_an_exit_code(code: str, words: str) -> None:
    result = ran(code)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"# Exit code {code}: ")
    assert words in result.stdout
    assert result.stdout.count("# Exit code") == 1


def test_without_an_id_everything_is_listed() -> None:
    result = ran()
    assert result.exit_code == 0
    for rule in rules():
        assert f"* {rule.id} {rule.severity}: {rule.title}" in result.stdout
    for id in CHECKS:
        assert f"\n* {id}: " in result.stdout
    assert "* Exit code 5: apply failed" in result.stdout


@pytest.mark.parametrize(
    ("id", "remedy"),
    [("TOP33", "did you mean TOP0"), ("railmtu", "did you mean rail-mtu?"), ("nothing-like-it", "lists all"), ("99", "lists all"), ("../x", "lists all")],
)
def test_an_unknown_id_is_a_usage_error(id: str, remedy: str) -> None:
    result = ran(id)
    assert result.exit_code == 2
    assert remedy in result.stderr
    assert result.stdout == ""
