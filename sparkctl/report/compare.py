"""What changed since an older report: verdicts that turned, measurements that moved, checks that came and went."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast, get_args

from sparkctl.checks import UNDER_LOAD
from sparkctl.inventory.words import quoted, visible
from sparkctl.outcome import State, Verdict
from sparkctl.report.door import Piece
from sparkctl.report.measures import BETTER, Row
from sparkctl.report.verdicts import STYLE, WORST, told

LARGEST = 64 * 2**20
"""Bytes of an older report: far above any real one (500 verdicts make 200 KB)."""
MOVED = 0.1
"""Our choice: of a measurement, what is no noise; healthy rails of one pair differ by 3 % (facts ff3.4)."""
_NOISE = re.compile(r"\+-\d+(?:\.\d+)?|\d+(?:\.\d+)?(?= ?(?:s|ms|us|KiB|MiB|GiB|TiB|GB|%|C|W|MHz|[GM]b/s|GB/s)\b)")
_NUMBERS = re.compile(r"\d+(?:\.\d+)?")
_UNSTEADY = frozenset({"clock-skew"})
"""Checks whose healthy values never repeat, not even their words (ahead, behind)."""
Key: TypeAlias = tuple[str, str, int]


@dataclass(frozen=True)
class Old:
    """An older report: of which cluster, when, and what it said.

    `rows` None: nothing was measured under load; `expect` empty: it does not say.
    """

    cluster: str
    taken: str
    verdicts: tuple[Verdict, ...]
    rows: tuple[Row, ...] | None = ()
    expect: str = ""


@dataclass(frozen=True)
class Turn:
    """A verdict whose state is another one; None: it was not judged then, or is not now."""

    id: str
    where: str
    before: State | None
    after: State | None
    said: str
    """What it says now, or said then when it is gone."""


@dataclass(frozen=True)
class Difference:
    """A value that is another one; `worse` None: neither better nor worse."""

    id: str
    where: str
    before: str
    after: str
    worse: bool | None = None


@dataclass(frozen=True)
class Comparison:
    """All that changed since `since`, new failures first."""

    since: str
    turns: tuple[Turn, ...] = ()
    moves: tuple[Difference, ...] = ()
    left_out: str = ""
    """What was measured on one day only, in words; it is no change."""

    @property
    def empty(self) -> bool:
        """Nothing changed."""
        return not self.turns and not self.moves


def parse(text: str) -> Old:
    """An older report; ValueError with the reason when it is none."""
    try:
        said = json.loads(text)
        if not isinstance(said, dict) or "verdicts" not in said:
            raise ValueError("it holds no verdicts; write one with `sparkctl cluster verify --save DIR` or `--json`")
        verdicts = tuple(_verdict(one) for one in said["verdicts"])
        rows = None if said.get("load") is None else tuple(_row(one) for one in said["load"])
        expect = _text(said.get("expect", ""))
        return Old(_text(said["cluster"]), _text(said.get("taken", "")), verdicts, rows, expect)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except (KeyError, TypeError, RecursionError, OverflowError) as error:
        raise ValueError(f"it is not a report of `sparkctl cluster verify`: {visible(str(error))[:200]}") from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{quoted(value)} is not text")
    return value


def _verdict(said: Mapping[str, Any]) -> Verdict:
    if said["state"] not in get_args(State):
        raise KeyError(f"state {quoted(said['state'])}")
    message, measured, expected, remedy = (
        _text(said.get(name, "")) for name in ("message", "measured", "expected", "remedy")
    )
    state = cast(State, said["state"])
    return Verdict(_text(said["id"]), state, _text(said["where"]), message, measured, expected, remedy)


def _row(said: Mapping[str, Any]) -> Row:
    value = None if said["value"] is None else float(said["value"])
    return Row(_text(said["test"]), _text(said["where"]), value, _text(said["unit"]))


def compare(old: Old, verdicts: Sequence[Verdict], rows: Sequence[Row] | None) -> Comparison:
    """What of `verdicts` and `rows` (None: not measured) is not as in `old`."""
    before, after = _keyed(old.verdicts), _keyed(verdicts)
    alone, left_out = _measured_once(before, after, old.rows is not None, rows is not None)
    before, after = ({key: v for key, v in side.items() if key not in alone} for side in (before, after))
    turns = [turn for key in (*after, *(k for k in before if k not in after)) for turn in _turn(key, before, after)]
    moves = [*_moved(old.rows or (), rows or ()), *_said_otherwise(before, after)]
    ordered = sorted(moves, key=lambda move: (move.worse is None, not move.worse))
    return Comparison(old.taken, tuple(sorted(turns, key=_rank)), tuple(ordered), left_out)


def _measured_once(
    before: dict[Key, Verdict], after: dict[Key, Verdict], then: bool, now: bool
) -> tuple[set[Key], str]:
    """What is not compared, and why: all under load where one day had none; else what --quick did not test."""
    loaded = {key for key in (*before, *after) if key[0] in UNDER_LOAD}
    if then != now:
        days = ("then", "now") if then else ("now", "then")
        return loaded, "load was measured {}, not {}: not compared".format(*days) if loaded else ""
    once = {key for key in loaded if (key in before) != (key in after) and not _bad((before | after)[key])}
    return once, "load: what was tested on one of the two days only is not compared" if once else ""


def _bad(verdict: Verdict) -> bool:
    """A fault is news, also where nobody looked before or nobody looks now."""
    return verdict.state not in ("pass", "skipped")


def _keyed(verdicts: Sequence[Verdict]) -> dict[Key, Verdict]:
    """By id and place; several of one place are counted."""
    found: dict[Key, Verdict] = {}
    seen: Counter[tuple[str, str]] = Counter()
    for v in verdicts:
        found[v.id, v.where, seen[v.id, v.where]] = v
        seen[v.id, v.where] += 1
    return found


def _turn(key: Key, before: Mapping[Key, Verdict], after: Mapping[Key, Verdict]) -> Iterator[Turn]:
    old, new = before.get(key), after.get(key)
    was, now = old.state if old else None, new.state if new else None
    told_by = new or old
    if was != now and told_by is not None:
        yield Turn(key[0], key[1], was, now, told(told_by))


def _rank(turn: Turn) -> tuple[int, int]:
    """New failures first, then by how bad it is now; what is gone comes last."""
    if turn.after is None:
        return len(WORST), 0
    return WORST.index(turn.after), 0 if turn.before is not None else 1


def _moved(old: Sequence[Row], new: Sequence[Row]) -> Iterator[Difference]:
    before = {(row.test, row.where): row for row in old}
    for row in new:
        was = before.get((row.test, row.where))
        if was is None or was.unit != row.unit or not was.value or row.value is None:
            continue
        change = row.value / was.value - 1
        if abs(change) > MOVED:
            worse = (change < 0) == (BETTER.get(row.test, "more") == "more")
            shown = f"{row.value:g} {row.unit} ({change:+.0%})"
            yield Difference(row.test, row.where, f"{was.value:g} {row.unit}", shown, worse)


def _said_otherwise(before: Mapping[Key, Verdict], after: Mapping[Key, Verdict]) -> Iterator[Difference]:
    """Values of verdicts in the same state, such as a kernel's version; but for numbers that never repeat."""
    for key, new in after.items():
        old = before.get(key)
        if old is None or old.state != new.state or not old.measured or not new.measured or key[0] in _UNSTEADY:
            continue
        noise = _NUMBERS if key[0] in UNDER_LOAD else _NOISE
        if noise.sub("#", old.measured) != noise.sub("#", new.measured):
            yield Difference(key[0], key[1], old.measured, new.measured)


def pieces(found: Comparison) -> Iterator[Piece]:
    """For people, as styled text."""
    since = f" {visible(found.since)}" if found.since else " the older report"
    yield f"changed since{since}\n" if not found.empty else f"nothing changed since{since}\n", "bold"
    if found.left_out:
        yield f"  {found.left_out}\n", "dim"
    for turn in found.turns:
        yield f"  {change_of(turn):<18}", STYLE[turn.after] if turn.after else "dim"
        yield f" {visible(turn.id)}  {visible(turn.where)}: {visible(turn.said)}\n", ""
    for move in found.moves:
        word = {True: "worse", False: "better", None: "changed"}[move.worse]
        yield f"  {word:<18}", {True: "bold red", False: "green", None: ""}[move.worse]
        yield f" {visible(move.id)}  {visible(move.where)}: {visible(move.before)} -> {visible(move.after)}\n", ""
    yield "\n", ""


def change_of(turn: Turn) -> str:
    """`pass -> fail`, `new: warn`, `gone: pass`."""
    if turn.before is None:
        return f"new: {turn.after}"
    return f"gone: {turn.before}" if turn.after is None else f"{turn.before} -> {turn.after}"
