"""Checks of the gang: every rank's files, unit and container, one image for all, and a real token."""

from __future__ import annotations

from collections.abc import Iterator

from sparkctl.checks.base import View, check, state, unreadable
from sparkctl.facts.files import FileState
from sparkctl.outcome import Absent, Fact, Known, Verdict


@check("files", "network")
def files(view: View) -> Iterator[Verdict]:
    """Every file that sparkctl owns (of the stages that are proved) is as the inventory says."""
    for node, rendering in view.rendering.items():
        facts = view.facts[node]
        wanted = [f for f in rendering.files if f.stage in view.stages]
        wrong = [f.path for f in wanted if not _same(facts.file(f.path), f.digest, f.mode)]
        remedy = "sparkctl cluster plan shows the difference" if wrong else ""
        measured = ", ".join(wrong) + " differ" if wrong else f"{len(wanted)} as rendered"
        yield Verdict("files", state(not wrong), node, "managed files", measured, "as rendered", remedy)


def _same(fact: Fact[FileState], digest: str, mode: int) -> bool:
    return isinstance(fact, Known) and (fact.value.digest, fact.value.mode) == (digest, mode)


@check("engine-unit", "engine")
def unit(view: View) -> Iterator[Verdict]:
    """Every rank's unit is active, enabled, and was not restarted behind our back."""
    if view.cluster.engine is None:
        return
    for node in view.cluster.nodes:
        where, fact = f"rank {node.rank} on {node.name}", view.facts[node.name].unit
        if not isinstance(fact, Known):
            yield from unreadable("engine-unit", where, fact)
            continue
        now = fact.value
        right = now.active == "active" and now.enabled
        shown = f"{now.active} ({now.sub}), {'enabled' if now.enabled else 'not enabled'}"
        measured = shown + (f", {now.restarts} restarts" if now.restarts else "")
        verdict = "warn" if right and now.restarts else state(right)
        remedy = "" if verdict == "pass" else f"journalctl -u sparkctl-engine on {node.name} tells why"
        yield Verdict("engine-unit", verdict, where, "sparkctl-engine", measured, "active, enabled", remedy)


@check("engine-image", "engine")
def image(view: View) -> Iterator[Verdict]:
    """All ranks run one image: two pulls of one tag on different days do not fit together (field-faults 15)."""
    if view.cluster.engine is None or view.cluster.engine.runtime.docker is None:
        return
    ids = {n: f.value for n, known in view.facts.items() if isinstance(f := known.image, Known)}
    one = len(set(ids.values())) == 1 and len(ids) == len(view.facts)
    shown = ", ".join(f"{n} {i.removeprefix('sha256:')[:12]}" for n, i in ids.items()) or "none"
    remedy = "" if one else "pull the image by digest on every node"
    yield Verdict("engine-image", state(one), "all ranks", view.cluster.engine.runtime.docker, shown, "one id", remedy)


@check("engine-canary", "engine")
def canary(view: View) -> Iterator[Verdict]:
    """The head answers with a real token: /health stays 200 with a dead rank (facts A10)."""
    if view.cluster.engine is None:
        return
    where, fact = f"head {view.cluster.head.name}", view.canary
    if isinstance(fact, Known):
        answer = fact.value
        measured = f"{answer.tokens} token(s) in {answer.seconds:.3f} s, engine {answer.version}"
        yield Verdict("engine-canary", "pass", where, "a real completion", measured, "a token")
    elif isinstance(fact, Absent):
        yield Verdict("engine-canary", "skipped", where, fact.reason)
    else:
        remedy = "sparkctl cluster status tells which rank is down; journalctl -u sparkctl-engine tells why"
        yield Verdict("engine-canary", "fail", where, fact.reason, "no token", "a token", remedy)
