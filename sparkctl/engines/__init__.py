"""The registry of engines: every kind that the format knows, and what renders those that this version supports."""

from __future__ import annotations

from importlib import import_module

from sparkctl.engines.base import Engine, EngineProbe, Rank
from sparkctl.errors import SparkctlError

__all__ = ["ENGINES", "Engine", "EngineProbe", "Rank", "engine_of", "kinds", "remedy", "variables"]

# One name is one engine: the folder here whose engine.py has ENGINE. The format knows those of later versions too.
_FOLDERS = ("vllm",)
_LATER = ("vllm-ray", "sglang", "trtllm", "torchrun")

_FOUND: tuple[Engine, ...] = tuple(import_module(f"{__name__}.{folder}.engine").ENGINE for folder in _FOLDERS)
ENGINES: dict[str, Engine] = {engine.kind: engine for engine in _FOUND}


def kinds() -> tuple[str, ...]:
    """What `engine.kind` may be, in the order in which people are told."""
    return tuple(dict.fromkeys((*ENGINES, *_LATER)))


def remedy() -> str:
    """What to do about a kind that is not supported."""
    return f"use one of: {', '.join(sorted(ENGINES))}"


def engine_of(kind: str) -> Engine:
    """The engine called `kind`; validation has refused unknown ones (ENG001)."""
    if kind not in ENGINES:
        raise SparkctlError(f"engine kind {kind} is not yet supported", remedy())
    return ENGINES[kind]


def variables(rank: Rank) -> dict[str, str]:
    """Its engine's whole environment but secrets and what the fabric says (nccl.env); the inventory's own wins."""
    engine = engine_of(rank.intent.kind)
    return dict.fromkeys(engine.address_variables, rank.address) | engine.environment(rank)
