"""PAR: the layout of the ranks and the engine's own section."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sparkctl.inventory.model import Cluster, EngineIntent
from sparkctl.rules.base import Hit, arg_path, rule

MASTER_PORT = 29501  # vLLM's own default, bound on all interfaces: facts, engine-nccl-netplan A4
DATA_PARALLEL_PORT = 29550  # where ranks of data parallelism meet: same table
_GANG = ("nnodes", "node-rank", "master-addr", "master-port", "headless", "n", "r")
_LAYOUT_FLAGS = {
    "tensor-parallel-size": "engine.parallel", "tp": "engine.parallel", "pipeline-parallel-size": "engine.parallel", "pp": "engine.parallel",
    "data-parallel-size": "engine.parallel", "dp": "engine.parallel", "data-parallel-size-local": "engine.parallel",
    "dpl": "engine.parallel", "data-parallel-start-rank": "engine.parallel", "dpr": "engine.parallel",
    "data-parallel-rank": "engine.parallel", "dpn": "engine.parallel", "data-parallel-address": "engine.parallel",
    "dpa": "engine.parallel", "data-parallel-rpc-port": "engine.parallel", "dpp": "engine.parallel",
}  # fmt: skip
_SECTION_FLAGS = {
    "model": "engine.model", "port": "engine.port", "served-model-name": "engine.served_model_name", "max-model-len": "engine.max_model_len",
    "gpu-memory-utilization": "engine.gpu_memory_utilization", "device-memory-utilization": "engine.gpu_memory_utilization",
    "api-key": "engine.api_key_file", "config": "engine.args, flag by flag",
}  # fmt: skip
_BACKEND = "distributed-executor-backend"
_CAUTIOUS, _HIGHEST = 0.87, 0.95  # facts: engine-nccl-netplan F (0.80-0.87 work; 0.92 usually fails to start)
_FOREIGN = re.compile(r"(^|[^a-z0-9])(amd64|x86[-_]64|x64)([^a-z0-9]|$)", re.IGNORECASE)


def flag_name(flag: str) -> str:
    """A flag as programs compare it: no dashes in front, dashes within."""
    return flag.lstrip("-").replace("_", "-").lower()


@rule(
    "PAR001",
    "error",
    "the layout does not use every node once",
    "design, section 1: one GPU per Spark, one rank per node",
)
def layout_fits_nodes(cluster: Cluster) -> Iterator[Hit]:
    """tensor x pipeline x data is the number of nodes."""
    engine, nodes = cluster.engine, len(cluster.nodes)
    if engine is not None and engine.parallel.size != nodes:
        p = engine.parallel
        said = f"layout {p} needs {p.size} node(s) (tensor {p.tensor} x pipeline {p.pipeline} x data {p.data}); the inventory has {nodes}"
        yield Hit(("engine", "parallel"), said, f"write {_layouts_for(nodes)}, or list {p.size} nodes")


def _layouts_for(nodes: int) -> str:
    power_of_two = nodes & (nodes - 1) == 0
    return f"TP{nodes} or PP{nodes}" if power_of_two else f"PP{nodes}"


@rule(
    "PAR003",
    "warning",
    "a tensor size that is not a power of two",
    "facts: engine-nccl-netplan A2: heads must divide by it",
)
def tensor_is_a_power_of_two(cluster: Cluster) -> Iterator[Hit]:
    """Nearly no model's heads divide by 3 or 6."""
    engine = cluster.engine
    if engine is not None and engine.parallel.tensor & (engine.parallel.tensor - 1):
        tensor = engine.parallel.tensor
        said = f"tensor {tensor} is not a power of two: attention heads of nearly every model do not divide by it"
        yield Hit(("engine", "parallel"), said, f"use the pipeline instead: PP{tensor}")


@rule(
    "PAR005",
    "error",
    "a backend in args that contradicts the engine's kind",
    "facts: engine-nccl-netplan A2: nnodes and Ray exclude each other",
)
def backend_agrees(cluster: Cluster) -> Iterator[Hit]:
    """vllm runs its own processes, vllm-ray runs on Ray."""
    engine = cluster.engine
    if engine is None or engine.kind not in ("vllm", "vllm-ray"):
        return
    for flag, value in engine.args.items():
        name = flag_name(flag)
        wanted = "ray" if engine.kind == "vllm-ray" else "mp"
        if name == _BACKEND and value not in (None, wanted):
            said = f"`--{_BACKEND} {value}` contradicts kind `{engine.kind}`, which needs {wanted}"
            yield Hit(arg_path(cluster, flag), said, "remove it, or change `engine.kind`")
        elif name in _GANG and engine.kind == "vllm-ray":
            said = f"`--{name}` belongs to vLLM's own multi-node mode and excludes Ray"
            yield Hit(arg_path(cluster, flag), said, "remove it, or write `kind: vllm`")


@rule(
    "PAR006",
    "error",
    "a flag that sparkctl sets itself",
    "every rank must get the same list; facts: engine-nccl-netplan A2",
)
def args_leave_owned_flags_alone(cluster: Cluster) -> Iterator[Hit]:
    """What follows from the inventory is not written a second time."""
    engine = cluster.engine
    for flag in engine.args if engine is not None else ():
        name = flag_name(flag)
        elsewhere = _LAYOUT_FLAGS.get(name) or _SECTION_FLAGS.get(name)
        if elsewhere:
            yield Hit(arg_path(cluster, flag), f"`--{name}` is set by sparkctl", f"use `{elsewhere}` instead")
        elif name in _GANG and engine is not None and engine.kind != "vllm-ray":
            said = f"`--{name}` is set by sparkctl, for each rank its own"
            yield Hit(arg_path(cluster, flag), said, "remove it: it follows from `nodes` and `engine.parallel`")


@rule("PAR008", "error", "a port that is already taken", "facts: engine-nccl-netplan A4")
def port_is_free(cluster: Cluster) -> Iterator[Hit]:
    """The API cannot share a port with SSH or with the engine's own meeting points."""
    engine = cluster.engine
    if engine is None:
        return
    user = _users_of_ports(cluster, engine).get(engine.port)
    if user:
        yield Hit(("engine", "port"), f"port {engine.port} is taken by {user}", "choose another, such as 8000")


def _users_of_ports(cluster: Cluster, engine: EngineIntent) -> dict[int, str]:
    taken = {22: "SSH", MASTER_PORT: "the engine's master port"}
    taken |= {node.port: f"SSH on `{node.name}`" for node in cluster.nodes if node.port != 22}
    return taken | ({DATA_PARALLEL_PORT: "the engine's data-parallel port"} if engine.parallel.data > 1 else {})


@rule("PAR009", "warning", "gpu_memory_utilization is too high for unified memory", "facts: engine-nccl-netplan F")
def memory_is_left(cluster: Cluster) -> Iterator[Hit]:
    """CPU, page cache and GPU share one memory: what the engine takes, the system lacks."""
    share = cluster.engine.gpu_memory_utilization if cluster.engine is not None else None
    if share is None or share <= _CAUTIOUS:
        return
    said = f"gpu_memory_utilization {share} is above {_HIGHEST if share > _HIGHEST else _CAUTIOUS}: the node needs the rest of its unified memory itself"
    yield Hit(("engine", "gpu_memory_utilization"), said, "write 0.80", "error" if share > _HIGHEST else None)


@rule("PAR010", "error", "an image that is not pinned, or not for this machine", "facts: field-faults, row 15")
def image_is_pinned(cluster: Cluster) -> Iterator[Hit]:
    """All nodes must run the same image, on arm64."""
    image = cluster.engine.runtime.docker if cluster.engine is not None else None
    if image is None:
        return
    path = ("engine", "runtime", "docker")
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    if not tag and not digest:
        yield Hit(
            path,
            f"image `{image}` has no tag: each node may pull another one",
            "add the version, such as `:v0.33.0`, or a digest",
        )
    elif tag == "latest" and not digest:
        yield Hit(
            path,
            f"image `{image}` is `latest` of the day each node pulls it",
            "write the version or a digest",
            "warning",
        )
    if _FOREIGN.search(name):
        yield Hit(
            path,
            f"image `{image}` says that it is for x86-64; a Spark is arm64",
            "use the arm64 or multi-architecture image",
        )
