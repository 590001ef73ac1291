"""The fabric as a picture of characters: a pair, a loop, a tree per switch, or a list where there is no such shape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeAlias

from sparkctl.outcome import Finding, Severity
from sparkctl.report.drawing.sketch import Box, DrawnCable, DrawnPort, Sketch, ids

Piece: TypeAlias = tuple[str, str]  # text and rich style
Line: TypeAlias = tuple[Piece, ...]

_MARKS: Mapping[Severity, str] = {"error": "bold red", "warning": "bold yellow", "info": "bold blue"}
_RAILS = {"A": "cyan", "B": "magenta"}


def as_text(drawn: Sketch) -> str:
    """The picture for a file or a pipe."""
    return "".join(text for text, _ in as_pieces(drawn))


def as_pieces(drawn: Sketch) -> Iterator[Piece]:
    """The picture as styled text, each line ended."""
    for line in _lines(drawn):
        yield from _trimmed(line)
        yield "\n", ""


def _trimmed(line: Line) -> Iterator[Piece]:
    """Without blanks at the end, which only make a diff of two pictures hard to read."""
    last = max((n for n, (text, _) in enumerate(line) if text.strip()), default=-1)
    for n, (text, style) in enumerate(line[: last + 1]):
        yield (text.rstrip() if n == last else text), style


def _lines(drawn: Sketch) -> Iterator[Line]:
    yield ((drawn.name, "bold"),)
    yield ((drawn.summary, "dim"),)
    yield ()
    order = loop(drawn)
    if any(box.kind == "switch" for box in drawn.boxes):
        yield from _tree(drawn)
    elif order:
        yield from _loop(drawn, order)
    elif len(drawn.boxes) == 2 and drawn.wires and all(len({w.a[0], w.b[0]}) == 2 for w in drawn.wires):
        yield from _pair(drawn)
    else:
        yield from _list(drawn)


def loop(drawn: Sketch) -> tuple[DrawnCable, ...]:
    """The wires in the order of a walk from the first box around all others, empty when they make no single loop."""
    at = {number: [w for w in drawn.wires if number in (w.a[0], w.b[0])] for number in range(len(drawn.boxes))}
    if len(drawn.boxes) < 3 or any(len(wires) != 2 for wires in at.values()):
        return ()
    walked = [min(at[0], key=lambda w: max(w.a[0], w.b[0]))]  # to the next box rather than to the last
    here = _other(walked[0], 0)
    while here != 0:
        walked += [w for w in at[here] if w is not walked[-1]]
        here = _other(walked[-1], here)
    return tuple(walked) if len(set(walked)) == len(walked) == len(drawn.boxes) else ()


def _other(wire: DrawnCable, box: int) -> int:
    return wire.b[0] if wire.a[0] == box else wire.a[0]


def _marks(findings: Iterable[Finding]) -> Line:
    return tuple((f" {id}", _MARKS[severity]) for id, severity in ids(findings))


def _width(line: Line) -> int:
    return sum(len(text) for text, _ in line)


def _padded(line: Line, width: int, fill: str = " ") -> Line:
    return (*line, (fill * (width - _width(line)), ""))


@dataclass(frozen=True)
class _Row:
    """One line of a card; `wire` is what comes out of it there."""

    line: Line
    wire: int | None = None


def _title(box: Box) -> Line:
    badge = f" ({box.badge})" if box.badge else " (unknown)" if box.kind == "unknown" else ""
    return ((box.name, "bold"), (badge, "green" if box.badge == "head" else ""), *_marks(box.findings))


def _rows(port: DrawnPort) -> Iterator[_Row]:
    """One row per rail; the first names the port."""
    if port.wire is None:
        yield _Row(((f"{port.name} free", "dim"),))
    elif not port.rails:
        yield _Row(((port.name, "bold"),), port.wire)
    for n, end in enumerate(port.rails):
        name = port.name if n == 0 else " " * len(port.name)
        words = f" {end.netdev:<13} {end.address}"
        yield _Row(((f"{name} ", "bold"), (end.rail, _RAILS[end.rail]), (words, "")), port.wire)


def _card_width(boxes: Iterable[Box]) -> int:
    """Columns inside the widest card."""
    rows = [row.line for box in boxes for port in box.ports for row in _rows(port)]
    return max(map(_width, [*(line for box in boxes for line in _head(box)), *rows]), default=0)


def _head(box: Box) -> list[Line]:
    """What stands above the ports of a card."""
    return [_title(box), *(((note, "dim"),) for note in box.notes)]


def _rail_words(wire: DrawnCable) -> Iterator[Line]:
    for rail, network in wire.rails:
        yield ((rail, _RAILS[rail]), (f" {network} {wire.rail_speed}".rstrip(), ""))


# --- two boxes: the wires between them, one under the other


def _pair(drawn: Sketch) -> Iterator[Line]:
    left, right = drawn.boxes
    rows = [line for box in drawn.boxes for port in box.ports for line in _tall(port)]
    inside = max(map(_width, [*_head(left), *_head(right), *rows]))
    middle = max(_width(line) for wire in drawn.wires for line in (_caption(wire), *_rail_words(wire))) + 6
    gap: Line = ((" " * middle, ""),)
    top, bottom = _borders(inside)
    yield (top, *gap, top)
    for a, b in zip_longest(_head(left), _head(right), fillvalue=()):
        yield (*_cell(a, inside), *gap, *_cell(b, inside))
    for wire in drawn.wires:
        yield from _pair_wire(drawn, wire, inside, middle)
    for a, b in zip_longest(_free(left), _free(right), fillvalue=()):
        yield (*_cell(a, inside), *gap, *_cell(b, inside))
    yield (bottom, *gap, bottom)


def _pair_wire(drawn: Sketch, wire: DrawnCable, inside: int, middle: int) -> Iterator[Line]:
    """The wire's words stand in the lines of the addresses; two lines per rail, to stay within 80 columns."""
    ends = [[line for port in box.ports if port.wire == wire.index for line in _tall(port)] for box in drawn.boxes]
    strands = [strand for words in _rail_words(wire) for strand in ((), _strand(words, middle))]
    strands = strands or [(), _strand((), middle)]
    caption = _caption(wire)
    before = (middle - _width(caption)) // 2
    for n, (a, b) in enumerate(zip(*ends, strict=False)):
        if strands[n]:
            yield (*_cell(a, inside)[:-1], *strands[n], *_cell(b, inside)[1:])
        else:
            between = _padded(((" " * before, ""), *caption), middle) if n == 0 else ((" " * middle, ""),)
            yield (*_cell(a, inside), *between, *_cell(b, inside))


def _tall(port: DrawnPort) -> Iterator[Line]:
    """A cabled port, two lines per rail."""
    for row, end in zip(_rows(port), port.rails, strict=False):
        yield (*row.line[:-1], (f" {end.netdev}", ""))
        yield ((" " * _width(row.line[:-1]), ""), (f" {end.address}", ""))
    if not port.rails:
        yield ()
        yield ((port.name, "bold"),)


def _caption(wire: DrawnCable) -> Line:
    return ((wire.title, ""), *_marks(wire.findings))


def _strand(words: Line, middle: int) -> Line:
    """A wire with words in its middle, from border to border."""
    spaced: Line = ((" ", ""), *words, (" ", "")) if words else ()
    before = (middle - _width(spaced)) // 2
    return ((" ├" + "─" * before, ""), *spaced, ("─" * (middle - before - _width(spaced)) + "┤ ", ""))


def _cell(line: Line, inside: int) -> Line:
    return (("│ ", ""), *_padded(line, inside), (" │", ""))


def _borders(inside: int) -> tuple[Piece, Piece]:
    """Above and below a card."""
    return (f"┌{'─' * (inside + 2)}┐", ""), (f"└{'─' * (inside + 2)}┘", "")


def _free(box: Box) -> list[Line]:
    return [row.line for port in box.ports if port.wire is None for row in _rows(port)]


# --- a loop: boxes from top to bottom, the last wire back up along the left side


def _loop(drawn: Sketch, order: Sequence[DrawnCable]) -> Iterator[Line]:
    inside = _card_width(drawn.boxes)
    here = 0
    last = order[-1]
    for n in range(len(order)):
        box, before, after = drawn.boxes[here], order[n - 1], order[n]
        first, final = n == 0, n == len(order) - 1
        yield from _loop_card(box, inside, before, after, (first, final))
        if not final:
            yield (("│    │ ", ""), (after.title, ""), *_joined(after), *_marks(after.findings))
            here = _other(after, here)
    yield ((f"└─ {last.title}", ""), *_joined(last), *_marks(last.findings))


def _loop_card(box: Box, inside: int, before: DrawnCable, after: DrawnCable, edge: tuple[bool, bool]) -> Iterator[Line]:
    first, final = edge
    rail = " " if first else "│"
    top = "─" * 3 if first else "─┴─"
    yield ((f"{rail}  ┌{top}{'─' * (inside - 1)}┐", ""),)
    for line in _head(box):
        yield ((f"{rail}  ", ""), *_cell(line, inside))
    for port in sorted(box.ports, key=lambda p: (p.wire is None, p.wire != before.index, p.wire != after.index)):
        for k, row in enumerate(_rows(port)):
            opens, closes = first and row.wire == before.index, final and row.wire == after.index
            corner = "┌" if opens else "├"
            margin = f"{corner}──┤ " if (opens or closes) and k == 0 else f"{rail}  │ "
            yield ((margin, ""), *_cell(row.line, inside)[1:])
            rail = "│" if opens else rail
    yield ((f"│  └{'─' * 3 if final else '─┬─'}{'─' * (inside - 1)}┘", ""),)


def _joined(wire: DrawnCable) -> Line:
    return tuple(piece for line in _rail_words(wire) for piece in (("   ", ""), *line))


# --- switches: a tree for each


def _tree(drawn: Sketch) -> Iterator[Line]:
    for k, number in enumerate(n for n, box in enumerate(drawn.boxes) if box.kind == "switch"):
        yield from ((),) if k else ()
        yield from _switch(drawn, number)
    rest = [w for w in drawn.wires if "switch" not in {box.kind for box in drawn.ends(w)}]
    for wire in rest:
        yield ()
        yield _wire_line(drawn, wire)
    for box in drawn.boxes:
        if all(port.wire is None for port in box.ports):
            yield (*_title(box), ("  no cable", "dim"))


def _switch(drawn: Sketch, number: int) -> Iterator[Line]:
    box = drawn.boxes[number]
    yield (*_title(box), (f"  {', '.join(box.notes)}", "dim"))
    for rail, network in sorted(box.networks):
        yield (("│  rail ", ""), (rail, _RAILS[rail]), (f" {network}", ""))
    wires = [wire for wire in drawn.wires if number in (wire.a[0], wire.b[0])]
    wide = max((len(_near(w, number)) for w in wires), default=0)
    for n, wire in enumerate(wires):
        yield (("│", ""),)
        yield from _branch(drawn, wire, number, wide, n == len(wires) - 1)


def _branch(drawn: Sketch, wire: DrawnCable, number: int, wide: int, last: bool) -> Iterator[Line]:
    far = wire.b if wire.a[0] == number else wire.a
    box = drawn.boxes[far[0]]
    strand = f"{'└' if last else '├'}─ {_near(wire, number):<{wide}} ── {wire.title} ── {far[1]} "
    yield ((strand, ""), *_title(box), *_marks(wire.findings), (f"  {box.notes[0]}" if box.notes else "", "dim"))
    port = next((p for p in box.ports if p.wire == wire.index), None)
    for row in _rows(port) if port and port.rails and box.kind == "node" else ():
        trunk = "   " if last else "│  "
        words = row.line[1:]
        yield ((f"{trunk}{' ' * wide}      ", ""), *words, (f"  {wire.rail_speed}", "dim"))


def _near(wire: DrawnCable, number: int) -> str:
    return wire.a[1] if wire.a[0] == number else wire.b[1]


# --- cables that make no shape


def _list(drawn: Sketch) -> Iterator[Line]:
    inside = _card_width(drawn.boxes)
    top, bottom = _borders(inside)
    for box in drawn.boxes:
        lines = (*_head(box), *(row.line for port in box.ports for row in _rows(port)))
        yield from ((top,), *(_cell(line, inside) for line in lines), (bottom,))
    for wire in drawn.wires:
        yield _wire_line(drawn, wire)


def _wire_line(drawn: Sketch, wire: DrawnCable) -> Line:
    (a, b), (left, right) = drawn.ends(wire), (wire.a[1], wire.b[1])
    strand = f"{a.name}:{left} ── {wire.title} ── {b.name}:{right}"
    return ((strand, ""), *_joined(wire), *_marks(wire.findings))
