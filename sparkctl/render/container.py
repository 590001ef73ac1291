"""The `docker run` line of a rank, as groups of words: one group is one line of engine.sh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sparkctl.engines import Rank, engine_of
from sparkctl.engines.base import HUB_CACHE, home, targets
from sparkctl.engines.flags import positional

Groups = list[list[str]]

# NCCL, Gloo and engines open dynamic ports on the node's addresses (facts A4), and ranks share memory. No --privileged.
HOST: Groups = [["--network", "host"], ["--ipc", "host"]]
LIMITS: Groups = [["--ulimit", "memlock=-1"], ["--ulimit", "nofile=1048576:1048576"]]  # facts ff36
# What RDMA needs of a container: its devices, and to pin memory (facts ff36).
RDMA: Groups = [["--device", "/dev/infiniband"], ["--cap-add", "IPC_LOCK"]]
KEY = "/run/sparkctl/api.key"


def container_words(rank: Rank, argv: Sequence[str]) -> Groups:
    """The engine's words become the entrypoint and its arguments."""
    image = positional(rank.intent.runtime.docker or "")
    start = [["docker", "run", "--rm", "--name", rank.names.container]]
    entry, words = _keyed(rank, argv) if rank.intent.api_key_file else (argv[0], argv[1:])
    program = [["--entrypoint", entry], *flag_groups([image, *words])]
    return start + _surroundings(rank) + _volumes(volumes(rank)) + _key(rank) + program


def trial_words(rank: Rank, name: str, argv: Sequence[str]) -> Groups:
    """The same container for a program that comes on stdin and ends by itself.

    No key, no cache of models, and no download of 20 GB. Groups are of no use here, but the form is the same.
    """
    start = [["docker", "run", "--rm", "--interactive", "--pull", "never", "--name", name]]
    program = [["--entrypoint", argv[0]], [positional(rank.intent.runtime.docker or ""), *argv[1:]]]
    return start + _surroundings(rank) + _volumes(rank.intent.volumes) + program


def _surroundings(rank: Rank) -> Groups:
    """What decides which network the ranks find, and how fast it is."""
    gpus = [["--gpus", "all"]] if rank.intent.accelerator == "gpu" else []
    rdma = RDMA if rank.cluster.fabric.transport == "roce" else []
    return HOST + LIMITS + gpus + rdma + [["--env-file", rank.names.nccl], ["--env-file", rank.names.environment]]


def flag_groups(words: Sequence[str]) -> Groups:
    """The words with every flag at the head of a group of its own."""
    groups: Groups = [[]]
    for word in words:
        if word.startswith("--"):
            groups.append([])
        groups[-1].append(word)
    return groups


def _key(rank: Rank) -> Groups:
    """No --volume: for that docker makes a folder where there is no file."""
    mount = f"type=bind,source={rank.names.key},target={KEY},readonly"
    return [["--mount", mount]] if rank.intent.api_key_file else []


def _keyed(rank: Rank, argv: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The key is read inside: docker keeps a variable in the container's settings, where `docker inspect` shows it."""
    variable = engine_of(rank.intent.kind).api_key_variable
    return "/bin/sh", ("-c", f'{variable}=$(cat {KEY}) && export {variable} && exec "$@"', "sh", *argv)


def volumes(rank: Rank) -> dict[str, str]:
    """A hub model is kept where the login user's own downloads are, as NVIDIA's playbooks do; `volumes` may differ."""
    chosen = dict(rank.intent.volumes)
    if not rank.intent.model.startswith("/") and HUB_CACHE not in targets(rank.intent):
        chosen[f"{home(rank.user)}/.cache/huggingface"] = HUB_CACHE
    return chosen


def _volumes(chosen: Mapping[str, str]) -> Groups:
    return [["--volume", f"{host}:{target}"] for host, target in sorted(chosen.items())]
