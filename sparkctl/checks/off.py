"""Checks of the nodes themselves: each answers, or is named once instead of by all that is not known of it; in full."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from sparkctl.checks.base import NODE_OFF, View, check
from sparkctl.checks.hosts import STAGE
from sparkctl.facts.snapshot import NodeFacts
from sparkctl.outcome import Known, Verdict

ANSWER = "node-answer"


@check(NODE_OFF, "network")
def off(view: View) -> Iterator[Verdict]:
    """Every node answers over SSH; what else is not known of one that does not, points here."""
    for node in view.facts:
        why = view.silent.get(node)
        if why is None:
            yield Verdict(NODE_OFF, "pass", node, "the node", "answers", "an answer")
        else:
            remedy = f"switch {node} on, or repair its management network, then run this again"
            yield Verdict(NODE_OFF, "fail", node, why, "off", "an answer", remedy)


@check(ANSWER, STAGE, survey=True)
def answer(view: View) -> Iterator[Verdict]:
    """Each row of what a node says can be read; one that cannot costs what it says, and nothing else."""
    for node, facts in view.facts.items():
        odd = [] if node in view.silent else [*_unread(facts)]
        for said in odd:
            remedy = f"see on {node} what is odd about it; nothing but this row was left out"
            yield Verdict(ANSWER, "unknown", node, said, remedy=remedy)
        if not odd and node not in view.silent:
            yield Verdict(ANSWER, "pass", node, "what it says", "every row read", "every row read")


def _unread(facts: NodeFacts) -> Iterator[str]:
    for part in (facts, facts.survey):
        named = ((field.name.replace("_", " "), getattr(part, field.name)) for field in fields(part))
        yield from (f"{name}: {row}" for name, fact in named if isinstance(fact, Known) for row in fact.unread)
