"""An inventory as text from what was discovered: every line says how it is known, and what a person must check."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Interface, IPv4Network

from sparkctl.discovery.cabling import Found, Seen, in_use, interfaces, spelled
from sparkctl.discovery.keeping import InUse, Place, keepable, left
from sparkctl.discovery.recabling import recabling
from sparkctl.fabric.addressing import RAILS
from sparkctl.fabric.model import Fabric
from sparkctl.fabric.ports import HALVES, NETDEVS, PORTS, half
from sparkctl.inventory.model import TopologyName
from sparkctl.inventory.resolve import Controller
from sparkctl.inventory.starter import engine_section, usual
from sparkctl.inventory.words import listed, visible
from sparkctl.outcome import Finding
from sparkctl.study import Study, study_text

MTU = 9000
SMALLEST = 1500
"""An MTU that nobody chose: the kernel's."""
POOLS = ("10.20.0.0/16", "10.30.0.0/16", "172.20.0.0/16", "192.168.0.0/16")
"""The first that no address of the nodes lies in; the first of all is the format's own default."""
PRIVATE = tuple(IPv4Network(net) for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
L2MTU = 9216
_BARE = re.compile(r"(?!(?:y|n|yes|no|on|off|true|false|null)$)[A-Za-z][A-Za-z0-9_-]*", re.IGNORECASE)
_ADDRESS = re.compile(r"[0-9]+(?:\.[0-9]+){3}|[A-Za-z][A-Za-z0-9-]*(?:\.[A-Za-z0-9-]+)+")


@dataclass(frozen=True)
class Access:
    """How the nodes were reached, as the inventory is to say it; None: not written."""

    known_hosts: str | None = None
    identity_file: str | None = None
    sudo_asks: bool = False


@dataclass(frozen=True)
class Draft:
    """The text, what the rules say of it, and what a person must check."""

    text: str
    findings: tuple[Finding, ...]
    check: tuple[str, ...]
    topology: TopologyName

    @property
    def settled(self) -> bool:
        """Whether it can be used as it stands."""
        return not any(finding.severity == "error" for finding in self.findings)


@dataclass(frozen=True)
class _Sketch:
    """All of the text but what is tried out: the pool; `kept`: addresses that stay."""

    name: str
    seen: Sequence[Seen]
    found: Found
    access: Access
    topology: TopologyName
    mtu: int
    about_mtu: str
    engine: str
    kept: Mapping[Place, IPv4Interface] = field(default_factory=dict)

    def text(self, pool: IPv4Network, about: str, check: Iterable[str]) -> str:
        parts = (_opening(self, check), _nodes(self), _links(self), _switches(self), _fabric(self, pool, about))
        return "\n".join(filter(None, parts))


def draft(
    name: str,
    seen: Sequence[Seen],
    found: Found,
    access: Access,
    path: str,
    controller: Controller,
    asked: TopologyName | None = None,
    model: str = "",
) -> Draft:
    """The inventory `name`, to lie at `path`; `asked`: a topology to which the cables are to be moved."""
    topology = asked or _topology(found, len(seen))
    engine = engine_section(len(seen), topology, model)
    sketch = _Sketch(name, seen, found, access, topology, *_mtu(found, seen), engine)

    def studied(text: str) -> Study:
        return study_text(text.encode(), path, controller)

    sketch, pool, about, doubt = _pool(sketch, studied)
    moves = recabling(asked, found, seen) if asked else ()
    check = (*found.check, *doubt, *(f"for topology {topology}, {move}" for move in moves))
    text = sketch.text(pool, about, check)
    return Draft(text, studied(text).findings, check, topology)


def _topology(found: Found, nodes: int) -> TopologyName:
    """What the cables make; without any, what so many nodes usually are."""
    if found.switches:
        return "switch"
    if not found.cables or nodes <= 3:
        return usual(nodes)
    return "ring"


def _cabled(found: Found) -> list[tuple[str, str]]:
    ports = [port for cable in found.cables for port in (cable.a, cable.b)]
    return ports + [port for switch in found.switches for port in switch.ports]


def _mtu(found: Found, seen: Sequence[Seen]) -> tuple[int, str]:
    netdevs = {one.name: one.has for one in seen}
    names = [(node, half(port, rail).netdev) for node, port in _cabled(found) for rail in RAILS]
    known = {netdevs[node][name].mtu for node, name in names if name in netdevs[node]}
    used = listed(sorted(known))
    if len(known) == 1 and (only := next(iter(known))) > SMALLEST:
        return only, "in use on every cabled netdev"
    return MTU, f"now {used} on the cabled netdevs" if used else "of no netdev known"


# --- the pool ---------------------------------------------------------------------------------------------------


def _pool(sketch: _Sketch, studied: Callable[[str], Study]) -> tuple[_Sketch, IPv4Network, str, tuple[str, ...]]:
    """One whose plan gives the nodes the addresses that they have; else a free one, and what is kept beside it."""
    used = in_use(sketch.seen)
    for pool in _candidates(used):
        fabric = studied(sketch.text(pool, "", ())).fabric
        if fabric is not None and fits(fabric, used):
            return sketch, pool, "the addresses in use are those of this pool", ()
    pool = _free(sketch.seen)
    if not used:
        return sketch, pool, "no fabric address is in use; must not be in use anywhere in your network", ()
    plain = studied(sketch.text(pool, "", ()))
    keeping = replace(sketch, kept=keepable(plain.fabric, used, _beside(sketch.seen)) if plain.fabric else {})
    if len(studied(keeping.text(pool, "", ())).errors) > len(plain.errors):
        keeping = sketch
    about = "`addresses` come first; must not be in use anywhere in your network"
    return keeping, pool, about if keeping.kept else about.partition("; ")[2], tuple(_lost(keeping, used, plain.fabric))


def _lost(sketch: _Sketch, used: InUse, fabric: Fabric | None) -> Iterator[str]:
    goes, stays = left(used, sketch.kept, fabric)
    if goes:
        why = "no subnet of theirs holds all ends of a rail and nothing else"
        yield f"addresses in use on fabric netdevs that `cluster up` would replace, for {why}: {listed(goes)}"
    if stays:
        yield f"addresses on ports without a cable are left alone: {listed(stays)}"


def _beside(seen: Iterable[Seen]) -> Iterator[IPv4Network]:
    """The networks of all that is not the fabric: management, LAN, bridges."""
    for one in seen:
        shown = (address for name, netdev in one.has.items() if name not in NETDEVS for address in netdev.addresses)
        yield from (interface.network for interface in interfaces((*shown, one.address)))


def fits(fabric: Fabric, used: InUse) -> bool:
    """Whether every planned address is in use, and no other one on a fabric netdev."""
    planned = {(a.node, a.netdev): (a.address,) for a in fabric.attachments}
    return planned == dict(used)


def _candidates(used: InUse) -> Iterator[IPv4Network]:
    """The /16 around each address first, then smaller ones, each once."""
    addresses = sorted({interface.ip for interfaces in used.values() for interface in interfaces})
    private = [ip for ip in addresses[:1] if any(ip in net for net in PRIVATE)]
    for ip in private:
        for length in range(16, 24):
            yield IPv4Network((ip, length), strict=False)


def _free(seen: Iterable[Seen]) -> IPv4Network:
    netdevs = [address for one in seen for netdev in one.has.values() for address in netdev.addresses]
    taken = [interface.network for interface in interfaces((*netdevs, *(one.address for one in seen)))]
    free = (pool for pool in map(IPv4Network, POOLS) if not any(pool.overlaps(network) for network in taken))
    return next(free, IPv4Network(POOLS[0]))


# --- the text ---------------------------------------------------------------------------------------------------


def _opening(sketch: _Sketch, check: Iterable[str]) -> str:
    count = len(sketch.seen)
    lines = [
        f"# {count} DGX Sparks, as `sparkctl inventory discover` found them. Nothing was changed on them.",
        "# Cables are known by raw Ethernet hellos between the nodes, and by LLDP where it runs. A port that is down",
        "# hears nothing. Read every line before you use this; then: `sparkctl validate`, `sparkctl cluster plan`.",
    ]
    listed_checks = [f"#   * {visible(point)}" for point in check]
    lines += ["#", "# To be checked by a person:", *listed_checks] if listed_checks else []
    lines += ["apiVersion: sparkctl/v1", "kind: Cluster", f"metadata: {{name: {_scalar(sketch.name)}}}", _ssh(sketch)]
    return "\n".join(lines)


def _ssh(sketch: _Sketch) -> str:
    users = {one.user for one in sketch.seen}
    access = sketch.access
    lines = [f"  user: {_scalar(next(iter(users)))}"] if len(users) == 1 else []
    if access.identity_file:
        lines.append(f"  identity_file: {json.dumps(access.identity_file)}")
    if access.known_hosts:
        lines.append(f"  known_hosts: {json.dumps(access.known_hosts)} # its pinned host keys were checked")
    lines.append(f"  sudo: {'prompt' if access.sudo_asks else 'passwordless'}")
    return "\nssh:\n" + "\n".join(lines)


def _nodes(sketch: _Sketch) -> str:
    """In the order that was given."""
    shared = len({one.user for one in sketch.seen}) == 1
    lines = [_node(one, shared, _kept(one.name, sketch.kept)) for one in sketch.seen]
    said = "; `addresses` are in use and stay" if sketch.kept else ""
    return f"\nnodes: # order is rank, the first is the head{said}\n" + "\n".join(lines)


def _kept(node: str, kept: Mapping[Place, IPv4Interface]) -> str:
    """`{p1: {A: 10.100.0.1/24}}`, empty where nothing of the node is kept."""
    ports = {port: [h for h in HALVES if h.port == port and (node, h.netdev) in kept] for port in PORTS}
    written = {port: ", ".join(f"{h.rail}: {kept[node, h.netdev]}" for h in halves) for port, halves in ports.items()}
    shown = ", ".join(f"{port}: {{{rails}}}" for port, rails in written.items() if rails)
    return f"{{{shown}}}" if shown else ""


def _node(one: Seen, shared: bool, kept: str) -> str:
    fields = [f"name: {_scalar(one.name)}", f"address: {_scalar(one.address, _ADDRESS)}"]
    fields += [f"port: {one.port}"] if one.port != 22 else []
    fields += [] if shared else [f"user: {_scalar(one.user)}"]
    fields += [f"addresses: {kept}"] if kept else []
    own = one.hostname.partition(".")[0]
    note = f" # calls itself {visible(one.hostname)[:60] or 'nothing'}" if own != one.name else ""
    return f"  - {{{', '.join(fields)}}}{note}"


def _links(sketch: _Sketch) -> str:
    found = sketch.found
    lines = [f"  - [{spelled(cable.a)}, {spelled(cable.b)}] # {cable.how}" for cable in found.cables]
    for switch in found.switches:
        lines += [f"  - {{a: {spelled(port)}, b: {switch.name}:{name}}}" for port, name in switch.ports.items()]
    heading = "\nlinks: # one line per cable" if lines else "\nlinks: [] # no cable was found; write them here"
    idle = [f"  # {spelled(port)}: {visible(looks)}" for port, looks in found.idle.items()]
    return "\n".join([heading, *lines, *idle])


def _switches(sketch: _Sketch) -> str:
    lines = []
    for switch in sketch.found.switches:
        model = f"model: {switch.model}, " if switch.model else ""
        lines.append(f"  # {visible(switch.how)}")
        lines.append(f"  - {{name: {_scalar(switch.name)}, {model}l2mtu: {L2MTU}}} # l2mtu: read it on the switch")
    return "\nswitches:\n" + "\n".join(lines) if lines else ""


def _fabric(sketch: _Sketch, pool: IPv4Network, about: str) -> str:
    experimental = sketch.topology == "ring"
    excuse = " # sparkctl: ignore TOP007 (experimental: prove it with cluster verify)" if experimental else ""
    return f"""
fabric:
  topology: {sketch.topology}{excuse}
  mtu: {sketch.mtu} # {sketch.about_mtu}
  subnet_pool: {pool} # {about}

{sketch.engine}"""


def _scalar(text: str, bare: re.Pattern[str] = _BARE) -> str:
    """Bare where it can be nothing but text, else as JSON spells it."""
    return text if bare.fullmatch(text) else json.dumps(text)
