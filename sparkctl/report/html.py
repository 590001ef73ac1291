"""The report as one page that needs nothing else: no network, no script; light or dark, and on paper."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby

from jinja2 import Environment
from markupsafe import Markup

from sparkctl.inventory.words import counted, visible
from sparkctl.outcome import State, Verdict
from sparkctl.render.environment import strict
from sparkctl.report.by_place import spots
from sparkctl.report.compare import change_of
from sparkctl.report.drawing import sketch
from sparkctl.report.drawing.verdicts_svg import GLYPH, Picture, svg
from sparkctl.report.measures import Row, rows
from sparkctl.report.verdicts import WORST, by_check, by_reason, problems, span, steps, summary, told, worst, wrong
from sparkctl.report.verification import Limit, Proof, limits

TEMPLATE = "report/verify.html.j2"


@dataclass(frozen=True)
class Group:
    """Verdicts that are listed together, the worst first."""

    anchor: str
    name: str
    state: State | None
    verdicts: tuple[Verdict, ...]
    note: str = ""


@dataclass(frozen=True)
class Bar:
    """A measurement, and how long its bar is: percent of the longest of its kind."""

    row: Row
    percent: int


def page(proof: Proof) -> str:
    """The whole page."""
    owners = [node.name for node in proof.cluster.nodes] + [switch.name for switch in proof.cluster.switches]
    found = spots(proof.verdicts, owners)
    anchors = {number: f"owner-{number}" for number, owner in enumerate(owners) if found.by_owner[owner]}
    drawn = sketch(proof.cluster, proof.fabric, ())
    measured, states = rows(proof.load), Counter(v.state for v in proof.verdicts)
    places = [_group(anchors[n], owners[n], found.by_owner[owners[n]]) for n in anchors]
    if found.elsewhere:
        places.append(_group("elsewhere", "the cluster as a whole", found.elsewhere))
    text: str = (
        _environment()
        .get_template(TEMPLATE)
        .render(
            proof=proof,
            title=drawn.summary,
            headline=headline(proof.verdicts),
            state=worst(proof.verdicts),
            counts=[(state, count) for state in WORST if (count := states[state])],
            problems=problems(proof.verdicts),
            skipped=by_reason(v for v in proof.verdicts if v.state == "skipped"),
            picture=Markup(svg(Picture(drawn, found, measured, anchors))),
            places=places,
            checks=[_group(f"check-{n}", *pair) for n, pair in enumerate(by_check(proof.verdicts))],
            bars=[(test, _bars(list(some))) for test, some in groupby(measured, key=lambda row: row.test)],
            limits=used(proof),
        )
    )
    return text


def headline(verdicts: Sequence[Verdict]) -> str:
    """The whole report in one line."""
    bad = len(wrong(verdicts))
    return f"{bad} of {counted(len(verdicts), 'check')} failed" if bad else f"nothing is wrong: {summary(verdicts)}"


def used(proof: Proof) -> tuple[Limit, ...]:
    """Thresholds, those first that the user changed."""
    return tuple(sorted(limits(proof.thresholds), key=lambda one: not one.overridden))


def _group(anchor: str, name: str, verdicts: Sequence[Verdict]) -> Group:
    ordered = sorted(verdicts, key=lambda v: WORST.index(v.state))
    note = ", ".join(filter(None, (summary(verdicts), span([v for v in verdicts if v.state == "pass"]))))
    one = len({v.id for v in verdicts}) == 1
    return Group(anchor, name, worst(verdicts), tuple(ordered), note if one else summary(verdicts))


def _bars(some: Sequence[Row]) -> list[Bar]:
    most = max((row.value or 0.0 for row in some), default=0.0)
    return [Bar(row, round(100 * (row.value or 0.0) / most) if most > 0 else 0) for row in some]


def _shown(value: object) -> object:
    """What a node said is shown without control characters; markup of ours stays."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _environment() -> Environment:
    made = strict(autoescape=True, finalize=_shown)
    made.filters |= {"told": told, "steps": steps, "change": change_of, "glyph": lambda state: GLYPH[state]}
    return made
