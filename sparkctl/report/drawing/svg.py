"""The fabric as one self-contained SVG: light or dark as the screen is, and described for those who cannot see it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import hypot
from textwrap import wrap
from xml.etree.ElementTree import Element, SubElement, tostring

from sparkctl.inventory.words import visible
from sparkctl.outcome import Finding, Severity
from sparkctl.report.drawing.layout import FOOT, GROUP, HEAD, LINE, MARGIN, Area, Places, Point, places
from sparkctl.report.drawing.sketch import Box, DrawnCable, Port, Sketch, ids, worst

TOP = 84.0  # title, summary and legend
NOTE = 19.0  # a line of a finding below the drawing
MARKS = 3  # rule ids in a card's width
PORT = 24  # characters of a switch port's name in a label: its neighbours need room too
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
    size = {"viewBox": f"0 0 {_n(width)} {_n(height)}", "width": _n(width), "height": _n(height)}
    spoken = {"role": "img", "aria-labelledby": "title desc"}
    root = Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **size, **spoken})
    SubElement(root, "title", id="title").text = f"{drawn.name}: {drawn.summary}"
    SubElement(root, "desc", id="desc").text = _described(drawn)
    SubElement(root, "style").text = _STYLE
    _rect(root, Area(0, 0, width, height), "ground", 0)
    _heading(root, drawn, width)
    body = SubElement(root, "g", transform=f"translate({_n((width - at.width) / 2)} {_n(TOP + MARGIN / 2)})")
    _body(body, drawn, at)
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


def _body(body: Element, drawn: Sketch, at: Places) -> None:
    """Wires first, so that boxes and labels lie on them."""
    for wire, ends in zip(drawn.wires, at.wires, strict=True):
        _wire(body, wire, ends)
    for number, box in enumerate(drawn.boxes):
        _box(body, drawn, box, at.areas[number])
    for wire, ends in zip(drawn.wires, at.wires, strict=True):
        for end, point in zip((wire.a, wire.b), ends, strict=True):
            _jack(body, drawn.boxes[end[0]], end[1], point)
        _label(body, drawn, wire, ends)


def _heading(root: Element, drawn: Sketch, width: float) -> None:
    _text(root, MARGIN, 42, drawn.name, "title", 30)
    _text(root, MARGIN, 66, drawn.summary, "soft")
    for k, (rail, words) in enumerate(reversed(_legend(drawn))):
        x = width - MARGIN - 118 * (k + 1) + 12
        _line(root, (x, 38), (x + 22, 38), f"wire {rail.lower()}")
        _text(root, x + 30, 42, words, "soft")


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
        circle = {"cx": _n(MARGIN + 5), "cy": _n(y - 4), "r": "4", "class": f"mark {finding.severity}"}
        SubElement(root, "circle", circle)
        _text(root, MARGIN + 18, y, finding.id, f"bold {finding.severity}")
        for line in lines:
            _text(root, MARGIN + 80, y, line, "")
            y += NOTE


def _notes(drawn: Sketch, width: float) -> list[tuple[Finding, list[str]]]:
    """The findings with their messages in lines that fit."""
    room = int((width - 2 * MARGIN - 80) / 6.8)  # characters of 12 px text
    return [(f, wrap(f"line {f.location.line}: {visible(f.message)}", room)) for f in drawn.findings]


def _wire(body: Element, wire: DrawnCable, ends: tuple[Point, Point]) -> None:
    """A sheath, and in it one line per rail."""
    (ax, ay), (bx, by) = sorted(ends)  # rail A is above or left, whichever end is named first
    length = hypot(bx - ax, by - ay) or 1.0
    dx, dy = -(by - ay) / length, (bx - ax) / length
    _line(body, ends[0], ends[1], "sheath")
    classes = [f"wire {rail.lower()}" for rail, _ in wire.rails] or ["wire plain"]
    for k, name in enumerate(classes):
        aside = 2.75 * (len(classes) - 1 - 2 * k) * (1 if ax == bx else -1)
        _line(body, (ax + dx * aside, ay + dy * aside), (bx + dx * aside, by + dy * aside), name)


def _jack(body: Element, box: Box, port: str, point: Point) -> None:
    """Where a wire is plugged in; a switch's port is named in the wire's label, as its name is long."""
    x, y = point
    if box.kind == "switch":
        _rect(body, Area(x - 9, y - 6, 18, 12), "jack", 3)
        return
    _rect(body, Area(x - 14, y - 9, 28, 18), "jack", 4)
    _text(body, x, y + 4, port if len(port) <= 3 else f"{port[:2]}.", "mono bold mid")


def _label(body: Element, drawn: Sketch, wire: DrawnCable, ends: tuple[Point, Point]) -> None:
    """What runs in the middle of a wire: between nodes its subnets, at a switch the switch's port."""
    (ax, ay), (bx, by) = ends
    switches = [end[1] for end in (wire.a, wire.b) if drawn.boxes[end[0]].kind == "switch"]
    speed = f", {wire.speed}" if wire.speed else ""
    lines = [(_cut(port, PORT), "mono bold mid") for port in switches] + [(f"cable {wire.index}{speed}", "soft mid")]
    lines += [] if switches else [(network, f"mono mid rail {rail}") for rail, network in wire.rails]
    lines += [(id, f"bold mid {severity}") for id, severity in _few(wire.findings)]
    wide, high = max(len(text) for text, _ in lines) * 6.9 + 22, len(lines) * 17 + 10
    area = Area((ax + bx - wide) / 2, (ay + by - high) / 2, wide, high)
    group = SubElement(body, "g")
    _tooltip(group, wire.findings)
    _rect(group, area, f"pill {worst(wire.findings) or ''}", 8)
    for k, (text, name) in enumerate(lines):
        _label_line(group, area, k, text, name)


def _label_line(group: Element, area: Area, k: int, text: str, name: str) -> None:
    """A line of a label; that of a rail begins with a dot of its colour."""
    x, y = area.centre[0], area.y + 18 + 17 * k
    name, is_rail, rail = name.partition(" rail ")
    if is_rail:
        dot = {"cx": _n(x - len(text) * 3.4 - 4), "cy": _n(y - 4), "r": "3.5", "class": f"dot {rail.lower()}"}
        SubElement(group, "circle", dot)
    _text(group, x + (5 if is_rail else 0), y, text, name)


def _box(body: Element, drawn: Sketch, box: Box, area: Area) -> None:
    group = SubElement(body, "g")
    _tooltip(group, box.findings)
    _rect(group, area, f"card {box.kind} {worst(box.findings) or ''}", 10)
    if box.kind == "switch":
        _switch(group, box, area)
    else:
        _card(group, box, area)


def _switch(group: Element, box: Box, area: Area) -> None:
    """Everything in the middle: wires come from above and below."""
    x, y = area.centre[0], area.y + 27
    _text(group, x, y, box.name, "name mid", int(area.width / 10))
    _text(group, x, y + 20, ", ".join(box.notes), "soft mid", int(area.width / 6.8))
    networks = sorted(box.networks)
    for k, (rail, network) in enumerate(networks):
        left = x + (k % 2 - min(len(networks), 2) / 2) * 130 + 12
        _rail_name(group, left, y + 40 + 17 * (k // 2), rail, network)
    marks = _few(box.findings)
    for k, (id, severity) in enumerate(marks):
        _text(group, x + (k - (len(marks) - 1) / 2) * 66, area.y + area.height - 10, id, f"bold mid {severity}")


def _rail_name(group: Element, x: float, y: float, rail: str, words: str) -> None:
    SubElement(group, "circle", {"cx": _n(x), "cy": _n(y - 4), "r": "3.5", "class": f"dot {rail.lower()}"})
    _text(group, x + 9, y, words, "mono")


def _card(group: Element, box: Box, area: Area) -> None:
    left, right = area.x + 16, area.x + area.width - 16
    _text(group, left, area.y + 26, box.name, "name", 17)
    _badge(group, right, area.y + 21, box.badge)
    _text(group, left, area.y + 45, ", ".join(box.notes), "soft", 33)
    y = area.y + HEAD
    for port in box.ports:
        _line(group, (left, y), (right, y), "rule")
        _port(group, port, left, right, y)
        y += GROUP + LINE * len(port.rails)
    for k, (id, severity) in enumerate(_few(box.findings)):
        _text(group, left + 66 * k, area.y + area.height - FOOT, id, f"bold {severity}")


def _badge(group: Element, right: float, y: float, badge: str) -> None:
    if not badge:
        return
    wide = len(badge) * 7 + 14
    _rect(group, Area(right - wide, y - 10, wide, 19), "badge head" if badge == "head" else "badge", 9.5)
    _text(group, right - wide / 2, y + 4, badge, "mid ground bold" if badge == "head" else "mid soft")


def _port(group: Element, port: Port, left: float, right: float, y: float) -> None:
    _text(group, left, y + 19, port.name, "mono bold" if port.wire is not None else "mono soft", 20)
    _text(group, right, y + 19, f"cable {port.wire}" if port.wire is not None else "free", "soft end")
    for k, end in enumerate(port.rails):
        line = y + 19 + LINE * (k + 1)
        _rail_name(group, left + 4, line, end.rail, f"{end.rail} {end.netdev}")
        _text(group, right, line, end.address, "mono end")


def _tooltip(group: Element, findings: Sequence[Finding]) -> None:
    if findings:
        SubElement(group, "title").text = "\n".join(_told(findings))


def _told(findings: Iterable[Finding]) -> list[str]:
    return [f"{f.severity} {f.id}: {visible(f.message)}" for f in findings]


def _text(parent: Element, x: float, y: float, text: str, name: str, room: int = 1000) -> None:
    """One line; what does not fit in `room` characters is in its tooltip."""
    element = SubElement(parent, "text", {"x": _n(x), "y": _n(y), "class": name})
    element.text = _cut(text, room)
    if element.text != text:
        SubElement(element, "title").text = text


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: room - 3]}..."


def _few(findings: Iterable[Finding]) -> list[tuple[str, Severity]]:
    """The ids that there is room for, and how many more there are."""
    marks = list(ids(findings))
    more = len(marks) - MARKS
    return [*marks[:MARKS], (f"+{more}", marks[MARKS][1])] if more > 0 else marks


def _rect(parent: Element, area: Area, name: str, radius: float) -> None:
    size = {"x": _n(area.x), "y": _n(area.y), "width": _n(area.width), "height": _n(area.height)}
    SubElement(parent, "rect", {**size, "rx": _n(radius), "class": name.strip()})


def _line(parent: Element, a: Point, b: Point, name: str) -> None:
    ends = {"x1": _n(a[0]), "y1": _n(a[1]), "x2": _n(b[0]), "y2": _n(b[1])}
    SubElement(parent, "line", {**ends, "class": name})


def _n(value: float) -> str:
    """A number as short as it can be: drawings are kept in git."""
    return f"{value:.1f}".removesuffix(".0")
