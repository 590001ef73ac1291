"""SWT: the ports, lanes and speeds of the switches that sparkctl knows. A switch without a model is not judged."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from sparkctl.fabric.graph import both_ways, minimum_cuts, switch_groups
from sparkctl.fabric.switches import FULL, Cage, SwitchModel, known, model_of, rates
from sparkctl.inventory.model import Cluster, LinkEnd, Path
from sparkctl.inventory.words import listed, nearest, quoted
from sparkctl.rule import Hit, cable_ends, rule, write


class _Plug(NamedTuple):
    """One end of a cable on a switch of a known model, with its place in the file."""

    path: Path
    end: LinkEnd
    model: SwitchModel


def _plugs(cluster: Cluster) -> list[_Plug]:
    models = {switch.name: model for switch in cluster.switches if (model := model_of(switch.model)) is not None}
    return [_Plug(path, end, models[end.owner]) for path, end in cable_ends(cluster) if end.owner in models]


@rule("SWT001", "error", "a port that this switch model does not have", "facts ff4.2; MikroTik manual")
def ports_exist(cluster: Cluster) -> Iterator[Hit]:
    """RouterOS has these names, so a script for another one would stop halfway."""
    for path, end, model in _plugs(cluster):
        if end.port not in model.ports:
            said = f"a {model.title} has no port {quoted(end.port)}; its cages are {_cages(model)}"
            yield Hit(path, said, f"write `{end.owner}:{_meant(end.port, model)}`")


def _cages(model: SwitchModel) -> str:
    return listed(f"{cage.port(1)}..{cage.lanes}" for cage in model.cages)


def _meant(port: str, model: SwitchModel) -> str:
    """The port that was probably meant: a cage without its lane means the first."""
    cages = [cage.port(1) for cage in model.cages if cage.name == port.lower()]
    return cages[0] if cages else nearest(port, model.ports) or model.ports[0]


@rule(
    "SWT002",
    "warning",
    "a switch model that is not known: no configuration is rendered for it",
    "facts ff3.9",
)
def models_are_known(cluster: Cluster) -> Iterator[Hit]:
    """Only switches whose configuration was seen to work have a template."""
    for index, switch in enumerate(cluster.switches):
        names = listed(f"`{name}`" for name in known())
        if switch.model is not None and model_of(switch.model) is None:
            said = f"switch model {quoted(switch.model)} is not known: no configuration is rendered for `{switch.name}`"
            guess = nearest(switch.model, known())
            remedy = f"did you mean `{guess}`?" if guess else f"configure it by hand; models with a template: {names}"
            yield Hit(("switches", index, "model"), said, remedy)
        elif switch.model is None and switch.qos != "none":
            said = f"`qos` is asked of switch `{switch.name}`, and without `model` nothing is rendered for it"
            yield Hit(("switches", index, "qos"), said, f"add its `model`: {names}")


@rule(
    "SWT003",
    "error",
    "a port that is not a lane master, or whose lanes another cable has",
    "facts ff16 and ff4.2; MikroTik manual: a link takes its lanes from the lowest one",
)
def legs_are_lane_masters(cluster: Cluster) -> Iterator[Hit]:
    """A link is configured on its lowest lane; the other lanes of it never come up."""
    cabled: dict[str, set[str]] = {}
    for _, end, _ in _plugs(cluster):
        cabled.setdefault(end.owner, set()).add(end.port)
    for path, end, model in _plugs(cluster):
        place = model.cage(end.port)
        if place is not None and model.leg(end.port, cabled[end.owner]) is None:
            yield Hit(path, *_slave(*place, cabled[end.owner]))


def _slave(cage: Cage, lane: int, cabled: Collection[str]) -> tuple[str, str]:
    masters = tuple(cage.split([n for port in cabled if (n := cage.lane(port)) is not None]))
    master = max(n for n in masters if n < lane)
    said = f"`{cage.port(lane)}` is not a lane master: its lane belongs to the link of `{cage.port(master)}`"
    if cage.port(master) in cabled:
        said += ", which has a cable of its own"
    free = [f"`{cage.port(n)}`" for n in masters if cage.port(n) not in cabled]
    ways = listed((f"`{cage.port(n)}`" for n in cage.full), last="and")
    halves = f"; {listed((f'`{cage.port(n)}`' for n in cage.half), last='and')} with 4x100G" if cage.half else ""
    remedy = f"lane masters of this cage: {ways} at 200G{halves}"
    return said, f"{remedy}; free now: {listed(free)}" if free else remedy


@rule(
    "SWT004",
    "warning",
    "a link of less than 200G",
    "facts ff16 and ff4.2: 4x100G works, at half the rate",
)
def links_run_at_full_speed(cluster: Cluster) -> Iterator[Hit]:
    """A Spark's port is 200G; slower legs work."""
    speeds = rates(cluster)
    slow: dict[str, list[_Plug]] = {}
    for plug in _plugs(cluster):
        if speeds.get(plug.end, FULL) < FULL:
            slow.setdefault(plug.end.owner, []).append(plug)
    for (path, end, model), *others in slow.values():
        more = f", and {len(others)} more below {FULL}G" if others else ""
        said = f"`{end}` runs at {speeds[end]}G{more}; a port of a Spark is {FULL}G"
        yield Hit(path, said, f"use the 200G lane masters while there are some: {_full_ports(model)}")


def _full_ports(model: SwitchModel) -> str:
    return listed((cage.port(lane) for cage in model.cages for lane in cage.full), limit=len(model.ports))


@rule(
    "SWT005",
    "error",
    "an l2mtu that this switch model cannot have",
    "MikroTik manual: MTU in RouterOS, table of max-l2mtu",
)
def l2mtu_is_possible(cluster: Cluster) -> Iterator[Hit]:
    """RouterOS refuses it, and the script would stop there."""
    for index, switch in enumerate(cluster.switches):
        model = model_of(switch.model)
        most = model.most_l2mtu if model is not None else None
        if switch.l2mtu is not None and most is not None and switch.l2mtu > most:
            said = f"l2mtu {switch.l2mtu} of switch `{switch.name}` is more than the {most} of its ports"
            yield Hit(("switches", index, "l2mtu"), said, write("9216", "write 9216, which reaches for mtu 9000"))


_SENDS = {"both": FULL, "A": 112}  # Gb/s of a node; one rail alone: facts ff3.4
_MOST = 128  # switches of which the cuts are looked for: more than anybody has, and no file takes minutes


@rule(
    "SWT006",
    "warning",
    "an uplink that carries less than the nodes behind it can send",
    "facts ff16 and ff3.4; the speeds of the ports: SWT004",
    "shape",
)
def uplinks_carry_their_side(cluster: Cluster) -> Iterator[Hit]:
    """Of the tree of minimum cuts between switches, and of each switch alone, what carries less than its side sends."""
    speeds = rates(cluster)
    sends = _sends(cluster, speeds)
    enough = sum(sends.values()) + 1  # what a cable carries of which no end has a known speed
    ends = {link.index: (link.a, link.b) for link in cluster.links}
    for uplinks in _uplinks(cluster):
        group = frozenset(switch for pair in uplinks.values() for switch in pair)
        carried = {index: min(speeds.get(end, enough) for end in ends[index]) for index in uplinks}
        cuts = minimum_cuts((*pair, carried[index]) for index, pair in uplinks.items())
        parts = [frozenset((name,)) for name in group] + [cut.part for cut in cuts]  # of two least cuts it has but one
        sides = [[(sum(map(sends.__getitem__, p)), len(p), sorted(p)) for p in (part, group - part)] for part in parts]
        for side, need in {tuple(min(both)[2]): min(both)[0] for both in sides}.items():
            crossing = [index for index, (a, b) in uplinks.items() if (a in side) != (b in side)]
            capacity = sum(carried[index] for index in crossing)
            if capacity < need:
                yield Hit(("links", crossing[0]), *_narrow(side, len(crossing), capacity, need))


def _uplinks(cluster: Cluster) -> Iterable[Mapping[int, tuple[str, str]]]:
    """By switches that hang together, the cables between them by their index, with what they join."""
    home = {name: group[0] for group in switch_groups(cluster) if 1 < len(group) <= _MOST for name in group}
    found: dict[str, dict[int, tuple[str, str]]] = {}
    for link in cluster.links:
        a, b = link.a.owner, link.b.owner
        if a in home and b in home and a != b:
            found.setdefault(home[a], {})[link.index] = (a, b)
    return found.values()


def _narrow(side: Sequence[str], cables: int, capacity: int, need: int) -> tuple[str, str]:
    """What is said of a cut, and what to do."""
    behind = listed(f"`{name}`" for name in side)
    joins, carry = ("the cable that joins", "carries") if cables == 1 else (f"the {cables} cables that join", "carry")
    said = f"{joins} {behind} to the rest {carry} {capacity}G, and the nodes behind can send {need}G"
    remedy = f"add uplinks for {need - capacity}G more, or put the nodes that talk most on one switch"
    return f"{said}: {need / capacity:.3g} to 1", remedy


def _sends(cluster: Cluster, speeds: Mapping[LinkEnd, int]) -> dict[str, int]:
    """Gb/s that the nodes on each switch can send together: two cables of one node share its PCIe lanes."""
    most = _SENDS[cluster.fabric.rails]
    sends = {switch.name: dict[str, int]() for switch in cluster.switches}
    for here, there in both_ways(cluster.links):
        if here.owner in sends and there.owner not in sends:
            nodes = sends[here.owner]
            nodes[there.owner] = min(most, nodes.get(there.owner, 0) + speeds.get(here, most))
    return {switch: sum(nodes.values()) for switch, nodes in sends.items()}
