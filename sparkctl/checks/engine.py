"""Checks of the gang: every rank's files, unit and container, one image for all, and a real token."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sparkctl.checks.base import NODE_OFF, View, check, see, state, unreadable
from sparkctl.checks.hosts import short
from sparkctl.facts.files import FileState
from sparkctl.facts.snapshot import NodeFacts
from sparkctl.inventory.words import counted
from sparkctl.outcome import Absent, Cause, Fact, Known, Unknown, Verdict


@check("files", "network")
def files(view: View) -> Iterator[Verdict]:
    """Every file that sparkctl owns (of the stages that are proved) is as rendered, or as somebody edited it since."""
    for node, rendering in view.rendering.items():
        facts = view.facts[node]
        unread = [f.path for f in rendering.files if f.stage in view.stages and isinstance(facts.file(f.path), Unknown)]
        if unread:
            yield from unreadable("files", node, facts.file(unread[0]))
            continue
        wanted = [f for f in rendering.files if f.stage in view.stages]
        odd = [f.path for f in wanted if not _same(facts.file(f.path), f.digest, f.mode)]
        edited = [path for path in odd if _edited(facts, path)]
        wrong = [path for path in odd if path not in edited]
        verdict = "warn" if edited and not wrong else state(not wrong)
        said = [f"{', '.join(wrong)} differ"] * bool(wrong) + [f"{', '.join(edited)} edited on the node"] * bool(edited)
        remedy = "`sparkctl cluster diff` shows the difference" if odd else ""
        measured = "; ".join(said) or f"{len(wanted)} as rendered"
        yield Verdict("files", verdict, node, "managed files", measured, "as rendered", remedy)


def _same(fact: Fact[FileState], digest: str, mode: int) -> bool:
    return isinstance(fact, Known) and (fact.value.digest, fact.value.mode) == (digest, mode)


def _edited(facts: NodeFacts, path: str) -> bool:
    """There, and neither what sparkctl wrote nor what it wants: an edit, which wins."""
    now, record = facts.file(path), facts.record
    old = record.value.files.get(path) if isinstance(record, Known) else None
    return old is not None and isinstance(now, Known) and now.value.digest != old.digest


@check("engine-unit", "engine", anywhere=("rail-carrier",))
def unit(view: View) -> Iterator[Verdict]:
    """Every rank's unit is active, enabled, and was not restarted behind our back."""
    if view.cluster.engine is None:
        return
    for node in view.cluster.nodes:
        where, fact = f"rank {node.rank} on {node.name}", view.facts[node.name].unit
        if not isinstance(fact, Known):
            yield from (replace(v, nodes=(node.name,)) for v in unreadable("engine-unit", where, fact))
            continue
        now, about = fact.value, (node.name,)
        right = now.active == "active" and now.enabled
        shown = f"{now.active} ({now.sub}), {'enabled' if now.enabled else 'not enabled'}"
        measured = shown + (f", {counted(now.restarts, 'restart')}" if now.restarts else "")
        verdict = "warn" if right and now.restarts else state(right)
        remedy = "" if verdict == "pass" else f"journalctl -u sparkctl-engine on {node.name} tells why"
        expected = "active, enabled"
        yield Verdict("engine-unit", verdict, where, "sparkctl-engine", measured, expected, remedy, nodes=about)


@check("engine-image", "engine")
def image(view: View) -> Iterator[Verdict]:
    """Every rank has the image; whether it is one image is for same-image to say."""
    if view.cluster.engine is None or view.cluster.engine.runtime.docker is None:
        return
    name = view.cluster.engine.runtime.docker
    for node in view.cluster.nodes:
        where, about, fact = f"rank {node.rank} on {node.name}", (node.name,), view.facts[node.name].image
        if isinstance(fact, Known):
            yield Verdict("engine-image", "pass", where, name, short(fact.value), "present", nodes=about)
        elif isinstance(fact, Absent):
            remedy = f"on {node.name}: docker pull {name}"
            yield Verdict("engine-image", "fail", where, name, "absent", "present", remedy, nodes=about)
        else:
            remedy = f"on {node.name}: `docker image inspect {name}` tells why"
            yield Verdict("engine-image", "unknown", where, fact.reason, remedy=remedy, nodes=about)


@check("engine-canary", "engine", anywhere=("engine-image", "engine-unit", "rail-carrier"))
def canary(view: View) -> Iterator[Verdict]:
    """The head answers with a real token: /health stays 200 with a dead rank (facts A10)."""
    if view.cluster.engine is None:
        return
    where, about, fact = f"head {view.cluster.head.name}", (view.cluster.head.name,), view.canary
    if isinstance(fact, Known):
        answer = fact.value
        measured = f"{counted(answer.tokens, 'token')} in {answer.seconds:.3f} s, engine {answer.version}"
        yield Verdict("engine-canary", "pass", where, "a real completion", measured, "a token", nodes=about)
    elif isinstance(fact, Absent):
        yield Verdict("engine-canary", "skipped", where, fact.reason, nodes=about)
    elif view.silent:
        yield see("engine-canary", where, "no token", Cause(NODE_OFF, next(iter(view.silent))))
    else:
        remedy = "`journalctl -u sparkctl-engine` on the node whose rank is down says why"
        yield Verdict("engine-canary", "fail", where, fact.reason, "no token", "a token", remedy, nodes=about)
