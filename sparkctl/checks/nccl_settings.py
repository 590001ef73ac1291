"""Check of what the engine gets besides sparkctl's files: the image's own variables, and NCCL's conf files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sparkctl.checks.base import View, check
from sparkctl.checks.hosts import NO_ENGINE, STAGE, at_rest, skipped, unreadable
from sparkctl.checks.nccl import libraries
from sparkctl.facts.nccl import Nccl, NcclSetting
from sparkctl.outcome import Fact, Finding, Known, State, Unknown, Verdict
from sparkctl.rules import rules

ID = "nccl-settings"
# An image may bring a patched library's own variables, and names that its NCCL does not know do nothing.
_HARMLESS = ("NCL001", "NCL012")


@check(ID, STAGE, survey=True)
def settings(view: View) -> Iterator[Verdict]:
    """What neither nccl.env nor engine.env overrides is judged as if it stood in `fabric.nccl` (facts B1)."""
    if view.cluster.engine is None:
        yield skipped(ID, "cluster", NO_ENGINE)
        return
    for node, fact in libraries(view).items():
        yield from _judged(view, node, fact) if isinstance(fact, Known) else _unseen(view, node, fact)


def _unseen(view: View, node: str, fact: Fact[object]) -> Iterator[Verdict]:
    if isinstance(fact, Unknown) and not at_rest(view, node):
        yield unreadable(ID, node, "variables of the image", fact)
    else:
        later = "verify again when the engine runs" if isinstance(fact, Unknown) else "nothing reads them"
        yield skipped(ID, node, f"{getattr(fact, 'reason', '') or 'no libnccl'}: {later}")


def _judged(view: View, node: str, fact: Known[Nccl]) -> Iterator[Verdict]:
    found = fact.value.settings
    engine = view.rendering[node].engine
    ours = engine.env if engine is not None else {}
    acting = {setting.name: setting for setting in reversed(found) if setting.name not in ours}
    shown = ", ".join(f"{name}={acting[name].value} ({acting[name].place})" for name in sorted(acting)) or "none"
    faults = [(finding, acting[name]) for name in sorted(acting) for finding in _findings(view, acting[name])]
    for finding, setting in faults:
        remedy = f"take it out of {setting.place}, or give it a right value in `fabric.nccl`, which wins"
        said = f"{setting.place} says {setting.name}={setting.value}: {finding.message} ({finding.id})"
        state: State = "fail" if finding.severity == "error" else "warn"
        yield Verdict(ID, state, node, said, shown, "none that does harm", remedy)
    if fact.unread:
        yield unreadable(ID, node, "a conf file of NCCL", Unknown(fact.unread[0]))
    elif not faults:
        yield Verdict(ID, "pass", node, "variables besides sparkctl's", shown, "none that does harm")


def _findings(view: View, setting: NcclSetting) -> Iterator[Finding]:
    """What the rules on `fabric.nccl` say of one variable."""
    fabric = replace(view.cluster.fabric, nccl={**view.cluster.fabric.nccl, setting.name: setting.value})
    cluster = replace(view.cluster, fabric=fabric)
    judging = [rule for rule in rules() if rule.id.startswith("NCL") and rule.id not in _HARMLESS]
    found = (finding for rule in judging for finding in rule.judge(cluster, view.fabric))
    yield from (finding for finding in found if finding.where == f"fabric.nccl.{setting.name}")
