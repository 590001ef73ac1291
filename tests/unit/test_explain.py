"""`sparkctl explain`: pages, exit codes, the list, and the nearest id."""

from __future__ import annotations

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from sparkctl.cli.explain import explain
from sparkctl.resources import share
from sparkctl.rules import rules


def ran(*words: str) -> Result:
    app = typer.Typer()
    app.command()(explain)
    return CliRunner().invoke(app, list(words))


@pytest.mark.parametrize("id", [rule.id for rule in rules()])
def test_a_rule_is_its_page(id: str) -> None:
    result = ran(id)
    assert result.exit_code == 0
    assert result.stdout == (share("rules") / f"{id}.md").read_text()


def test_case_does_not_matter() -> None:
    assert ran("top003").stdout == ran("TOP003").stdout


@pytest.mark.parametrize(
    ("code", "words"),
    [("0", "done"), ("3", "inventory has errors"), ("6", "rollback incomplete"), ("130", "interrupted")],
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
    assert "* Exit code 5: apply failed" in result.stdout


@pytest.mark.parametrize(
    ("id", "remedy"),
    [("TOP33", "did you mean TOP0"), ("nothing-like-it", "lists all"), ("99", "lists all"), ("../x", "lists all")],
)
def test_an_unknown_id_is_a_usage_error(id: str, remedy: str) -> None:
    result = ran(id)
    assert result.exit_code == 2
    assert remedy in result.stderr
    assert result.stdout == ""
