"""`sparkctl validate`: the rules, without a network."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparkctl.cli.terminal import NoColor, console, reported
from sparkctl.cli.typed import Inventories
from sparkctl.report.door import emit

if TYPE_CHECKING:
    from sparkctl.outcome import Finding

INVALID = 3  # docs/rules/exit-codes.md


class FindingsFormat(StrEnum):
    """How findings are printed."""

    text = "text"
    json = "json"
    sarif = "sarif"
    github = "github"
    junit = "junit"


Format = Annotated[FindingsFormat, typer.Option("--format", help="For people, for programs, for CI services.")]
Strict = Annotated[bool, typer.Option("--strict", help="Warnings are errors.")]


def validate(
    inventories: Inventories,
    format: Format = FindingsFormat.text,
    strict: Strict = False,
    no_color: NoColor = False,
) -> None:
    """Check inventories against every rule; no network is used.

    Exit code 0 when no inventory has errors, 3 when one has. `sparkctl explain ID` tells more about a finding.

    Examples:

      sparkctl validate  # one file

      sparkctl validate . --strict  # a folder; warnings are errors

      sparkctl validate . --format github  # annotations on a pull request

      sparkctl validate . --format sarif  # for code scanning; junit: for GitLab and Jenkins

      sparkctl validate --format json  # for programs
    """
    with reported():
        found = _found(inventories, strict)
    if format is FindingsFormat.text:
        _print_text(found, no_color)
    else:
        emit(_formatted(found, format), end="")
    if any(finding.severity == "error" for findings in found.values() for finding in findings):
        raise typer.Exit(INVALID)


def _found(inventories: list[Path], strict: bool) -> dict[str, Sequence[Finding]]:
    from sparkctl.report import findings
    from sparkctl.study import study

    judged = {str(path): study(path).findings for path in _files(inventories)}
    return {path: findings.strict(each) for path, each in judged.items()} if strict else {**judged}


def _files(inventories: list[Path]) -> list[Path]:
    from sparkctl.errors import UsageError

    files: list[Path] = []
    for path in inventories:
        inside = _inside(path) if path.is_dir() else [path]
        if not inside:
            raise UsageError(f"{path} holds no *.yaml or *.yml file", "name an inventory, or a folder of them")
        files += inside
    return list(dict.fromkeys(files))


def _inside(folder: Path) -> list[Path]:
    from sparkctl.errors import UsageError

    try:
        return sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".yml") and path.is_file())
    except OSError as error:
        raise UsageError(f"{folder} cannot be read: {error.strerror}", "name the inventories themselves") from None


def _formatted(found: dict[str, Sequence[Finding]], format: FindingsFormat) -> str:
    from sparkctl.report import findings

    if format is FindingsFormat.json:
        return f"{findings.as_json(found)}\n"
    if format is FindingsFormat.github:
        return "".join(f"{findings.annotation(finding)}\n" for each in found.values() for finding in each)
    if format is FindingsFormat.sarif:
        return f"{_sarif(found)}\n"
    from sparkctl.report.junit import as_junit

    return f"{as_junit(found)}\n"


def _sarif(found: dict[str, Sequence[Finding]]) -> str:
    from sparkctl import __version__
    from sparkctl.report.sarif import as_sarif
    from sparkctl.resources import page
    from sparkctl.rules import rules

    pages = {rule.id: page("rules", rule.id) for rule in rules()}
    return as_sarif(found, rules(), pages, __version__)


def _print_text(found: dict[str, Sequence[Finding]], no_color: bool) -> None:
    from sparkctl.report.findings import plain, print_findings, summary

    everything = [finding for findings in found.values() for finding in findings]
    if sys.stdout.isatty():  # rich is slow to import, so only where it shows
        print_findings(everything, console(no_color=no_color))
    else:
        emit("".join(plain(finding) for finding in everything), end="")
    emit(summary(len(found), everything))
