"""Where a login leads: what the inventory says, and ~/.ssh/config where the inventory says nothing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import asyncssh

from sparkctl.errors import AccessRefused, UsageError
from sparkctl.inventory.words import listed
from sparkctl.ssh.passwords import Secrets

SSH_PORT = 22
DOCUMENTATION = tuple(map(ip_network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")))
"""Source: RFC 5737 and RFC 3849."""
DEFAULT_FILES = ("id_ed25519", "id_ed25519_sk", "id_ecdsa", "id_ecdsa_sk", "id_rsa")
"""Tried where nobody names a key: the files that ssh(1) tries, newest kind first."""


@dataclass(frozen=True)
class Login:
    """How to reach one node, as the inventory says it.

    `own_config`: honour ~/.ssh/config and the agent; `unsaid`: what the inventory leaves to them (`port`, `user`).
    `sudo_asks`: sudo wants a password; `secrets` knows it, and the passphrases.
    """

    node: str
    host: str
    port: int
    user: str
    known_hosts: str | None
    identity_file: str | None
    own_config: bool = True
    unsaid: frozenset[str] = frozenset()
    sudo_asks: bool = False
    secrets: Secrets = field(default_factory=Secrets, repr=False, compare=False)


@dataclass(frozen=True)
class ResolvedLogin:
    """A login after ~/.ssh/config had its say."""

    node: str
    written: str
    host: str
    port: int
    user: str
    checked: str
    pins: tuple[Path, ...]
    files: tuple[str, ...]
    named: bool
    only: bool
    agent: str | None
    jump: str | None = None
    proxy: tuple[str, ...] | None = None
    own_config: bool = True

    @property
    def place(self) -> str:
        """For messages."""
        return f"{self.user}@{self.host}" + (f":{self.port}" if self.port != SSH_PORT else "")


async def resolve(login: Login) -> ResolvedLogin:
    """The route of `login`; AccessRefused when ~/.ssh/config cannot be read."""
    port = None if "port" in login.unsaid and login.own_config else login.port
    user = None if "user" in login.unsaid and login.own_config else login.user
    options = await _options(login.node, login.host, port, user, login.own_config)
    said: Any = options.config
    jump, proxy = said.get("ProxyJump"), said.get("ProxyCommand")
    return ResolvedLogin(
        node=login.node,
        written=login.host,
        host=options.host,
        port=options.port,
        user=options.username,
        checked=options.host_key_alias or options.host,
        pins=(Path(login.known_hosts),) if login.known_hosts else _pins(said),
        files=(login.identity_file,) if login.identity_file else _files(said, login.own_config),
        named=login.identity_file is not None,
        only=login.identity_file is not None or bool(said.get("IdentitiesOnly", False)),
        agent=_agent(said.get("IdentityAgent", "SSH_AUTH_SOCK"), os.environ) if login.own_config else None,
        jump=str(jump) if jump else None,
        # asyncssh would take what it says on stderr for the node's words, and the end of stderr for the end of all
        proxy=("/bin/sh", "-c", f"exec 9>&2 2>/dev/null; exec {proxy}") if proxy else None,
        own_config=login.own_config,
    )


async def refuse_documentation(logins: Iterable[Login]) -> None:
    """UsageError, before anything is dialled, where an address is one that documents use and no machine has."""
    written = [login for login in logins if login.own_config and _documentation(login.host)]
    routes = await asyncio.gather(*map(resolve, written))  # ~/.ssh/config may lead elsewhere
    unreal = list(dict.fromkeys(route.host for route in routes if _documentation(route.host)))
    if unreal:
        kind = "a documentation address" if len(unreal) == 1 else "documentation addresses"
        said = f"{listed(unreal)}: {kind}, which no machine has. Nothing was dialled."
        raise UsageError(said, "write the addresses of your nodes; to rehearse without nodes: `sparkctl lab up`")


def _documentation(host: str) -> bool:
    try:
        return any(ip_address(host) in network for network in DOCUMENTATION)
    except ValueError:  # a name
        return False


async def resolve_hop(hop: str, towards: ResolvedLogin) -> ResolvedLogin:
    """The route of one jump host (`user@host:port`) on the way: wholly as ~/.ssh/config says, as ssh has it.

    Its host key is looked up in the pinned file of the node and in the user's own.
    """
    host, port, user = _split(hop)
    unsaid = frozenset(name for name, value in (("port", port), ("user", user)) if value is None)
    found = await resolve(Login(towards.node, host, port or SSH_PORT, user or "", None, None, unsaid=unsaid))
    every = tuple(dict.fromkeys((*towards.pins, *found.pins)))
    return replace(found, node=f"{towards.node} (jump host {host})", pins=every)


def _split(hop: str) -> tuple[str, int | None, str | None]:
    user, _, place = hop.strip().removeprefix("ssh://").rstrip("/").rpartition("@")
    if place.startswith("["):
        host, _, rest = place[1:].partition("]")
        port = rest.removeprefix(":")
    else:
        host, _, port = place.partition(":")
    if not host or (port and not port.isdecimal()):
        raise AccessRefused(f"ProxyJump {hop}: not [user@]host[:port]", "correct ~/.ssh/config")
    return host, int(port) if port else None, user or None


async def _options(
    node: str, host: str, port: int | None, user: str | None, own_config: bool
) -> asyncssh.SSHClientConnectionOptions:
    """What asyncssh makes of ~/.ssh/config for `host`; no key is read for it."""
    given: dict[str, Any] = {"host": host, "client_keys": None, "x509_trusted_certs": None}
    if port is not None:
        given["port"] = port
    if user is not None:
        given["username"] = user
    try:
        config = () if own_config else None
        return await asyncio.to_thread(asyncssh.SSHClientConnectionOptions, config=config, **given)
    except (ValueError, OSError, asyncssh.Error) as error:
        raise AccessRefused(f"{node}: ~/.ssh/config cannot be used: {error}", "correct that file") from error


def _pins(said: Any) -> tuple[Path, ...]:
    """The known_hosts files; `none` means that no key is known, never that any will do."""
    files = said.get("UserKnownHostsFile", ["~/.ssh/known_hosts", "~/.ssh/known_hosts2"])
    return tuple(Path(name).expanduser() for name in (*files, *said.get("GlobalKnownHostsFile", ())))


def _files(said: Any, own: bool) -> tuple[str, ...]:
    """Key files to try."""
    named = said.get("IdentityFile")
    if named is not None:
        return tuple(str(Path(name).expanduser()) for name in named)
    return tuple(str(Path.home() / ".ssh" / name) for name in DEFAULT_FILES) if own else ()


def _agent(named: str | None, environment: Mapping[str, str]) -> str | None:
    """The socket of the agent; in ssh_config(5) `SSH_AUTH_SOCK` and `$NAME` are variables, all else is a path."""
    if named and (named == "SSH_AUTH_SOCK" or named.startswith("$")):
        return environment.get(named.removeprefix("$")) or None
    return str(Path(named).expanduser()) if named else None
