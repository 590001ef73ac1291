"""The registry of engines, and what is wrong with an inventory's choice of one."""

from __future__ import annotations

from collections.abc import Mapping

from sparkctl.engines.base import Engine, EngineProbe, Rank
from sparkctl.engines.vllm.engine import Vllm
from sparkctl.errors import SparkctlError
from sparkctl.inventory.model import Cluster, EngineKind
from sparkctl.outcome import Finding

__all__ = ["ENGINES", "Engine", "EngineProbe", "Rank", "engine_of", "findings"]

ENGINES: Mapping[EngineKind, Engine] = {engine.kind: engine for engine in (Vllm(),)}


def engine_of(kind: EngineKind) -> Engine:
    """The engine called `kind`; validation has refused unknown ones (ENG001)."""
    if kind not in ENGINES:
        raise SparkctlError(f"engine kind {kind} is not yet supported", f"use one of: {', '.join(sorted(ENGINES))}")
    return ENGINES[kind]


def findings(cluster: Cluster) -> tuple[Finding, ...]:
    """ENG001 for a kind that the format knows and this version does not; else what the engine itself finds."""
    intent = cluster.engine
    if intent is None:
        return ()
    if intent.kind in ENGINES:
        return ENGINES[intent.kind].findings(cluster, intent)
    remedy = f"use one of: {', '.join(sorted(ENGINES))}"
    message = f"engine kind {intent.kind} is not yet supported"
    return (cluster.source.finding("ENG001", "error", ("engine", "kind"), message, remedy),)
