"""`validate --format sarif|junit|github`: judged by SARIF's own schema and by an XML parser; nothing in a file escapes."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import jsonschema
import pytest
import typer
from click.testing import Result
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from sparkctl.cli.validate import validate
from sparkctl.inventory.resolve import Controller
from sparkctl.outcome import Finding, Location
from sparkctl.report.junit import as_junit
from sparkctl.report.sarif import as_sarif, uri
from sparkctl.resources import share
from sparkctl.rules import rules
from sparkctl.study import study_text

ROOT = Path(__file__).parents[2]
GOOD = """apiVersion: sparkctl/v1
kind: Cluster
metadata: {name: good}
nodes: [{name: spark-1, address: 192.0.2.11}, {name: spark-2, address: 192.0.2.12}]
links:
  - [spark-1:p1, spark-2:p1]
fabric: {topology: direct, mtu: 9000}
ssh: {user: nvidia}
"""
WRONG = GOOD.replace("[spark-1:p1, spark-2:p1]", "[spark-1:p9, spark-2:p1]").replace("mtu: 9000", "mtu: 1500")
SCHEMA = json.loads((ROOT / "tests/schemas/sarif-2.1.0-rtm.5.json").read_text())
SARIF = jsonschema.Draft4Validator(SCHEMA, format_checker=jsonschema.FormatChecker())
PAGES = {rule.id: (share("rules") / f"{rule.id}.md").read_text() for rule in rules()}
CASES = sorted((ROOT / "tests/cases/findings").glob("*/inventory.yaml"))
DESK = Controller("nvidia", PurePosixPath("/home/nvidia"), PurePosixPath("/cluster"))


def ran(*words: str) -> Result:
    app = typer.Typer()
    app.command()(validate)
    return CliRunner().invoke(app, list(words))


def sarif(found: dict[str, tuple[Finding, ...]]) -> Any:
    """A log that SARIF's schema accepts."""
    log = json.loads(as_sarif(found, rules(), PAGES, "1.2.3"))
    SARIF.validate(log)
    return log["runs"][0]


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A good and a wrong inventory in the working directory."""
    (tmp_path / "inventories").mkdir()
    (tmp_path / "inventories/good.yaml").write_text(GOOD)
    (tmp_path / "inventories/wrong one.yml").write_text(WRONG)
    monkeypatch.chdir(tmp_path)


def test_the_schema_refuses_what_is_wrong() -> None:
    log = json.loads(as_sarif({}, rules(), PAGES, "1.2.3"))
    log["runs"][0]["results"] = [{"level": "catastrophe"}]
    with pytest.raises(jsonschema.ValidationError):
        SARIF.validate(log)


@pytest.mark.usefixtures("two")
def test_sarif_of_a_folder() -> None:
    result = ran("--format", "sarif", "inventories")
    assert result.exit_code == 3
    log = json.loads(result.stdout)
    SARIF.validate(log)
    (run,) = log["runs"]
    assert [a["location"]["uri"] for a in run["artifacts"]] == ["inventories/good.yaml", "inventories/wrong%20one.yml"]
    warning, error = sorted(run["results"], key=lambda r: str(r["ruleId"]))
    line = 1 + WRONG[: WRONG.index("spark-1:p9")].count("\n")
    assert (warning["ruleId"], warning["level"], error["ruleId"], error["level"]) == (
        "MTU002",
        "warning",
        "TOP001",
        "error",
    )
    place = error["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "inventories/wrong%20one.yml", "index": 1}
    assert place["region"] == {"startLine": line, "startColumn": 6}
    assert run["tool"]["driver"]["rules"][error["ruleIndex"]]["id"] == "TOP001"


def test_sarif_explains_every_rule() -> None:
    described = {rule["id"]: rule for rule in sarif({})["tool"]["driver"]["rules"]}
    assert set(described) == set(PAGES)
    for rule in rules():
        shown = described[rule.id]
        assert shown["help"]["markdown"] == PAGES[rule.id]
        assert shown["fullDescription"]["text"]
        assert "\n" not in shown["fullDescription"]["text"] + shown["shortDescription"]["text"]
        assert shown["defaultConfiguration"]["level"] == {"info": "note"}.get(rule.severity, rule.severity)


def test_sarif_is_valid_for_every_case() -> None:
    found = {str(path): study_text(path.read_bytes(), str(path), DESK).findings for path in CASES}
    results = sarif(found)["results"]
    assert len(results) == sum(map(len, found.values())) > 0
    assert all(result["ruleIndex"] >= 0 for result in results)


@pytest.mark.parametrize("path", ["a b/ü#?%.yaml", "c:d.yaml", "/abs/ x.yaml", "../up.yaml", "\udcff.yaml"])
def test_a_uri_is_the_path_again(path: str) -> None:
    parts = urlsplit(uri(path))
    assert (parts.scheme, parts.query, parts.fragment) == ("file" if path.startswith("/") else "", "", "")
    assert unquote(parts.path, errors="surrogateescape") == path


@pytest.mark.usefixtures("two")
def test_junit_of_a_folder() -> None:
    result = ran("--format", "junit", "inventories")
    assert result.exit_code == 3
    root = ElementTree.fromstring(result.stdout)
    assert (root.get("tests"), root.get("failures")) == ("3", "1")
    good, wrong = root.findall("testsuite")
    assert [case.get("name") for case in good] == ["no findings"]
    assert (wrong.get("name"), wrong.get("tests"), wrong.get("failures")) == ("inventories/wrong one.yml", "2", "1")
    warning, error = wrong.findall("testcase")
    assert (warning.get("name"), warning.find("failure")) == ("MTU002", None)
    assert "mtu 1500 instead of 9000" in (warning.findtext("system-out") or "")
    assert (error.get("name"), error.get("classname")) == ("TOP001", "inventories/wrong one.yml")
    failure = error.find("failure")
    assert failure is not None
    assert (failure.get("type"), "has no port 'p9'" in str(failure.get("message"))) == ("TOP001", True)
    assert "do: write `spark-1:p0` or `spark-1:p1`" in (failure.text or "")


@pytest.mark.usefixtures("two")
def test_strict_fails_the_test_of_a_warning() -> None:
    root = ElementTree.fromstring(ran("--format", "junit", "--strict", "inventories").stdout)
    assert {case.get("name"): case.find("failure") is not None for case in root.iter("testcase")} == {
        "no findings": False,
        "MTU002": True,
        "TOP001": True,
    }


@pytest.mark.parametrize("format", ["json", "sarif", "github", "junit"])
@pytest.mark.usefixtures("two")
def test_programs_get_nothing_but_their_format(format: str) -> None:
    good = ran("--format", format, "inventories/good.yaml")
    assert (good.exit_code, good.stderr) == (0, "")
    assert good.stdout.endswith("\n") or format == "github"
    assert "no findings\n" not in good.stdout


HOSTILE = st.text(st.characters(codec="utf-8") | st.sampled_from("\x00\x1b<>&'\"]\n\r\ufffe"), max_size=20)


@settings(max_examples=200, deadline=None)
@given(path=HOSTILE, message=HOSTILE, remedy=HOSTILE)
def test_nothing_escapes_from_its_place(path: str, message: str, remedy: str) -> None:
    finding = Finding("TOP001", "error", "]]><x>", Location(path, 1, 1), message, remedy)
    root = ElementTree.fromstring(as_junit({path: (finding,)}))
    assert [element.tag for element in root.iter()] == ["testsuites", "testsuite", "testcase", "failure"]
    run = sarif({path: (finding,)})
    assert len(run["results"]) == 1
    assert run["results"][0]["message"]["text"].isprintable()
