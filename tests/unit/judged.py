"""Verdicts and reports for the tests of what reports show: a shipped cluster with faults that are named here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hypothesis import strategies as st

from sparkctl.checks.thresholds import DEFAULTS
from sparkctl.fabric.model import Attachment
from sparkctl.outcome import Cause, RailEnd, State, Verdict
from sparkctl.report.verification import Proof
from tests.unit.healthy import healthy

NOW = "2026-11-21 10:20:31 UTC"
RESEAT = "reseat the cable in {port} of {node} and its other end; look at its lights (green; amber: no link)"
HOSTILE = st.text(
    st.characters(codec="utf-8") | st.sampled_from("\x00\x1b\x07<>&'\"]{}%\n\r;`()\u202e\ufffe"), max_size=24
)
STATES: tuple[State, ...] = ("pass", "warn", "fail", "unknown", "skipped")
VERDICTS = st.lists(
    st.builds(Verdict, HOSTILE, st.sampled_from(STATES), HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE), max_size=8
).map(tuple)


def rail(a: Attachment) -> str:
    return f"{a.node} {a.half.port} rail {a.rail}"


def judged(inventory: str, *, faults: bool = True) -> Proof:
    """A report of a shipped inventory; faults: rail B of spark-2 has no carrier, rail A of spark-1 a wrong MTU."""
    view = healthy(inventory)
    verdicts = [v for a in view.fabric.attachments for v in _rail(a, faults)]
    verdicts += [Verdict("files", "pass", n, "managed files", "5 as rendered", "as rendered") for n in view.facts]
    verdicts += [Verdict("gpu-clock", "skipped", n, "expect lab: no GPU") for n in view.facts]
    if faults:
        verdicts.append(Verdict("kernel", "warn", "spark-1", "", "6.17.0-1008", "another", "update it"))
        verdicts.append(Verdict("clock-skew", "unknown", "spark-2", "unreadable \x1b[31manswer", remedy="ask again"))
    verdicts = [replace(v, nodes=(v.where,)) if v.where in view.facts else v for v in verdicts]
    verdicts.append(Verdict("engine-image", "pass", "all ranks", "vllm", "one", "one id"))
    thresholds = replace(DEFAULTS, latency=9.0)
    return Proof(view.cluster, view.fabric, tuple(verdicts), thresholds, "real", NOW, "1.2.3", (), view.load)


def _rail(a: Attachment, faults: bool) -> Iterator[Verdict]:
    ends = (RailEnd(a.node, a.half.port, a.rail),)
    where = rail(a)
    if faults and (a.node, a.rail) == ("spark-2", "B"):
        remedy = RESEAT.format(port=a.half.port, node=a.node)
        yield Verdict("rail-carrier", "fail", where, a.netdev, "no carrier", "carrier", remedy, ends)
        yield Verdict("rail-mtu", "skipped", where, f"9000: see rail-carrier, {where}", ends=ends, cause=Cause("rail-carrier", where))
        return
    yield Verdict("rail-carrier", "pass", where, a.netdev, "carrier", "carrier", ends=ends)
    if faults and (a.node, a.rail) == ("spark-1", "A"):
        yield Verdict("rail-mtu", "fail", where, a.netdev, "1500", "9000", "sparkctl cluster up sets it", ends)
    else:
        yield Verdict("rail-mtu", "pass", where, a.netdev, "9000", "9000", ends=ends)
