"""What nodes heard on their fabric ports, to cables, switches and what a person must check."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Interface
from itertools import combinations
from typing import TypeAlias

from sparkctl.fabric.graph import groups as connected
from sparkctl.fabric.ports import HALVES, PORTS, Half
from sparkctl.fabric.switches import MODELS
from sparkctl.facts.links import Netdev
from sparkctl.facts.neighbours import Hello, Lldp
from sparkctl.inventory.words import counted, listed, visible
from sparkctl.outcome import Fact, Known

Port: TypeAlias = tuple[str, str]
"""A node and its port (p0, p1)."""
BY_NETDEV: Mapping[str, Half] = {half.netdev: half for half in HALVES}
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_PORT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,63}")


@dataclass(frozen=True)
class Seen:
    """One node: how it was reached, what it calls itself, and what its fabric netdevs are and heard.

    `hellos` name nodes by their `name`; LLDP names them by their `hostname`.
    """

    name: str
    hostname: str
    address: str
    port: int
    user: str
    netdevs: Fact[dict[str, Netdev]]
    hellos: Fact[tuple[Hello, ...]]
    lldp: Fact[tuple[Lldp, ...]]

    @property
    def has(self) -> Mapping[str, Netdev]:
        """Its netdevs; none where they could not be read."""
        return self.netdevs.value if isinstance(self.netdevs, Known) else {}

    def of_port(self, port: str) -> dict[str, Netdev]:
        """Those of one fabric port."""
        return {half.netdev: self.has[half.netdev] for half in HALVES if half.port == port and half.netdev in self.has}


@dataclass(frozen=True)
class FoundCable:
    """Two ports that heard one another, and how that is known."""

    a: Port
    b: Port
    how: str


@dataclass(frozen=True)
class FoundSwitch:
    """A switch and what is in each of its ports; `told` False: its ports have names of ours, for nobody told them."""

    name: str
    ports: Mapping[Port, str]
    model: str | None
    told: bool
    how: str


@dataclass(frozen=True)
class Found:
    """All cables, in the order of the nodes; `idle` says of each port without one what it looks like."""

    cables: tuple[FoundCable, ...]
    switches: tuple[FoundSwitch, ...]
    idle: Mapping[Port, str]
    check: tuple[str, ...] = ()
    """What a person must look at."""


def names_of(hostnames: Sequence[str]) -> tuple[str, ...]:
    """What the nodes are called in the inventory: their own names where those are labels and differ, else by number."""
    short = [hostname.partition(".")[0] for hostname in hostnames]
    good = all(_LABEL.fullmatch(name) for name in short) and len({name.lower() for name in short}) == len(short)
    return tuple(short) if good else tuple(f"spark-{number}" for number in range(1, len(short) + 1))


def found(seen: Sequence[Seen]) -> Found:
    """Cables and switches from hellos and LLDP; hellos win, for they are a few seconds old."""
    ear = _Ear(seen)
    groups = ear.groups()
    switched = [group for group in groups if ear.is_switched(group)]
    direct = [group for group in groups if len(group) == 2 and group not in switched]
    cables = [_cable(ear, *group) for group in direct]
    cables += [FoundCable(a, b, "LLDP alone; no hello came through") for a, b in ear.only_lldp(groups)]
    switches = _switches(ear, switched)
    used = {port for cable in cables for port in (cable.a, cable.b)} | {p for s in switches for p in s.ports}
    idle = {port: _looks(one, port[1]) for one in seen for port in _ports(one) if port not in used}
    checks = (*ear.unheard(), *ear.disagreements(), *ear.half_heard(groups), *_doubts(cables, switches, seen, idle))
    ordered = sorted(map(ear.turned, cables), key=lambda cable: ear.place(cable.a))
    return Found(tuple(ordered), tuple(switches), idle, checks)


def _ports(one: Seen) -> tuple[Port, ...]:
    return tuple((one.name, port) for port in PORTS)


class _Ear:
    """The evidence: who heard whom by hello, and whom LLDP names."""

    def __init__(self, seen: Sequence[Seen]) -> None:
        self.seen = seen
        self.order = {one.name: number for number, one in enumerate(seen)}
        self.heard: dict[frozenset[Port], set[str]] = {}
        self.beside: dict[Port, set[Port]] = {}
        self.beyond: dict[Port, list[tuple[str, str]]] = {}
        for one in seen:
            for hello in one.hellos.value if isinstance(one.hellos, Known) else ():
                self._hello(one, hello)
        hostnames = {one.hostname.partition(".")[0].lower(): one.name for one in seen if one.hostname}
        for one in seen:
            for entry in one.lldp.value if isinstance(one.lldp, Known) else ():
                self._lldp(one, entry, hostnames)

    def _hello(self, one: Seen, hello: Hello) -> None:
        here, there = BY_NETDEV.get(hello.netdev), BY_NETDEV.get(hello.sender)
        if here is None or there is None or hello.node not in self.order or hello.node == one.name:
            return
        pair = frozenset({(one.name, here.port), (hello.node, there.port)})
        self.heard.setdefault(pair, set()).add(here.rail)

    def _lldp(self, one: Seen, entry: Lldp, hostnames: Mapping[str, str]) -> None:
        here, node = BY_NETDEV.get(entry.netdev), hostnames.get(entry.system.partition(".")[0].lower())
        if here is None:
            return
        mine, there = (one.name, here.port), BY_NETDEV.get(entry.port)
        if node is not None and there is not None:
            if node != one.name:
                self.beside.setdefault(mine, set()).add((node, there.port))
        elif node is None and (entry.system, entry.port) not in self.beyond.setdefault(mine, []):
            self.beyond[mine].append((entry.system, entry.port))

    def place(self, port: Port) -> tuple[int, str]:
        """For sorting: order of the nodes, then of their ports."""
        return self.order[port[0]], port[1]

    def groups(self) -> list[tuple[Port, ...]]:
        """Ports that hear one another, also by way of others; and those that a switch's LLDP alone speaks to."""
        pairs = [(a, b) for a, b in map(sorted, self.heard)]
        ports = {*self.beyond, *(port for pair in pairs for port in pair)}
        return list(connected(sorted(ports, key=self.place), pairs))

    def is_switched(self, group: Iterable[Port]) -> bool:
        """More than two ports on one wire, or a neighbour that is none of the nodes."""
        ports = tuple(group)
        return len(ports) > 2 or any(port in self.beyond for port in ports)

    def only_lldp(self, groups: Iterable[tuple[Port, ...]]) -> list[tuple[Port, Port]]:
        """Pairs that LLDP names while no hello came to either port."""
        heard = {port for group in groups for port in group}
        pairs = {frozenset((a, b)) for a, others in self.beside.items() for b in others if len(others) == 1}
        ordered = sorted(tuple(sorted(pair, key=self.place)) for pair in pairs if len(pair) == 2 and not pair & heard)
        taken: set[Port] = set()
        kept: list[tuple[Port, Port]] = []
        for a, b in ordered:
            if not {a, b} & taken:
                kept.append((a, b))
                taken |= {a, b}
        return kept

    def turned(self, cable: FoundCable) -> FoundCable:
        """As people write it: p0 first where it leads to p1, else the earlier node first."""
        a, b = sorted((cable.a, cable.b), key=self.place)
        return FoundCable(*((b, a) if (a[1], b[1]) == ("p1", "p0") else (a, b)), cable.how)

    def unheard(self) -> Iterator[str]:
        """Nodes whose evidence is missing."""
        for one in self.seen:
            if not isinstance(one.hellos, Known):
                yield f"{one.name} could not call or listen: {visible(one.hellos.reason)}"
            if not isinstance(one.netdevs, Known):
                yield f"{one.name}: its netdevs could not be read: {visible(one.netdevs.reason)}"
        silent = [one.name for one in self.seen if not isinstance(one.lldp, Known)]
        if silent:
            yield f"no LLDP on {listed(silent)}: cables are known by hello alone, and no switch can be named"

    def disagreements(self) -> Iterator[str]:
        """Where LLDP names another port than the one that was heard; LLDP remembers for two minutes."""
        ports = {port for pair in self.heard for port in pair}
        heard = {port: {p for pair in self.heard if port in pair for p in pair - {port}} for port in ports}
        for port, others in sorted(self.beside.items(), key=lambda item: self.place(item[0])):
            wrong = sorted(others - heard.get(port, set()), key=self.place)
            if wrong and heard.get(port):
                said = listed(map(spelled, sorted(heard[port], key=self.place)))
                yield f"{spelled(port)} heard {said}, and LLDP says {listed(map(spelled, wrong))}: was a cable moved?"
        for port, beyond in sorted(self.beyond.items(), key=lambda item: self.place(item[0])):
            if len({visible(system) for system, _ in beyond}) > 1:
                names = listed(visible(f"{system} {label}") for system, label in beyond)
                yield f"{spelled(port)} has several neighbours by LLDP: {names}"

    def half_heard(self, groups: Iterable[tuple[Port, ...]]) -> Iterator[str]:
        """Behind a switch every port hears all others; where not, something is cut or two cables look like a switch."""
        for group in groups:
            pairs = ((a, b) for a, b in combinations(group, 2) if a[0] != b[0])
            deaf = [f"{spelled(a)} and {spelled(b)}" for a, b in pairs if frozenset((a, b)) not in self.heard]
            if len(group) > 2 and deaf:
                yield f"on one wire, by way of others, and yet not heard by one another: {listed(deaf)}"


def spelled(port: Port) -> str:
    """`spark-1:p0`."""
    return ":".join(port)


def _cable(ear: _Ear, a: Port, b: Port) -> FoundCable:
    rails = ear.heard[frozenset((a, b))]
    agrees = b in ear.beside.get(a, ()) or a in ear.beside.get(b, ())
    how = f"heard by hello on rail{'s' if len(rails) > 1 else ''} {' and '.join(sorted(rails))}"
    return FoundCable(a, b, how + ("; LLDP agrees" if agrees else ""))


def _switches(ear: _Ear, groups: Iterable[Sequence[Port]]) -> list[FoundSwitch]:
    made: list[FoundSwitch] = []
    for group in groups:
        for system, ports in _by_system(ear, group).items():
            made.append(_switch(ear, system, ports, {*ear.order, *(other.name for other in made)}))
    return made


def _by_system(ear: _Ear, group: Sequence[Port]) -> dict[str, list[Port]]:
    """The ports of a group by the switch that LLDP names; one that none is named for is with the first."""
    named = {port: ear.beyond[port][0][0] for port in group if port in ear.beyond}
    first = next(iter(named.values()), "")
    systems: dict[str, list[Port]] = {}
    for port in group:
        systems.setdefault(named.get(port, first), []).append(port)
    return systems


def _switch(ear: _Ear, system: str, ports: Sequence[Port], taken: set[str]) -> FoundSwitch:
    labels = [ear.beyond[port][0][1] for port in ports if port in ear.beyond]
    plain = {port: _plain(ear.beyond[port][0][1]) for port in ports if port in ear.beyond}
    told = len(plain) == len(ports) == len(set(plain.values())) and all(map(_PORT.fullmatch, plain.values()))
    chosen = plain if told else {port: f"port-{number}" for number, port in enumerate(ports, start=1)}
    by = f"LLDP names it {visible(system)[:60]}" if system else "no LLDP from it"
    if labels and not told:
        by += f", its ports {visible(', '.join(labels))[:200]}"
    how = f"{counted(len(ports), 'port')} of the nodes hear one another through it; {by}" if len(ports) > 1 else by
    return FoundSwitch(_called(system, taken), chosen, _model(system, chosen.values()), told, how)


def _plain(label: str) -> str:
    """RouterOS tells a port with its bridge before it (`bridge/qsfp56-dd-1-1`)."""
    last = label.rpartition("/")[2]
    return last if any(last in model.ports for model in MODELS.values()) else label


def _called(system: str, taken: set[str]) -> str:
    wanted = re.sub(r"[^a-z0-9]+", "-", system.lower()).strip("-")[:40].strip("-") or "sw1"
    names = (wanted, *(f"{wanted}-{number}" for number in range(2, len(taken) + 3)))
    return next(name for name in names if name not in taken)


def _model(system: str, ports: Iterable[str]) -> str | None:
    """The only model that has all these ports; its own name decides between two."""
    cabled = set(ports)
    fitting = [id for id, model in MODELS.items() if cabled <= set(model.ports)]
    named = [id for id in fitting if id.split("-")[1] in system.lower()]
    chosen = named or fitting
    return chosen[0] if len(chosen) == 1 else None


def _looks(one: Seen, port: str) -> str:
    """Why nothing is known of the other end of a port."""
    if not isinstance(one.netdevs, Known):
        return "its netdevs could not be read"
    there = one.of_port(port)
    if not there:
        return "no netdev: no cable, or the port is asleep"
    down = [name for name, netdev in there.items() if not netdev.up]
    if down:
        words = "; ".join(f"ip link set {name} up" for name in down)
        return f"{listed(down)} down: nothing can be heard; `{words}` there, and discover again"
    if not any(netdev.carrier for netdev in there.values()):
        return "no carrier: no cable, or its other end is off"
    return "carrier, but none of these nodes was heard: it leads to something else"


def strangers(found: Found, seen: Iterable[Seen]) -> Iterator[Port]:
    """Ports with a carrier at which none of the nodes was heard."""
    idle = ((one, port) for one in seen for port in PORTS if (one.name, port) in found.idle)
    return ((one.name, port) for one, port in idle if any(netdev.carrier for netdev in one.of_port(port).values()))


def _doubts(
    cables: Sequence[FoundCable], switches: Sequence[FoundSwitch], seen: Sequence[Seen], idle: Mapping[Port, str]
) -> Iterator[str]:
    for cable in cables:
        if "LLDP" not in cable.how:
            yield f"{spelled(cable.a)} to {spelled(cable.b)}: a switch without LLDP would look like this cable"
        if "rails" not in cable.how and "rail" in cable.how:
            yield f"{spelled(cable.a)} to {spelled(cable.b)} was heard on one rail only: is the other netdev up?"
    for switch in switches:
        if not switch.told:
            yield f"the ports of {switch.name} have made-up names: write those of the switch"
        if switch.model is None:
            yield f"the model of {switch.name} is not known: with `model`, sparkctl renders its configuration"
    if len(switches) > 1:
        yield "several switches: cables between them cannot be heard; add them to links"
    asleep = [spelled(port) for port, looks in idle.items() if "down" in looks]
    if asleep:
        yield f"{listed(asleep)}: down, so nothing could be heard there"
    lost = [one.name for one in seen if all(port in idle for port in _ports(one))]
    if lost:
        yield f"no cable was found on {listed(lost)}"


def in_use(seen: Iterable[Seen]) -> dict[tuple[str, str], tuple[IPv4Interface, ...]]:
    """IPv4 addresses that are on fabric netdevs now, by node and netdev."""
    used: dict[tuple[str, str], tuple[IPv4Interface, ...]] = {}
    for one in seen:
        for name in BY_NETDEV.keys() & one.has.keys():
            addresses = tuple(interfaces(one.has[name].addresses))
            if addresses:
                used[one.name, name] = addresses
    return used


def interfaces(addresses: Iterable[str]) -> Iterator[IPv4Interface]:
    """Those that are IPv4 addresses."""
    for address in addresses:
        with suppress(ValueError):  # IPv6, or nothing that is an address
            yield IPv4Interface(address)
