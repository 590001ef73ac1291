"""The `docker run` line of a rank, as groups of words: one group is one line of engine.sh."""

from __future__ import annotations

from collections.abc import Sequence

from sparkctl.engines import Rank
from sparkctl.engines.flags import positional
from sparkctl.render.artifact import CONTAINER, ENGINE_ENV, NCCL_ENV

Groups = list[list[str]]

# NCCL, Gloo and vLLM open dynamic ports on the node's own addresses (A4), and its ranks share memory. No --privileged.
HOST: Groups = [["--network", "host"], ["--ipc", "host"]]
LIMITS: Groups = [["--ulimit", "memlock=-1"], ["--ulimit", "nofile=1048576:1048576"]]  # ff36
# What RDMA needs of a container: its devices, and to pin memory (ff36).
RDMA: Groups = [["--device", "/dev/infiniband"], ["--cap-add", "IPC_LOCK"]]
HUB_CACHE = "/root/.cache/huggingface"


def container_words(rank: Rank, argv: Sequence[str]) -> Groups:
    """The engine's words become the entrypoint and its arguments."""
    image = positional(rank.intent.runtime.docker or "")
    start = [["docker", "run", "--rm", "--name", CONTAINER]]
    env = [["--env-file", NCCL_ENV], ["--env-file", ENGINE_ENV]]
    program = [["--entrypoint", argv[0]], *flag_groups([image, *argv[1:]])]
    return start + HOST + LIMITS + _devices(rank) + env + _secret(rank) + _volumes(rank) + program


def flag_groups(words: Sequence[str]) -> Groups:
    """The words with every flag at the head of a group of its own."""
    groups: Groups = [[]]
    for word in words:
        if word.startswith("--"):
            groups.append([])
        groups[-1].append(word)
    return groups


def _devices(rank: Rank) -> Groups:
    gpus = [["--gpus", "all"]] if rank.intent.accelerator == "gpu" else []
    return gpus + (RDMA if rank.cluster.fabric.transport == "roce" else [])


def _secret(rank: Rank) -> Groups:
    """The name alone: docker takes the value from the environment of engine.sh."""
    return [["--env", "VLLM_API_KEY"]] if rank.intent.api_key_file else []


def _volumes(rank: Rank) -> Groups:
    """A hub model is kept where the login user's own downloads are, as NVIDIA's playbooks do; `volumes` may differ."""
    volumes = dict(rank.intent.volumes)
    targets = {target.split(":")[0].rstrip("/") for target in volumes.values()}
    if not rank.intent.model.startswith("/") and HUB_CACHE not in targets:
        volumes[f"{home(rank.user)}/.cache/huggingface"] = HUB_CACHE
    return [["--volume", f"{host}:{target}"] for host, target in sorted(volumes.items())]


def home(user: str) -> str:
    """A home as useradd makes it; not asked for, so that the file depends on the inventory alone."""
    return "/root" if user == "root" else f"/home/{user}"
