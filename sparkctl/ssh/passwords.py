"""What only a person knows: asked when first needed, one question at a time, kept in memory and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import asyncssh

from sparkctl.errors import AccessRefused

Ask: TypeAlias = Callable[[str], Awaitable[str | None]]
"""Puts a question to a person, without echo; None: there is no terminal to ask on."""
Prove: TypeAlias = Callable[[str], Awaitable[bool]]
"""Whether a node takes this password."""

RETRIES = 2
"""After a first wrong answer: three in all, as ssh (NumberOfPasswordPrompts) and sudo (passwd_tries) have it."""


async def nobody(question: str) -> str | None:
    """The Ask of a program that nobody sits in front of."""
    return None


class Secrets:
    """Passwords of sudo and passphrases of key files of one run. Nodes that need one at the same time ask in turn."""

    def __init__(self, ask: Ask = nobody) -> None:
        self._ask = ask
        self._turn = asyncio.Lock()
        self._shared: str | None = None
        self._sudo: dict[str, str] = {}
        self._keys: dict[str, asyncssh.SSHKey | AccessRefused] = {}

    async def sudo(self, node: str, prove: Prove) -> str:
        """The password of sudo on `node`: one for all, and one of its own where the node refuses that."""
        if node in self._sudo:
            return self._sudo[node]
        password = await self._common()
        for _ in range(RETRIES):
            if await prove(password):
                return self._sudo.setdefault(node, password)
            password = await self._own(node)
        if await prove(password):
            return self._sudo.setdefault(node, password)
        raise _wrong_password(node)

    async def _common(self) -> str:
        async with self._turn:
            if self._shared is None:
                answer = await self._ask("sudo password on the nodes: ")
                if answer is None:
                    remedy = "run it from a terminal, or allow sudo without a password and write `sudo: passwordless`"
                    raise AccessRefused("ssh.sudo is `prompt`, and there is no terminal to ask on", remedy)
                self._shared = answer
            return self._shared

    async def _own(self, node: str) -> str:
        async with self._turn:
            answer = await self._ask(f"sudo password on {node} (it refused the one given; empty to stop): ")
        if not answer:
            raise _wrong_password(node)
        return answer

    def key(self, path: str) -> asyncssh.SSHKey | None:
        """The private key of an encrypted file that was opened before."""
        found = self._keys.get(path)
        return found if isinstance(found, asyncssh.SSHKey) else None

    async def open(self, path: str) -> asyncssh.SSHKey:
        """The private key of an encrypted file; its passphrase is asked once. AccessRefused, every time, without it."""
        async with self._turn:
            if path not in self._keys:
                self._keys[path] = await self._opened(path)
        found = self._keys[path]
        if isinstance(found, AccessRefused):
            raise AccessRefused(found.message, found.remedy)
        return found

    async def _opened(self, path: str) -> asyncssh.SSHKey | AccessRefused:
        content, note = Path(path).read_bytes(), ""
        for _ in range(1 + RETRIES):
            passphrase = await self._ask(f"passphrase of {path}{note}: ")
            if passphrase is None:
                return AccessRefused(f"{path} is encrypted, and there is no terminal to ask on", _agent_remedy(path))
            if not passphrase:
                break
            try:
                return await asyncio.to_thread(asyncssh.import_private_key, content, passphrase)
            except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
                note = " (the one given does not open it; empty to stop)"
        return AccessRefused(f"{path} is encrypted, and no passphrase given opens it", _agent_remedy(path))


def _wrong_password(node: str) -> AccessRefused:
    return AccessRefused(f"{node}: sudo refused the password", "try again; passwords may differ from node to node")


def _agent_remedy(path: str) -> str:
    return f'eval "$(ssh-agent)" && ssh-add {path}, then run it again: the agent is asked first'
