"""Where things stand in a drawing: boxes in rows or around their switches, and where each wire leaves its box."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from sparkctl.report.drawing.sketch import DrawnCable, Sketch

CARD = 250.0  # width of a card: a netdev's name and an address in a line
APART = 178.0  # between cards side by side: room for a cable's label
BELOW = 132.0  # between rows: the same, from top to bottom
MARGIN = 32.0
ROW = 4  # nodes below a switch before some move above it
PLUG = 8.0  # from a box to the middle of a plug
SWITCH = 96.0  # height of a switch
HEAD, LINE, GROUP, FOOT = 58.0, 18.0, 28.0, 12.0  # heights inside a card
Side = Literal["left", "right", "top", "bottom"]
Point: TypeAlias = tuple[float, float]


@dataclass(frozen=True)
class Area:
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> Point:
        """Its middle."""
        return self.x + self.width / 2, self.y + self.height / 2

    def moved(self, x: float, y: float) -> Area:
        """The same, elsewhere."""
        return Area(self.x + x, self.y + y, self.width, self.height)


@dataclass(frozen=True)
class Places:
    """Areas of the boxes by their index, the two points of each wire, and the size of it all."""

    areas: Mapping[int, Area]
    wires: tuple[tuple[Point, Point], ...]
    width: float
    height: float


def places(drawn: Sketch) -> Places:
    """Every box and wire of the sketch, from (0, 0) to the right and down."""
    switched = any(box.kind == "switch" for box in drawn.boxes)
    areas = _around_switches(drawn) if switched else _in_rows(drawn)
    width = max(area.x + area.width for area in areas.values())
    height = max(area.y + area.height for area in areas.values())
    return Places(areas, _wires(drawn, areas), width, height)


def _tallest(drawn: Sketch) -> float:
    """What the highest card needs: for its ports, and for a line of findings."""
    cards = [box for box in drawn.boxes if box.kind != "switch"]
    high = [sum(GROUP + LINE * len(p.rails) for p in box.ports) + (LINE + 6 if box.findings else 0) for box in cards]
    return HEAD + max((FOOT + each for each in high), default=0)


def _row(boxes: Sequence[int], y: float, height: float, apart: float, width: float) -> dict[int, Area]:
    """Cards side by side, in the middle of `width`."""
    used = _span(len(boxes), apart)
    left = (width - used) / 2
    return {box: Area(left + k * (CARD + apart), y, CARD, height) for k, box in enumerate(boxes)}


def _span(count: int, apart: float) -> float:
    return count * CARD + max(0, count - 1) * apart


def _in_rows(drawn: Sketch) -> dict[int, Area]:
    """Two side by side; more in two rows that run around: to the right above, back to the left below."""
    count, height = len(drawn.boxes), _tallest(drawn)
    above = count // 2 if count > 2 else count
    width = _span(max(above, count - above), APART)
    lower = list(range(above, count))[::-1]
    return _row(range(above), 0, height, APART, width) | _row(lower, height + BELOW, height, APART, width)


def _around_switches(drawn: Sketch) -> dict[int, Area]:
    """A block per switch, side by side; at the end whatever has no cable to one."""
    areas: dict[int, Area] = {}
    left, height = 0.0, _tallest(drawn)
    blocks = _blocks(drawn)
    tops = max((len(_upper(nodes)) for switch, nodes in blocks if switch is not None), default=0)
    line = height + BELOW if tops else 0.0  # all switches stand in one line
    for switch, nodes in blocks:
        block = _block(switch, nodes, line, height)
        areas |= {box: area.moved(left, 0) for box, area in block.items()}
        left = max((area.x + area.width for area in areas.values()), default=0) + APART
    return areas


def _blocks(drawn: Sketch) -> list[tuple[int | None, list[int]]]:
    """Each switch with the boxes whose first cable to a switch leads to it; None: those without."""
    owner: dict[int, int] = {}
    for wire in drawn.wires:
        for (near, _), (far, _) in ((wire.a, wire.b), (wire.b, wire.a)):
            if drawn.boxes[near].kind != "switch" and drawn.boxes[far].kind == "switch":
                owner.setdefault(near, far)
    switches = [k for k, box in enumerate(drawn.boxes) if box.kind == "switch"]
    others = [k for k, box in enumerate(drawn.boxes) if box.kind != "switch"]
    blocks: list[tuple[int | None, list[int]]] = [(s, [k for k in others if owner.get(k) == s]) for s in switches]
    alone = [k for k in others if k not in owner]
    return [*blocks, (None, alone)] if alone else blocks


def _upper(nodes: Sequence[int]) -> Sequence[int]:
    return nodes[: (len(nodes) + 1) // 2] if len(nodes) > ROW else ()


def _block(switch: int | None, nodes: Sequence[int], line: float, height: float) -> dict[int, Area]:
    """A switch with nodes below it, and above it when there are many."""
    if switch is None:
        return _row(nodes, line + SWITCH + BELOW, height, MARGIN, _span(len(nodes), MARGIN))
    upper = _upper(nodes)
    lower = nodes[len(upper) :]
    width = max(_span(len(lower), MARGIN), _span(len(upper), MARGIN), CARD * 1.6)
    cards = _row(upper, line - BELOW - height, height, MARGIN, width)
    cards |= _row(lower, line + SWITCH + BELOW, height, MARGIN, width)
    return {switch: Area(0, line, width, SWITCH), **cards}


def _wires(drawn: Sketch, areas: Mapping[int, Area]) -> tuple[tuple[Point, Point], ...]:
    """Wires that leave one side of a box are spread over it in the order of where they lead, so as not to cross."""
    leaving: dict[tuple[int, Side], list[tuple[tuple[float, int], int, str]]] = {}
    for wire in drawn.wires:
        for end, (near, far) in (("a", (wire.a[0], wire.b[0])), ("b", (wire.b[0], wire.a[0]))):
            side = _side(areas[near], areas[far], end)
            x, y = areas[far].centre
            order = (x if side in ("top", "bottom") else y, wire.index)
            leaving.setdefault((near, side), []).append((order, wire.index, end))
    points: dict[tuple[int, str], Point] = {}
    for (box, side), ends in leaving.items():
        for k, (_, index, end) in enumerate(sorted(ends)):
            points[index, end] = _on(areas[box], side, (k + 0.5) / len(ends))
    return tuple(_upright(drawn, areas, wire, points[wire.index, "a"], points[wire.index, "b"]) for wire in drawn.wires)


def _upright(drawn: Sketch, areas: Mapping[int, Area], wire: DrawnCable, a: Point, b: Point) -> tuple[Point, Point]:
    """A wire to a switch goes straight up or down where the switch is wide enough."""
    for near, mine, other in ((wire.a[0], a, b), (wire.b[0], b, a)):
        area = areas[near]
        upright = drawn.boxes[near].kind == "switch" and area.x < other[0] < area.x + area.width
        if upright and not drawn.between_switches(wire) and mine[1] != area.centre[1]:
            moved = (other[0], mine[1])
            return (moved, b) if mine is a else (a, moved)
    return a, b


def _side(near: Area, far: Area, end: str) -> Side:
    """The side of `near` that looks at `far`; a cable back to its own box has one end on each side."""
    if near == far:
        return "left" if end == "a" else "right"
    if near.y < far.y + far.height and far.y < near.y + near.height:
        return "right" if far.x > near.x else "left"
    return "bottom" if far.y > near.y else "top"


def _on(area: Area, side: Side, part: float) -> Point:
    """A point of a side, just outside of it: there its plug is drawn."""
    if side in ("left", "right"):
        return area.x + (area.width + PLUG if side == "right" else -PLUG), area.y + area.height * part
    return area.x + area.width * part, area.y + (area.height + PLUG if side == "bottom" else -PLUG)
