"""What a shell may complete: ids of pages and checks, nodes of the inventory, stages, topologies."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Completer = Callable[[Any, str], list[str]]


def completed(words: Callable[[Any], Iterable[str]]) -> Completer:
    """Those of `words` that begin as what was typed, in any case; none where they cannot be read."""

    def complete(ctx: Any, incomplete: str) -> list[str]:
        try:
            return sorted(word for word in words(ctx) if word.lower().startswith(incomplete.lower()))
        except Exception:  # a shell that asks has no place for a message
            return []

    return complete


def _ids(ctx: Any) -> Iterable[str]:
    from sparkctl.cli.explain import kinds

    return kinds()


def _checks(ctx: Any) -> Iterable[str]:
    from sparkctl.checks import CHECKS

    return CHECKS


def _nodes(ctx: Any) -> Iterable[str]:
    from sparkctl.study import study

    # an option whose value is completed keeps the arguments from being parsed
    line = os.environ.get("_TYPER_COMPLETE_ARGS") or os.environ.get("COMP_WORDS", "")
    named = [word for word in line.split() if word.endswith((".yaml", ".yml"))]
    cluster = study(Path(named[-1] if named else ctx.params["inventory"])).cluster
    return [node.name for node in cluster.nodes] if cluster is not None else []


def _topologies(ctx: Any) -> Iterable[str]:
    from sparkctl.inventory.starter import LEAST

    return LEAST


IDS, CHECK_IDS, NODE_NAMES, TOPOLOGIES = map(completed, (_ids, _checks, _nodes, _topologies))
STAGES = completed(lambda ctx: ("network", "engine"))
