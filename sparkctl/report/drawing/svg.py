"""The fabric as one self-contained SVG: light or dark as the screen is, and described for those who cannot see it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap
from xml.etree.ElementTree import Element, SubElement, tostring

from sparkctl.inventory.words import visible
from sparkctl.outcome import Finding, Severity
from sparkctl.report.drawing.layout import FOOT, MARGIN, Area, Point, places
from sparkctl.report.drawing.shapes import Marks, Words, dot, draw, line, number, rect, text
from sparkctl.report.drawing.sketch import Box, DrawnCable, DrawnPort, Sketch, ids, worst

TOP = 84.0  # title, summary and legend
NOTE = 19.0  # a line of a finding below the drawing
MARKS = 3  # rule ids in a card's width
NARROWEST = 640.0  # of the drawing: room for the summary
_STYLE = """
svg { --ground: #ffffff; --card: #f6f8fa; --line: #c4cbd3; --ink: #1f2328; --soft: #59636e; --wire: #e3e8ee;
  --a: #0969da; --b: #bc4c00; --head: #1a7f37; --error: #cf222e; --warning: #9a6700; --info: #0969da; }
@media (prefers-color-scheme: dark) {
  svg { --ground: #0d1117; --card: #161b22; --line: #3d444d; --ink: #e6edf3; --soft: #9198a1; --wire: #262c36;
    --a: #58a6ff; --b: #f0883e; --head: #3fb950; --error: #ff7b72; --warning: #e3b341; --info: #58a6ff; } }
text { fill: var(--ink); font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
.mono { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 11px; }
.title { font-size: 20px; font-weight: 700; } .name { font-size: 15px; font-weight: 700; }
.soft { fill: var(--soft); } .bold { font-weight: 700; }
.end { text-anchor: end; } .mid { text-anchor: middle; }
.ground { fill: var(--ground); } .card { fill: var(--card); stroke: var(--line); stroke-width: 1.5; }
.unknown { stroke-dasharray: 6 4; } .rule { stroke: var(--line); stroke-width: 1; }
.sheath { stroke: var(--wire); stroke-width: 13; stroke-linecap: round; }
.a { stroke: var(--a); fill: var(--a); } .b { stroke: var(--b); fill: var(--b); } .wire { stroke-width: 2.5; }
.plain { stroke: var(--soft); } .dot { stroke: none; }
.jack { fill: var(--ground); stroke: var(--soft); stroke-width: 1.5; }
.pill { fill: var(--ground); stroke: var(--line); stroke-width: 1; }
.badge { fill: none; stroke: var(--soft); }
.head { stroke: var(--head); fill: var(--head); } text.head { stroke: none; }
.card.error, .pill.error { stroke: var(--error); stroke-width: 2.5; } text.error, .mark.error { fill: var(--error); }
.card.warning, .pill.warning { stroke: var(--warning); stroke-width: 2.5; }
text.warning, .mark.warning { fill: var(--warning); }
.card.info, .pill.info { stroke: var(--info); stroke-width: 2.5; } text.info, .mark.info { fill: var(--info); }
"""


def as_svg(drawn: Sketch) -> str:
    """The whole document; every text and attribute goes through the XML writer."""
    at = places(drawn)
    width = max(at.width + 2 * MARGIN, NARROWEST)
    notes = _notes(drawn, width)
    height = TOP + at.height + 2 * MARGIN + (sum(len(lines) for _, lines in notes) * NOTE + 12 if notes else 0)
    size = {"viewBox": f"0 0 {number(width)} {number(height)}", "width": number(width), "height": number(height)}
    spoken = {"role": "img", "aria-labelledby": "title desc"}
    root = Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **size, **spoken})
    SubElement(root, "title", id="title").text = f"{drawn.name}: {drawn.summary}"
    SubElement(root, "desc", id="desc").text = _described(drawn)
    SubElement(root, "style").text = _STYLE
    rect(root, Area(0, 0, width, height), "ground", 0)
    _heading(root, drawn, width)
    body = SubElement(root, "g", transform=f"translate({number((width - at.width) / 2)} {number(TOP + MARGIN / 2)})")
    draw(body, drawn, at, FindingMarks())
    _footer(root, notes, TOP + at.height + 2 * MARGIN)
    return tostring(root, encoding="unicode") + "\n"


def _described(drawn: Sketch) -> str:
    """What a screen reader says: every wire in a sentence."""
    said = []
    for wire in drawn.wires:
        a, b = drawn.ends(wire)
        subnets = "".join(f", rail {rail} {network}" for rail, network in wire.rails)
        said.append(f"Cable {wire.index}: {a.name} {wire.a[1]} to {b.name} {wire.b[1]}{subnets}.")
    return " ".join(said) or "No cables."


def _heading(root: Element, drawn: Sketch, width: float) -> None:
    text(root, MARGIN, 42, drawn.name, "title", 30)
    text(root, MARGIN, 66, drawn.summary, "soft")
    for k, (rail, words) in enumerate(reversed(_legend(drawn))):
        x = width - MARGIN - 118 * (k + 1) + 12
        line(root, (x, 38), (x + 22, 38), f"wire {rail.lower()}")
        text(root, x + 30, 42, words, "soft")


def _legend(drawn: Sketch) -> list[tuple[str, str]]:
    """Each rail with its speed, or with the speeds that it has on different cables."""
    speeds: dict[str, dict[str, None]] = {}
    for wire in drawn.wires:
        for rail, _ in wire.rails:
            speeds.setdefault(rail, {})[wire.rail_speed] = None
    return [(rail, f"rail {rail} {'/'.join(found)}") for rail, found in sorted(speeds.items())]


def _footer(root: Element, notes: Sequence[tuple[Finding, list[str]]], y: float) -> None:
    """Every finding in words, below the drawing."""
    for finding, lines in notes:
        dot(root, MARGIN + 5, y - 4, "4", f"mark {finding.severity}")
        text(root, MARGIN + 18, y, finding.id, f"bold {finding.severity}")
        for words in lines:
            text(root, MARGIN + 80, y, words, "")
            y += NOTE


def _notes(drawn: Sketch, width: float) -> list[tuple[Finding, list[str]]]:
    """The findings with their messages in lines that fit."""
    room = int((width - 2 * MARGIN - 80) / 6.8)  # characters of 12 px text
    return [(f, wrap(f"line {f.location.line}: {visible(f.message)}", room)) for f in drawn.findings]


class FindingMarks(Marks):
    """Rails by their colour, findings at the boxes and cables that they are about."""

    spread = 2.75

    def rails(self, cable: DrawnCable) -> list[str]:
        """As Marks.rails."""
        return [f"wire {rail.lower()}" for rail, _ in cable.rails] or ["wire plain"]

    def label(self, cable: DrawnCable, ports: Sequence[str]) -> Iterator[Words]:
        """Between nodes the subnets of its rails."""
        yield cable.title, "soft mid"
        if not ports:
            yield from ((network, f"mono mid rail {rail}") for rail, network in cable.rails)
        yield from ((id, f"bold mid {severity}") for id, severity in _few(cable.findings))

    def pill(self, body: Element, cable: DrawnCable) -> tuple[Element, str]:
        """As Marks.pill."""
        return _told(SubElement(body, "g"), cable.findings), f"pill {worst(cable.findings) or ''}"

    def write(self, group: Element, at: Point, line: Words) -> None:
        """That of a rail begins with a dot of its colour."""
        words, (name, is_rail, rail) = line[0], line[1].partition(" rail ")
        if is_rail:
            dot(group, at[0] - len(words) * 3.4 - 4, at[1] - 4, "3.5", f"dot {rail.lower()}")
        text(group, at[0] + (5 if is_rail else 0), at[1], words, name)

    def box(self, body: Element, number: int, box: Box) -> tuple[Element, str]:
        """As Marks.box."""
        return _told(SubElement(body, "g"), box.findings), f"card {box.kind} {worst(box.findings) or ''}"

    def switch(self, group: Element, box: Box, area: Area) -> None:
        """Its rails, and what was found."""
        x, y = area.centre[0], area.y + 27
        text(group, x, y, box.name, "name mid", int(area.width / 10))
        text(group, x, y + 20, ", ".join(box.notes), "soft mid", int(area.width / 6.8))
        networks = sorted(box.networks)
        for k, (rail, network) in enumerate(networks):
            left = x + (k % 2 - min(len(networks), 2) / 2) * 130 + 12
            _rail_name(group, left, y + 40 + 17 * (k // 2), rail, network)
        marks = _few(box.findings)
        for k, (id, severity) in enumerate(marks):
            text(group, x + (k - (len(marks) - 1) / 2) * 66, area.y + area.height - 10, id, f"bold mid {severity}")

    def card(self, group: Element, box: Box, area: Area) -> None:
        """Name and badge, and what was found."""
        left = area.x + 16
        text(group, left, area.y + 26, box.name, "name", 17)
        _badge(group, area.x + area.width - 16, area.y + 21, box.badge)
        text(group, left, area.y + 45, ", ".join(box.notes), "soft", 33)
        for k, (id, severity) in enumerate(_few(box.findings)):
            text(group, left + 66 * k, area.y + area.height - FOOT, id, f"bold {severity}")

    def port(self, group: Element, box: Box, port: DrawnPort) -> str:
        """As Marks.port."""
        return "mono bold" if port.wire is not None else "mono soft"

    def rail(self, group: Element, box: Box, port: DrawnPort, number: int, at: Point) -> None:
        """A dot of its colour."""
        end = port.rails[number]
        _rail_name(group, at[0] + 4, at[1], end.rail, f"{end.rail} {end.netdev}")


def _rail_name(group: Element, x: float, y: float, rail: str, words: str) -> None:
    dot(group, x, y - 4, "3.5", f"dot {rail.lower()}")
    text(group, x + 9, y, words, "mono")


def _badge(group: Element, right: float, y: float, badge: str) -> None:
    if not badge:
        return
    wide = len(badge) * 7 + 14
    rect(group, Area(right - wide, y - 10, wide, 19), "badge head" if badge == "head" else "badge", 9.5)
    text(group, right - wide / 2, y + 4, badge, "mid ground bold" if badge == "head" else "mid soft")


def _told(group: Element, findings: Sequence[Finding]) -> Element:
    """`group` with a tooltip, if there is something to tell."""
    if findings:
        told = (f"{f.severity} {f.id}: {visible(f.message)}" for f in findings)
        SubElement(group, "title").text = "\n".join(told)
    return group


def _few(findings: Iterable[Finding]) -> list[tuple[str, Severity]]:
    """The ids that there is room for, and how many more there are."""
    marks = list(ids(findings))
    more = len(marks) - MARKS
    return [*marks[:MARKS], (f"+{more}", marks[MARKS][1])] if more > 0 else marks
