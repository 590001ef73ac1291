"""The switches that sparkctl can configure: their port names, lanes and speeds. What no source proves is left out.

A cage shows one sub-interface per lane of 50 Gb/s. A link takes its lanes from the lowest free one upwards, and that
one is its lane master: it carries the speed, the MTU and the traffic; the others stay enabled and are not configured.
Sources: https://manual.mikrotik.com/docs/wired-connections/ethernet ("Advertise", link modes),
https://manual.mikrotik.com/docs/hardware/mtu-in-routeros (port names and max-l2mtu), facts ff3.9 and ff4.2,
the openzeka white papers "dgx-spark-4node-cluster" (CRS812) and "dgx-spark-8node-cluster" (CRS804).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from sparkctl.inventory.model import Cluster, LinkEnd

FULL = 200  # Gb/s: what a port of a Spark runs at, and what a lane of 50G times four gives

FACTORY_MTU = 1500  # RouterOS manual, ethernet properties
FACTORY_L2MTU = 1584  # not in the manual; read on untouched CRS804 and CRS812 (facts ff4.3)


@dataclass(frozen=True)
class Leg:
    """What one cabled sub-interface is in the present split of its cage; `mode` is the link mode to force."""

    gigabits: int
    mode: str | None


# 200G-baseCR4 is four lanes of 50G, 100G-baseCR2 two of them, over copper (manual, table of link modes).
WHOLE = Leg(FULL, "200G-baseCR4")
HALF = Leg(100, "100G-baseCR2")


@dataclass(frozen=True)
class Cage:
    """One cage. `full` are its lane masters at 200G a link, `half` those at 100G (4x100G), empty if nobody has it."""

    name: str
    lanes: int
    full: tuple[int, ...]
    half: tuple[int, ...] = ()

    def lane(self, port: str) -> int | None:
        """Number of the sub-interface called `port`; None when it is not of this cage."""
        return next((n for n in range(1, self.lanes + 1) if port == self.port(n)), None)

    def port(self, lane: int) -> str:
        """Name of a sub-interface."""
        return f"{self.name}-{lane}"

    def split(self, cabled: Collection[int]) -> Mapping[int, Leg]:
        """Lane masters and what they run at, from the lanes that are cabled: one that only 4x100G has decides it."""
        quartered = bool(set(cabled) & set(self.half) - set(self.full))
        return dict.fromkeys(self.half, HALF) if quartered else dict.fromkeys(self.full, WHOLE)


@dataclass(frozen=True)
class SwitchModel:
    """One switch: its cages, its other ports (name: Gb/s), and the largest l2mtu, None where no source says it."""

    id: str
    title: str
    cages: tuple[Cage, ...]
    others: Mapping[str, int]
    most_l2mtu: int | None = None

    @cached_property
    def ports(self) -> tuple[str, ...]:
        """Every port name, cages first."""
        lanes = (cage.port(lane) for cage in self.cages for lane in range(1, cage.lanes + 1))
        return (*lanes, *self.others)

    def cage(self, port: str) -> tuple[Cage, int] | None:
        """The cage and lane of a port; None when it is no lane of a cage."""
        return next(((cage, lane) for cage in self.cages if (lane := cage.lane(port)) is not None), None)

    def leg(self, port: str, cabled: Collection[str]) -> Leg | None:
        """What `port` runs at when all of `cabled` are in use; None for a lane that is no lane master then."""
        place = self.cage(port)
        if place is None:
            return Leg(self.others[port], None) if port in self.others else None
        cage, lane = place
        return cage.split([n for name in cabled if (n := cage.lane(name)) is not None]).get(lane)

    def alike(self, cabled: Collection[str]) -> tuple[tuple[str, ...], ...]:
        """Ports in groups of one speed, cabled or not, of which a further cable would slow down none of `cabled`."""
        now = {port: self.rate(port, cabled) for port in cabled}
        groups: dict[int | None, list[str]] = {}
        for port in self.ports:
            if all(self.rate(other, {*cabled, port}) == rate for other, rate in now.items()):
                groups.setdefault(self.rate(port, {*cabled, port}), []).append(port)
        return tuple(tuple(ports) for rate, ports in groups.items() if rate is not None)

    def rate(self, port: str, cabled: Collection[str]) -> int | None:
        """Gb/s of `leg`, None where that is None."""
        leg = self.leg(port, cabled)
        return leg.gigabits if leg is not None else None


def _doubles(count: int) -> tuple[Cage, ...]:
    """QSFP56-DD cages: eight lanes; -1 and -5 at 2x200G, -1, -3, -5 and -7 at 4x100G (facts ff4.2)."""
    return tuple(Cage(f"qsfp56-dd-{n}", 8, (1, 5), (1, 3, 5, 7)) for n in range(1, count + 1))


def _singles(count: int) -> tuple[Cage, ...]:
    """QSFP56 cages: four lanes, one link of 200G."""
    return tuple(Cage(f"qsfp56-{n}", 4, (1,)) for n in range(1, count + 1))


_RJ45 = {"ether1": 10, "ether2": 10}
CRS804 = SwitchModel("mikrotik-crs804-4ddq", "MikroTik CRS804-4DDQ", _doubles(4), MappingProxyType(_RJ45))
CRS812 = SwitchModel(
    "mikrotik-crs812-8ds-2dq-2ddq",
    "MikroTik CRS812-8DS-2DQ-2DDQ",
    (*_singles(2), *_doubles(2)),
    MappingProxyType({**{f"sfp56-{n}": 50 for n in range(1, 9)}, **_RJ45}),
    most_l2mtu=9570,  # MikroTik manual, max-l2mtu of QSFP56 and QSFP56-DD ports; it has no row for the CRS804
)
ALIASES = {"mikrotik-crs804": CRS804.id, "mikrotik-crs812": CRS812.id}
MODELS = {model.id: model for model in (CRS804, CRS812)}


def known() -> tuple[str, ...]:
    """What `switches[].model` may say so that files are rendered."""
    return (*MODELS, *ALIASES)


def model_of(name: str | None) -> SwitchModel | None:
    """The model of that name or alias; None when it is not known."""
    return MODELS.get(ALIASES.get(name or "", name or ""))


def rates(cluster: Cluster) -> dict[LinkEnd, int]:
    """Gb/s of each cable end on a switch of a known model: all that is cabled decides how a cage is split."""
    ports: dict[str, list[str]] = {}
    for end in (end for link in cluster.links for end in (link.a, link.b)):
        ports.setdefault(end.owner, []).append(end.port)
    known_ones = [(s.name, model, ports.get(s.name, ())) for s in cluster.switches if (model := model_of(s.model))]
    found = {LinkEnd(name, port): model.rate(port, cabled) for name, model, cabled in known_ones for port in cabled}
    return {end: rate for end, rate in found.items() if rate is not None}


def alike(switch: str, model: str | None, cabled: Collection[str]) -> dict[LinkEnd, tuple[LinkEnd, ...]]:
    """The groups of `SwitchModel.alike` by each cable end in them; empty for a model that is not known."""
    found = model_of(model)
    groups = [tuple(LinkEnd(switch, port) for port in ports) for ports in (found.alike(cabled) if found else ())]
    return {end: group for group in groups for end in group}
