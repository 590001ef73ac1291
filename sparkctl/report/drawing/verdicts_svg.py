"""The fabric with verdicts in place: laid out as `sparkctl topology` does, each part marked with its worst verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, tostring

from sparkctl.inventory.words import counted, visible
from sparkctl.outcome import State, Verdict
from sparkctl.report.by_place import Spots
from sparkctl.report.drawing import Sketch
from sparkctl.report.drawing.layout import MARGIN, Area, Point, places
from sparkctl.report.drawing.shapes import Marks, Words, draw, number, text
from sparkctl.report.drawing.sketch import Box, DrawnCable, DrawnPort
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
    size = {"viewBox": f"0 0 {number(width)} {number(height)}", "width": number(width), "height": number(height)}
    root = Element("svg", {**size, "class": "fabric", "role": "img", "aria-label": _described(picture)})
    body = SubElement(root, "g", transform=f"translate({number(MARGIN)} {number(MARGIN)})")
    draw(body, picture.drawn, at, VerdictMarks(picture))
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


class VerdictMarks(Marks):
    """Rails, ports and nodes by their worst verdict, with glyphs for those who see no colours."""

    spread = 3.5

    def __init__(self, picture: Picture) -> None:
        self.picture = picture

    def rails(self, cable: DrawnCable) -> list[str]:
        """As Marks.rails."""
        return [f"wire {_class(_rail_state(self.picture, cable, rail))}" for rail, _ in cable.rails]

    def jack(self, box: Box, port: str) -> str:
        """As Marks.jack."""
        return f"jack {_class(self.picture.state(box, port))}"

    def label(self, cable: DrawnCable, ports: Sequence[str]) -> Iterator[Words]:
        """Its number, its rails, and their rates."""
        yield f"cable {cable.index}", "soft mid"
        for rail, network in cable.rails:
            state = _rail_state(self.picture, cable, rail)
            yield f"{GLYPH[state]} {rail}" + ("" if ports else f" {network}"), f"mono mid {_class(state)}"
        yield from ((rate, "bold mid") for rate in _rates(self.picture, cable))

    def box(self, body: Element, number: int, box: Box) -> tuple[Element, str]:
        """A link to the list of its verdicts."""
        anchor = self.picture.anchors.get(number)
        group = SubElement(body, "a", href=f"#{anchor}") if anchor else SubElement(body, "g")
        SubElement(group, "title").text = _tooltip(box.name, self.picture.spots.by_owner.get(box.name, []))
        return group, f"card {box.kind} {_class(self.picture.state(box))}"

    def switch(self, group: Element, box: Box, area: Area) -> None:
        """As Marks.switch."""
        x, y = area.centre[0], area.y + 40
        text(group, x, y, box.name, "name mid", int(area.width / 10))
        text(group, x, y + 22, ", ".join(box.notes), "soft mid", int(area.width / 6.8))

    def card(self, group: Element, box: Box, area: Area) -> None:
        """As Marks.card."""
        left, state = area.x + 16, self.picture.state(box)
        text(group, left, area.y + 26, GLYPH[state], f"name {_class(state)}")
        text(group, left + 18, area.y + 26, box.name, "name", _NAME)
        text(group, area.x + area.width - 16, area.y + 26, box.badge, "soft end")
        text(group, left, area.y + 45, ", ".join(box.notes), "soft", 33)

    def port(self, group: Element, box: Box, port: DrawnPort) -> str:
        """As Marks.port."""
        return "mono soft" if port.wire is None else f"mono bold {_class(self.picture.state(box, port.name))}"

    def rail(self, group: Element, box: Box, port: DrawnPort, number: int, at: Point) -> None:
        """A glyph of its worst verdict."""
        (left, y), end = at, port.rails[number]
        state = self.picture.state(box, port.name, end.rail)
        text(group, left + 2, y, GLYPH[state], f"mono bold {_class(state)}")
        text(group, left + 16, y, f"{end.rail} {end.netdev}", "mono")


def _rates(picture: Picture, wire: DrawnCable) -> list[str]:
    """The slower direction of each rail, where both ends are nodes: `109 / 110 Gb/s`."""
    found = []
    for rail, _ in wire.rails:
        ends = {(*end, rail) for end in picture.at(wire)}
        rows = (row for row in picture.rows if row.test == "bandwidth" and set(row.ends) == ends)
        rates = [row.value for row in rows if row.value is not None]
        found += [f"{min(rates):.3g}"] if rates else []
    return [f"{' / '.join(found)} Gb/s"] if found else []


def _tooltip(name: str, about: Sequence[Verdict]) -> str:
    bad = wrong(about)
    lines = [f"{v.state} {v.id}: {told(v)}" for v in bad[:_TOLD]]
    more = [f"and {len(bad) - _TOLD} more"] if len(bad) > _TOLD else []
    return visible(name) + "\n" + "\n".join([*lines, *more] or [f"{counted(len(about), 'check')}, nothing wrong"])


def _class(state: State | None) -> str:
    return f"s-{state or 'none'}"
