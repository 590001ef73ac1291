"""Host keys of nodes that may not be known yet: asked without logging in, judged by the pinned files, then pinned."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import asyncssh

from sparkctl.errors import AccessRefused, Refused, SparkctlError, UsageError
from sparkctl.ssh.connect import CONNECT_SECONDS, hang_up, jump, reason
from sparkctl.ssh.known_hosts import Pin, append, drop, line_of, pins
from sparkctl.ssh.login import Login, ResolvedLogin, refuse_documentation, resolve

KINDS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
"""In the order in which ssh(1) prefers them; one key per node is asked for and pinned."""
State = Literal["pinned", "new", "changed", "revoked", "authority", "silent"]


@dataclass(frozen=True)
class Standing:
    """The host key that a node showed, and what the pinned files say about it. `silent`: none, for `problem`."""

    node: str
    state: State
    route: ResolvedLogin | None = None
    key: asyncssh.SSHKey | None = None
    known: tuple[Pin, ...] = ()
    problem: SparkctlError | None = None

    @property
    def fingerprint(self) -> str:
        """`SHA256:...`; empty when the node showed no key."""
        return self.key.get_fingerprint() if self.key else ""

    @property
    def shown(self) -> str:
        """As `ssh-keygen -lf` shows it, but for the comment."""
        return described(self.key) if self.key else ""


def described(key: asyncssh.SSHKey) -> str:
    """Bits, fingerprint and kind of a key."""
    kind = key.get_algorithm()
    name = "ED25519" if kind == "ssh-ed25519" else "ECDSA" if kind.startswith("ecdsa") else "RSA"
    bits = getattr(key.pyca_key, "key_size", 256)  # an Ed25519 key has one size, and says none
    return f"{bits} {key.get_fingerprint()} ({name})"


async def look(logins: Iterable[Login]) -> tuple[Standing, ...]:
    """Ask every node at once; one that does not answer within the time to connect is silent. Nothing is written."""
    asked = tuple(logins)
    await refuse_documentation(asked)
    return tuple(await asyncio.gather(*map(_standing, asked)))


async def _standing(login: Login) -> Standing:
    try:
        route = await resolve(login)
        known = pins(route.pins, route.checked, route.port)
        key = await _asked(route, known, login)
    except AccessRefused as error:
        return Standing(login.node, "silent", problem=error)
    except (asyncssh.Error, OSError, ValueError) as error:
        problem = AccessRefused(
            f"{login.node} ({login.host}): shows no host key: {reason(error)}", "is it switched on?"
        )
        return Standing(login.node, "silent", problem=problem)
    return Standing(login.node, judged(key, known), route, key, known)


async def _asked(route: ResolvedLogin, known: Sequence[Pin], login: Login) -> asyncssh.SSHKey:
    """A key of the kind that is pinned, if the node has one, so that it is compared with its like."""
    pinned = [kind.decode() for pin in known for kind in pin.key.sig_algorithms]
    kinds = [kind for kind in KINDS if kind in pinned] + [kind for kind in KINDS if kind not in pinned]
    hops = await jump(route, login.secrets)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            key = await asyncssh.get_server_host_key(
                route.written,
                route.port,
                tunnel=hops[-1] if hops else None,
                proxy_command=None if hops else route.proxy,
                server_host_key_algs=kinds,
                config=() if route.own_config else None,
            )
    except TimeoutError:
        raise OSError(f"no answer within {CONNECT_SECONDS:.0f} s") from None
    finally:
        await hang_up(hops)
    if key is None:
        raise ValueError("it names itself by other means than a key")
    return key


def judged(key: asyncssh.SSHKey, known: Iterable[Pin]) -> State:
    """What the lines about a node say of the key that it shows."""
    about = tuple(known)
    markers = [found.marker for found in about if found.key == key]
    if "revoked" in markers:
        return "revoked"
    if "" in markers:
        return "pinned"
    if _plain(about):
        return "changed"
    return "authority" if any(found.marker == "cert-authority" for found in about) else "new"


def _plain(known: Iterable[Pin]) -> list[Pin]:
    """The lines that pin one key and nothing else."""
    return [found for found in known if not found.marker and not found.loose]


def to_pin(standings: Iterable[Standing], expected: Mapping[str, str], replace: Iterable[str]) -> tuple[Standing, ...]:
    """What may be pinned if a person agrees, or has said what to expect. Refused: a key is not what it should be."""
    found, replaceable = tuple(standings), set(replace)
    wrong = [_alarm(s) for s in found if s.state == "revoked" or (s.state == "changed" and s.node not in replaceable)]
    wrong += [
        f"{s.node}: shows {s.fingerprint}, and {expected[s.node]} is expected"
        for s in found
        if s.key is not None and s.node in expected and expected[s.node] != s.fingerprint
    ]
    if wrong:
        remedy = "find out why first: somebody may answer in its place. If it was reinstalled: --replace NODE"
        raise Refused("\n".join(wrong) + "\nnothing was pinned", remedy)
    return tuple(s for s in found if s.state in ("new", "changed"))


def _alarm(standing: Standing) -> str:
    if standing.state == "revoked":
        line = next(pin for pin in standing.known if pin.marker == "revoked" and pin.key == standing.key)
        return f"{standing.node}: shows the key {standing.shown}, which {line} revokes"
    return f"{standing.node}: ITS HOST KEY HAS CHANGED\n  shows  {standing.shown}\n{pinned_lines(standing)}"


def pinned_lines(standing: Standing) -> str:
    """The pins that a changed key contradicts, one line each."""
    return "\n".join(f"  pinned {described(pin.key)} in {pin}" for pin in _plain(standing.known))


def target(standing: Standing) -> Path:
    """The file that a key is pinned into."""
    if standing.route is None or not standing.route.pins:
        remedy = "write known_hosts under ssh in the inventory"
        raise UsageError(f"{standing.node}: UserKnownHostsFile is none, so there is no file to pin into", remedy)
    return standing.route.pins[0]


def pin(chosen: Sequence[Standing]) -> None:
    """Pin the keys that were shown; those that a changed one replaces are taken away first."""
    lines: dict[Path, list[bytes]] = {}
    for standing in chosen:
        route, key = standing.route, standing.key
        if route is not None and key is not None:
            line = line_of(route.checked, route.port, key)
            entries = lines.setdefault(target(standing), [])
            if line not in entries:
                entries.append(line)
    try:
        for standing in chosen:
            if standing.route is not None:
                drop(_plain(standing.known), standing.route.checked, standing.route.port)
        for path, added in lines.items():
            append(path, added)
    except OSError as error:
        raise Refused(f"{error.filename or 'known_hosts'} cannot be written: {error.strerror}", "make room") from error
