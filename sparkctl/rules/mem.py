"""MEM: will the model fit the memory of the nodes. What is not known of a model is not judged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeGuard

from sparkctl.inventory.model import Cluster, EngineIntent, canonical
from sparkctl.models import ModelUnreadable, model_of
from sparkctl.models.fit import CAUTIOUS, HIGHEST, ROOMY, Fit, fit, gib
from sparkctl.rule import Hit, arg_path, engine_rule


@engine_rule("MEM001", "error", "weights that are more than the memory given to them", "facts F2 and F6")
def weights_fit(cluster: Cluster, engine: EngineIntent) -> Iterator[Hit]:
    """No engine starts when the weights alone exceed its part of the memory."""
    judged = _judged(cluster, engine)
    if judged is None or not judged.certain_no:
        return
    node = judged.fullest
    said = (
        f"the weights of {judged.model.name} need {gib(node.weights)} on `{node.name}`; "
        f"gpu_memory_utilization {judged.memory.share:g} gives {gib(node.budget)}"
    )
    yield Hit(("engine", "model"), said, _remedy(judged))


def _remedy(judged: Fit) -> str:
    least = judged.fullest.weights / judged.usable
    if judged.hopeless:
        return f"use a smaller model or format, or more nodes: the weights alone fill {judged.nodes_for_weights}"
    if least > CAUTIOUS:
        return f"use a smaller model or format, or more nodes; at {HIGHEST:g} the weights fit, with little else"
    return f"write gpu_memory_utilization: {CAUTIOUS:g}, for a small KV cache; or use a smaller format or more nodes"


@engine_rule("MEM002", "warning", "little memory left for the KV cache", "facts F3")
def cache_has_room(cluster: Cluster, engine: EngineIntent) -> Iterator[Hit]:
    """An engine with a few GiB of KV cache starts, and serves few or short requests."""
    judged = _judged(cluster, engine)
    if judged is None or judged.certain_no or judged.fullest.kv_room >= ROOMY:
        return
    node = judged.fullest
    taken = f"of {gib(node.budget)} on `{node.name}`, the weights take {gib(node.weights)}"
    if node.kv_room:
        said = f"{taken} and the engine's overhead leaves {gib(node.kv_room)} for the KV cache"
    else:
        said = f"{taken}: at most {gib(node.left)} are left for the KV cache, and the engine's overhead may need it all"
    yield Hit(("engine", "model"), said, "use a smaller format or more nodes; or a short max_model_len and few users")


@engine_rule("MEM003", "info", "requests that do not fit the KV cache at the same time", "facts F3 and F8")
def contexts_fit(cluster: Cluster, engine: EngineIntent) -> Iterator[Hit]:
    """With a number of requests given, say up to which context they fit; beyond it they wait for one another."""
    judged = _judged(cluster, engine)
    asked = judged.memory.requests if judged else None
    users = asked.value if asked else None
    if judged is None or asked is None or judged.certain_no or not _is_count(users):
        return
    longest, wanted = judged.longest(users), engine.max_model_len or judged.model.shape.context
    if wanted <= longest:
        return
    said = f"{users} requests fit the KV cache up to {longest} tokens each, not {wanted}: longer ones wait"
    cure = f"lower {canonical(asked.flag)} or max_model_len, or leave it: it costs time only"
    yield Hit(arg_path(cluster, asked.flag), said, cure)


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _judged(cluster: Cluster, engine: EngineIntent) -> Fit | None:
    """The arithmetic, where there is a layout that uses every node, and a known model."""
    if engine.parallel.size != len(cluster.nodes):
        return None
    try:
        model = model_of(engine)
        return fit(cluster, engine, model) if model is not None else None
    except ModelUnreadable:
        return None  # `sparkctl model fit` says why
