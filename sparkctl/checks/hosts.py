"""What the checks of hosts share: one fact per node, and the verdict where it is not there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from sparkctl.checks.base import NOT_ASKED, View
from sparkctl.facts.survey import Survey
from sparkctl.outcome import Absent, Fact, Known, Unknown, Verdict

T = TypeVar("T")

STAGE = "host"
"""Judged by `verify` only: `up` must not undo a right network because a disk is nearly full."""

KIB_PER_GIB = 1024 * 1024
NO_ENGINE = "the inventory has no engine"


def surveyed(view: View, asked: Callable[[Survey], Fact[T]]) -> dict[str, Fact[T]]:
    """The fact of every node that answers, in the order of ranks."""
    answering = (node.name for node in view.cluster.nodes if node.name not in view.silent)
    return {node: asked(view.facts[node].survey) for node in answering}


def said(fact: Fact[T], say: Callable[[T], str]) -> Fact[str]:
    """The same fact, in words."""
    return Known(say(fact.value)) if isinstance(fact, Known) else fact


def known(facts: Mapping[str, Fact[T]]) -> dict[str, T]:
    """What was read, by node."""
    return {node: fact.value for node, fact in facts.items() if isinstance(fact, Known)}


def at_rest(view: View, node: str) -> bool:
    """Nothing of the engine is in memory; where that could not be read, it may be at work."""
    unit = view.facts[node].unit
    return isinstance(unit, Absent) or (isinstance(unit, Known) and not unit.value.running)


def short(digest: str) -> str:
    """What is enough to tell two images apart."""
    return digest.removeprefix("sha256:")[:12]


def skipped(id: str, where: str, reason: str) -> Verdict:
    """Not judged, and why."""
    return Verdict(id, "skipped", where, reason)


def unasked(id: str, node: str) -> Verdict:
    """Nobody asked the node: no answer is not the answer no."""
    return skipped(id, node, NOT_ASKED.reason)


def unreadable(id: str, node: str, what: str, fact: Unknown) -> Verdict:
    """Not read, so not known to be right."""
    remedy = f"find out on {node} why it cannot be read, then verify again"
    return Verdict(id, "unknown", node, f"{what}: {fact.reason}", remedy=remedy)


def unread(id: str, what: str, facts: Mapping[str, Fact[object]]) -> Iterator[Verdict]:
    """Unknown for each node whose fact could not be read; skipped, with the reason, where the thing is not there."""
    for node, fact in facts.items():
        if isinstance(fact, Unknown):
            yield unreadable(id, node, what, fact)
        elif isinstance(fact, Absent):
            yield skipped(id, node, fact.reason or f"no {what}")
