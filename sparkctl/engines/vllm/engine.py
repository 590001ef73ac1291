"""vLLM with its own multi-node launcher (0.18 and newer): one argument list, and a role for each rank.

Facts A1 to A5 and A10. Nothing checks across nodes that the arguments agree, and a difference hangs (A2): so all ranks
get one list, and only --node-rank, --headless, --host and --port differ.
"""

from __future__ import annotations

from collections.abc import Mapping

from sparkctl.engines.base import EngineProbe, Rank
from sparkctl.engines.flags import canonical, merged, positional, spelled, words_of
from sparkctl.errors import SparkctlError
from sparkctl.inventory.model import ArgValue, Cluster, EngineIntent, EngineKind
from sparkctl.outcome import Finding

RENDEZVOUS_PORT = 29501  # vLLM's own default (A1); given all the same, so that it is the same whatever the version
# Loading 100 GB, and up to 36 minutes of kernel tuning, is no hang (ff49); vLLM's own is 600 s (A6).
READY_TIMEOUT = {"VLLM_ENGINE_READY_TIMEOUT_S": "2700"}
ALL_INTERFACES = ("0.0.0.0", "::", "")
ROLES = ("nnodes", "n", "node-rank", "r", "master-addr", "headless", "distributed-executor-backend")
SIZES = ("tensor-parallel-size", "tp", "pipeline-parallel-size", "pp", "data-parallel-size", "dp")
# A rank of data parallelism follows from node-rank; a second value on one node alone would make the gang disagree.
PER_RANK = ("data-parallel-rank", "dpn", "data-parallel-start-rank", "dpr", "data-parallel-address", "dpa")
# Keys of their own in the inventory; the API key must not be in argv, and a file of flags could hold any of these.
SECTION = ("model", "port", "api-key", "config")


class Vllm:
    """`kind: vllm`."""

    kind: EngineKind = "vllm"
    owned = frozenset(ROLES + SIZES + PER_RANK + SECTION)

    def findings(self, cluster: Cluster, intent: EngineIntent) -> tuple[Finding, ...]:
        """ENG002: what cannot be one value for all ranks. ENG003: a model that the container may not see."""
        return (*_per_rank_variables(cluster, intent), *_unseen_model(cluster, intent))

    def words(self, rank: Rank) -> tuple[str, ...]:
        """`vllm serve MODEL`, the list that all ranks share, and the rank's role."""
        program = "vllm" if rank.intent.runtime.venv is None else f"{rank.intent.runtime.venv.rstrip('/')}/bin/vllm"
        return (program, "serve", positional(rank.intent.model), *words_of(_shared(rank)), *words_of(_role(rank)))

    def environment(self, rank: Rank) -> dict[str, str]:
        """VLLM_HOST_IP comes from the fabric's environment; here is what is the engine's alone."""
        return READY_TIMEOUT | dict(rank.intent.env)

    def start_order(self, cluster: Cluster) -> tuple[tuple[str, ...], ...]:
        """Workers first: they wait for the head's store, so the head never serves a gang that is not there (A3)."""
        workers = tuple(node.name for node in cluster.nodes[1:])
        return (workers, (cluster.head.name,)) if workers else ((cluster.head.name,),)

    def rendezvous_port(self, intent: EngineIntent) -> int:
        """`master-port` of the args, else the default."""
        given = _args(intent).get("master-port", RENDEZVOUS_PORT)
        return int(given) if isinstance(given, int | str) else RENDEZVOUS_PORT

    def probe(self, intent: EngineIntent) -> EngineProbe:
        """One token, greedy, through the OpenAI API."""
        host = str(_args(intent).get("host") or "")
        model = _served_name(intent)
        return EngineProbe(
            host="127.0.0.1" if host in ALL_INTERFACES else host,
            port=intent.port,
            model=model,
            version_path="/version",
            completion_path="/v1/completions",
            completion={"model": model, "prompt": "Hello", "max_tokens": 1, "temperature": 0},
        )


def _args(intent: EngineIntent) -> dict[str, ArgValue]:
    return {spelled(flag): value for flag, value in intent.args.items()}


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
    """mp and never ray: nnodes refuses it (A2), and no image for aarch64 has it (ff35)."""
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
    """What differs: only the head serves HTTP; a headless rank takes no host and no port (A3)."""
    numbered: dict[str, ArgValue] = {"node-rank": rank.node.rank} if len(rank.cluster.nodes) > 1 else {}
    if not rank.is_head:
        return {**numbered, "headless": True}
    host = _args(rank.intent).get("host", ALL_INTERFACES[0])
    return merged({**numbered, "host": host, "port": rank.intent.port}, {})


def _refuse_owned(intent: EngineIntent) -> None:
    """Validation says so first (PAR006); a renderer that obeyed would make a gang that hangs."""
    taken = sorted({canonical(flag) for flag in intent.args} & Vllm.owned)
    if taken:
        raise SparkctlError(f"engine.args sets {', '.join(taken)}, which sparkctl sets", "remove it from args")


def _per_rank_variables(cluster: Cluster, intent: EngineIntent) -> list[Finding]:
    """VLLM_HOST_IP must be local to each node (A5), and a key in engine.env could be read by all."""
    why: Mapping[str, str] = {
        "VLLM_HOST_IP": "is another address on every node, and sparkctl sets it",
        "VLLM_API_KEY": "is a secret and would stand in a file that all can read; use engine.api_key_file",
    }
    message = "{} {}".format
    return [
        cluster.source.finding("ENG002", "error", ("engine", "env", name), message(name, why[name]), f"remove {name}")
        for name in sorted(why.keys() & intent.env.keys())
    ]


def _unseen_model(cluster: Cluster, intent: EngineIntent) -> list[Finding]:
    if intent.runtime.docker is None or not intent.model.startswith("/"):
        return []
    targets = [target.split(":")[0].rstrip("/") for target in intent.volumes.values()]
    if any(intent.model == target or intent.model.startswith(f"{target}/") for target in targets):
        return []
    message = f"{intent.model} lies on none of engine.volumes: the container sees it only if the image holds it"
    remedy = f'add a volume, for example volumes: {{"{intent.model}": "{intent.model}:ro"}}'
    return [cluster.source.finding("ENG003", "warning", ("engine", "model"), message, remedy)]
