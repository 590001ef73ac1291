"""PAR: the layout of the ranks and the engine's own section."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sparkctl.engines import ENGINES
from sparkctl.engines.vllm.flag_lists import flags_of, knows, version_of, versions
from sparkctl.inventory.model import Cluster, EngineIntent
from sparkctl.inventory.words import nearest, quoted
from sparkctl.models import ModelUnreadable, Shape, model_of
from sparkctl.rule import Hit, arg_path, rule

DATA_PARALLEL_PORT = 29550  # where ranks of data parallelism meet: facts, engine-nccl-netplan A4
_GANG = ("nnodes", "node-rank", "master-addr", "headless", "n", "r")
_PER_RANK = ("data-parallel-rank", "dpn", "data-parallel-start-rank", "dpr", "data-parallel-address", "dpa")
_ELSEWHERE = {
    "tensor-parallel-size": "engine.parallel",
    "tp": "engine.parallel",
    "pipeline-parallel-size": "engine.parallel",
    "pp": "engine.parallel",
    "data-parallel-size": "engine.parallel",
    "dp": "engine.parallel",
    "model": "engine.model",
    "port": "engine.port",
    "api-key": "engine.api_key_file",
    "config": "engine.args, flag by flag",
}
_BACKEND = "distributed-executor-backend"
_BACKENDS = {"vllm": "mp", "vllm-ray": "ray"}
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
        product = f"tensor {p.tensor} x pipeline {p.pipeline} x data {p.data}"
        said = f"layout {p} needs {p.size} node(s) ({product}); the inventory has {nodes}"
        yield Hit(("engine", "parallel"), said, f"write {_layouts_for(nodes)}, or list {p.size} nodes")


def _layouts_for(nodes: int) -> str:
    power_of_two = nodes & (nodes - 1) == 0
    return f"TP{nodes} or PP{nodes}" if power_of_two else f"PP{nodes}"


@rule(
    "PAR002",
    "error",
    "a tensor size that the model's heads do not divide by",
    "facts: engine-nccl-netplan A2: vLLM refuses it",
)
def heads_divide(cluster: Cluster) -> Iterator[Hit]:
    """Each rank has whole heads; KV heads are divided, or each is copied to as many ranks."""
    engine = cluster.engine
    shape = _shape(engine) if engine is not None else None
    if engine is None or shape is None:
        return
    tensor = engine.parallel.tensor
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
    "PAR004",
    "error",
    "a layout that the topology does not carry",
    "facts: field-faults, rows 10 and 11, and 3.6",
)
def layout_suits_topology(cluster: Cluster) -> Iterator[Hit]:
    """A ring carries NCCL's ring algorithm and nothing else; on a mesh, what is proved is a pipeline."""
    engine, topology = cluster.engine, cluster.fabric.topology
    if engine is None:
        return
    layout, count = engine.parallel, len(cluster.nodes)
    if topology == "ring" and layout.pipeline * layout.data > 1:
        said = f"layout {layout} sends between nodes of the ring that are not neighbours, and RDMA has no way there"
        yield Hit(("engine", "parallel"), said, f"write TP{count}, or use a switch")
    elif topology == "mesh" and layout.tensor * layout.data > 1:
        said = f"layout {layout} on a mesh needs collectives over three ports; what is proved there is PP{count}"
        yield Hit(("engine", "parallel"), said, f"write PP{count}, or use a switch", "warning")


@rule(
    "PAR005",
    "error",
    "a backend in args that contradicts the engine's kind",
    "facts: engine-nccl-netplan A2: nnodes and Ray exclude each other",
)
def backend_agrees(cluster: Cluster) -> Iterator[Hit]:
    """vllm runs its own processes, vllm-ray runs on Ray."""
    engine = cluster.engine
    for flag, value in engine.args.items() if engine is not None else ():
        name = flag_name(flag)
        if engine is None or not _contradicts(engine, name, value):
            continue
        if name == _BACKEND:
            said = (
                f"`--{_BACKEND} {quoted(value)}` contradicts kind `{engine.kind}`, which needs {_BACKENDS[engine.kind]}"
            )
            yield Hit(arg_path(cluster, flag), said, "remove it, or change `engine.kind`")
        else:
            said = f"`--{name}` belongs to vLLM's own multi-node mode and excludes Ray"
            yield Hit(arg_path(cluster, flag), said, "remove it, or write `kind: vllm`")


def _contradicts(engine: EngineIntent, name: str, value: object) -> bool:
    """PAR005 rather than PAR006: not just a repetition of what sparkctl sets."""
    if name == _BACKEND:
        return value is not None and engine.kind in _BACKENDS and value != _BACKENDS[engine.kind]
    return engine.kind == "vllm-ray" and name in _GANG


@rule(
    "PAR006", "error", "a flag that sparkctl sets itself", "facts: engine-nccl-netplan A2: all ranks need the same list"
)
def args_leave_owned_flags_alone(cluster: Cluster) -> Iterator[Hit]:
    """What follows from the inventory is not written a second time."""
    engine = cluster.engine
    if engine is None:
        return
    owned = _owned(engine)
    for flag, value in engine.args.items():
        name = flag_name(flag)
        if name in _ELSEWHERE:
            yield Hit(arg_path(cluster, flag), f"`--{name}` is set by sparkctl", f"use `{_ELSEWHERE[name]}` instead")
        elif name in owned and not _contradicts(engine, name, value):
            remedy = "remove it: it follows from `nodes` and `engine.parallel`"
            yield Hit(arg_path(cluster, flag), f"`--{name}` is set by sparkctl", remedy)


def _owned(engine: EngineIntent) -> frozenset[str]:
    """What the engine itself says that it owns, and what no list shared by all ranks can hold."""
    own = ENGINES[engine.kind].owned if engine.kind in ENGINES else frozenset(_GANG)
    return own | frozenset(_PER_RANK)


@rule(
    "PAR007",
    "error",
    "a flag that the engine's version does not know",
    "facts: engine-nccl-netplan A1; its parser",
)
def flags_are_known(cluster: Cluster) -> Iterator[Hit]:
    """The engine would stop with `unrecognized arguments`, on every node."""
    engine = cluster.engine
    version = version_of(engine) if engine is not None else None
    if engine is None or version is None or not engine.args:
        return
    flags = flags_of(version)
    for flag, value in engine.args.items():
        name = flag.lstrip("-").replace("_", "-")
        asked = f"no-{name}" if value is False else name
        if value is None or not flags or knows(flags, asked):
            continue
        said = f"vLLM {version} has no flag {quoted('--' + asked)}"
        yield Hit(arg_path(cluster, flag), said, _flag_instead(name, asked, version))


def _flag_instead(name: str, asked: str, version: str) -> str:
    """What to do about a flag: another version has it, another flag was meant, or neither."""
    having = [other for other in versions() if knows(flags_of(other), asked)]
    guess = nearest(name, sorted(flags_of(version)))
    if having:
        return f"remove it, or use vLLM {having[-1]}, which has it"
    return f"did you mean `{guess}`?" if guess else f"`vllm serve --help` of {version} lists what it knows"


@rule("PAR008", "error", "a port that is already taken, or no port", "facts: engine-nccl-netplan A4")
def port_is_free(cluster: Cluster) -> Iterator[Hit]:
    """The API cannot share a port with SSH or with the engine's own meeting points."""
    engine = cluster.engine
    if engine is None:
        return
    for flag, value in engine.args.items():
        if flag_name(flag) == "master-port" and value is not None and not _is_port(value):
            said = f"`--{flag}` is {quoted(value)}, which is no port number"
            yield Hit(arg_path(cluster, flag), said, "write a number from 1 to 65535, or leave it out")
            return
    user = _users_of_ports(cluster, engine).get(engine.port)
    if user:
        yield Hit(("engine", "port"), f"port {engine.port} is taken: {user}", "choose another, such as 8000")


def _is_port(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536


def _users_of_ports(cluster: Cluster, engine: EngineIntent) -> dict[int, str]:
    taken = {22: "SSH listens there"}
    if engine.kind in ENGINES:
        taken[ENGINES[engine.kind].rendezvous_port(engine)] = "the ranks of the engine meet there"
    taken |= {node.port: f"SSH of `{node.name}` listens there" for node in cluster.nodes if node.port != 22}
    return taken | ({DATA_PARALLEL_PORT: "the data-parallel ranks meet there"} if engine.parallel.data > 1 else {})


@rule("PAR009", "warning", "gpu_memory_utilization is too high for unified memory", "facts: engine-nccl-netplan F")
def memory_is_left(cluster: Cluster) -> Iterator[Hit]:
    """CPU, page cache and GPU share one memory: what the engine takes, the system lacks."""
    share = cluster.engine.gpu_memory_utilization if cluster.engine is not None else None
    if share is None or share <= _CAUTIOUS:
        return
    limit = _HIGHEST if share > _HIGHEST else _CAUTIOUS
    said = f"gpu_memory_utilization {share} is above {limit}: the system needs its part of the unified memory"
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


@rule(
    "PAR011",
    "error",
    "context parallelism that does not fit the layout",
    "facts: engine-nccl-netplan A2: it multiplies the ranks, or divides tensor",
)
def context_fits_layout(cluster: Cluster) -> Iterator[Hit]:
    """vLLM counts ranks as tensor x pipeline x prefill context; decode context divides the tensor ranks."""
    engine = cluster.engine
    for flag, value in engine.args.items() if engine is not None else ():
        name = flag_name(flag)
        if engine is None or not isinstance(value, int) or isinstance(value, bool) or value < 1:
            continue
        if name in ("prefill-context-parallel-size", "pcp") and value > 1:
            said = f"`--{name} {value}` makes {engine.parallel.size * value} ranks of the {engine.parallel.size} nodes"
            yield Hit(arg_path(cluster, flag), said, "remove it: a Spark has one GPU, and `engine.parallel` uses it")
        elif name in ("decode-context-parallel-size", "dcp") and engine.parallel.tensor % value:
            said = f"`--{name} {value}` does not divide tensor {engine.parallel.tensor}"
            yield Hit(arg_path(cluster, flag), said, "write a divisor of the tensor size, or leave it out")
