"""The schedule of tests under load: rounds of pairs of nodes, none of which disturbs another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias

from sparkctl.fabric.graph import both_ways
from sparkctl.fabric.model import Attachment, Fabric
from sparkctl.facts import gids
from sparkctl.facts.base import entry
from sparkctl.facts.snapshot import NodeFacts
from sparkctl.facts.survey import NOTHING
from sparkctl.inventory.model import LinkEnd
from sparkctl.loadtest.results import Lane, Trial
from sparkctl.outcome import Absent, Known


@dataclass(frozen=True)
class Pair:
    """Two nodes of one segment; `lanes` in the direction from the first to the second, in order of rails."""

    lanes: tuple[Lane, ...]

    @property
    def nodes(self) -> frozenset[str]:
        """Both of them."""
        return frozenset((self.lanes[0].client.node, self.lanes[0].server.node))

    @property
    def back(self) -> tuple[Lane, ...]:
        """The lanes in the other direction."""
        return tuple(lane.back for lane in self.lanes)


Rounds: TypeAlias = tuple[tuple[tuple[Trial, ...], ...], ...]
"""Per round, the trials of each of its pairs: one after another within a pair, all pairs at once."""


def schedule(fabric: Fabric, *, quick: bool = False) -> Rounds:
    """Every pair of neighbours in as few rounds as there can be, no node twice in a round.

    A node's ports share one PCIe link, so it takes part in one pair at a time; of pairs that share a cable between
    two switches only one is in a round. `quick`: only so many pairs that every port is in one, and fewer trials.
    """
    matches = _chain if quick else _tournament
    met = ((ends[i], ends[k]) for ends in _segments(fabric) for i, k in matches(len(ends)))
    rounds = _packed((Pair(tuple(map(Lane, *both))) for both in met), _crossing(fabric))
    return tuple(tuple(_trials(pair, quick) for pair in round) for round in rounds)


def _trials(pair: Pair, quick: bool) -> tuple[Trial, ...]:
    """Each rail alone, both together, the latency of each, all in both directions, and each rail both ways at once, as
    collectives use it; `quick`: each rail alone."""
    lanes = [lane for both in zip(pair.lanes, pair.back, strict=True) for lane in both]
    alone = [Trial("bandwidth", (lane,)) for lane in lanes]
    if quick:
        return tuple(alone)
    together = [Trial("bandwidth", lanes) for lanes in (pair.lanes, pair.back)] if len(pair.lanes) > 1 else []
    ways = [Trial("bandwidth", (lane, lane.back)) for lane in pair.lanes]
    return (*alone, *together, *ways, *(Trial("latency", (lane,)) for lane in lanes))


Ends: TypeAlias = tuple[tuple[Attachment, ...], ...]
"""The ports of one segment, each as its halves in order of rails."""


def _segments(fabric: Fabric) -> list[Ends]:
    """Ports by segment; cables between two nodes in the order of a walk along them, so that a ring has two rounds."""
    found: dict[int, list[tuple[Attachment, ...]]] = {}
    ordered = sorted(fabric.attachments, key=lambda a: (a.segment, a.node, a.half.port, a.rail))
    for (segment, _, _), halves in groupby(ordered, key=lambda a: (a.segment, a.node, a.half.port)):
        found.setdefault(segment, []).append(tuple(halves))
    ranks = {node: rank for rank, node in enumerate(dict.fromkeys(a.node for a in fabric.attachments))}
    segments = [tuple(sorted(ends, key=lambda halves: ranks[halves[0].node])) for ends in found.values()]
    return _walked([ends for ends in segments if len(ends) > 1])


def _walked(segments: list[Ends]) -> list[Ends]:
    """Each segment beside one that it shares a node with, where there is one."""
    left, walk, here = list(segments), [], ""
    while left:
        following = next((s for s in left if here in _names(s)), left[0])
        left.remove(following)
        walk.append(following)
        here = next((name for name in reversed(_names(following)) if name != here), "")
    return walk


def _names(ends: Ends) -> list[str]:
    return [halves[0].node for halves in ends]


def _tournament(count: int) -> Iterator[tuple[int, int]]:
    """Everyone against everyone by the circle method, round after round: the first stays, the others move on by one."""
    players = [*range(count), *([-1] if count % 2 else [])]
    for _ in range(len(players) - 1):
        half = len(players) // 2
        met = zip(players[:half], reversed(players[half:]), strict=True)
        yield from ((min(pair), max(pair)) for pair in met if -1 not in pair)
        players = [players[0], players[-1], *players[1:-1]]


def _chain(count: int) -> Iterator[tuple[int, int]]:
    """Each with the next: two rounds cover everybody twice (the ends of an odd chain once)."""
    yield from ((i, i + 1) for begin in (0, 1) for i in range(begin, count - 1, 2))
    if count > 2 and count % 2 == 0:
        yield 0, count - 1


def _packed(pairs: Iterable[Pair], crosses: Callable[[Pair], bool]) -> list[list[Pair]]:
    """Every pair in the first round that has room for it."""
    packed: list[list[Pair]] = []
    for pair in pairs:
        room = next((r for r in packed if _fits(pair, r, crosses)), None)
        if room is None:
            packed.append(room := [])
        room.append(pair)
    return packed


def _fits(pair: Pair, round: Iterable[Pair], crosses: Callable[[Pair], bool]) -> bool:
    return not any(pair.nodes & other.nodes or (crosses(pair) and crosses(other)) for other in round)


def _crossing(fabric: Fabric) -> Callable[[Pair], bool]:
    """Whether a pair's traffic goes from one switch to another."""
    home = {end: far.owner for end, far in both_ways(fabric.cables)}

    def crosses(pair: Pair) -> bool:
        client, server = (home.get(LinkEnd(a.node, a.half.port)) for a in (pair.lanes[0].client, pair.lanes[0].server))
        return client != server

    return crosses if fabric.topology == "switch" else lambda pair: False


def hindrance(lane: Lane, facts: Mapping[str, NodeFacts]) -> str:
    """Why `lane` need not be tried; empty when nothing speaks against it. Each reason is another check's failure."""
    for end in (lane.client, lane.server):
        found = _at_end(end, facts[end.node])
        if found:
            return found
    there, back = lane.server, lane.client
    pings = facts[lane.client.node].pings
    if isinstance(pings, Known) and pings.value.get((back.netdev, str(there.address.ip))) is False:
        return f"{there.node} does not answer full-size pings there"
    return ""


def _at_end(end: Attachment, facts: NodeFacts) -> str:
    netdev, rdma = facts.netdev(end.netdev), facts.rdma
    where = f"{end.node} {end.half.port} rail {end.rail}"
    if isinstance(netdev, Absent):
        return f"no netdev at {where}"
    if isinstance(netdev, Known) and not netdev.value.lit:
        return f"no carrier at {where}"
    if isinstance(entry(rdma, end.half.rdma, ""), Absent) and isinstance(rdma, Known):
        return f"no RDMA device at {where}"
    table = facts.survey.gids
    if isinstance(table, Known) and not table.unread and gid_index(end, facts) is None:
        return f"no RoCE v2 GID of {end.address.ip} at {where}"
    missing = facts.survey != NOTHING and isinstance(facts.survey.perftest, Absent)
    return f"perftest is not installed on {end.node}" if missing else ""


def gid_index(end: Attachment, facts: NodeFacts) -> int | None:
    """Where the planned address is in the GID table of `end`; None where it is not, or the table is not known."""
    table = facts.survey.gids
    found = gids.of_address(table.value, end.half.rdma, end.address.ip) if isinstance(table, Known) else None
    return found.index if found else None
