"""Which of the addresses that are in use an inventory can keep."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Interface, IPv4Network
from itertools import chain
from typing import TypeAlias

from sparkctl.fabric.model import Attachment, Fabric

Place: TypeAlias = tuple[str, str]
"""A node and its netdev."""
InUse: TypeAlias = Mapping[Place, tuple[IPv4Interface, ...]]


def keepable(fabric: Fabric, used: InUse, elsewhere: Iterable[IPv4Network]) -> dict[Place, IPv4Interface]:
    """Those of rails whose ends are in one subnet that no other rail, and nothing of `elsewhere`, has a part of."""
    kept: dict[Place, IPv4Interface] = {}
    taken = list(elsewhere)
    for ends in fabric.rails:
        apart = (found for found in _shared(ends, used) if not any(map(found[0].network.overlaps, taken)))
        chosen = next(apart, None)
        if chosen is not None:
            kept |= zip(((end.node, end.netdev) for end in ends), chosen, strict=True)
            taken.append(chosen[0].network)
    return kept


def _shared(ends: Sequence[Attachment], used: InUse) -> Iterator[tuple[IPv4Interface, ...]]:
    """One address of each end, all in one subnet and all different: once for each such subnet."""
    there = [{address.network: address for address in used.get((end.node, end.netdev), ())} for end in ends]
    for network in there[0]:
        found = tuple(of[network] for of in there if network in of)
        if len(set(found)) == len(ends) and not network.is_link_local:  # those change at every boot
            yield found


def left(used: InUse, kept: Mapping[Place, IPv4Interface], fabric: Fabric | None) -> tuple[list[str], list[str]]:
    """What is in use and not kept: on netdevs of the fabric, where it goes, and on others, where it stays."""
    ours = {(a.node, a.netdev) for a in fabric.attachments} if fabric is not None else set(used)
    lost = [[a for a in addresses if a != kept.get(place)] for place, addresses in used.items() if place in ours]
    spare = [addresses for place, addresses in used.items() if place not in ours]
    return _texts(lost), _texts(spare)


def _texts(groups: Iterable[Iterable[IPv4Interface]]) -> list[str]:
    return [str(address) for address in sorted(set(chain.from_iterable(groups)))]
