"""Findings for people (text with a caret), for programs (JSON) and for GitHub (annotations)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from linecache import getline
from typing import TYPE_CHECKING
from unicodedata import east_asian_width

from sparkctl.inventory.words import counted, visible
from sparkctl.outcome import Finding, Severity, values_of
from sparkctl.report.door import Piece, say
from sparkctl.report.hints import pasteable, wrapped

if TYPE_CHECKING:
    from rich.console import Console

_STYLES: Mapping[Severity, str] = {"error": "bold red", "warning": "bold yellow", "info": "bold blue"}
_ANNOTATIONS: Mapping[Severity, str] = {"error": "error", "warning": "warning", "info": "notice"}
_WIDTH = 100  # characters of an excerpt at most: a file of one long line stays readable
_MARGIN = "         | "


def print_findings(findings: Iterable[Finding], console: Console) -> None:
    """Print findings, on a terminal within its width and with the line they are about and a caret."""
    width = console.width if console.is_terminal else None
    for finding in findings:
        say(console, *pieces(finding, width), end="", wrap=False)


def plain(finding: Finding) -> str:
    """One finding as text for a file or a pipe."""
    return "".join(text for text, _ in pieces(finding, None))


def pieces(finding: Finding, width: int | None) -> Iterator[Piece]:
    """One finding as styled text, each line ended; `width` None: unbroken lines and no excerpt."""
    place = f"{visible(str(finding.location))}: "
    yield place, "bold"
    yield finding.severity, _STYLES[finding.severity]
    yield f" {finding.id}", "bold"
    taken = len(place) + len(finding.severity) + len(finding.id) + 1
    yield f" {_wrapped(visible(finding.message), width, taken + 1)}\n", ""
    if width is not None:
        yield from _excerpt(finding, min(_WIDTH, max(20, width - len(_MARGIN))))
    if finding.remedy:
        yield "    do: ", "bold"
        yield f"{_wrapped(visible(pasteable(finding.remedy)), width, 8)}\n", ""


def _wrapped(text: str, width: int | None, taken: int) -> str:
    """Broken between words; the first line begins where `taken` columns are in use."""
    if width is None:
        return text
    begun = "x" * (taken % width)  # a path longer than the line goes on in the next
    return "\n".join(wrapped(begun + text, max(width, 20), "        "))[len(begun) :]


def _excerpt(finding: Finding, width: int) -> Iterator[Piece]:
    line, column = finding.location.line, finding.location.column
    written = getline(finding.location.path, line).rstrip("\n")
    start = max(0, column - 1 - width // 3) if _columns(written) > width else 0  # some of what stands before it
    shown = _cut("".join(c if c.isprintable() else " " for c in written[start : start + width]), width)
    if shown.strip():
        yield f"    {line:>4} | ", "dim"
        yield f"{shown}\n", ""
        yield f"{_MARGIN}{' ' * _columns(shown[: column - 1 - start])}", "dim"
        yield "^\n", _STYLES[finding.severity]


def _cut(text: str, width: int) -> str:
    """As much of `text` as fits."""
    while _columns(text) > width:
        text = text[:-1]
    return text


def _columns(text: str) -> int:
    """How wide a terminal shows it: East Asian characters take two columns."""
    return sum(2 if east_asian_width(c) in "WF" else 1 for c in text)


def summary(files: int, findings: Sequence[Finding]) -> str:
    """The last line: what was looked at and what was found."""
    counts = Counter(finding.severity for finding in findings)
    severities: tuple[Severity, ...] = ("error", "warning", "info")
    found = ", ".join(counted(counts[severity], severity) for severity in severities if counts[severity])
    return f"{counted(files, 'inventory', 'inventories')}: {found or 'no findings'}"


def strict(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings with every warning an error, as `--strict` wants."""
    return tuple(replace(f, severity="error") if f.severity == "warning" else f for f in findings)


def as_json(found: Mapping[str, Sequence[Finding]]) -> str:
    """The contract of `validate --format json` (docs/guides/ci.md)."""
    inventories = [{"path": path, "findings": [_record(f) for f in findings]} for path, findings in found.items()]
    return json.dumps({"version": 1, "inventories": inventories}, indent=2)


def _record(f: Finding) -> dict[str, object]:
    return {
        "id": f.id,
        "severity": f.severity,
        "where": f.where,
        "line": f.location.line,
        "column": f.location.column,
        "message": f.message,
        "remedy": f.remedy,
        "values": [value._asdict() for value in values_of(f.remedy)],
    }


def annotation(f: Finding) -> str:
    """One workflow command of GitHub Actions."""
    place = f"file={_property(f.location.path)},line={f.location.line},col={f.location.column},title={_property(f.id)}"
    text = f"{f.message}; {f.remedy}" if f.remedy else f.message
    return f"::{_ANNOTATIONS[f.severity]} {place}::{_message(text)}"


def _message(text: str) -> str:
    return visible(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
