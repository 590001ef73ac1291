"""ADR: the subnets of the fabric and the addresses around them."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address

from sparkctl.fabric import addressing
from sparkctl.fabric.model import Fabric
from sparkctl.fabric.topologies import subnets_needed, topology_of
from sparkctl.inventory.model import Cluster, Path
from sparkctl.inventory.words import listed, quoted
from sparkctl.rule import Hit, fabric_rule, rule
from sparkctl.rules.nccl import effective

_POOL: Path = ("fabric", "subnet_pool")
_PRIVATE = tuple(IPv4Network(net) for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))  # RFC 1918
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
        said = f"{pool} holds {has} subnet(s) of length /{prefix}; the cables and rails of this fabric need {needed}"
        yield Hit(_POOL, said, f"take a pool of length /{prefix - (needed - 1).bit_length()} or shorter")


@fabric_rule("ADR003", "error", "two netdevs of a node in one subnet", "facts ff5 and B3")
def netdevs_are_apart(cluster: Cluster, fabric: Fabric) -> Iterator[Hit]:
    """The subnets themselves are always apart; NCCL compares as many bits as NCCL_IB_SUBNET_PREFIX_LEN says."""
    setting = effective(cluster, "NCCL_IB_SUBNET_PREFIX_LEN")
    length = int(setting.value) if setting.value in _LENGTHS else 32
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
                yield Hit(setting.path, f"{said}: both are in {near}", "remove it: sparkctl sets what its subnets need")
                return


@fabric_rule("ADR004", "error", "a fabric subnet contains a management address", "facts ff23")
def management_is_elsewhere(cluster: Cluster, fabric: Fabric) -> Iterator[Hit]:
    """Traffic to a management address inside a fabric subnet would leave by the fabric."""
    subnets = set(fabric.subnets)
    prefixes = {subnet.prefixlen for subnet in subnets}
    for path, owner, literal in addresses(cluster):
        around = (
            {IPv4Network((int(literal), prefix), strict=False) for prefix in prefixes}
            if literal.version == 4
            else set()
        )
        for subnet in sorted(around & subnets):
            said = f"{literal} of {owner} lies in {subnet}, which the fabric uses"
            yield Hit(path, said, "choose another `fabric.subnet_pool`, away from the management network")


@rule("ADR005", "warning", "subnet_pool overlaps a network that is in common use", "facts ff23")
def pool_is_uncommon(cluster: Cluster) -> Iterator[Hit]:
    """Home routers and Docker use these; the overlap shows only on some nodes."""
    pool = pool_of(cluster)
    for user, networks in _COMMON.items():
        common = [network for network in networks if pool is not None and pool.overlaps(network)]
        if common:
            said = f"{pool} overlaps {listed(common)}, in common use by {user}"
            yield Hit(_POOL, said, "prefer a pool such as 10.20.0.0/16")


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
