"""Listens on the fabric ports of nodes that no inventory names yet: host keys checked, one command, nothing changed."""

from __future__ import annotations

import secrets as entropy
from collections.abc import Mapping, Sequence

from sparkctl.discovery.cabling import Seen, names_of
from sparkctl.errors import AccessRefused
from sparkctl.fabric.ports import NETDEVS
from sparkctl.facts import links, neighbours
from sparkctl.facts.base import Probe, answers, batch, parsed
from sparkctl.outcome import Fact, Known, Ok, Unknown
from sparkctl.report.events import Observer, silent
from sparkctl.ssh.connect import CONSOLE
from sparkctl.ssh.fleet import Fleet, problem
from sparkctl.ssh.host_keys import Standing, look, pinned_lines
from sparkctl.ssh.login import Login

SECONDS = 4.0
"""How long all nodes call and listen: nobody knows whom to wait for, and not all begin at the same moment."""
HOSTNAME = Probe("hostname", ("cat", "/proc/sys/kernel/hostname"))
LONGEST = 255
"""Characters of a host name, by POSIX."""


async def discover(logins: Sequence[Login], observer: Observer = silent) -> tuple[Seen, ...]:
    """What every node is and heard, in the order given; AccessRefused when one cannot be asked."""
    users = _trusted(await look(logins))
    fleet, token = Fleet.of(logins, observer), entropy.token_hex(8)
    labels = {login.node: f"n{number}" for number, login in enumerate(logins, start=1)}
    try:
        await fleet.connect()  # first, so that all nodes call at the same time
        asked = {node: batch(_probes(token, label)) for node, label in labels.items()}
        results = await fleet.ask("call and listen on every fabric port", asked)
    finally:
        await fleet.close()
    deaf = [f"{node}: {problem(result)}" for node, result in results.items() if not isinstance(result, Ok)]
    if deaf:
        raise AccessRefused("these could not be read:\n  " + "\n  ".join(deaf), "try again; nothing was changed")
    said = [answers(result.stdout) for result in results.values() if isinstance(result, Ok)]
    names = names_of([_hostname(one) for one in said])
    by_label = dict(zip(labels.values(), names, strict=True))
    rows = zip(logins, users, names, said, strict=True)
    return tuple(_seen(login, user, name, one, by_label) for login, user, name, one in rows)


def _probes(token: str, label: str) -> tuple[Probe, ...]:
    hellos = neighbours.probe(token, label, dict.fromkeys(NETDEVS, ()), SECONDS)
    return (HOSTNAME, links.PROBE, neighbours.LLDP_PROBE, hellos)


def _hostname(said: Mapping[str, Fact[str]]) -> str:
    fact = said.get("hostname")
    return fact.value.strip()[:LONGEST] if isinstance(fact, Known) else ""


def _seen(login: Login, user: str, name: str, said: Mapping[str, Fact[str]], by_label: Mapping[str, str]) -> Seen:
    def answer(probe: str) -> Fact[str]:
        return said.get(probe, Unknown("the node did not answer this"))

    hellos = parsed(answer("hellos"), neighbours.parse)
    if isinstance(hellos, Known):
        named = (h for h in hellos.value if h.node in by_label)
        hellos = Known(tuple(neighbours.Hello(h.netdev, by_label[h.node], h.sender) for h in named))
    return Seen(
        name=name,
        hostname=_hostname(said),
        address=login.host,
        port=login.port,
        user=user,
        netdevs=parsed(answer("links"), links.parse),
        hellos=hellos,
        lldp=parsed(answer("lldp"), neighbours.parse_lldp),
    )


def _trusted(standings: Sequence[Standing]) -> list[str]:
    """Whom to log in as on each node; AccessRefused for every key that is not pinned."""
    silent_ones = [standing.problem for standing in standings if standing.problem is not None]
    if silent_ones:
        raise AccessRefused("\n  ".join(error.message for error in silent_ones), "are they switched on?")
    unknown = [standing for standing in standings if standing.state not in ("pinned", "authority")]
    if unknown:
        lines = "\n  ".join(map(_complaint, unknown))
        remedy = (
            f"compare with `{CONSOLE}` on each node's own console; if it is the same, accept it: {_accept(unknown[0])}"
        )
        raise AccessRefused(f"host keys that are not trusted:\n  {lines}", remedy)
    return [standing.route.user for standing in standings if standing.route is not None]


def _complaint(standing: Standing) -> str:
    if standing.state == "new":
        return f"{standing.node}: no key of it is known; it shows {standing.shown}"
    if standing.state == "revoked":
        return f"{standing.node}: shows the key {standing.shown}, which is REVOKED"
    return f"{standing.node}: ITS HOST KEY HAS CHANGED: it shows {standing.shown}\n{pinned_lines(standing)}"


def _accept(standing: Standing) -> str:
    """The ssh command that asks a person for one of the keys."""
    route = standing.route
    if route is None:
        return "ssh USER@HOST"
    file = f"-o UserKnownHostsFile={route.pins[0]} " if route.pins and route.pins[0].name != "known_hosts" else ""
    port = f"-p {route.port} " if route.port != 22 else ""
    return f"ssh {file}{port}{route.user}@{route.written} true"
