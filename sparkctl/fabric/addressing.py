"""Subnets and addresses: a pure function of the pool, the number of the segment, the rail and the rank."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from sparkctl.fabric.ports import Rail

LONGEST = 24  # one /24 per rail and cable or switch, as the peer has it (facts pp5.2)
FIRST_HOST = 11  # the head's host number (facts pp5.2); below it is room for a switch or a router
RAILS: tuple[Rail, Rail] = ("A", "B")


def prefix_length(nodes: int) -> int:
    """The longest prefix, at most a /24, whose host numbers reach the last of `nodes` nodes."""
    last = FIRST_HOST + max(nodes, 1) - 1
    return min(LONGEST, 32 - (last + 1).bit_length())


def subnet_index(segment: int, rail: Rail) -> int:
    """Which subnet of the pool: 2k for rail A, 2k + 1 for rail B, also where only rail A is used."""
    return 2 * segment + RAILS.index(rail)


def capacity(pool: IPv4Network, prefix: int) -> int:
    """How many subnets of length `prefix` the pool holds."""
    return 1 << (prefix - pool.prefixlen) if prefix >= pool.prefixlen else 0


def subnet(pool: IPv4Network, prefix: int, index: int) -> IPv4Network:
    """The `index`-th subnet of the pool; ValueError when it lies outside."""
    if not 0 <= index < capacity(pool, prefix):
        raise ValueError(f"{pool} has no subnet number {index} of length /{prefix}")
    return IPv4Network((int(pool.network_address) + (index << (32 - prefix)), prefix))


def address(network: IPv4Network, rank: int) -> IPv4Interface:
    """The address of the node of this rank in a subnet."""
    return IPv4Interface((int(IPv4Address(network.network_address)) + FIRST_HOST + rank, network.prefixlen))
