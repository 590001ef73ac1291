"""The Fabric: ports, cables, rails, subnets and addresses. Built only by a topology."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Interface, IPv4Network
from typing import TypeVar

from sparkctl.fabric.ports import Half, Rail
from sparkctl.inventory.model import Link

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Attachment:
    """One rail of one cabled port of one node: the netdev that gets an address.

    `segment` numbers the cable (direct, mesh, ring) or the switched fabric that it is on: netdevs with the same
    segment and rail share `address.network` and can reach one another.
    """

    node: str
    half: Half
    segment: int
    address: IPv4Interface
    mtu: int

    @property
    def netdev(self) -> str:
        """Name of the kernel's network device."""
        return self.half.netdev

    @property
    def rail(self) -> Rail:
        """A or B."""
        return self.half.rail


@dataclass(frozen=True)
class Endpoint:
    """The interface and address at which a node's ranks talk to one another (NCCL bootstrap, Gloo, the engine)."""

    netdev: str
    address: str


@dataclass(frozen=True)
class Fabric:
    """Everything that the renderers, the checks and the lab need to know of the network."""

    topology: str
    attachments: tuple[Attachment, ...]
    cables: tuple[Link, ...]
    endpoints: Mapping[str, Endpoint]
    nccl: Mapping[str, str] = field(default_factory=dict)

    def of(self, node: str) -> tuple[Attachment, ...]:
        """The attachments of `node`, in port and rail order."""
        return self._by_node.get(node, ())

    def peers(self, attachment: Attachment) -> tuple[Attachment, ...]:
        """All that `attachment` can reach without a router: same segment, same rail, other nodes."""
        same = self._by_rail.get((attachment.segment, attachment.rail), ())
        return tuple(a for a in same if a.node != attachment.node)

    @property
    def subnets(self) -> tuple[IPv4Network, ...]:
        """Every subnet of the fabric once, in order of its first use."""
        return tuple(dict.fromkeys(a.address.network for a in self.attachments))

    @property
    def rails(self) -> tuple[tuple[Attachment, ...], ...]:
        """What shares a subnet: the attachments of each segment and rail."""
        return tuple(self._by_rail.values())

    @cached_property
    def _by_node(self) -> Mapping[str, tuple[Attachment, ...]]:
        return _grouped(self.attachments, lambda a: a.node)

    @cached_property
    def _by_rail(self) -> Mapping[tuple[int, Rail], tuple[Attachment, ...]]:
        return _grouped(self.attachments, lambda a: (a.segment, a.rail))


def _grouped(attachments: Iterable[Attachment], key: Callable[[Attachment], K]) -> dict[K, tuple[Attachment, ...]]:
    groups: dict[K, list[Attachment]] = {}
    for attachment in attachments:
        groups.setdefault(key(attachment), []).append(attachment)
    return {name: tuple(members) for name, members in groups.items()}
