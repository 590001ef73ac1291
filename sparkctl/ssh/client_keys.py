"""The keys to offer to a node, in the order of ssh(1): of the agent first, then of files; a file is never copied."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from sparkctl.errors import AccessRefused
from sparkctl.ssh.login import ResolvedLogin
from sparkctl.ssh.passwords import Secrets

NOT_A_KEY = "neither a private key that can be read nor a public one"


class PublicPair(asyncssh.SSHKeyPair):
    """A public key alone: where the file holds no other, it names a key of the agent."""

    def __init__(self, public: asyncssh.SSHKey, path: str | None = None) -> None:
        kinds = public.sig_algorithms
        super().__init__(public.algorithm, public.algorithm, kinds, kinds, public.public_data, path)


class SealedPair(PublicPair):
    """The public half of an encrypted file. Where a node would take it, it is noted as wanted, and not signed with."""

    def __init__(self, public: asyncssh.SSHKey, path: str, wanted: list[str]) -> None:
        super().__init__(public, path)
        self._path, self._wanted = path, wanted

    async def sign_async(self, data: bytes) -> bytes:
        """Called by asyncssh once the node has said that it takes this key."""
        self._wanted.append(self._path)
        raise ValueError(f"{self._path} is encrypted")


@dataclass
class Offer:
    """Keys for one attempt, and what was learnt in it: the encrypted files that the node would take."""

    pairs: list[asyncssh.SSHKeyPair] = field(default_factory=list)
    wanted: list[str] = field(default_factory=list)
    agent: asyncssh.SSHAgentClient | None = None

    def close(self) -> None:
        """Leave the agent."""
        if self.agent is not None:
            self.agent.close()


async def offer(route: ResolvedLogin, secrets: Secrets) -> Offer:
    """What to offer at `route`. AccessRefused: the key that the inventory names cannot be used."""
    made = Offer()
    agent_pairs = await _of_agent(route, made)
    publics: list[bytes] = []
    local: list[asyncssh.SSHKeyPair] = []
    for path in route.files:
        found = await _of_file(path, route, secrets, made.wanted)
        publics += [pair.key_public_data for pair in found]
        local += found
    held = {pair.key_public_data for pair in agent_pairs}
    first = [pair for pair in agent_pairs if pair.key_public_data in publics]
    others = [] if route.only else [pair for pair in agent_pairs if pair.key_public_data not in publics]
    rest = [pair for pair in local if pair.key_public_data not in held and type(pair) is not PublicPair]
    made.pairs = [*first, *others, *rest]
    return made


async def _of_agent(route: ResolvedLogin, made: Offer) -> list[asyncssh.SSHKeyPair]:
    """Those of a running agent; one that does not answer has none, as for ssh(1)."""
    if route.agent is None:
        return []
    made.agent = asyncssh.SSHAgentClient(route.agent)
    try:
        return list(await made.agent.get_keys())
    except (ValueError, OSError):
        return []


async def _of_file(path: str, route: ResolvedLogin, secrets: Secrets, wanted: list[str]) -> list[asyncssh.SSHKeyPair]:
    opened = secrets.key(path)
    try:
        if opened is not None:
            return _pairs(opened, path)
        return await asyncio.to_thread(_read, path, wanted)
    except (OSError, ValueError) as error:
        if route.named:
            raise AccessRefused(
                f"{route.node} ({route.place}): cannot use the key {path}: {error}", "name another one"
            ) from error
        return []  # a file of the default list or of ~/.ssh/config that cannot be used is passed over, as ssh does


def _read(path: str, wanted: list[str]) -> list[asyncssh.SSHKeyPair]:
    try:
        return list(asyncssh.load_keypairs(path))
    except asyncssh.KeyImportError as error:
        encrypted = str(error).startswith("Passphrase")
        public = _public(path)
    if not encrypted and public is None:
        raise ValueError(NOT_A_KEY)
    if public is None:  # an old format that does not show its public half: nothing to offer before it is opened
        wanted.append(path)
        return []
    return [SealedPair(public, path, wanted) if encrypted else PublicPair(public)]


def _public(path: str) -> asyncssh.SSHKey | None:
    for candidate in (f"{path}.pub", path):
        try:
            return asyncssh.read_public_key(candidate)
        except (OSError, ValueError):
            continue
    return None


def _pairs(key: asyncssh.SSHKey, path: str) -> list[asyncssh.SSHKeyPair]:
    """With the certificate that lies beside the file, if there is one."""
    certificate = f"{path}-cert.pub"
    return list(asyncssh.load_keypairs([(key, certificate)] if Path(certificate).is_file() else [key]))
