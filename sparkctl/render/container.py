"""The `docker run` line of a rank, as groups of words: one group is one line of engine.sh."""

from __future__ import annotations

from collections.abc import Sequence

from sparkctl.inventory.model import Cluster, EngineIntent, Node
from sparkctl.render.artifact import CONTAINER, ENGINE_ENV, NCCL_ENV

Groups = list[list[str]]

# NCCL, Gloo and vLLM open dynamic ports on the node's own addresses (A4), and its ranks share memory. No --privileged.
HOST: Groups = [["--network", "host"], ["--ipc", "host"]]
LIMITS: Groups = [["--ulimit", "memlock=-1"], ["--ulimit", "nofile=1048576:1048576"]]  # ff36
# What RDMA needs of a container: its devices, and to pin memory (ff36).
RDMA: Groups = [["--device", "/dev/infiniband"], ["--cap-add", "IPC_LOCK"]]
HUB_CACHE = "/root/.cache/huggingface"


def container_words(cluster: Cluster, intent: EngineIntent, node: Node, argv: Sequence[str]) -> Groups:
    """The engine's words become the entrypoint and its arguments."""
    image = intent.runtime.docker or ""
    start = [["docker", "run", "--rm", "--name", CONTAINER]]
    env = [["--env-file", NCCL_ENV], ["--env-file", ENGINE_ENV]]
    program = [["--entrypoint", argv[0]], *flag_groups([image, *argv[1:]])]
    return start + HOST + LIMITS + _devices(cluster, intent) + env + _secret(intent) + _volumes(intent, node) + program


def flag_groups(words: Sequence[str]) -> Groups:
    """The words with every flag at the head of a group of its own."""
    groups: Groups = [[]]
    for word in words:
        if word.startswith("--"):
            groups.append([])
        groups[-1].append(word)
    return groups


def _devices(cluster: Cluster, intent: EngineIntent) -> Groups:
    gpus = [["--gpus", "all"]] if intent.accelerator == "gpu" else []
    return gpus + (RDMA if cluster.fabric.transport == "roce" else [])


def _secret(intent: EngineIntent) -> Groups:
    return [["--env", "VLLM_API_KEY"]] if intent.api_key_file else []


def _volumes(intent: EngineIntent, node: Node) -> Groups:
    """A hub model is kept where the login user's own downloads are, as NVIDIA's playbooks do; `volumes` may differ."""
    volumes = dict(intent.volumes)
    targets = {target.split(":")[0].rstrip("/") for target in volumes.values()}
    if not intent.model.startswith("/") and HUB_CACHE not in targets:
        volumes[f"{home(node)}/.cache/huggingface"] = HUB_CACHE
    return [["--volume", f"{host}:{target}"] for host, target in sorted(volumes.items())]


def home(node: Node) -> str:
    """The login user's home as useradd makes it; not asked for, so that the file depends on the inventory alone."""
    return "/root" if node.user == "root" else f"/home/{node.user}"
