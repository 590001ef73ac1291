"""One drawing of a fabric: cables, boxes, plugs and labels in their places; what they mean is said by the marks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import hypot
from typing import Protocol
from xml.etree.ElementTree import Element, SubElement

from sparkctl.report.drawing.layout import GROUP, HEAD, LINE, Area, Places, Point
from sparkctl.report.drawing.sketch import Box, DrawnCable, DrawnPort, Sketch

PORT = 24  # characters of a switch port's name in a label: its neighbours need room too
Words = tuple[str, str]
"""A line of text and its class."""


class Marks(Protocol):
    """What a drawing says beyond its shapes: classes, words and tooltips."""

    spread: float
    """Half the distance between the lines of two rails in one cable."""

    def rails(self, cable: DrawnCable) -> Sequence[str]:
        """The class of each line in a cable; rail A is above or left."""

    def jack(self, box: Box, port: str) -> str:
        """The class of a plug."""
        return "jack"

    def label(self, cable: DrawnCable, ports: Sequence[str]) -> Iterable[Words]:
        """What stands in the middle of a cable below the `ports` of switches that it is in."""

    def pill(self, body: Element, cable: DrawnCable) -> tuple[Element, str]:
        """Where a label is put, and the class of its ground."""
        return body, "pill"

    def write(self, group: Element, at: Point, line: Words) -> None:
        """One line of a label."""
        text(group, *at, *line)

    def box(self, body: Element, number: int, box: Box) -> tuple[Element, str]:
        """Where a box is put, and the class of its card."""

    def switch(self, group: Element, box: Box, area: Area) -> None:
        """What a switch says, in the middle: cables come from above and below."""

    def card(self, group: Element, box: Box, area: Area) -> None:
        """What a node says above and below its ports."""

    def port(self, group: Element, box: Box, port: DrawnPort) -> str:
        """The class of a port's name."""

    def rail(self, group: Element, box: Box, port: DrawnPort, number: int, at: Point) -> None:
        """The name of a rail of a port, with its mark."""


def draw(body: Element, drawn: Sketch, at: Places, marks: Marks) -> None:
    """Cables first, so that boxes and labels lie on them."""
    cabled = list(zip(drawn.wires, at.wires, strict=True))
    for cable, ends in cabled:
        _cable(body, marks, cable, ends)
    for number, box in enumerate(drawn.boxes):
        _box(body, marks, number, box, at.areas[number])
    for cable, ends in cabled:
        for (number, port), point in zip((cable.a, cable.b), ends, strict=True):
            _jack(body, marks, drawn.boxes[number], port, point)
        _label(body, marks, drawn, cable, ends)


def _cable(body: Element, marks: Marks, cable: DrawnCable, ends: tuple[Point, Point]) -> None:
    """A sheath, and in it one line per rail."""
    (ax, ay), (bx, by) = sorted(ends)  # rail A is above or left, whichever end is named first
    length = hypot(bx - ax, by - ay) or 1.0
    dx, dy = -(by - ay) / length, (bx - ax) / length
    line(body, ends[0], ends[1], "sheath")
    classes = marks.rails(cable)
    for k, name in enumerate(classes):
        aside = marks.spread * (len(classes) - 1 - 2 * k) * (1 if ax == bx else -1)
        line(body, (ax + dx * aside, ay + dy * aside), (bx + dx * aside, by + dy * aside), name)


def _jack(body: Element, marks: Marks, box: Box, port: str, point: Point) -> None:
    """Where a cable is plugged in; a switch's port is named in the cable's label, as its name is long."""
    x, y = point
    if box.kind == "switch":
        rect(body, Area(x - 9, y - 6, 18, 12), marks.jack(box, port), 3)
        return
    rect(body, Area(x - 14, y - 9, 28, 18), marks.jack(box, port), 4)
    text(body, x, y + 4, port if len(port) <= 3 else f"{port[:2]}.", "mono bold mid")


def _label(body: Element, marks: Marks, drawn: Sketch, cable: DrawnCable, ends: tuple[Point, Point]) -> None:
    """What runs in the middle of a cable: at a switch the switch's port, then what the marks say."""
    (ax, ay), (bx, by) = ends
    ports = [port for number, port in (cable.a, cable.b) if drawn.boxes[number].kind == "switch"]
    lines = [*((cut(port, PORT), "mono bold mid") for port in ports), *marks.label(cable, ports)]
    wide, high = max(len(words) for words, _ in lines) * 6.9 + 22, len(lines) * 17 + 10
    area = Area((ax + bx - wide) / 2, (ay + by - high) / 2, wide, high)
    group, name = marks.pill(body, cable)
    rect(group, area, name, 8)
    for k, words in enumerate(lines):
        marks.write(group, (area.centre[0], area.y + 18 + 17 * k), words)


def _box(body: Element, marks: Marks, number: int, box: Box, area: Area) -> None:
    group, name = marks.box(body, number, box)
    rect(group, area, name, 10)
    if box.kind == "switch":
        marks.switch(group, box, area)
        return
    marks.card(group, box, area)
    left, right, y = area.x + 16, area.x + area.width - 16, area.y + HEAD
    for port in box.ports:
        line(group, (left, y), (right, y), "rule")
        text(group, left, y + 19, port.name, marks.port(group, box, port), 20)
        text(group, right, y + 19, f"cable {port.wire}" if port.wire is not None else "free", "soft end")
        for k, end in enumerate(port.rails):
            row = y + 19 + LINE * (k + 1)
            marks.rail(group, box, port, k, (left, row))
            text(group, right, row, end.address, "mono end")
        y += GROUP + LINE * len(port.rails)


def text(parent: Element, x: float, y: float, words: str, name: str, room: int = 1000) -> None:
    """One line; what does not fit in `room` characters is in its tooltip."""
    element = SubElement(parent, "text", {"x": number(x), "y": number(y), "class": name})
    element.text = cut(words, room)
    if element.text != words:
        SubElement(element, "title").text = words


def cut(words: str, room: int) -> str:
    """`words`, or as much of them as there is room for."""
    return words if len(words) <= room else f"{words[: room - 3]}..."


def rect(parent: Element, area: Area, name: str, radius: float) -> None:
    """A rectangle with round corners."""
    size = {"x": number(area.x), "y": number(area.y), "width": number(area.width), "height": number(area.height)}
    SubElement(parent, "rect", {**size, "rx": number(radius), "class": name.strip()})


def line(parent: Element, a: Point, b: Point, name: str) -> None:
    """A straight line."""
    ends = {"x1": number(a[0]), "y1": number(a[1]), "x2": number(b[0]), "y2": number(b[1])}
    SubElement(parent, "line", {**ends, "class": name})


def dot(parent: Element, x: float, y: float, radius: str, name: str) -> None:
    """A round mark."""
    SubElement(parent, "circle", {"cx": number(x), "cy": number(y), "r": radius, "class": name})


def number(value: float) -> str:
    """A number as short as it can be: drawings are kept in git."""
    return f"{value:.1f}".removesuffix(".0")
