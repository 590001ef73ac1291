"""`sparkctl explain`: pages, exit codes, the list, and the nearest id."""

from __future__ import annotations

import re

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from sparkctl.checks import CHECKS, STAGES
from sparkctl.cli.explain import explain
from sparkctl.resources import share
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
    assert result.stdout == (share("rules") / f"{id}.md").read_text()


@pytest.mark.parametrize("id", CHECKS)
def test_a_check_is_its_page(id: str) -> None:
    page = (share("checks") / f"{id}.md").read_text()
    result = ran(id)
    assert (result.exit_code, result.stdout) == (0, page)
    assert page.startswith(f"# {id}: ")
    assert f"\nStage: {STAGES[id]}" in page
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == SECTIONS
    assert all(section.strip() for section in re.split(r"^## .+$", page, flags=re.MULTILINE))


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
