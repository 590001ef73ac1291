"""The fabric with verdicts in place: laid out as `sparkctl topology` does, each part marked with its worst verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import hypot
from xml.etree.ElementTree import Element, SubElement, tostring

from sparkctl.inventory.words import visible
from sparkctl.outcome import State, Verdict
from sparkctl.report.by_place import Spots
from sparkctl.report.drawing import Sketch
from sparkctl.report.drawing.layout import GROUP, HEAD, LINE, MARGIN, Area, Places, Point, places
from sparkctl.report.drawing.sketch import Box, DrawnCable, Port
from sparkctl.report.measures import Row
from sparkctl.report.verdicts import told, wrong

GLYPH: Mapping[State | None, str] = {
    "pass": "✓", "warn": "!", "fail": "✗", "unknown": "?", "skipped": "–", None: "·",
}  # fmt: skip
_TOLD = 8  # verdicts in a tooltip
_NAME = 18  # characters of a name in a card


@dataclass(frozen=True)
class Picture:
    """What is drawn; `anchors`: where the list of a box's verdicts is on the page, by its number."""

    drawn: Sketch
    spots: Spots
    rows: Sequence[Row]
    anchors: Mapping[int, str]

    def state(self, box: Box, *more: str) -> State | None:
        """The worst verdict about a box, or about a port or rail of it."""
        return self.spots.state(box.name, *more)

    def at(self, wire: DrawnCable) -> list[tuple[str, str]]:
        """The ends of a wire as (name, port)."""
        return [(self.drawn.boxes[box].name, port) for box, port in (wire.a, wire.b)]


def svg(picture: Picture) -> str:
    """The drawing, to be put into a page that has its styles."""
    at = places(picture.drawn)
    width, height = at.width + 2 * MARGIN, at.height + 2 * MARGIN
    size = {"viewBox": f"0 0 {_n(width)} {_n(height)}", "width": _n(width), "height": _n(height)}
    root = Element("svg", {**size, "class": "fabric", "role": "img", "aria-label": _described(picture)})
    body = SubElement(root, "g", transform=f"translate({_n(MARGIN)} {_n(MARGIN)})")
    _body(body, picture, at)
    return tostring(root, encoding="unicode")


def _described(picture: Picture) -> str:
    """What a screen reader says: every wire with its rails."""
    said = []
    for wire in picture.drawn.wires:
        a, b = (f"{name} {port}" for name, port in picture.at(wire))
        rails = ", ".join(f"rail {rail} {_rail_state(picture, wire, rail) or 'not judged'}" for rail, _ in wire.rails)
        said.append(f"Cable {wire.index} from {a} to {b}: {rails}.")
    return " ".join(said) or "No cables."


def _rail_state(picture: Picture, wire: DrawnCable, rail: str) -> State | None:
    return picture.spots.rail(picture.at(wire), rail)


def _body(body: Element, picture: Picture, at: Places) -> None:
    """Wires first, so that boxes and labels lie on them."""
    wired = list(zip(picture.drawn.wires, at.wires, strict=True))
    for wire, ends in wired:
        _wire(body, picture, wire, ends)
    for number, box in enumerate(picture.drawn.boxes):
        _box(body, picture, number, box, at.areas[number])
    for wire, ends in wired:
        for (number, port), point in zip((wire.a, wire.b), ends, strict=True):
            _jack(body, picture, picture.drawn.boxes[number], port, point)
        _label(body, picture, wire, ends)


def _wire(body: Element, picture: Picture, wire: DrawnCable, ends: tuple[Point, Point]) -> None:
    """A sheath, and in it one line per rail in the colour of its verdicts; rail A is above or left."""
    (ax, ay), (bx, by) = sorted(ends)
    length = hypot(bx - ax, by - ay) or 1.0
    dx, dy = -(by - ay) / length, (bx - ax) / length
    _line(body, ends[0], ends[1], "sheath")
    rails = [rail for rail, _ in wire.rails]
    for k, rail in enumerate(rails):
        aside = 3.5 * (len(rails) - 1 - 2 * k) * (1 if ax == bx else -1)
        name = f"wire {_class(_rail_state(picture, wire, rail))}"
        _line(body, (ax + dx * aside, ay + dy * aside), (bx + dx * aside, by + dy * aside), name)


def _jack(body: Element, picture: Picture, box: Box, port: str, point: Point) -> None:
    x, y = point
    state = _class(picture.state(box, port))
    if box.kind == "switch":
        _rect(body, Area(x - 9, y - 6, 18, 12), f"jack {state}", 3)
        return
    _rect(body, Area(x - 14, y - 9, 28, 18), f"jack {state}", 4)
    _text(body, x, y + 4, port if len(port) <= 3 else f"{port[:2]}.", "mono bold mid")


def _label(body: Element, picture: Picture, wire: DrawnCable, ends: tuple[Point, Point]) -> None:
    """In the middle of a wire: its number, at a switch the switch's port, between nodes its rails and their rates."""
    (ax, ay), (bx, by) = ends
    drawn = picture.drawn
    ports = [port for number, port in (wire.a, wire.b) if drawn.boxes[number].kind == "switch"]
    lines = [(_cut(port, 24), "mono bold mid") for port in ports] + [(f"cable {wire.index}", "soft mid")]
    for rail, network in wire.rails:
        state = _rail_state(picture, wire, rail)
        lines.append((f"{GLYPH[state]} {rail}" + ("" if ports else f" {network}"), f"mono mid {_class(state)}"))
    lines += [(rate, "bold mid") for rate in _rates(picture, wire)]
    wide, high = max(len(text) for text, _ in lines) * 6.9 + 22, len(lines) * 17 + 10
    area = Area((ax + bx - wide) / 2, (ay + by - high) / 2, wide, high)
    _rect(body, area, "pill", 8)
    for k, (text, name) in enumerate(lines):
        _text(body, area.centre[0], area.y + 18 + 17 * k, text, name)


def _rates(picture: Picture, wire: DrawnCable) -> list[str]:
    """The slower direction of each rail, where both ends are nodes: `109 / 110 Gb/s`."""
    found = []
    for rail, _ in wire.rails:
        ends = {(*end, rail) for end in picture.at(wire)}
        rows = (row for row in picture.rows if row.test == "bandwidth" and set(row.ends) == ends)
        rates = [row.value for row in rows if row.value is not None]
        found += [f"{min(rates):.3g}"] if rates else []
    return [f"{' / '.join(found)} Gb/s"] if found else []


def _box(body: Element, picture: Picture, number: int, box: Box, area: Area) -> None:
    anchor = picture.anchors.get(number)
    group = SubElement(body, "a", href=f"#{anchor}") if anchor else SubElement(body, "g")
    about = picture.spots.by_owner.get(box.name, [])
    SubElement(group, "title").text = _tooltip(box.name, about)
    state = picture.state(box)
    _rect(group, area, f"card {box.kind} {_class(state)}", 10)
    if box.kind == "switch":
        _switch(group, box, area)
    else:
        _card(group, picture, box, area, state)


def _tooltip(name: str, about: Sequence[Verdict]) -> str:
    bad = wrong(about)
    lines = [f"{v.state} {v.id}: {told(v)}" for v in bad[:_TOLD]]
    more = [f"and {len(bad) - _TOLD} more"] if len(bad) > _TOLD else []
    return visible(name) + "\n" + "\n".join([*lines, *more] or [f"{len(about)} verdicts, nothing wrong"])


def _switch(group: Element, box: Box, area: Area) -> None:
    x, y = area.centre[0], area.y + 40
    _text(group, x, y, box.name, "name mid", int(area.width / 10))
    _text(group, x, y + 22, ", ".join(box.notes), "soft mid", int(area.width / 6.8))


def _card(group: Element, picture: Picture, box: Box, area: Area, state: State | None) -> None:
    left, right = area.x + 16, area.x + area.width - 16
    _text(group, left, area.y + 26, GLYPH[state], f"name {_class(state)}")
    _text(group, left + 18, area.y + 26, box.name, "name", _NAME)
    _text(group, right, area.y + 26, box.badge, "soft end")
    _text(group, left, area.y + 45, ", ".join(box.notes), "soft", 33)
    y = area.y + HEAD
    for port in box.ports:
        _line(group, (left, y), (right, y), "rule")
        _port(group, picture, box, port, (left, right, y))
        y += GROUP + LINE * len(port.rails)


def _port(group: Element, picture: Picture, box: Box, port: Port, at: tuple[float, float, float]) -> None:
    left, right, y = at
    state = picture.state(box, port.name)
    _text(group, left, y + 19, port.name, f"mono bold {_class(state)}" if port.wire is not None else "mono soft", 20)
    _text(group, right, y + 19, f"cable {port.wire}" if port.wire is not None else "free", "soft end")
    for k, end in enumerate(port.rails):
        line = y + 19 + LINE * (k + 1)
        one = picture.state(box, port.name, end.rail)
        _text(group, left + 2, line, GLYPH[one], f"mono bold {_class(one)}")
        _text(group, left + 16, line, f"{end.rail} {end.netdev}", "mono")
        _text(group, right, line, end.address, "mono end")


def _class(state: State | None) -> str:
    return f"s-{state or 'none'}"


def _text(parent: Element, x: float, y: float, text: str, name: str, room: int = 1000) -> None:
    """One line; what does not fit in `room` characters is in its tooltip."""
    element = SubElement(parent, "text", {"x": _n(x), "y": _n(y), "class": name})
    element.text = _cut(text, room)
    if element.text != text:
        SubElement(element, "title").text = text


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: room - 3]}..."


def _rect(parent: Element, area: Area, name: str, radius: float) -> None:
    size = {"x": _n(area.x), "y": _n(area.y), "width": _n(area.width), "height": _n(area.height)}
    SubElement(parent, "rect", {**size, "rx": _n(radius), "class": name})


def _line(parent: Element, a: Point, b: Point, name: str) -> None:
    ends = {"x1": _n(a[0]), "y1": _n(a[1]), "x2": _n(b[0]), "y2": _n(b[1])}
    SubElement(parent, "line", {**ends, "class": name})


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
