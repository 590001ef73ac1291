"""vLLM with its own multi-node launcher (0.18 and newer): one argument list, and a role for each rank.

Facts A1 to A5 and A10. Nothing checks across nodes that the arguments agree, and a difference hangs: so all ranks
get one list, and only --node-rank, --headless, --host and --port differ.
"""

from __future__ import annotations

from collections.abc import Mapping

from sparkctl.engines.base import (
    CarriedNccl,
    Engine,
    EngineMemory,
    EnginePort,
    EngineProbe,
    LabTwin,
    Rank,
    RestartPolicy,
    Wave,
)
from sparkctl.engines.flags import flag_name, merged, positional
from sparkctl.engines.vllm import lab, memory, rules
from sparkctl.engines.vllm.flag_lists import version_of
from sparkctl.engines.vllm.spelling import base_name, long_name, words
from sparkctl.errors import SparkctlError
from sparkctl.inventory.model import ArgValue, Cluster, EngineIntent
from sparkctl.rule import Rule

RENDEZVOUS_PORT = 29501  # vLLM's own default (facts A1), given all the same: it stays so whatever the version
DATA_PARALLEL_PORT = 29550  # where ranks of data parallelism meet (facts A4)
# Loading 100 GB, and up to 36 minutes of kernel tuning, is no hang (facts ff49); vLLM's own is 600 s (facts A6).
READY_TIMEOUT = {"VLLM_ENGINE_READY_TIMEOUT_S": "2700"}
ALL_INTERFACES = ("0.0.0.0", "::", "")
# The NCCL that a release of vLLM pins (facts A7, from the metadata of the aarch64 wheels).
NCCL_RELEASES = {"vLLM 0.32": "2.29.7", "vLLM 0.33": "2.30.7"}
ROLES = ("nnodes", "n", "node-rank", "r", "master-addr", "headless", "distributed-executor-backend")
# A rank of data parallelism follows from node-rank; a second value on one node alone would make the gang disagree.
PER_RANK = ("data-parallel-rank", "dpn", "data-parallel-start-rank", "dpr", "data-parallel-address", "dpa")
SIZES = ("tensor-parallel-size", "tp", "pipeline-parallel-size", "pp", "data-parallel-size", "dp")
# The API key must not be in argv, and a file of flags could hold any of these.
SECTION = {
    "model": "engine.model",
    "port": "engine.port",
    "api-key": "engine.api_key_file",
    "config": "engine.args, flag by flag",
}
OWNED = dict.fromkeys(ROLES + PER_RANK, "") | dict.fromkeys(SIZES, "engine.parallel") | SECTION


class Vllm:
    """`kind: vllm`."""

    kind = "vllm"
    api_key_variable = "VLLM_API_KEY"
    address_variables: tuple[str, ...] = ("VLLM_HOST_IP",)  # must be local to each node (facts A5)
    one_environment = False
    nccl_releases: Mapping[str, str] = NCCL_RELEASES
    nccl_path_variables: tuple[str, ...] = ("VLLM_NCCL_SO_PATH",)
    restart_policy = RestartPolicy(
        restart="always",
        why="A vLLM whose peer died ends with status 0, so on-failure would leave it dead (seen with 0.32).",
        pause=15,
        stop=60,
        why_stop="A headless rank takes 11 s to end, and one stuck in its start-up only ends by SIGKILL "
        "(seen with 0.32).",
    )
    lab_build = lab.BUILD

    def rules(self) -> tuple[Rule, ...]:
        """Those of rules.py."""
        return tuple(rules.RULES.values())

    def owned(self, intent: EngineIntent) -> Mapping[str, str]:
        """All that follows from the inventory; a backend that contradicts the kind is refused by PAR005."""
        refused = {flag_name(flag) for flag in rules.contradictions(intent)}
        return {flag: instead for flag, instead in OWNED.items() if flag not in refused}

    def words(self, rank: Rank) -> tuple[str, ...]:
        """`vllm serve MODEL`, the list that all ranks share, and the rank's role."""
        model = positional(rank.intent.model)
        return (_program(rank.intent), "serve", model, *words(_shared(rank)), *words(_role(rank)))

    def environment(self, rank: Rank) -> dict[str, str]:
        """What is the engine's alone, then what the inventory adds."""
        return READY_TIMEOUT | dict(rank.intent.env)

    def start_order(self, cluster: Cluster, intent: EngineIntent) -> tuple[Wave, ...]:
        """Workers first: they wait for the head's store, so it never serves a gang that is not there (facts A3)."""
        workers = tuple(node.name for node in cluster.nodes[1:])
        head = Wave((cluster.head.name,))
        return (Wave(workers), head) if workers else (head,)

    def ports(self, intent: EngineIntent) -> tuple[EnginePort, ...]:
        """The store of the head, and with data parallelism the meeting point of its ranks (facts A4)."""
        flag = "master-port"
        given = str(_args(intent).get(flag) or "")
        chosen = int(given[:9]) if given.isascii() and given.isdecimal() else RENDEZVOUS_PORT
        meeting = EnginePort(chosen, "the ranks of the engine meet there", flag)
        if intent.parallel.data == 1:
            return (meeting,)
        return (meeting, EnginePort(DATA_PARALLEL_PORT, "the data-parallel ranks meet there"))

    def listens_at(self, intent: EngineIntent) -> str:
        """All interfaces, unless `args` says otherwise."""
        return str(_args(intent).get("host") or ALL_INTERFACES[0])

    def probe(self, intent: EngineIntent, tokens: int = 1) -> EngineProbe:
        """Greedy, through the OpenAI API."""
        host = self.listens_at(intent)
        model = _served_name(intent)
        return EngineProbe(
            host="127.0.0.1" if host in ALL_INTERFACES else host,
            port=intent.port,
            model=model,
            version_path="/version",
            completion_path="/v1/completions",
            completion={"model": model, "prompt": "Hello", "max_tokens": tokens, "temperature": 0},
        )

    def memory(self, intent: EngineIntent) -> EngineMemory:
        """A share of all the memory."""
        return memory.memory(intent)

    def stage_layers(self, intent: EngineIntent, layers: int) -> list[int]:
        """As vLLM divides them, or as VLLM_PP_LAYER_PARTITION says."""
        return memory.stage_layers(layers, intent.parallel.pipeline, intent.env.get("VLLM_PP_LAYER_PARTITION", ""))

    def carried_nccl(self, intent: EngineIntent) -> CarriedNccl | None:
        """By the release that the image's name tells."""
        version = version_of(intent) or ""
        inside = NCCL_RELEASES.get(f"vLLM {'.'.join(version.split('.')[:2])}")
        return CarriedNccl(f"vLLM {version}", inside) if inside else None

    def python_for_tests(self, intent: EngineIntent) -> str | None:
        """What the first line of `vllm` itself names."""
        return _program(intent)

    def lab_twin(self, intent: EngineIntent) -> LabTwin:
        """vLLM on the CPU."""
        return lab.twin(intent)


ENGINE: Engine = Vllm()


def _program(intent: EngineIntent) -> str:
    return "vllm" if intent.runtime.venv is None else f"{intent.runtime.venv.rstrip('/')}/bin/vllm"


def _args(intent: EngineIntent) -> dict[str, ArgValue]:
    return {long_name(flag): value for flag, value in intent.args.items()}


def _served_name(intent: EngineIntent) -> str:
    """The first of the names it answers to."""
    given = _args(intent).get("served-model-name", intent.served_model_name)
    first = given[0] if isinstance(given, list) and given else given
    return first if isinstance(first, str) else intent.model


def _shared(rank: Rank) -> dict[str, ArgValue]:
    """The list that all ranks share: ours first, then the user's own flags by name."""
    intent = rank.intent
    _refuse_owned(intent)
    chosen = {flag: value for flag, value in _args(intent).items() if flag != "host"}
    return merged({**_gang(rank), **_section(intent)}, chosen)


def _gang(rank: Rank) -> dict[str, ArgValue]:
    """mp and never ray: nnodes refuses it (facts A2), and no image for aarch64 has it (facts ff35)."""
    layout = rank.intent.parallel
    if len(rank.cluster.nodes) == 1 and layout.size == 1:
        return {}
    return {
        "tensor-parallel-size": layout.tensor,
        "pipeline-parallel-size": layout.pipeline,
        "data-parallel-size": layout.data if layout.data > 1 else None,
        "nnodes": len(rank.cluster.nodes),
        "master-addr": rank.meeting_place,
        "master-port": RENDEZVOUS_PORT,
        "distributed-executor-backend": "mp",
    }


def _section(intent: EngineIntent) -> dict[str, ArgValue]:
    """The keys of the inventory's section. Unset ones are left to vLLM; resolve puts in the utilisation."""
    return {
        "served-model-name": intent.served_model_name,
        "max-model-len": intent.max_model_len,
        "gpu-memory-utilization": intent.gpu_memory_utilization if intent.accelerator == "gpu" else None,
    }


def _role(rank: Rank) -> dict[str, ArgValue]:
    """What differs: only the head serves HTTP; a headless rank takes no host and no port (facts A3)."""
    numbered: dict[str, ArgValue] = {"node-rank": rank.node.rank} if len(rank.cluster.nodes) > 1 else {}
    if not rank.is_head:
        return {**numbered, "headless": True}
    host = _args(rank.intent).get("host", ALL_INTERFACES[0])
    return merged({**numbered, "host": host, "port": rank.intent.port}, {})


def _refuse_owned(intent: EngineIntent) -> None:
    """Validation says so first (PAR006); a renderer that obeyed would make a gang that hangs."""
    taken = sorted({base_name(flag) for flag in intent.args} & OWNED.keys())
    if taken:
        raise SparkctlError(f"engine.args sets {', '.join(taken)}, which sparkctl sets", "remove it from args")
