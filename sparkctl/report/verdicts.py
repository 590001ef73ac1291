"""Verdicts for people: what is wrong first, each with what to do; what passed and what was skipped in few lines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from sparkctl.checks import words
from sparkctl.errors import ChecksFailed
from sparkctl.inventory.words import counted, listed, visible
from sparkctl.outcome import State, Verdict, values_of
from sparkctl.report.door import Piece, say
from sparkctl.report.hints import pasteable, wrapped

if TYPE_CHECKING:
    from rich.console import Console

STYLE: dict[State, str] = {
    "pass": "green",
    "warn": "yellow",
    "fail": "bold red",
    "skipped": "dim",
    "unknown": "magenta",
}
WORST: tuple[State, ...] = ("fail", "unknown", "warn", "pass", "skipped")
"""The order of reports. Unknown comes before warn: nobody knows how bad it is."""
PROBLEMS: tuple[State, ...] = ("fail", "unknown", "warn")
MOST_PLACES = 8
"""Places of one problem that are listed without -v; the rest are counted."""
_MARK = 9  # columns of the state's word and what follows it
_NARROWEST = 40  # columns: below this a terminal breaks lines itself
_STEP = re.compile(r"^\s*\d+[.)]\s+")
_APART = re.compile(r"[^;`(\n]+|`[^`\n]*`|\([^)\n]*\)|[;\n]|[`(]")
_NUMBER = re.compile(r"(-?\d+(?:\.\d+)?)( ?[^\d(]*)(?: ?\(.*\))?")
_FEW = 60  # columns: a few different values that are short are all told


@dataclass(frozen=True)
class Problem:
    """Verdicts of one check in one state with one remedy."""

    id: str
    state: State
    steps: tuple[str, ...]
    verdicts: tuple[Verdict, ...]


def wrong(verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """Those that make a command end with exit code 7."""
    return tuple(v for v in verdicts if v.state in ("fail", "unknown"))


def failure(bad: Sequence[Verdict]) -> ChecksFailed:
    """What ends a command where these are wrong."""
    message = f"{counted(len(bad), 'check')} failed. First: {visible(words(bad[0]))}"
    return ChecksFailed(message, "fix what is marked above, then run this again")


def worst(verdicts: Iterable[Verdict]) -> State | None:
    """The state that counts when many are shown as one; None of none."""
    found = {verdict.state for verdict in verdicts}
    return next((state for state in WORST if state in found), None)


def problems(verdicts: Sequence[Verdict]) -> tuple[Problem, ...]:
    """What is wrong, the worst first, otherwise in the order of the checks; equal remedies are told once."""
    found: dict[tuple[State, str, str], list[Verdict]] = {}
    for state in PROBLEMS:
        for v in verdicts:
            if v.state == state:
                found.setdefault((state, v.id, v.remedy), []).append(v)
    return tuple(Problem(id, state, steps(remedy), tuple(vs)) for (state, id, remedy), vs in found.items())


def steps(remedy: str) -> tuple[str, ...]:
    """The steps of a remedy: its lines, or what semicolons part; not those in parentheses or `code`."""
    parts = [""]
    for token in _APART.findall(remedy):
        if token in (";", "\n"):
            parts.append("")
        else:
            parts[-1] += token
    return tuple(said for part in parts if (said := visible(_STEP.sub("", part).strip())))


def told(verdict: Verdict) -> str:
    """Message, measured and expected in one line."""
    return visible(verdict.said)


def print_verdicts(verdicts: Sequence[Verdict], console: Console, *, every: bool = False) -> None:
    """Print them, on a terminal within its width; `every`: those that passed too, one by one."""
    width = console.width if console.is_terminal else None
    say(console, *pieces(verdicts, width, every=every), end="", wrap=False)


def pieces(verdicts: Sequence[Verdict], width: int | None, *, every: bool = False) -> Iterator[Piece]:
    """Everything as styled text, each line ended; `width` None: unbroken lines."""
    for problem in problems(verdicts):
        yield from _problem(problem, width, every)
    passed = [v for v in verdicts if v.state == "pass"]
    yield from _each(passed, width) if every else _passed(passed, width)
    yield from _skipped([v for v in verdicts if v.state == "skipped"], width, every)
    yield f"{summary(verdicts)}\n", "bold" if wrong(verdicts) else ""


def _mark(state: State, first: bool) -> Piece:
    return (f"{state:<{_MARK}}", STYLE[state]) if first else (" " * _MARK, "")


def _problem(problem: Problem, width: int | None, every: bool) -> Iterator[Piece]:
    yield _mark(problem.state, True)
    yield visible(problem.id), "bold"
    shown = problem.verdicts if every else problem.verdicts[:MOST_PLACES]
    if len(problem.verdicts) == 1:
        yield f"  {visible(shown[0].where)}\n", ""
        yield f"{' ' * _MARK}{_wrapped(told(shown[0]), width, _MARK)}\n", ""
    else:
        yield f"  {counted(len(problem.verdicts), 'place')}\n", ""
        for v in shown:
            yield f"{' ' * _MARK}{_wrapped(f'{visible(v.where)}: {told(v)}', width, _MARK, 2)}\n", ""
    if left := len(problem.verdicts) - len(shown):
        yield f"{' ' * _MARK}and {left} more; -v shows them\n", "dim"
    yield from _remedy(problem.steps, width)
    yield "\n", ""


def _remedy(said: Sequence[str], width: int | None) -> Iterator[Piece]:
    """`do:` and one step, or numbered steps below one another."""
    for number, step in enumerate(said, start=1):
        yield " " * _MARK + ("do: " if number == 1 else "    "), "bold"
        count = f"{number}. " if len(said) > 1 else ""
        yield f"{_wrapped(pasteable(count + step), width, _MARK + 4, len(count))}\n", ""


def _passed(verdicts: Sequence[Verdict], width: int | None) -> Iterator[Piece]:
    """A line per check: how many, and what was measured."""
    groups = by_check(verdicts)
    wide = max((len(id) for id, _ in groups), default=0)
    for first, (id, some) in enumerate(groups):
        yield _mark("pass", first == 0)
        begun = f"{visible(id):<{wide}}  {len(some):>3}  "
        text = _wrapped(begun + span(some), width, _MARK, len(begun))
        yield f"{text.rstrip()}\n", ""


def _each(verdicts: Sequence[Verdict], width: int | None) -> Iterator[Piece]:
    """A line per verdict below the name of its check."""
    for id, some in by_check(verdicts):
        yield _mark("pass", True)
        yield f"{visible(id)}\n", "bold"
        for v in some:
            yield f"{' ' * _MARK}{_wrapped(f'{visible(v.where)}: {told(v)}', width, _MARK, 2)}\n", ""


def _skipped(verdicts: Sequence[Verdict], width: int | None, every: bool) -> Iterator[Piece]:
    """A line per reason, with the checks that it concerns."""
    for first, (reason, some) in enumerate(by_reason(verdicts)):
        yield _mark("skipped", first == 0)
        places = f" at {listed((visible(v.where) for v in some), limit=len(some))}" if every else ""
        text = f"{reason}: {_counted(some)}{places}"
        yield f"{_wrapped(text, width, _MARK, 2)}\n", "dim"


def by_reason(verdicts: Iterable[Verdict]) -> list[tuple[str, list[Verdict]]]:
    """Skipped verdicts by why they are; those that another check explains go together."""
    reasons: dict[str, list[Verdict]] = {}
    for v in verdicts:
        reasons.setdefault(visible(f"see {v.cause}") if v.cause else told(v), []).append(v)
    return list(reasons.items())


def _counted(verdicts: Sequence[Verdict]) -> str:
    groups = by_check(verdicts)
    return listed((f"{visible(id)} ({len(some)})" for id, some in groups), limit=len(groups))


def by_check(verdicts: Sequence[Verdict]) -> list[tuple[str, list[Verdict]]]:
    """Verdicts by id, in the order in which the ids first appear."""
    order = {id: number for number, id in enumerate(dict.fromkeys(v.id for v in verdicts))}
    ordered = sorted(verdicts, key=lambda v: order[v.id])
    return [(id, list(some)) for id, some in groupby(ordered, key=lambda v: v.id)]


def span(verdicts: Sequence[Verdict]) -> str:
    """What verdicts of one check measured in few words: the one value of all, or from the least to the most."""
    messages = list(dict.fromkeys(visible(v.message) for v in verdicts if v.message))
    kept = messages if len(messages) == 1 else [m for m in messages if "not judged" in m]
    measured = list(dict.fromkeys(visible(v.measured) for v in verdicts if v.measured))
    return ": ".join(filter(None, (listed(kept, limit=2), measured[0] if len(measured) == 1 else _range(measured))))


def _range(measured: Sequence[str]) -> str:
    """`108.9 to 111.2 Gb/s` where all are numbers of one unit; else all of them, if they are short."""
    found = [_NUMBER.fullmatch(text) for text in measured]
    numbers = sorted(((float(m[1]), m[1]) for m in found if m), key=lambda pair: pair[0])
    units = {m[2].rstrip() for m in found if m}
    if len(units) == 1 and all(found):
        return f"{numbers[0][1]} to {numbers[-1][1]}{units.pop()}"
    each = listed(measured, limit=len(measured) + 1)
    return each if len(each) <= _FEW else ""


def _wrapped(text: str, width: int | None, indent: int, hang: int = 0) -> str:
    """Broken between words; every further line is indented by `indent` and `hang` columns."""
    if width is None:
        return text
    room = max(width, _NARROWEST) - indent
    lines = wrapped(text, room, " " * hang, hyphens=False)
    return f"\n{' ' * indent}".join(lines)


def summary(verdicts: Sequence[Verdict]) -> str:
    """`12 pass, 1 fail, 4 skipped`."""
    states: tuple[State, ...] = ("pass", "warn", "fail", "unknown", "skipped")
    counts = Counter(v.state for v in verdicts)
    return ", ".join(f"{counts[state]} {state}" for state in states if counts[state]) or "no verdicts"


def as_values(verdicts: Sequence[Verdict]) -> list[dict[str, object]]:
    """For `--json`."""
    return [_as_value(v) for v in verdicts]


def _as_value(v: Verdict) -> dict[str, object]:
    values = [value._asdict() for value in values_of(v.remedy)]
    return {**asdict(v), "ends": list(map(str, v.ends)), "cause": v.cause and v.cause._asdict(), "values": values}
