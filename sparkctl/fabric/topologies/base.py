"""What a topology must say, the registry of topologies, and the expansion that they share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Network
from typing import ClassVar

from sparkctl.fabric import addressing
from sparkctl.fabric.model import Attachment, Endpoint, Fabric
from sparkctl.fabric.ports import PORTS, Rail, half
from sparkctl.inventory.model import Cluster, LinkEnd, Node


@dataclass(frozen=True)
class Segment:
    """Cabled node ports that reach one another without a router; `index` gives them their subnets."""

    index: int
    ends: tuple[LinkEnd, ...]


class Topology:
    """One way of cabling. Its methods are pure and may assume that the TOP rules found no error."""

    name: ClassVar[str]
    """The word in `fabric.topology`."""

    def segments(self, cluster: Cluster) -> tuple[Segment, ...]:
        """Every cabled port of every node, once, in segments with distinct indices: here cable k is segment k."""
        return tuple(Segment(link.index, (link.a, link.b)) for link in cluster.links)

    def endpoint(self, node: Node, attachments: tuple[Attachment, ...]) -> Endpoint:
        """Where this node's ranks meet the others: an interface and address that all other nodes can reach.

        Here it is rail A of the node's first segment.
        """
        first = min((a for a in attachments if a.rail == "A"), key=lambda a: a.segment)
        return Endpoint(first.netdev, str(first.address.ip))

    def nccl(self, cluster: Cluster) -> Mapping[str, str]:
        """NCCL variables that this topology needs on every node, beyond those that all need (facts ff3.6)."""
        return {}


_REGISTRY: dict[str, Topology] = {}


def register(topology: Topology) -> Topology:
    """Add a topology; two of one name are a mistake in the program."""
    if topology.name in _REGISTRY:
        raise ValueError(f"topology {topology.name} is registered twice")
    _REGISTRY[topology.name] = topology
    return topology


def known() -> tuple[str, ...]:
    """Names of the topologies that this version can expand."""
    return tuple(_REGISTRY)


def topology_of(cluster: Cluster) -> Topology | None:
    """The topology that the cluster declares, None when this version does not have it."""
    return _REGISTRY.get(cluster.fabric.topology)


def expand(topology: Topology, cluster: Cluster) -> Fabric:
    """The fabric of a cluster whose cables and pool are sound; ValueError when the pool is too small."""
    attachments = _attachments(topology.segments(cluster), cluster)
    fabric = Fabric(topology.name, attachments, cluster.links, endpoints={}, nccl=dict(topology.nccl(cluster)))
    return replace(fabric, endpoints={n.name: topology.endpoint(n, fabric.of(n.name)) for n in cluster.nodes})


def rails(cluster: Cluster) -> tuple[Rail, ...]:
    """The rails that get addresses."""
    return addressing.RAILS if cluster.fabric.rails == "both" else addressing.RAILS[:1]


def subnets_needed(segments: Iterable[Segment], cluster: Cluster) -> int:
    """How many subnets the pool must hold: one more than the largest index of those that are not all kept."""
    ends = ((s.index, end, rail) for s in segments for rail in rails(cluster) for end in s.ends)
    unsaid = ((index, rail) for index, end, rail in ends if (end.owner, end.port, rail) not in cluster.kept)
    return 1 + max((addressing.subnet_index(index, rail) for index, rail in unsaid), default=-1)


def prefix_length(segments: Iterable[Segment], cluster: Cluster) -> int:
    """The shortest prefix of the fabric's subnets: on so many bits all nodes of any one of them agree."""
    pool = addressing.prefix_length(len(cluster.nodes))
    places = ((end.owner, end.port, rail) for s in segments for end in s.ends for rail in rails(cluster))
    return min((a.network.prefixlen if (a := cluster.kept.get(place)) else pool for place in places), default=pool)


def _attachments(segments: Iterable[Segment], cluster: Cluster) -> tuple[Attachment, ...]:
    pool = IPv4Network(cluster.fabric.subnet_pool)
    pairs = [(segment, rail) for segment in segments for rail in rails(cluster)]
    found = [_attachment(end, rail, segment, pool, cluster) for segment, rail in pairs for end in segment.ends]
    ranks = {node.name: node.rank for node in cluster.nodes}
    return tuple(sorted(found, key=lambda a: (ranks[a.node], PORTS.index(a.half.port), a.rail)))


def _attachment(end: LinkEnd, rail: Rail, segment: Segment, pool: IPv4Network, cluster: Cluster) -> Attachment:
    address = cluster.kept.get((end.owner, end.port, rail))
    if address is None:
        prefix, index = addressing.prefix_length(len(cluster.nodes)), addressing.subnet_index(segment.index, rail)
        address = addressing.address(addressing.subnet(pool, prefix, index), cluster.node(end.owner).rank)
    return Attachment(end.owner, half(end.port, rail), segment.index, address, cluster.fabric.mtu)
