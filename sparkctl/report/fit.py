"""Will it fit: the arithmetic of `sparkctl model fit`, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from sparkctl.inventory.model import Cluster, EngineIntent
from sparkctl.inventory.words import counted, visible
from sparkctl.models import fit as sums
from sparkctl.models.fit import CAUTIOUS, HIGHEST, ROOMY, Fit, NodeFit, gib

Answer = Literal["fits", "small", "no"]
_COLUMNS = ("NODE", "STAGE", "LAYERS", "ENGINE MAY TAKE", "WEIGHTS", "LEFT", "KV CACHE")


@dataclass(frozen=True)
class Question:
    """What was asked: on which cluster, for how many requests at a time, of how many tokens, with how much memory."""

    cluster: Cluster
    intent: EngineIntent
    users: int
    context: int | None
    installed: float

    @property
    def wanted(self) -> int | None:
        """The context that was asked for, here or in the inventory."""
        return self.context or self.intent.max_model_len


def answer(fit: Fit) -> Answer:
    """In one word."""
    if fit.certain_no:
        return "no"
    return "fits" if fit.fullest.kv_room >= ROOMY else "small"


def as_text(asked: Question, fit: Fit) -> str:
    """All of it, as people read it."""
    lines = [*_model(fit), "", *_table(fit), "", *_cache(asked, fit), *_speed(asked, fit), ""]
    lines += [f"Verdict: {verdict(asked, fit)}", "", "Assumed:", *(f"  * {each}" for each in assumptions(asked, fit))]
    return "\n".join(visible(line) for line in lines)


def _model(fit: Fit) -> Iterator[str]:
    shape, weights = fit.model.shape, fit.model.weights
    heads = f"{shape.heads} heads, MLA" if shape.mla else f"{shape.heads} heads, {shape.kv_heads} KV heads"
    experts = f", {shape.experts_per_token} of {shape.experts} experts" if shape.experts else ""
    size = f"{gib(weights.total)} of weights ({weights.basis})" if weights else "weights of unknown size"
    yield f"{fit.model.name}: {size}; {shape.layers} layers, {heads}{experts}"
    yield f"  from {fit.model.source}"


def _table(fit: Fit) -> Iterator[str]:
    rows = [_COLUMNS, *map(_row, fit.nodes)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS))]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        yield "  ".join(cells)


def _row(node: NodeFit) -> tuple[str, ...]:
    sizes = (node.budget, node.weights, node.left, node.kv_room)
    return (node.name, str(node.stage), str(node.layers), *map(gib, sizes))


def _cache(asked: Question, fit: Fit) -> Iterator[str]:
    node = fit.fullest
    each = f"{fit.kv_bytes(node, 1) / 1024:.1f} KiB"
    yield f"KV cache: {each} per token on a node, for short requests (kv-cache-dtype {fit.memory.kv_dtype})"
    if fit.certain_no:
        return
    limit = f" (the model's own limit: {fit.model.shape.context})" if fit.model.shape.context else ""
    yield f"Longest context of {counted(asked.users, 'request')}: {fit.longest(asked.users)} tokens{limit}"
    if not node.kv_room:
        most = fit.longest(asked.users, overhead=0)
        yield f"  were there no overhead, it would be {most} tokens: the truth is between the two"
    if asked.wanted:
        yield f"At {asked.wanted} tokens each: {counted(fit.requests(asked.wanted), 'request')} at a time"


def _speed(asked: Question, fit: Fit) -> Iterator[str]:
    bound, one = fit.tokens_per_second, fit.tokens_per_second_of_one
    if bound is None or one is None:
        yield "Decode speed: no bound, because the files do not tell how much of the weights one token reads"
        return
    active = (fit.model.active_bytes or 0.0) / 1e9
    yield f"Decode speed of one request: at most {_rate(bound)} tokens/s as {asked.intent.parallel}; one node's"
    yield f"  bandwidth gives {_rate(one)} tokens/s ({active:.1f} GB are read for every token)"


def verdict(asked: Question, fit: Fit) -> str:
    """In words: whether it fits, and what would help."""
    count = counted(len(fit.nodes), "node")
    if fit.certain_no:
        return f"{fit.model.name} does not fit {count}: {_why_not(fit)}"
    words = {"fits": f"fits {count}", "small": f"fits {count} only with a small KV cache"}[answer(fit)]
    node = fit.fullest
    room = f"{gib(node.kv_room)} per node" if node.kv_room else f"at most {gib(node.left)} per node, less the overhead"
    return f"{fit.model.name} {words}: {room}, for the KV cache{_too_long(asked, fit)}"


def _why_not(fit: Fit) -> str:
    node = fit.fullest
    least = node.weights / fit.usable
    said = f"the weights need {gib(node.weights)} on {node.name}"
    if fit.hopeless:
        fills = f"the weights alone fill {fit.nodes_for_weights} nodes at utilisation {CAUTIOUS:g}"
        return f"{said}, and the system has {gib(fit.usable)}. No setting helps: {fills}"
    at = CAUTIOUS if least <= CAUTIOUS else HIGHEST
    left = gib(fit.usable * at - node.weights)
    fits = f"at {at:g} it would, only with a small KV cache (at most {left} per node, before overhead)"
    return f"{said}, and utilisation {fit.memory.share:g} gives {gib(node.budget)}; {fits}"


def _too_long(asked: Question, fit: Fit) -> str:
    """An engine does not start when a single request of max_model_len has no room (facts F3)."""
    length = asked.intent.max_model_len
    if length is None or fit.requests(length):
        return ""
    return f"; one request of max_model_len {length} has no room there, so write at most {fit.longest(1, overhead=0)}"


def assumptions(asked: Question, fit: Fit) -> list[str]:
    """What the arithmetic takes for granted, with the numbers."""
    reserve = sums.INSTALLED - sums.USABLE
    memory = f"a node has {asked.installed:g} GiB installed and {gib(fit.usable)} usable"
    exact = "the common value" if asked.installed == sums.INSTALLED else f"{reserve:.2f} GiB less, as with 128"
    part = "it" if fit.memory.of == "total" else "what the weights leave of it"
    said = [
        f"{memory} ({exact})",
        f"the engine may take {fit.memory.share:g} of {part} (gpu_memory_utilization)",
        f"overhead (activations, graphs, NCCL): {sums.OVERHEAD / 1e9:g} GB, measured once; yours may be smaller",
        f"memory bandwidth: {sums.BANDWIDTH / 1e9:g} GB/s per node; a bound, which no engine reaches",
        "tensor ranks read side by side; stages of a pipeline take turns, so they make one request no faster",
    ]
    if fit.model.weights and "header" not in fit.model.weights.basis:
        said.append("weights by parameters: bf16 2 bytes, fp8 1, NVFP4 0.5625, MXFP4 0.531, AWQ and GPTQ 0.52; "
                    "embeddings and output head bf16")  # fmt: skip
    if fit.model.shape.window:
        said.append(f"layers with a sliding window keep {fit.model.shape.window} tokens")
    return said


def as_json(asked: Question, fit: Fit) -> str:
    """The same for programs; sizes are bytes."""
    weights = fit.model.weights
    shown = {
        "version": 1,
        "cluster": asked.cluster.name,
        "judged": True,
        "answer": answer(fit),
        "verdict": verdict(asked, fit),
        "model": {"name": fit.model.name, "format": fit.model.form, "source": fit.model.source,
                  "weights": round(weights.total) if weights else None,
                  "active": round(fit.model.active_bytes) if fit.model.active_bytes else None},
        "layout": str(asked.intent.parallel),
        "nodes": [_node_record(fit, node) for node in fit.nodes],
        "users": asked.users,
        "longest_context": fit.longest(asked.users),
        "tokens_per_second_bound": fit.tokens_per_second,
        "tokens_per_second_bound_of_one_node": fit.tokens_per_second_of_one,
        "assumptions": assumptions(asked, fit),
    }  # fmt: skip
    return json.dumps(shown, indent=2)


def _node_record(fit: Fit, node: NodeFit) -> dict[str, object]:
    sizes = {"budget": node.budget, "weights": node.weights, "left": node.left, "kv_cache": node.kv_room}
    per_token = fit.kv_bytes(node, 1)
    named = {"name": node.name, "stage": node.stage, "layers": node.layers}
    return {**named, **{name: round(size) for name, size in sizes.items()}, "kv_bytes_per_token": round(per_token)}


def unjudged(asked: Question, model: str, reason: str, *, machine: bool) -> str:
    """Nothing can be said; what would be needed for it."""
    needs = (
        "a folder with config.json and the safetensors index on this machine (--model /path), or a model of the table"
    )
    if machine:
        record = {"version": 1, "cluster": asked.cluster.name, "judged": False, "reason": reason, "needs": needs}
        return json.dumps(record, indent=2)
    return visible(f"Verdict: cannot judge {model}: {reason}") + f"\n  needed: {needs}"


def _rate(rate: float) -> str:
    return f"{rate:.1f}" if rate < 10 else f"{rate:.0f}"
