"""Will a model fit, how much is left, and how fast can it be: arithmetic, with the source of every constant."""

from __future__ import annotations

import math
from typing import NamedTuple

from sparkctl.engines import engine_of
from sparkctl.engines.base import EngineMemory
from sparkctl.inventory.model import Cluster, EngineIntent
from sparkctl.models import Model, ModelUnreadable
from sparkctl.models.shape import Shape
from sparkctl.models.weights import Weights

GIB = float(1 << 30)
INSTALLED, USABLE = 128.0, 121.69  # GiB; the system sees 121.69 of 128 (facts F1)
HIGHEST = 0.95  # of the usable memory: above it the system itself does not run (PAR009)
CAUTIOUS = 0.87  # the highest that works well (facts F2: 0.80-0.87)
OVERHEAD = 15e9  # activations, graphs, NCCL: about 15 GB in NVIDIA's measured example (facts F4); others need less
ROOMY = 8 * GIB  # what MEM002 wants left for the KV cache (catalogue of rules)
BANDWIDTH = 273e9  # bytes per second of a node's memory (NVIDIA's specification; facts G4)
_LONGEST = 1 << 30  # tokens: where the search for the longest context ends


class NodeFit(NamedTuple):
    """One node: bytes of weights, what the engine may take, and bytes per token of its KV cache for layers it holds."""

    name: str
    stage: int
    layers: int
    weights: float
    budget: float
    kv_per_layer: float

    @property
    def left(self) -> float:
        """Of the budget, without the weights; negative when they do not fit."""
        return self.budget - self.weights

    @property
    def kv_room(self) -> float:
        """What is left for the KV cache when the overhead is as large as in the measured example."""
        return self.room(OVERHEAD)

    def room(self, overhead: float) -> float:
        """What is left for the KV cache when the engine itself needs `overhead`."""
        return max(0.0, self.left - overhead)


class Fit(NamedTuple):
    """A model on the nodes of a cluster; `usable` is bytes per node, and `replicas` are those of data parallelism."""

    model: Model
    nodes: tuple[NodeFit, ...]
    usable: float
    memory: EngineMemory
    replicas: int
    seconds_per_token: float | None

    @property
    def fullest(self) -> NodeFit:
        """The node that decides."""
        return min(self.nodes, key=lambda node: node.left)

    @property
    def certain_no(self) -> bool:
        """The weights alone are more than the engine may take."""
        return self.fullest.left < 0

    @property
    def hopeless(self) -> bool:
        """Not even at the highest utilisation."""
        return self.fullest.weights > self.usable * HIGHEST

    @property
    def nodes_for_weights(self) -> int:
        """How many such nodes the weights alone would need."""
        total = self.model.weights.total if self.model.weights else 0.0
        return math.ceil(total / (self.usable * CAUTIOUS))

    @property
    def tokens_per_second(self) -> float | None:
        """The bound for one request: nothing decodes faster than it can read the active weights."""
        return 1 / self.seconds_per_token if self.seconds_per_token else None

    @property
    def tokens_per_second_of_one(self) -> float | None:
        """The same bound for the bandwidth of a single node, whether the model fits there or not."""
        active = self.model.active_bytes
        return BANDWIDTH / active if active else None

    def kv_bytes(self, node: NodeFit, context: int) -> float:
        """What one request of `context` tokens needs on a node."""
        return node.kv_per_layer * self.model.shape.tokens_kept(node.layers, context)

    def requests(self, context: int, overhead: float = OVERHEAD) -> int:
        """How many requests of `context` tokens fit at a time, in the whole cluster."""
        each = [node.room(overhead) // max(1.0, self.kv_bytes(node, context)) for node in self.nodes]
        return int(min(each)) * self.replicas

    def longest(self, users: int, overhead: float = OVERHEAD) -> int:
        """The longest context that `users` requests can have at the same time; not more than the model's own."""
        low, high = 0, self.model.shape.context or _LONGEST
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.requests(middle, overhead) >= users else (low, middle - 1)
        return low


def gib(size: float) -> str:
    """Bytes for people."""
    return f"{size / GIB:.1f} GiB"


def usable_memory(installed: float = INSTALLED) -> float:
    """Bytes that the system has of so many GiB installed; that as much is missing on a 64 GB machine is assumed."""
    return (installed - (INSTALLED - USABLE)) * GIB


def fit(cluster: Cluster, intent: EngineIntent, model: Model, installed: float = INSTALLED) -> Fit:
    """The arithmetic; ModelUnreadable when the size of the weights is not known."""
    if model.weights is None:
        raise ModelUnreadable(f"the size of the weights of {model.name} is not known")
    layout, engine = intent.parallel, engine_of(intent.kind)
    usable, memory = usable_memory(installed), engine.memory(intent)
    stages = engine.stage_layers(intent, model.shape.layers)
    per_layer = model.shape.kv_per_layer(layout.tensor, memory.kv_dtype)
    spread = layout.tensor * (layout.data if memory.spread else 1)
    nodes = []
    for node in cluster.nodes[: layout.size]:
        stage = node.rank // layout.tensor % layout.pipeline
        held = _held(model.weights, model.shape, stages, stage, layout.tensor, spread)
        budget = _budget(memory, usable, held)
        nodes.append(NodeFit(node.name, stage, stages[stage], held, budget, per_layer))
    seconds = _seconds_per_token(model, layout.tensor, spread)
    return Fit(model, tuple(nodes), usable, memory, layout.data, seconds)


def _budget(memory: EngineMemory, usable: float, held: float) -> float:
    """Bytes that the engine takes of a node; where it takes a share of what the weights leave, those come first."""
    if memory.of == "total":
        return usable * memory.share
    return usable if held > usable else held + (usable - held) * memory.share


def _held(weights: Weights, shape: Shape, stages: list[int], stage: int, tensor: int, spread: int) -> float:
    """Bytes of weights on a rank of `stage`; over `spread` ranks routed experts are divided."""
    share = stages[stage] / shape.layers
    first, last = stage == 0, stage == len(stages) - 1
    ends = weights.embedding * (first or (last and shape.tied)) + weights.head * last
    return (weights.rest * share + ends) / tensor + weights.experts * share / spread


def _seconds_per_token(model: Model, tensor: int, spread: int) -> float | None:
    """Stages work one after the other, so a pipeline makes one request no faster; tensor ranks read side by side."""
    active = model.active_bytes
    if active is None or model.weights is None:
        return None
    routed = model.weights.experts * model.shape.active_share
    return ((active - routed) / tensor + routed / spread) / BANDWIDTH
