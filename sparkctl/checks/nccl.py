"""Checks of the libnccl that the engine loads: one for all ranks, and none that is known to hang."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sparkctl.checks.alike import EQUAL, Alike
from sparkctl.checks.base import NOT_ASKED, View, check
from sparkctl.checks.hosts import NO_ENGINE, STAGE, at_rest, known, said, skipped, surveyed, unasked, unreadable
from sparkctl.engines import engine_of
from sparkctl.engines.base import targets
from sparkctl.facts.nccl import Nccl
from sparkctl.inventory.model import EngineIntent
from sparkctl.outcome import Absent, Fact, Known, State, Unknown, Verdict


@dataclass(frozen=True)
class Fault:
    """What is wrong with versions below `before`, or with one `exactly`; `ring`: on mesh and ring only."""

    state: State
    why: str
    source: str
    before: str = ""
    exactly: str = ""
    ring: bool = False

    def strikes(self, version: str, ring: bool) -> bool:
        """Whether `version` has it."""
        mine, limit = numbers(version), numbers(self.before or self.exactly)
        # A fourth number is a build of the same version: compare as many as the limit has.
        short = mine[: len(limit)]
        return (ring or not self.ring) and (short < limit if self.before else short == limit)


FAULTS = (
    Fault("fail", "on aarch64 it loses operations and hangs after 20 to 30 min", "facts ff8", before="2.29.3"),
    Fault("fail", "it cannot choose the HCA by the peer's subnet", "facts ff10 and B3", before="2.30.7", ring=True),
    Fault("warn", "it has hung under load now and then", "facts ff3.7, gh:NVIDIA/nccl#2167", exactly="2.30.4"),
    Fault("warn", "2.30.7 is what most run without hangs", "facts ff8 and ff3.7", before="2.30.7"),
)
"""The first that strikes is told, so the worst stand first."""

LIBRARIES = ("/usr/lib", "/usr/local/lib", "/lib", "/opt/venv/lib")
"""Where images keep libraries; templates/facts/nccl.py looks in more places."""
LEAST = "2.30.7"


def _remedy(view: View) -> str:
    """What to do about an older one, with the first release of the engine that carries a new one."""
    said = f"use an image (or a wheel nvidia-nccl-cu13) with NCCL {LEAST} or later"
    releases = engine_of(view.cluster.engine.kind).nccl_releases if view.cluster.engine is not None else {}
    enough = [name for name, inside in releases.items() if numbers(inside) >= numbers(LEAST)]
    return f"{said}: {enough[0]} carries it" if enough else said


def numbers(version: str) -> tuple[int, ...]:
    """2.30.7 as (2, 30, 7); at most nine digits each."""
    return tuple(int(part) for part in re.findall(r"\d{1,9}", version))


def fault(version: str, ring: bool) -> Fault | None:
    """The worst that is known of `version`."""
    return next((each for each in FAULTS if each.strikes(version, ring)), None)


@check("nccl-version", STAGE, survey=True)
def version(view: View) -> Iterator[Verdict]:
    """The library that the engine loads, not the host's, is none that is known to hang (facts ff8)."""
    if view.cluster.engine is None:
        yield skipped("nccl-version", "cluster", NO_ENGINE)
        return
    ring = view.fabric.topology in ("mesh", "ring")
    for node, fact in libraries(view).items():
        yield _version(view, node, fact.value.version, ring) if isinstance(fact, Known) else _unseen(view, node, fact)


def _version(view: View, node: str, version: str, ring: bool) -> Verdict:
    expected = f"{LEAST} or later"
    if not numbers(version):
        reason = f"libnccl says no version: {version or 'nothing'}"
        return Verdict("nccl-version", "unknown", node, reason, remedy=_remedy(view))
    found = fault(version, ring)
    if found is None:
        return Verdict("nccl-version", "pass", node, "libnccl", version, expected)
    message = f"libnccl: {found.why} ({found.source})"
    return Verdict("nccl-version", found.state, node, message, version, expected, _remedy(view))


def _unseen(view: View, node: str, fact: Absent | Unknown) -> Verdict:
    if isinstance(fact, Unknown) and at_rest(view, node):  # what containerd keeps can be read only while it runs
        return skipped("nccl-version", node, f"{fact.reason}: verify again when the engine runs")
    if isinstance(fact, Unknown):
        return unreadable("nccl-version", node, "libnccl", fact)
    if fact == NOT_ASKED:
        return unasked("nccl-version", node)
    if _imageless(view, node):
        return skipped("nccl-version", node, "the image is not there: see engine-image")
    cpu = view.cluster.engine is not None and view.cluster.engine.accelerator == "cpu"
    if cpu or view.expect == "lab":
        return skipped("nccl-version", node, f"{fact.reason or 'no libnccl'}: the lab's engine needs none")
    return Verdict("nccl-version", "fail", node, fact.reason or "libnccl", "absent", f"{LEAST} or later", _remedy(view))


@check("same-nccl", STAGE, survey=True)
def same(view: View) -> Iterator[Verdict]:
    """All ranks load one libnccl, byte for byte: builds of one version differ (facts ff3.7)."""
    if view.cluster.engine is None:
        yield skipped("same-nccl", "cluster", NO_ENGINE)
        return
    facts = {node: fact for node, fact in libraries(view).items() if not _imageless(view, node)}
    read = known(facts)
    if not read and facts and _images(view) == 1 and any(isinstance(fact, Unknown) for fact in facts.values()):
        yield Verdict("same-nccl", "pass", "cluster", "libnccl", "one image on all nodes, so one library", EQUAL)
    elif len({it.digest for it in read.values()}) > 1 and _images(view) > 1:
        yield skipped("same-nccl", "cluster", "the images differ, so does what is in them: see same-image")
    else:
        remedy = "pull the image anew on the node that differs, or install one NCCL in every venv"
        yield from Alike("same-nccl", "libnccl", remedy).judge({node: said(it, _named) for node, it in facts.items()})


def _named(nccl: Nccl) -> str:
    return f"{nccl.version} ({nccl.digest[:12]})"


def libraries(view: View) -> dict[str, Fact[Nccl]]:
    """By node; where all run one image, what was read on one node stands for those where it could not be read."""
    found = surveyed(view, lambda survey: survey.nccl)
    read = list(known(found).values())
    if _images(view) != 1 or len(set(read)) != 1:
        return found
    return {node: Known(read[0]) if isinstance(fact, Unknown) else fact for node, fact in found.items()}


def _images(view: View) -> int:
    """How many different images hold the library; 0 where one is not known, or a volume brings a library along."""
    if view.cluster.engine is not None and _brought(view.cluster.engine):
        return 0
    ids = known({node.name: view.facts[node.name].image for node in view.cluster.nodes})
    return len(set(ids.values())) if len(ids) == len(view.cluster.nodes) else 0


def _brought(engine: EngineIntent) -> bool:
    """Whether a volume lies over libraries, or holds one that the engine is told to load."""
    names = (*engine_of(engine.kind).nccl_path_variables, "LD_PRELOAD")
    told = [path for name in names for path in re.split("[ :]", engine.env.get(name, ""))]
    return any(
        re.search("/lib|nccl", at) or any(f"{path}/".startswith(f"{at}/") for path in (*told, *LIBRARIES))
        for at in targets(engine)
    )


def _imageless(view: View, node: str) -> bool:
    engine = view.cluster.engine
    docker = engine is not None and engine.runtime.docker is not None
    return docker and isinstance(view.facts[node].image, Absent)
