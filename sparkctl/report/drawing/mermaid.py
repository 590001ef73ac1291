"""The fabric as a Mermaid flowchart, which GitHub and GitLab draw in any Markdown page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from sparkctl.outcome import Finding, Severity
from sparkctl.report.drawing.sketch import Box, Sketch, ids, worst

_SHAPES = {"node": ("[", "]"), "switch": ("[[", "]]"), "unknown": ("([", "])")}
_COLOURS: Mapping[Severity, str] = {"error": "#cf222e", "warning": "#bf8700", "info": "#0969da"}
_PLAIN = re.compile(r"[^A-Za-z0-9 .,:/()-]")


def as_mermaid(drawn: Sketch) -> str:
    """One flowchart: a node per box, an edge per wire; what has findings is coloured and names their ids."""
    return "".join(f"{line}\n" for line in _lines(drawn))


def _lines(drawn: Sketch) -> Iterator[str]:
    yield "---"
    yield f'title: "{_PLAIN.sub("", f"{drawn.name}: {drawn.summary}")}"'
    yield "---"
    yield f"flowchart {'TB' if any(box.kind == 'switch' for box in drawn.boxes) else 'LR'}"
    for number, box in enumerate(drawn.boxes):
        yield f"    n{number}{_label(_box_words(box), *_SHAPES[box.kind])}{_class(worst(box.findings))}"
    for wire in drawn.wires:
        yield f"    n{wire.a[0]} ---{_label((*wire.lines, *_found(wire.findings)), '|', '|')} n{wire.b[0]}"
    for number, wire in enumerate(drawn.wires):
        severity = worst(wire.findings)
        if severity:
            yield f"    linkStyle {number} stroke:{_COLOURS[severity]},stroke-width:3px"
    for severity, colour in _COLOURS.items():
        yield f"    classDef {severity} stroke:{colour},stroke-width:3px"


def _class(severity: Severity | None) -> str:
    return f":::{severity}" if severity else ""


def _label(words: Iterable[str], begin: str, end: str) -> str:
    """Lines of a quoted label; whatever Mermaid or a browser might read as theirs becomes a character code."""
    return f'{begin}"{"<br/>".join(_PLAIN.sub(lambda odd: f"#{ord(odd[0])};", line) for line in words)}"{end}'


def _box_words(box: Box) -> Iterator[str]:
    yield box.title
    yield from box.notes
    if box.kind == "node":
        for port in box.ports:
            yield from (f"{port.name} {end.rail} {end.netdev} {end.address}" for end in port.rails)
    yield from _found(box.findings)


def _found(findings: Iterable[Finding]) -> Iterator[str]:
    return (f"{id} {severity}" for id, severity in ids(findings))
