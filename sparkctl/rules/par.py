"""PAR: the layout of the ranks and the engine's own section."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sparkctl.engines import ENGINES
from sparkctl.engines.base import EnginePort
from sparkctl.engines.flags import flag_name
from sparkctl.inventory.model import Cluster, EngineIntent
from sparkctl.inventory.words import counted, quoted
from sparkctl.models import ModelUnreadable, Shape, model_of
from sparkctl.rule import Hit, arg_path, engine_rule, remove, write

_CAUTIOUS, _HIGHEST = 0.87, 0.95  # facts F2 (0.80-0.87 work; 0.92 usually fails to start)
_FOREIGN = re.compile(r"(^|[^a-z0-9])(amd64|x86[-_]64|x64)([^a-z0-9]|$)", re.IGNORECASE)


@engine_rule(
    "PAR001",
    "error",
    "the layout does not use every node once",
    "one GPU per Spark, one rank per node",
)
def layout_fits_nodes(cluster: Cluster, engine: EngineIntent) -> Iterator[Hit]:
    """tensor x pipeline x data is the number of nodes."""
    p, nodes = engine.parallel, len(cluster.nodes)
    if p.size != nodes:
        product = f"tensor {p.tensor} x pipeline {p.pipeline} x data {p.data}"
        said = f"layout {p} needs {counted(p.size, 'node')} ({product}); the inventory has {nodes}"
        yield Hit(("engine", "parallel"), said, f"write {_layouts_for(nodes)}, or list {p.size} nodes")


def _layouts_for(nodes: int) -> str:
    power_of_two = nodes & (nodes - 1) == 0
    return f"TP{nodes} or PP{nodes}" if power_of_two else f"PP{nodes}"


@engine_rule(
    "PAR002",
    "error",
    "a tensor size that the model's heads do not divide by",
    "facts A2: the engine refuses it",
)
def heads_divide(cluster: Cluster, engine: EngineIntent) -> Iterator[Hit]:
    """Each rank has whole heads; KV heads are divided, or each is copied to as many ranks."""
    shape, tensor = _shape(engine), engine.parallel.tensor
    if shape is None:
        return
    path = ("engine", "parallel")
    remedy = f"write PP{tensor}, or a tensor size that divides {shape.heads}"
    if shape.heads % tensor:
        yield Hit(path, f"tensor {tensor} does not divide the {shape.heads} attention heads of {engine.model}", remedy)
    elif not shape.mla and max(shape.kv_heads, tensor) % min(shape.kv_heads, tensor):
        said = f"tensor {tensor} and the {shape.kv_heads} KV heads of {engine.model}: neither divides the other"
        yield Hit(path, said, remedy)


def _shape(engine: EngineIntent) -> Shape | None:
    """The model's heads, where they are known."""
    try:
        model = model_of(engine)
    except ModelUnreadable:
        return None
    return model.shape if model is not None else None


@engine_rule(
    "PAR003",
    "warning",
    "a tensor size that is not a power of two",
    "facts A2: heads must divide by it",
)
def tensor_is_a_power_of_two(cluster: Cluster, engine: EngineIntent) -> Iterator[Hit]:
    """Nearly no model's heads divide by 3 or 6."""
    tensor = engine.parallel.tensor
    if tensor & (tensor - 1):
        said = f"tensor {tensor} is not a power of two: attention heads of nearly every model do not divide by it"
        yield Hit(("engine", "parallel"), said, f"use the pipeline instead: PP{tensor}")


@engine_rule(
    "PAR004",
    "error",
    "a layout that the topology does not carry",
    "facts ff10, ff11 and ff3.6",
)
def layout_suits_topology(cluster: Cluster, engine: EngineIntent) -> Iterator[Hit]:
    """A ring carries NCCL's ring algorithm and nothing else; on a mesh, what is proved is a pipeline."""
    topology, layout, count = cluster.fabric.topology, engine.parallel, len(cluster.nodes)
    if topology == "ring" and layout.pipeline * layout.data > 1:
        said = f"layout {layout} sends between nodes of the ring that are not neighbours, and RDMA has no way there"
        yield Hit(("engine", "parallel"), said, write(f"TP{count}", f"write TP{count}, or use a switch"))
    elif topology == "mesh" and layout.tensor * layout.data > 1:
        said = f"layout {layout} on a mesh needs collectives over three ports; what is proved there is PP{count}"
        yield Hit(("engine", "parallel"), said, write(f"PP{count}", f"write PP{count}, or use a switch"), "warning")


@engine_rule("PAR006", "error", "a flag that sparkctl sets itself", "facts A2: all ranks need the same list")
def args_leave_owned_flags_alone(cluster: Cluster, engine: EngineIntent) -> Iterator[Hit]:
    """What follows from the inventory is not written a second time."""
    owned = ENGINES[engine.kind].owned(engine) if engine.kind in ENGINES else {}
    for flag in engine.args:
        name = flag_name(flag).partition(".")[0]
        if name in owned:
            other = owned[name]
            ours = remove("remove it: it follows from `nodes` and `engine.parallel`")
            remedy = f"use `{other}` instead" if other else ours
            yield Hit(arg_path(cluster, flag), f"`--{name}` is set by sparkctl", remedy)


@engine_rule("PAR008", "error", "a port that is already taken, or no port", "facts A4")
def port_is_free(cluster: Cluster, engine: EngineIntent) -> Iterator[Hit]:
    """The API cannot share a port with SSH or with the engine's own meeting points."""
    moved = {port.flag for port in _ports(engine)}
    for flag, value in engine.args.items():
        if flag_name(flag) in moved and value is not None and not _is_port(value):
            said = f"`--{flag}` is {quoted(value)}, which is not a port number"
            yield Hit(arg_path(cluster, flag), said, "write a number from 1 to 65535, or leave it out")
            return
    user = _users_of_ports(cluster, engine).get(engine.port)
    if user:
        yield Hit(("engine", "port"), f"port {engine.port} is taken: {user}", "choose another, such as 8000")


def _is_port(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536


def _ports(engine: EngineIntent) -> tuple[EnginePort, ...]:
    return ENGINES[engine.kind].ports(engine) if engine.kind in ENGINES else ()


def _users_of_ports(cluster: Cluster, engine: EngineIntent) -> dict[int, str]:
    taken = {22: "SSH listens there"} | {port.number: port.use for port in _ports(engine)}
    return taken | {node.port: f"SSH of `{node.name}` listens there" for node in cluster.nodes if node.port != 22}


@engine_rule("PAR009", "warning", "gpu_memory_utilization is too high for unified memory", "facts F2")
def memory_is_left(cluster: Cluster, engine: EngineIntent) -> Iterator[Hit]:
    """CPU, page cache and GPU share one memory: what the engine takes, the system lacks."""
    share = engine.gpu_memory_utilization
    if share is None or share <= _CAUTIOUS or _of_what_is_left(engine):
        return
    limit = _HIGHEST if share > _HIGHEST else _CAUTIOUS
    said = f"gpu_memory_utilization {share} is above {limit}: the system needs its part of the unified memory"
    yield Hit(("engine", "gpu_memory_utilization"), said, write("0.80"), "error" if share > _HIGHEST else None)


def _of_what_is_left(engine: EngineIntent) -> bool:
    return engine.kind in ENGINES and ENGINES[engine.kind].memory(engine).of == "left"


@engine_rule("PAR010", "error", "an image that is not pinned, or not for this machine", "facts ff15")
def image_is_pinned(cluster: Cluster, engine: EngineIntent) -> Iterator[Hit]:
    """All nodes must run the same image, on arm64."""
    image = engine.runtime.docker
    if image is None:
        return
    path = ("engine", "runtime", "docker")
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    if not tag and not digest:
        yield Hit(
            path,
            f"image `{image}` has no tag, and may be a different image on each node",
            "add the version, such as `:v0.33.0`, or a digest",
        )
    elif tag == "latest" and not digest:
        yield Hit(
            path,
            f"`latest` of `{name}` may be a different image on each node",
            "pin a version or a digest",
            "warning",
        )
    if _FOREIGN.search(name):
        yield Hit(
            path,
            f"image `{image}` says that it is for x86-64; a Spark is arm64",
            "use the arm64 or multi-architecture image",
        )
