"""Tests under load: what is measured between which nodes, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from sparkctl.fabric.model import Attachment
from sparkctl.facts.counters import Counters
from sparkctl.outcome import Fact, RailEnd

Tool = Literal["bandwidth", "latency"]


@dataclass(frozen=True)
class Lane:
    """One perftest: `client` writes to `server`, both ends of one rail."""

    client: Attachment
    server: Attachment

    @property
    def ends(self) -> tuple[RailEnd, RailEnd]:
        """The client's and the server's."""
        a, b = self.client, self.server
        return RailEnd(a.node, a.half.port, a.rail), RailEnd(b.node, b.half.port, b.rail)

    @property
    def back(self) -> Lane:
        """The other way along the same rail."""
        return Lane(self.server, self.client)

    def __str__(self) -> str:
        ends = (f"{end.node}:{end.half.port}" for end in (self.client, self.server))
        return f"{' -> '.join(ends)} rail {self.client.rail}"


@dataclass(frozen=True)
class Trial:
    """One measurement: a lane alone, the lanes of both rails together (one direction), or both ways of one rail."""

    tool: Tool
    lanes: tuple[Lane, ...]

    @property
    def kind(self) -> Literal["alone", "rails", "ways"]:
        """Which of the three it is."""
        if len(self.lanes) < 2:
            return "alone"
        return "ways" if self.lanes[1] == self.lanes[0].back else "rails"

    @property
    def both_ways(self) -> str:
        """Its rail as the place of what goes both ways."""
        return str(self.lanes[0]).replace(" -> ", " <-> ")

    @property
    def nodes(self) -> frozenset[str]:
        """Whom it keeps busy: no other trial may run there meanwhile."""
        return frozenset(end.node for lane in self.lanes for end in (lane.client, lane.server))


@dataclass(frozen=True)
class Measure:
    """What perftest said: average Gb/s of a bandwidth test, typical microseconds of a latency test."""

    tool: Tool
    gbits: float | None
    microseconds: float | None
    gid_index: int | None
    mtu: int | None
    iterations: int


Measured: TypeAlias = Mapping[Trial, tuple[Fact[Measure], ...]]
"""Per trial, one answer for each of its lanes."""


@dataclass(frozen=True)
class Gathered:
    """All-gather over all ranks: `bus` bandwidth in GB/s, `backend` nccl or gloo (no GPU), `size` in bytes.

    `sweep` has size and bandwidth of every step, `devices` the RDMA devices that NCCL found.
    """

    backend: str
    version: str
    ranks: int
    size: int
    bus: float
    network: str
    """What NCCL's own log said it uses: `NET/IB`, `NET/Socket`, or empty."""
    sweep: tuple[tuple[int, float], ...] = ()
    devices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Load:
    """All that was measured under load; `before` and `after` are the RDMA counters of each node around it."""

    measured: Measured = field(default_factory=dict)
    before: Mapping[str, Fact[Counters]] = field(default_factory=dict)
    after: Mapping[str, Fact[Counters]] = field(default_factory=dict)
    gathered: Fact[Gathered] | None = None
