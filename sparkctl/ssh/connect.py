"""Opens one SSH connection: over its jump hosts, every host key on the way checked, keys offered as ssh(1) does."""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import suppress
from dataclasses import dataclass, field

import asyncssh

from sparkctl.commands.shell import hint
from sparkctl.errors import AccessRefused, Unreachable
from sparkctl.inventory.words import visible
from sparkctl.outcome import LONGEST
from sparkctl.ssh.client_keys import Offer, offer
from sparkctl.ssh.known_hosts import Pin, pins, trusted
from sparkctl.ssh.login import ResolvedLogin, resolve_hop
from sparkctl.ssh.passwords import Secrets

CONNECT_SECONDS = 10.0
"""As the peer has it (facts pp5.1)."""
KEEPALIVE_SECONDS, KEEPALIVE_COUNT = 5, 3
"""A dead connection is noticed in 20 s, long before the shortest lease."""
MAX_HOPS = 8
"""Jump hosts that need jump hosts: more than this is a circle in ~/.ssh/config, not a network."""
CONSOLE = "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"
"""Shows a node's own fingerprint; to be typed on its own console."""

_ERRNO = re.compile(r"\[Errno (-?\d+)\] (Connect call failed \([^)]*\))?")
"""Of OSError; what asyncio says of a call that failed is no reason."""


class Ear(asyncssh.SSHClient):
    """Hears why a connection ended, whether that was our own doing, and hands out the keys of one offer."""

    def __init__(self, offered: Offer | None = None) -> None:
        self.reason = ""
        self._left = list(offered.pairs) if offered else []

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncssh; None: it was closed as asked."""
        self.reason = reason(exc) if exc else ""

    def public_key_auth_requested(self) -> asyncssh.SSHKeyPair | None:
        """Called by asyncssh until the node takes one."""
        return self._left.pop(0) if self._left else None


@dataclass
class Line:
    """An open connection, and those to the jump hosts that carry it, nearest first; `busy`: commands that run on it."""

    connection: asyncssh.SSHClientConnection
    ear: Ear
    hops: list[asyncssh.SSHClientConnection] = field(default_factory=list)
    busy: int = 0

    async def close(self) -> None:
        """Drop it at once: a dead one would not answer a polite farewell."""
        await hang_up([*self.hops, self.connection])


async def hang_up(connections: list[asyncssh.SSHClientConnection]) -> None:
    """Drop connections, the innermost first."""
    for connection in reversed(connections):
        connection.abort()
        with suppress(asyncssh.Error, OSError, TimeoutError):
            await asyncio.wait_for(connection.wait_closed(), 1)


async def dial(route: ResolvedLogin, secrets: Secrets) -> Line:
    """A connection to where `route` leads; AccessRefused says why there is none."""
    hops = await jump(route, secrets)
    try:
        connection, ear = await _authenticated(route, secrets, hops[-1] if hops else None)
    except BaseException:
        await hang_up(hops)
        raise
    return Line(connection, ear, hops)


async def jump(route: ResolvedLogin, secrets: Secrets, depth: int = 0) -> list[asyncssh.SSHClientConnection]:
    """Connections to the jump hosts of `route`, each through the one before; none without a ProxyJump."""
    if not route.jump:
        return []
    if depth >= MAX_HOPS:
        raise AccessRefused(f"{route.node}: ProxyJump leads in a circle at {route.jump}", "correct ~/.ssh/config")
    open_ones: list[asyncssh.SSHClientConnection] = []
    try:
        for hop in route.jump.split(","):
            there = await resolve_hop(hop, route)
            if not open_ones:  # as for ssh(1): only the first hop may need jump hosts of its own
                open_ones = await jump(there, secrets, depth + 1)
            connection, _ = await _authenticated(there, secrets, open_ones[-1] if open_ones else None)
            open_ones.append(connection)
    except BaseException:
        await hang_up(open_ones)
        raise
    return open_ones


async def _authenticated(
    route: ResolvedLogin, secrets: Secrets, tunnel: asyncssh.SSHClientConnection | None
) -> tuple[asyncssh.SSHClientConnection, Ear]:
    """Two attempts at most: where the node takes a key that is encrypted, its passphrase is asked in between."""
    known = _known(route)
    for _ in range(1 + len(route.files)):
        offered = await offer(route, secrets)
        try:
            return await _attempt(route, known, offered, tunnel)
        except (asyncssh.Error, asyncssh.KeyImportError, OSError, ValueError) as error:
            if not (offered.wanted and isinstance(error, asyncssh.PermissionDenied)):
                raise refusal(route, known, error) from error
        finally:
            offered.close()
        await secrets.open(offered.wanted[0])
    raise AccessRefused(f"{route.node} ({route.place}): refused every key", _authorise(route))


def _known(route: ResolvedLogin) -> tuple[Pin, ...]:
    if not any(path.is_file() for path in route.pins):
        where = str(route.pins[0]) if route.pins else "(none, by UserKnownHostsFile)"
        raise AccessRefused(f"{route.node}: the known_hosts file {where} is missing", pin_remedy(route))
    try:
        return pins(route.pins, route.checked, route.port)
    except OSError as error:
        raise AccessRefused(
            f"{route.node}: {error.filename} cannot be read: {error.strerror}", "let it be read"
        ) from error


async def _attempt(
    route: ResolvedLogin, known: tuple[Pin, ...], offered: Offer, tunnel: asyncssh.SSHClientConnection | None
) -> tuple[asyncssh.SSHClientConnection, Ear]:
    ear = Ear(offered)
    connection = await asyncssh.connect(
        route.written,
        route.port,
        client_factory=lambda: ear,
        username=route.user,
        known_hosts=trusted(known),
        host_key_alias=route.checked,
        tunnel=tunnel,
        proxy_command=None if tunnel else route.proxy,
        client_keys=None,  # the ear hands them out
        agent_path=None,
        agent_forwarding=False,
        x11_forwarding=False,
        x509_trusted_certs=None,  # neither those nor Kerberos may vouch for a host in place of its pinned key
        gss_host=None,
        config=() if route.own_config else None,
        compression_algs=("zlib@openssh.com", "none"),  # every script repeats most of the one before
        preferred_auth="publickey",
        send_env=(),
        env={},
        request_pty=False,
        connect_timeout=CONNECT_SECONDS,
        login_timeout=CONNECT_SECONDS,
        keepalive_interval=KEEPALIVE_SECONDS,
        keepalive_count_max=KEEPALIVE_COUNT,
    )
    return connection, ear


def pin_remedy(route: ResolvedLogin) -> str:
    """How a host key gets into the pinned file."""
    if "jump host" in route.node:
        return f"connect once with `ssh {route.written}`, compare the fingerprint, and accept it there"
    return (
        "`sparkctl inventory trust`: compare the fingerprint that it shows with that of "
        f"`{CONSOLE}` on the node's own console"
    )


def refusal(route: ResolvedLogin, known: tuple[Pin, ...], error: Exception) -> AccessRefused:
    """What an error on the way to a node means, in words."""
    where = f"{route.node} ({route.place})"
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return _key_refusal(route, known, where)
    if isinstance(error, asyncssh.PermissionDenied):
        return AccessRefused(f"{where}: refused {_keys(route)}", _authorise(route))
    if isinstance(error, asyncssh.DisconnectError) and "Too many authentication failures" in str(error):
        message = f"{where}: the agent offered more keys than the node lets one try"
        return AccessRefused(message, "name the right one: ssh.identity_file in the inventory")
    remedy = "is it switched on, and is the address right?"
    return Unreachable(f"{where}: cannot be reached: {reason(error)}", remedy)


def reason(error: Exception) -> str:
    """Why, in words: neither a class nor a number."""
    if isinstance(error, TimeoutError) and not str(error):
        return f"no answer within {CONNECT_SECONDS:.0f} s"
    said = _ERRNO.sub(lambda found: os.strerror(int(found[1])) if found[2] else "", str(error))
    return visible(said)[:LONGEST] or "it closed the connection"


def _keys(route: ResolvedLogin) -> str:
    if route.named:
        return route.files[0]
    return "the keys of the agent and of ~/.ssh" if route.agent else "the keys of ~/.ssh (no agent runs)"


def _authorise(route: ResolvedLogin) -> str:
    return f"put the public half of the right key into ~{route.user}/.ssh/authorized_keys"


def _key_refusal(route: ResolvedLogin, known: tuple[Pin, ...], where: str) -> AccessRefused:
    """A key that differs from the pinned one is an alarm; none at all is a job to do."""
    held = [pin for pin in known if pin.marker != "revoked" and not pin.loose]
    if held:
        message = f"{where}: its host key is not the one in {held[0].path}: another machine, or it was reinstalled"
        return AccessRefused(message, f"if it was reinstalled: {hint('inventory', 'trust', '--replace', route.node)}")
    first = next(path for path in route.pins if path.is_file())
    return AccessRefused(f"{where}: no host key for it in {first}", pin_remedy(route))
