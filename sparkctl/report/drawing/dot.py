"""The fabric in Graphviz's language: a table per box with its ports as cells, an edge per wire from port to port."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape

from sparkctl.outcome import Finding, Severity
from sparkctl.report.drawing.sketch import Box, DrawnCable, DrawnPort, Sketch, ids, worst

_COLOURS: Mapping[Severity | None, str] = {"error": "#cf222e", "warning": "#bf8700", "info": "#0969da", None: "#57606a"}
_STYLES = {"node": "solid", "switch": "rounded", "unknown": "dashed"}


def as_dot(drawn: Sketch) -> str:
    """One undirected graph; `dot`, `neato` and `fdp` lay it out."""
    return "".join(f"{line}\n" for line in _lines(drawn))


def _lines(drawn: Sketch) -> Iterator[str]:
    yield f"graph {_string(drawn.name)} {{"
    yield f"    graph [label={_string(drawn.summary)}, labelloc=t, fontname=Helvetica, ranksep=1.2, nodesep=0.6];"
    yield "    node [shape=plain, fontname=Helvetica, fontsize=11];"
    yield "    edge [fontname=Helvetica, fontsize=10, penwidth=2];"
    for number, box in enumerate(drawn.boxes):
        yield f"    n{number} [label=<{_table(box)}>];"
    for wire in drawn.wires:
        ends = f"{_end(drawn, wire, wire.a)} -- {_end(drawn, wire, wire.b)}"
        words = "<BR/>".join([*map(escape, wire.lines), *_marks(wire.findings)])
        yield f'    {ends} [label=<{words}>, color="{_COLOURS[worst(wire.findings)]}"];'
    yield "}"


def _string(text: str) -> str:
    """A quoted string; a backslash would begin an escape."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _end(drawn: Sketch, wire: DrawnCable, end: tuple[int, str]) -> str:
    """A box and the cell of its port; of two ports of one name that which this wire is plugged into."""
    ports = drawn.boxes[end[0]].ports
    cell = next(k for k, port in enumerate(ports) if (port.name, port.wire) == (end[1], wire.index))
    return f"n{end[0]}:c{cell}"


def _table(box: Box) -> str:
    colour, style = _COLOURS[worst(box.findings)], _STYLES[box.kind]
    span = max(1, len(box.ports))
    heads = [f"<B>{escape(box.title)}</B>", *map(escape, box.notes), *_marks(box.findings)]
    rows = [f'<TR><TD COLSPAN="{span}" BORDER="0">{head}</TD></TR>' for head in heads]
    cells = "".join(_cell(k, port, box) for k, port in enumerate(box.ports))
    rows += [f"<TR>{cells}</TR>"] if cells else []
    opened = f'<TABLE BORDER="1" CELLBORDER="1" CELLSPACING="4" COLOR="{colour}" STYLE="{style}">'
    return f"{opened}{''.join(rows)}</TABLE>"


def _cell(number: int, port: DrawnPort, box: Box) -> str:
    ends = port.rails if box.kind == "node" else ()
    lines = [f"{end.rail} {end.netdev} {end.address}" for end in ends]
    words = "<BR/>".join(map(escape, [port.name if port.wire is not None else f"{port.name} free", *lines]))
    return f'<TD PORT="c{number}">{words}</TD>'


def _marks(findings: Iterable[Finding]) -> list[str]:
    return [f'<FONT COLOR="{_COLOURS[severity]}"><B>{escape(id)}</B></FONT>' for id, severity in ids(findings)]
