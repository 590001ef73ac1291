"""The fewest plugs to pull and put elsewhere, so that the cables that are there become those that are wanted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from sparkctl.fabric.graph import heaviest_matching
from sparkctl.inventory.model import LinkEnd
from sparkctl.inventory.words import listed
from sparkctl.outcome import Named, Remedy

Pair: TypeAlias = tuple[LinkEnd, LinkEnd]
Alike: TypeAlias = Mapping[LinkEnd, Sequence[LinkEnd]]
"""By a port, all ports that are as good (the same for each of them), that one too."""
MOST = 512
"""Cables of which the best use is found: more than anybody has cabled, and a file with thousands takes no minutes."""


def nowhere(port: LinkEnd) -> LinkEnd:
    """Where the other end of the cable in `port` is when nobody knows."""
    return LinkEnd("", str(port))


class Move(NamedTuple):
    """Pull the plug that is in `source` and put it into `target`."""

    source: LinkEnd
    target: LinkEnd


class Replug(NamedTuple):
    """A cable that becomes `wanted`: one or two of its plugs move, and `stays` is the port of the other one."""

    cable: Pair
    wanted: Pair
    moves: tuple[Move, ...]
    stays: LinkEnd | None


@dataclass(frozen=True)
class Recabling:
    """What must be done: `missing` are wanted cables for which none is left, `surplus` cables that nothing wants."""

    turns: tuple[Replug, ...]
    missing: tuple[Pair, ...]
    surplus: tuple[Pair, ...]

    @property
    def count(self) -> int:
        """How many plugs are pulled and put elsewhere."""
        return sum(len(turn.moves) for turn in self.turns)

    def words(self, turn: Replug) -> str:
        """What to do with one cable, and with the plugs that are in its way; each is a value."""
        first, *second = sorted(turn.moves, key=lambda move: not move.source.owner)  # where it is not known, last
        said = f"move the cable end from {first.source} to {first.target}"
        if turn.stays is not None and not first.source.owner:
            said = f"follow the cable in {turn.stays}: its other end belongs into {first.target}"
        elif turn.stays is not None and turn.stays.owner:
            said += f" (its other end stays in {turn.stays})"
        for source, target in second:
            said += f" and its other end{f' from {source}' if source.owner else ''} to {target}"
        away = dict(move for each in self.turns for move in each.moves)
        moves = {*turn.moves, *((target, away[target]) for _, target in turn.moves if target in away)}
        named = (Named("plug", str(target), str(source)) for source, target in sorted(moves, key=str) if source.owner)
        return Remedy("".join((said, *self._in_the_way(turn))), *named)

    def _in_the_way(self, turn: Replug) -> Iterator[str]:
        away = {move.source: move.target for each in self.turns for move in each.moves}
        idle = {port for cable in self.surplus for port in cable}
        for source, target in turn.moves:
            if target in away:
                yield f", and the one that is in {target} to {away[target]}"
            elif target in idle and source.owner:  # else it may be the very plug that is looked for
                yield ", in place of the one that is there"


def fewest_moves(there: Iterable[Pair], wanted: Iterable[Pair], alike: Alike | None = None) -> Recabling:
    """Which cable becomes which, so that as few plugs as can be are pulled and put elsewhere; a swap is two.

    No port is in two cables of `there` or in two of `wanted`, and there are no spare cables: as many wanted ones are
    made as there are cables. Among equals, plugs stay on their node or switch. `alike`: ports that stand for the
    wanted one, at least as many as are wanted of them; then a plug goes into the wanted one or else into a free one.
    """
    have, want, same = list(there), list(wanted), alike or {}
    column = {frozenset(pair): k for k, pair in enumerate(want)}
    matched = {row: column[frozenset(pair)] for row, pair in enumerate(have) if frozenset(pair) in column}
    matched |= heaviest_matching(_weights(have, want, same, matched))
    left = sorted(set(range(len(want))) - set(matched.values()))
    rest = [row for row in range(len(have)) if row not in matched]
    matched |= zip(rest, left, strict=False)  # they share nothing: two plugs, whatever becomes of which
    ways = {row: _best(have[row], want[k], same) for k, row in sorted((k, row) for row, k in matched.items())}
    turns = _turns(ways, {port for cable in (*have, *want) for port in cable}, same)
    return Recabling(
        tuple(Replug(have[row], want[matched[row]], *turn) for row, turn in zip(ways, turns, strict=True) if turn[0]),
        tuple(want[k] for k in left[len(rest) :]),
        tuple(have[row] for row in rest[len(left) :]),
    )


_Way: TypeAlias = tuple[Move, Move]
"""Where the two plugs of a cable are and where they are wanted, in the order of the wanted cable."""


def _weights(
    have: Sequence[Pair], want: Sequence[Pair], alike: Alike, placed: Mapping[int, int]
) -> dict[tuple[int, int], int]:
    """What is won by making a wanted cable of one that is there, for those not `placed` and with an owner in common."""
    of: dict[str, list[int]] = {}
    for k in sorted(set(range(len(want))) - set(placed.values())):
        for owner in {port.owner for port in want[k]}:
            of.setdefault(owner, []).append(k)
    rows = [row for row in range(len(have)) if row not in placed][:MOST]
    near = ((row, k) for row in rows for port in have[row] for k in of.get(port.owner, ()))
    return {(row, k): _worth(_best(have[row], want[k], alike), alike, len(want)) for row, k in near}


def _best(cable: Pair, wanted: Pair, alike: Alike) -> _Way:
    """Which of its plugs becomes which."""
    (a, b), (x, y) = cable, wanted
    return max((Move(a, x), Move(b, y)), (Move(b, x), Move(a, y)), key=lambda way: _worth(way, alike, 1))


def _worth(way: _Way, alike: Alike, wanted: int) -> int:
    """A plug that stays counts more than all else of all `wanted` cables; then the very port, the owner, the first."""
    stay = [_fits(move, alike) for move in way]
    return sum(stay) * 14 * (wanted + 1) + sum(4 * (p == e) + 2 * (p.owner == e.owner) for p, e in way) + stay[0]


def _fits(move: Move, alike: Alike) -> bool:
    return move.source == move.target or move.source in alike.get(move.target, ())


def _turns(
    ways: Mapping[int, _Way], busy: Collection[LinkEnd], alike: Alike
) -> Iterator[tuple[tuple[Move, ...], LinkEnd | None]]:
    """The moves of each way and the port of the plug that stays: wanted ports first, then free ones that are alike."""
    moving = [move for way in ways.values() for move in way if not _fits(move, alike)]
    kept = {move.source for way in ways.values() for move in way if _fits(move, alike)}
    taken = kept | {move.target for move in moving}
    placed = {move.source: move.target for move in moving}
    for move in moving:
        if move.target in kept:
            choice = [port for port in alike.get(move.target, ()) if port not in taken]
            placed[move.source] = min(choice, key=lambda port: port in busy, default=move.target)
            taken.add(placed[move.source])
    for way in ways.values():
        moves = tuple(Move(move.source, placed[move.source]) for move in way if move.source in placed)
        yield moves, next((move.source for move in way if move.source not in placed), None)


# --- mesh and ring ----------------------------------------------------------------------------------------------


def circle(order: Sequence[str]) -> tuple[Pair, ...]:
    """The cables of a mesh or ring: p0 of each node to p1 of the next, and the last closes it."""
    return tuple((LinkEnd(a, "p0"), LinkEnd(b, "p1")) for a, b in zip(order, (*order[1:], *order[:1]), strict=True))


def along(there: Iterable[Pair], order: Sequence[str]) -> tuple[str, ...]:
    """The nodes of `order` in the order for which the fewest plugs of a mesh or ring must move, the head first.

    Cables from p0 to p1 make chains and closed circles of nodes; one behind the other they are such an order. Every
    cable from p0 to p0 or p1 to p1 costs one plug, every circle that is not all of them one, and no order does better.
    """
    known, after = set(order), dict[str, str]()
    for pair in there:
        ends = {port.port: port.owner for port in pair}
        if ends.keys() == {"p0", "p1"} and known.issuperset(ends.values()):
            after[ends["p0"]] = ends["p1"]
    found: dict[str, None] = {}
    for node in sorted(order, key=set(after.values()).__contains__):  # the first of each chain, then circles
        while node not in found:
            found[node] = None
            node = after.get(node, node)
    names = list(found)
    head = names.index(order[0])
    return (*names[head:], *names[:head])


def relabelled(there: Collection[Pair], order: Sequence[str], plan: Recabling) -> tuple[tuple[str, ...], Recabling]:
    """`order` and `plan`, what a mesh or ring of nodes in that order asks for; or another order that asks for less."""
    if plan.count:
        other = along(there, order)
        instead = fewest_moves(there, circle(other))
        if instead.count < plan.count:
            return other, instead
    return tuple(order), plan


def offer(order: Sequence[str], instead: Recabling, count: int) -> str:
    """The words for another order of the nodes, which asks for fewer plugs than `count`."""
    ends = "1 cable end moves" if instead.count == 1 else f"{instead.count or 'no'} cable ends move"
    return f"; or list `nodes` in the order {listed(order, limit=12)}: then {ends}, not {count}"
