"""Check of earlyoom: it does not kill an engine that fills the memory as it should."""

from __future__ import annotations

from collections.abc import Iterator

from sparkctl.checks.base import NOT_ASKED, View, check
from sparkctl.checks.hosts import STAGE, known, surveyed, unasked, unreadable
from sparkctl.outcome import Absent, State, Unknown, Verdict


@check("earlyoom", STAGE, survey=True)
def earlyoom(view: View) -> Iterator[Verdict]:
    """earlyoom does not run, or kills so late that a full engine lives (facts ff32)."""
    facts = surveyed(view, lambda survey: survey.earlyoom)
    limit = view.thresholds.earlyoom_floor
    expected = f"not running, or killing below {limit:g} % at most"
    for node, fact in facts.items():
        if isinstance(fact, Unknown):
            yield unreadable("earlyoom", node, "earlyoom", fact)
        elif fact == NOT_ASKED:
            yield unasked("earlyoom", node)
        elif isinstance(fact, Absent):
            yield Verdict("earlyoom", "pass", node, "earlyoom", "not running", expected)
    for node, it in known(facts).items():
        high = it.floor > limit
        remedy = f'on {node}: EARLYOOM_ARGS="-m {limit:g}" in /etc/default/earlyoom, `sudo systemctl restart earlyoom`'
        measured = f"kills below {it.floor} % of memory"
        state: State = "warn" if high else "pass"
        yield Verdict("earlyoom", state, node, "earlyoom", measured, expected, remedy if high else "")
