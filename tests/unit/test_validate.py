"""`sparkctl validate`: formats, exit codes, folders, and that no mutation of an example ends in a traceback."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import typer
import yaml
from click.testing import Result
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from typer.testing import CliRunner

from sparkctl.cli.validate import validate
from sparkctl.inventory.resolve import Controller
from sparkctl.outcome import Finding, Location
from sparkctl.report.findings import annotation, as_json, plain, print_findings, strict, summary
from sparkctl.rules import rules
from sparkctl.study import Study, study_text

INVENTORIES = Path(__file__).parents[2] / "inventories"
EXAMPLES = [path.read_text() for path in sorted(INVENTORIES.glob("*.yaml"))]
CASES = [path.read_text() for path in sorted((Path(__file__).parents[1] / "cases/findings").glob("*/inventory.yaml"))]
DESK = Controller("nvidia", PurePosixPath("/home/nvidia"), PurePosixPath("/cluster"))
MANY = max(400, settings().max_examples)  # `make long` asks for more
IDS = {rule.id for rule in rules()}
GOOD = (INVENTORIES / "dual.yaml").read_text()
WARNED = GOOD.replace("mtu: 9000", "mtu: 1500")
WRONG = GOOD.replace("[spark-1:p1, spark-2:p1]", "[spark-1:p9, spark-2:p1]")


def ran(*words: str) -> Result:
    app = typer.Typer()
    app.command()(validate)
    return CliRunner().invoke(app, list(words))


def file(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_the_examples_pass_without_a_warning() -> None:
    result = ran("--strict", *map(str, sorted(INVENTORIES.glob("*.yaml"))))
    assert result.exit_code == 0, result.stdout
    assert result.stdout.endswith("no findings\n")


def test_text(tmp_path: Path) -> None:
    path = file(tmp_path, "x.yaml", WRONG)
    result = ran(path)
    assert result.exit_code == 3
    line = 1 + WRONG[: WRONG.index("spark-1:p9")].count("\n")
    first, second, last = result.stdout.splitlines()
    assert first.startswith(f"{path}:{line}:6: error TOP001 node `spark-1` has no port 'p9'; a Spark has p0")
    assert second == "    do: write `spark-1:p0` or `spark-1:p1`"
    assert last == "1 inventory: 1 error"
    assert result.stderr == ""


def test_warnings_pass_unless_strict(tmp_path: Path) -> None:
    path = file(tmp_path, "x.yaml", WARNED)
    assert ran(path).exit_code == 0
    assert "warning MTU002" in ran(path).stdout
    assert ran(path, "--strict").exit_code == 3
    assert "error MTU002" in ran(path, "--strict").stdout


def test_json_is_the_contract(tmp_path: Path) -> None:
    paths = [file(tmp_path, "a.yaml", GOOD), file(tmp_path, "b.yaml", WRONG)]
    result = ran("--format", "json", *paths)
    assert result.exit_code == 3
    shown = json.loads(result.stdout)
    assert list(shown) == ["version", "inventories"]
    assert shown["version"] == 1
    assert shown["inventories"][0] == {"path": paths[0], "findings": []}
    finding = shown["inventories"][1]["findings"][0]
    assert list(finding) == ["id", "severity", "where", "line", "column", "message", "remedy", "values"]
    assert (finding["id"], finding["severity"], finding["where"], finding["column"]) == (
        "TOP001",
        "error",
        "links[0][0]",
        6,
    )


def test_github(tmp_path: Path) -> None:
    path = file(tmp_path, "x.yaml", WARNED)
    result = ran("--format", "github", path)
    assert result.exit_code == 0
    line = 1 + WARNED[: WARNED.index("mtu: 1500")].count("\n")
    assert result.stdout.startswith(f"::warning file={path},line={line},col=3,title=MTU002::mtu 1500 instead of 9000")
    assert "21 %25 at" in result.stdout


def test_github_annotations_cannot_be_forged() -> None:
    finding = Finding("X", "info", ".", Location("a,b:c\nd.yaml", 1, 2), "50%\r\n::error::x", "")
    assert annotation(finding) == "::notice file=a%2Cb%3Ac\\nd.yaml,line=1,col=2,title=X::50%25\\r\\n::error::x"


def test_folders_and_repeated_files(tmp_path: Path) -> None:
    file(tmp_path, "b.yml", GOOD)
    path = file(tmp_path, "a.yaml", GOOD)
    file(tmp_path, "schema.json", "{}")
    (tmp_path / "folder.yaml").mkdir()
    assert ran(str(tmp_path), path).stdout == "2 inventories: no findings\n"


def test_an_empty_folder_is_a_usage_error(tmp_path: Path) -> None:
    result = ran(str(tmp_path))
    assert result.exit_code == 2
    assert "holds no" in result.stderr


def test_a_missing_file_is_a_finding(tmp_path: Path) -> None:
    result = ran(str(tmp_path / "none.yaml"))
    assert result.exit_code == 3
    assert "none.yaml:1:1: error INV001 cannot be read" in result.stdout


LINES = {
    "short": "  - [^spark-1:p9, spark-2:p1]",
    "long": f"{'x, ' * 40}^here, {'y, ' * 40}",
    "at the end": f"{'x, ' * 40}^here",
    "wide": "links: [{b: 'スパーク:p1', ^here}]",
    "tab": "x:\t^here",
}


@pytest.mark.parametrize("marked", LINES.values(), ids=LINES)
@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_terminal_shows_the_line_and_a_caret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, marked: str, width: int
) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"x{width}-{len(marked)}.yaml"  # getline remembers files by name
    Path(name).write_text(f"a: 1\n{marked.replace('^', '')}\n")
    finding = Finding("TOP001", "error", ".", Location(name, 2, marked.index("^") + 1), "word " * 30, "word " * 30)
    console = Console(force_terminal=True, no_color=True, width=width, record=True)
    print_findings([finding], console)
    lines = console.export_text().splitlines()
    (caret,) = [k for k, line in enumerate(lines) if line.strip(" |") == "^"]
    before, found, _ = lines[caret - 1].partition(marked.partition("^")[2][:4])
    assert found
    assert lines[caret].index("^") == cell_len(before)
    assert max(cell_len(line) for line in lines) <= width
    assert " ".join(lines).split().count("word") == 60


def test_markup_in_a_file_is_shown_as_it_is() -> None:
    console = Console(force_terminal=True, no_color=True, width=200, record=True)
    print_findings([Finding("X", "error", ".", Location("[red].yaml", 1, 1), "[bold]:smile:\x1b[31m", "")], console)
    assert console.export_text() == "[red].yaml:1:1: error X [bold]:smile:\\x1b[31m\n"


def test_summary_and_strict() -> None:
    found = [Finding("A", s, ".", Location("x", 1, 1), "m", "r") for s in ("error", "warning", "warning", "info")]
    assert summary(2, found) == "2 inventories: 1 error, 2 warnings, 1 info"
    assert [f.severity for f in strict(found)] == ["error", "error", "error", "info"]
    assert plain(found[0]) == "x:1:1: error A m\n    do: r\n"
    assert json.loads(as_json({})) == {"version": 1, "inventories": []}


def test_findings_of_a_layer_hide_no_other(tmp_path: Path) -> None:
    text = WARNED.replace("parallel: TP2", "parallel: TP4").replace(
        "subnet_pool: 10.20.0.0/16", "subnet_pool: 10.20.0.1/16"
    )
    assert {f.id for f in study_text(text.encode(), "x.yaml", DESK).findings} == {"MTU002", "PAR001", "ADR001"}


def test_many_findings_of_one_rule_are_cut() -> None:
    links = "".join(f"  - [spark-{i}:p7, spark-2:p1]\n" for i in range(400))
    found = study_text(GOOD.replace("  - [spark-1:p1, spark-2:p1]\n", links).encode(), "x.yaml", DESK).findings
    assert [f.message for f in found if f.id == "TOP001" and f.where == "."] == [
        "TOP001 has more findings than the 100 that are shown"
    ]
    assert sum(f.id == "TOP001" for f in found) == 101


def sound(found: Study) -> None:
    """What every study owes, however strange the file."""
    assert found.cluster is not None or found.errors
    assert (found.fabric is None) <= bool(found.errors)
    for finding in found.findings:
        assert finding.id in IDS
        assert finding.location.line >= 1
        assert finding.location.column >= 1
        assert (finding.where + finding.message + finding.remedy).isprintable()
        assert plain(finding)
        assert annotation(finding).isprintable()
    assert json.loads(as_json({"x.yaml": found.findings}))["version"] == 1


PIECES = st.one_of(
    st.sampled_from(
        [
            "\t",
            "\n",
            "  ",
            ":",
            "- ",
            "{",
            "}",
            "[",
            "]",
            "*a",
            "&a ",
            "!!int ",
            "<<: ",
            "|",
            ">",
            "?",
            "'",
            '"',
            "#",
            "%",
            "---\n",
        ]
    ),
    st.sampled_from(
        [
            "\x00",
            "\x1b",
            "\u202e",
            "\ufeff",
            "😀",
            "\ud7ff",
            "0x",
            "1_0",
            ".nan",
            "yes",
            "~",
            "p0",
            "spark-1",
            "10.20.0.0/16",
        ]
    ),
    st.text(max_size=4),
)


@settings(max_examples=MANY, deadline=None)
@given(st.data())
def test_mutated_text_gives_findings_or_passes(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(EXAMPLES + CASES))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        to = min(len(text), at + data.draw(st.integers(0, 12)))
        middle = data.draw(st.one_of(PIECES, st.just(text[at:to] * 2), st.just("")))
        text = text[:at] + middle + text[to:]
    sound(study_text(text.encode("utf-8", "surrogatepass"), "x.yaml", DESK))


WORDS = ["p0", "spark-1:p1", "spark-1", "TP2", "switch", "mesh", "tcp", "A", "/x", "10.0.0.0/8", "x\n", "${A}", "::1"]
FINITE = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-1, 70000), FINITE, st.text(max_size=8), st.sampled_from(WORDS)
)
NESTED = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def holders(tree: Any) -> list[Any]:
    inside = [*tree.values()] if isinstance(tree, dict) else tree if isinstance(tree, list) else []
    return ([tree] if inside else []) + [found for item in inside for found in holders(item)]


@settings(max_examples=MANY, deadline=None)
@given(st.data())
def test_mutated_trees_give_findings_or_pass(data: st.DataObject) -> None:
    tree = deepcopy(yaml.safe_load(data.draw(st.sampled_from(EXAMPLES))))
    for _ in range(data.draw(st.integers(1, 3))):
        if not holders(tree):
            break
        holder = data.draw(st.sampled_from(holders(tree)))
        key = data.draw(st.sampled_from([*holder] if isinstance(holder, dict) else [*range(len(holder))]))
        match data.draw(st.sampled_from(("delete", "replace", "copy", "rename"))):
            case "delete":
                del holder[key]
            case "replace":
                holder[key] = data.draw(NESTED)
            case "copy" if isinstance(holder, list):
                holder.append(deepcopy(holder[key]))
            case _:
                holder[key] = {data.draw(st.text(max_size=6)): holder[key]}
    sound(study_text(yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass"), "x.yaml", DESK))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_give_findings(content: bytes) -> None:
    found = study_text(content, "x.yaml", DESK)
    assert found.errors
    sound(found)


@pytest.mark.parametrize("old", ["metadata:\n  name: dual", "apiVersion: sparkctl/v1\n", "  topology: direct"])
def test_the_mutations_start_from_files_that_pass(old: str) -> None:
    assert old in GOOD
    assert study_text(GOOD.encode(), "x.yaml", DESK).findings == ()
    assert study_text(GOOD.replace(old, "x: 1\n").encode(), "x.yaml", DESK).errors


IGNORED = WARNED.replace("mtu: 1500", "mtu: 1500 # sparkctl: ignore MTU002 (an old switch)\n  #")


def test_an_ignored_warning_is_none_with_strict_either(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(WARNED)
    assert ran(str(path), "--strict").exit_code == 3
    path.write_text(IGNORED)
    assert ran(str(path), "--strict").exit_code == 0
    path.write_text(IGNORED.replace("1500", "90000").replace("MTU002", "MTU001"))
    judged = ran(str(path))
    assert judged.exit_code == 3
    assert "errors cannot be ignored" in judged.stdout


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_an_ignore_comment_reads_alike_with_any_line_end(end: str) -> None:
    assert study_text(IGNORED.replace("\n", end).encode(), "x.yaml", DESK).findings == ()


def test_ignore_comments_are_bounded() -> None:
    many = GOOD + "# sparkctl: ignore MTU002 (why)\n" * 5000
    found = study_text(many.encode(), "x.yaml", DESK).findings
    assert {f.id for f in found} == {"INV011"}
    assert len(found) <= 100
