"""The engine's files on a node: its environment, the script that starts it, the unit that keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import AddressValueError, IPv4Address
from pathlib import PurePosixPath

from sparkctl.engines import Rank, engine_of, variables
from sparkctl.render.artifact import Artifact, EngineCommand, SecretFile
from sparkctl.render.container import container_words, flag_groups
from sparkctl.render.environment import text_of


def engine_command(rank: Rank, nccl: Mapping[str, str]) -> EngineCommand:
    """The words of a rank and its whole environment; what engine.env says wins, as with docker's second --env-file."""
    engine = engine_of(rank.intent.kind)
    env = {**nccl, **variables(rank)}
    waves = engine.start_order(rank.cluster, rank.intent)
    wave = next(i for i, wave in enumerate(waves) if rank.node.name in wave.nodes)
    return EngineCommand(engine.words(rank), dict(sorted(env.items())), wave, waves[wave].ready)


def engine_files(rank: Rank, command: EngineCommand) -> tuple[Artifact, ...]:
    """engine.env, engine.sh and the unit."""
    env = text_of("engines/engine.env.j2", **_shared(rank), variables=variables(rank))
    return (
        Artifact(rank.names.environment, env, 0o644, "engine"),
        Artifact(rank.names.script, _script(rank, command), 0o755, "engine"),
        Artifact(rank.names.unit_file, _unit(rank), 0o644, "engine"),
    )


def engine_secrets(rank: Rank) -> tuple[SecretFile, ...]:
    """The API key, when there is one."""
    key = rank.intent.api_key_file
    return (SecretFile(key, rank.names.key),) if key else ()


def _shared(rank: Rank) -> dict[str, object]:
    key = PurePosixPath(rank.names.key)
    return {
        "cluster": rank.cluster,
        "node": rank.node,
        "secret": str(key) if rank.intent.api_key_file else "",
        "secret_folder": str(key.parent),
        "secret_name": key.name,
        "key_variable": engine_of(rank.intent.kind).api_key_variable,
        "stem": rank.names.container,
    }


def _script(rank: Rank, command: EngineCommand) -> str:
    if rank.intent.runtime.docker is not None:
        words = container_words(rank, command.argv)
        return text_of("engines/docker.sh.j2", **_shared(rank), words=words)
    return text_of(
        "engines/venv.sh.j2",
        **_shared(rank),
        env_files=[rank.names.nccl, rank.names.environment],
        bin=str(PurePosixPath(command.argv[0]).parent),
        words=flag_groups(command.argv),
    )


def _unit(rank: Rank) -> str:
    return text_of(
        "systemd/sparkctl-engine.service.j2",
        **_shared(rank),
        docker=rank.intent.runtime.docker is not None,
        address=_literal(rank.address),
        container=rank.names.container,
        user=rank.user,
        script=rank.names.script,
        policy=engine_of(rank.intent.kind).restart_policy,
    )


def _literal(address: str) -> str:
    """`address` if it is one; a host name (management, on a mesh) is nothing that `ip` could wait for."""
    try:
        return str(IPv4Address(address))
    except AddressValueError:
        return ""
