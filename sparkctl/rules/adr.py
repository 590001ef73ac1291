"""ADR: the subnets of the fabric and the addresses around them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, ip_address
from itertools import combinations, islice
from typing import NamedTuple

from sparkctl.fabric import addressing
from sparkctl.fabric.model import Attachment, Fabric
from sparkctl.fabric.ports import PORTS
from sparkctl.fabric.topologies import subnets_needed, topology_of
from sparkctl.fabric.topologies.circle import ASSUMED_PREFIX
from sparkctl.inventory.model import Cluster, Path
from sparkctl.inventory.words import counted, listed, quoted
from sparkctl.rule import Hit, fabric_rule, remove, rule
from sparkctl.rules.nccl import effective

_POOL: Path = ("fabric", "subnet_pool")
_TOPOLOGY: Path = ("fabric", "topology")
_PRIVATE = tuple(IPv4Network(net) for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))  # RFC 1918
_APART = "give each rail a subnet of its own, at all ends of its cable, or leave one out for addresses of the pool"
_AWAY = "choose a `fabric.subnet_pool` away from the addresses that are kept"
_EQUAL = "give subnets of one length to all rails in `addresses`: NCCL compares the bits of the shortest"
_LENGTHS = tuple(str(length) for length in range(33))
_COMMON = {  # facts ff23
    "home routers and NVIDIA's own scripts": (IPv4Network("192.168.0.0/24"), IPv4Network("192.168.1.0/24")),
    "Docker's default bridge": (IPv4Network("172.17.0.0/16"),),
}


def pool_of(cluster: Cluster) -> IPv4Network | None:
    """The pool as a private network, None when it is none: then ADR001 says so, and nothing else is said of it."""
    pool = _network(cluster.fabric.subnet_pool)
    return pool if pool is not None and _is_private(pool) else None


def _network(text: str) -> IPv4Network | None:
    try:
        return IPv4Network(text)
    except ValueError:
        return None


def _is_private(pool: IPv4Network) -> bool:
    return any(pool.subnet_of(private) for private in _PRIVATE)


def addresses(cluster: Cluster) -> Iterator[tuple[Path, str, IPv4Address | IPv6Address]]:
    """Management addresses of nodes and switches that are literal, with their place and whose they are."""
    for rank, node in enumerate(cluster.nodes):
        literal = parse_address(node.address)
        if literal is not None:
            yield ("nodes", rank, "address"), f"node `{node.name}`", literal
    for index, switch in enumerate(cluster.switches):
        literal = parse_address(switch.address or "")
        if literal is not None:
            yield ("switches", index, "address"), f"switch `{switch.name}`", literal


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """A literal address, None for a host name."""
    try:
        return ip_address(text)
    except ValueError:
        return None


@rule("ADR001", "error", "subnet_pool is not a private IPv4 network", "RFC 1918")
def pool_is_private(cluster: Cluster) -> Iterator[Hit]:
    """A network, not a host of one, and from the private ranges."""
    pool, text = _network(cluster.fabric.subnet_pool), cluster.fabric.subnet_pool
    if pool is None:
        yield Hit(_POOL, *_no_network(text))
    elif not _is_private(pool):
        yield Hit(
            _POOL,
            f"{pool} is not private",
            "take it from 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16, such as 10.20.0.0/16",
        )


def _no_network(text: str) -> tuple[str, str]:
    try:
        network = IPv4Network(text, strict=False)
    except ValueError:
        return f"{quoted(text)} is not an IPv4 network", "write one such as 10.20.0.0/16"
    return f"{quoted(text)} is a host in a network, not a network", f"write {network}"


@rule(
    "ADR002",
    "error",
    "subnet_pool is too small",
    "one /24 per rail per cable, or per rail of a switch: facts pp5.2",
    layer="room",
)
def pool_has_room(cluster: Cluster) -> Iterator[Hit]:
    """Enough subnets for all rails, each long enough for all host numbers."""
    pool, topology = pool_of(cluster), topology_of(cluster)
    if pool is None or topology is None:
        return
    prefix = addressing.prefix_length(len(cluster.nodes))
    needed, has = subnets_needed(topology.segments(cluster), cluster), addressing.capacity(pool, prefix)
    if needed > has:
        held = f"{pool} holds {counted(has, 'subnet')} of length /{prefix}"
        said = f"{held}; the cables and rails of this fabric need {needed}"
        yield Hit(_POOL, said, f"take a pool of length /{prefix - (needed - 1).bit_length()} or shorter")


@fabric_rule("ADR003", "error", "two netdevs of a node in one subnet", "facts ff5 and B3")
def netdevs_are_apart(cluster: Cluster, fabric: Fabric) -> Iterator[Hit]:
    """For the kernel, and for NCCL, which compares as many bits as NCCL_IB_SUBNET_PREFIX_LEN says."""
    pairs = (pair for node in cluster.nodes if cluster.kept for pair in combinations(fabric.of(node.name), 2))
    shared = [pair for pair in pairs if _overlap(*pair)]
    for a, b in shared:
        said = f"{a.netdev} ({a.address}) and {b.netdev} ({b.address}) of `{a.node}` are in one subnet"
        yield Hit(_blamed(cluster, a, b), f"{said}: routing takes one of them for both", _parted(cluster, a, b))
    if not shared:
        yield from _apart_for_nccl(cluster, fabric)


def _overlap(a: Attachment, b: Attachment) -> bool:
    return a.address.network.overlaps(b.address.network)


def _apart_for_nccl(cluster: Cluster, fabric: Fabric) -> Iterator[Hit]:
    setting = effective(cluster, "NCCL_IB_SUBNET_PREFIX_LEN")
    length = int(setting.value) if setting.value in _LENGTHS else ASSUMED_PREFIX
    if effective(cluster, "NCCL_IB_SUBNET_AWARE_ROUTING").value != "1":
        return  # NCCL compares no subnets then
    for node in cluster.nodes:
        seen: dict[IPv4Network, str] = {}
        for attachment in fabric.of(node.name):
            near = attachment.address.network.supernet(new_prefix=min(length, attachment.address.network.prefixlen))
            other = seen.setdefault(near, attachment.netdev)
            if other != attachment.netdev:
                said = (
                    f"with prefix length {length}, NCCL takes {other} and {attachment.netdev} of `{node.name}` for one"
                )
                unset = remove("remove it: sparkctl sets what its subnets need")
                remedy = unset if setting.path != _TOPOLOGY else _EQUAL
                yield Hit(setting.path, f"{said}: both are in {near}", remedy)
                return


@fabric_rule("ADR004", "error", "a fabric subnet contains a management address", "facts ff23")
def management_is_elsewhere(cluster: Cluster, fabric: Fabric) -> Iterator[Hit]:
    """Traffic to a management address inside a fabric subnet would leave by the fabric."""
    subnets = set(fabric.subnets)
    prefixes = {subnet.prefixlen for subnet in subnets}
    for path, owner, literal in addresses(cluster):
        around = {IPv4Network((int(literal), length), strict=False) for length in prefixes if literal.version == 4}
        for subnet in sorted(around & subnets):
            said = f"{literal} of {owner} lies in {subnet}, which the fabric uses"
            kept = any(subnet == address.network for address in cluster.kept.values())
            change = "give this rail another subnet in `addresses`" if kept else "choose another `fabric.subnet_pool`"
            yield Hit(path, said, f"{change}, away from the management network")


@rule("ADR005", "warning", "fabric addresses overlap a network that is in common use", "facts ff23")
def networks_are_uncommon(cluster: Cluster) -> Iterator[Hit]:
    """Home routers and Docker use these; the overlap shows only on some nodes."""
    pool = pool_of(cluster)
    places = {one.address.network: one.path for one in reversed(list(kept(cluster)))}
    for user, networks in _COMMON.items():
        common = [network for network in networks if pool is not None and pool.overlaps(network)]
        if common:
            said = f"{pool} overlaps {listed(common)}, in common use by {user}"
            yield Hit(_POOL, said, "prefer a pool such as 10.20.0.0/16")
        for own, path in places.items():
            common = [network for network in networks if own.overlaps(network)]
            if common:
                said = f"{own} overlaps {listed(common)}, in common use by {user}"
                yield Hit(path, said, "see that no node is on such a network, or give this rail another subnet")


@rule("ADR006", "error", "an address that no machine can have, or that two things have", "RFC 5735, RFC 6890")
def addresses_are_usable(cluster: Cluster) -> Iterator[Hit]:
    """Not loopback, link-local, multicast, unspecified or broadcast; a switch's address is its own."""
    seen: dict[object, str] = {}
    for path, owner, literal in addresses(cluster):
        fault = _fault(literal)
        if fault:
            yield Hit(path, f"{literal} of {owner} is {fault}", "write the address at which SSH reaches it from here")
        elif path[0] == "switches" and literal in seen:
            yield Hit(path, f"{literal} of {owner} is the address of {seen[literal]}", "give each its own address")
        seen.setdefault(literal, owner)


def _fault(literal: IPv4Address | IPv6Address) -> str | None:
    named = (
        (literal.is_unspecified, "the unspecified address"),
        (literal.is_loopback, "a loopback address"),
        (literal.is_link_local, "a link-local address"),
        (literal.is_multicast, "a multicast address"),
        (literal == IPv4Address("255.255.255.255"), "the broadcast address"),
    )
    return next((words for is_so, words in named if is_so), None)


# --- addresses that are kept ------------------------------------------------------------------------------------


class Kept(NamedTuple):
    """One address of `addresses`, with its place in the file."""

    path: Path
    node: str
    port: str
    rail: str
    address: IPv4Interface

    def __str__(self) -> str:
        return f"{self.address} of `{self.node}:{self.port}`, rail {self.rail},"


def kept(cluster: Cluster) -> Iterator[Kept]:
    """All of them, in the order of the nodes."""
    for node in cluster.nodes:
        for (port, rail), address in node.addresses.items():
            yield Kept(("nodes", node.rank, "addresses", port, rail), node.name, port, rail, address)


@rule("ADR007", "error", "an address of `addresses` that no netdev can keep", "RFC 919, RFC 1918, RFC 3021, RFC 6890")
def kept_addresses_are_usable(cluster: Cluster) -> Iterator[Hit]:
    """A host with peers in its subnet, and not from the ranges that mean something else."""
    for one in kept(cluster):
        network = one.address.network
        fault = _fault(one.address.ip) or _no_host(one.address)
        if fault and one.address.ip in _outer(network):
            remedy = f"write a host of it, such as {network[1]}/{network.prefixlen}"
            yield Hit(one.path, f"{one} is {fault}", remedy)
        elif fault:
            yield Hit(one.path, f"{one} is {fault}", "write what `ip -4 addr` shows there, or leave it out")
        elif not _is_private(network):
            remedy = "hosts of the internet may have it: move to 10.0.0.0/8 when you can"
            yield Hit(one.path, f"{one} is not in a private network", remedy, "warning")


def _no_host(address: IPv4Interface) -> str | None:
    network = address.network
    if address.ip in _outer(network):
        return f"the {'network' if address.ip == network[0] else 'broadcast'} address of {network}"
    if address.ip.is_reserved:
        return "a reserved address"
    return None if 8 <= network.prefixlen <= 31 else f"in a subnet of length /{network.prefixlen}, which no rail has"


def _outer(network: IPv4Network) -> tuple[IPv4Address, ...]:
    """The network and broadcast address, which a /31 does not have (RFC 3021)."""
    return (network[0], network[-1]) if 8 <= network.prefixlen <= 30 else ()


@fabric_rule("ADR008", "error", "an address of `addresses` on a port or rail without a use", "it would not be set")
def kept_addresses_are_used(cluster: Cluster, fabric: Fabric) -> Iterator[Hit]:
    """A cable is in the port, and the rail is one of `fabric.rails`."""
    used = {(a.node, a.half.port) for a in fabric.attachments}
    rails = {a.rail for a in fabric.attachments}
    idle: dict[Path, Kept] = {}
    for one in kept(cluster):
        if (one.node, one.port) not in used:
            idle.setdefault(one.path[:-1], one)
        elif one.rail not in rails:
            said = f"{one} is on a rail that is not used: `fabric.rails` is A"
            yield Hit(one.path, said, f"remove `{one.rail}` here, or write `rails: both`")
    for path, one in idle.items():
        free = [port for port in PORTS if (one.node, port) in used and (one.node, port, one.rail) not in cluster.kept]
        remedy = f"did you mean `{free[0]}`?" if free else f"remove `{one.port}` here, or write its cable in `links`"
        yield Hit(path, f"`{one.node}:{one.port}` has no cable in `links`, and keeps an address", remedy)


@fabric_rule("ADR009", "error", "two ends of a cable in different subnets", "facts ff5")
def ends_agree(cluster: Cluster, fabric: Fabric) -> Iterator[Hit]:
    """Where one end keeps its address, all that it reaches are in its subnet; of a switch too."""
    strayed = {one.node for one in kept(cluster) if one.port not in {a.half.port for a in fabric.of(one.node)}}
    for ends in fabric.rails if cluster.kept else ():
        first = next((end for end in ends if _place(cluster, end)), None)
        for end in ends if first else ():
            if first and end.address.network != first.address.network and end.node not in strayed:  # else ADR008's
                own = "" if _place(cluster, end) else ", of the pool"
                said = f"`{end.node}:{end.half.port}` has {end.address} on rail {end.rail}{own}"
                other = f"`{first.node}:{first.half.port}`, at the other end, is in {first.address.network}"
                remedy = _joined(end, ends, first.address.network)
                yield Hit(_blamed(cluster, first, end), f"{said}, and {other}", remedy)


def _joined(end: Attachment, ends: Sequence[Attachment], network: IPv4Network) -> str:
    """What to write for an end that is to be in `network`: its own host there, or one that is free."""
    taken = {other.address.ip for other in ends if other is not end}
    hosts = (end.address.ip, *islice(network.hosts(), len(taken) + 1))
    free = next((ip for ip in hosts if ip in network and ip not in (*taken, *_outer(network))), None)
    wanted = f"{{{end.half.port}: {{{end.rail}: {free}/{network.prefixlen}}}}}"
    return f"write `addresses: {wanted}` for `{end.node}`" if free else f"{network} is full: take a larger one"


@fabric_rule("ADR010", "error", "an address twice, or subnets of two cables that overlap", "facts ff5 and B3")
def kept_addresses_are_distinct(cluster: Cluster, fabric: Fabric) -> Iterator[Hit]:
    """Nothing is in two places; two netdevs of one node are ADR003's."""
    for ends in fabric.rails if cluster.kept else ():
        seen: dict[IPv4Address, Attachment] = {}
        for end in ends:
            first = seen.setdefault(end.address.ip, end)
            if first is not end:
                said = f"{end.address.ip} of `{end.node}` is that of `{first.node}`, too"
                yield Hit(_blamed(cluster, first, end), said, "give each netdev an address of its own")
    for a, b in _overlaps(fabric) if cluster.kept else ():
        ours, theirs = (f"{end.address.network} of `{end.node}:{end.half.port}`" for end in (b, a))
        yield Hit(_blamed(cluster, a, b), f"{ours} overlaps {theirs}, another cable or rail", _parted(cluster, a, b))


def _parted(cluster: Cluster, a: Attachment, b: Attachment) -> str:
    return _APART if _place(cluster, a) and _place(cluster, b) else _AWAY


def _overlaps(fabric: Fabric) -> Iterator[tuple[Attachment, Attachment]]:
    """Pairs of cables or rails without a common node: each with the widest subnet that it lies in."""
    groups = [(ends[0], {end.node for end in ends}) for ends in fabric.rails]
    groups.sort(key=lambda group: (group[0].address.network.network_address, group[0].address.network.prefixlen))
    wide = groups[:1]
    for group in groups[1:]:
        if not _overlap(wide[-1][0], group[0]):
            wide = [group]
        elif not wide[-1][1] & group[1]:
            yield wide[-1][0], group[0]


def _place(cluster: Cluster, end: Attachment) -> Path | None:
    """Where the address of `end` is written; None for one of the pool."""
    place = (end.half.port, end.rail)
    node = cluster.node(end.node)
    return ("nodes", node.rank, "addresses", *place) if place in node.addresses else None


def _blamed(cluster: Cluster, first: Attachment, end: Attachment) -> Path:
    """The later of two places where the fault can be mended."""
    return _place(cluster, end) or _place(cluster, first) or _POOL
