"""Check of the nodes themselves: each answers, or is named once instead of by everything that is not known of it."""

from __future__ import annotations

from collections.abc import Iterator

from sparkctl.checks.base import NODE_OFF, View, check
from sparkctl.outcome import Verdict


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
