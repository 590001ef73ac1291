"""Everything that `verify` asks of a node beyond what a plan rests on: one value, read in the same round trip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from sparkctl.facts import (
    clock,
    counters,
    firewall,
    gids,
    host,
    knock,
    nccl,
    neighbours,
    netdevs,
    paths,
    perftest_tool,
    profiles,
)
from sparkctl.facts.base import Probe, answers, parsed
from sparkctl.facts.counters import Counters
from sparkctl.facts.firewall import Firewall
from sparkctl.facts.gids import Gid
from sparkctl.facts.host import Earlyoom, Gpu, Kernel, Memory, Release, Space
from sparkctl.facts.knock import Knocks
from sparkctl.facts.nccl import Nccl
from sparkctl.facts.neighbours import Hello, Lldp
from sparkctl.facts.netdevs import Ethernet
from sparkctl.facts.paths import Way
from sparkctl.facts.profiles import Profile
from sparkctl.outcome import Absent, Fact, Known, Unknown

_NOT_ASKED = Absent("not asked")


@dataclass(frozen=True)
class Inquiry:
    """What the survey of one node needs to know.

    `token`: marks the hellos of this run. `ears`: (netdev, names of the nodes that should be at its other end), with
    the ports that nothing is planned for. `ways`: (own address, a peer's). `meetings`: (netdev, own address, a peer's)
    wherever ranks talk; `lent`, `called`: see knock.probe; `whole` False: only to knock. `folders`: where the engine
    keeps what is large. `image`, `venv`: where the engine's libraries are; `naming`: see nccl.probe.
    """

    node: str
    token: str
    ears: tuple[tuple[str, tuple[str, ...]], ...] = ()
    ways: tuple[tuple[str, str], ...] = ()
    whole: bool = True
    meetings: tuple[knock.Way, ...] = ()
    lent: knock.Ports = field(default_factory=dict)
    called: knock.Ports = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    image: str | None = None
    venv: str | None = None
    naming: tuple[str, ...] = ()


@dataclass(frozen=True)
class Survey:
    """Absent: certainly not there (the tool, the device); Unknown: could not be read."""

    ethernet: Fact[dict[str, Ethernet]] = _NOT_ASKED
    gids: Fact[tuple[Gid, ...]] = _NOT_ASKED
    counters: Fact[Counters] = _NOT_ASKED
    ways: Fact[dict[str, Way]] = _NOT_ASKED
    """By the peer's address."""
    hellos: Fact[tuple[Hello, ...]] = _NOT_ASKED
    lldp: Fact[tuple[Lldp, ...]] = _NOT_ASKED
    kernel: Fact[Kernel] = _NOT_ASKED
    memory: Fact[Memory] = _NOT_ASKED
    release: Fact[Release] = _NOT_ASKED
    gpus: Fact[tuple[Gpu, ...]] = _NOT_ASKED
    profiles: Fact[tuple[Profile, ...]] = _NOT_ASKED
    knocks: Fact[Knocks] = _NOT_ASKED
    firewall: Fact[Firewall] = _NOT_ASKED
    nccl: Fact[Nccl] = _NOT_ASKED
    space: Fact[tuple[Space, ...]] = _NOT_ASKED
    earlyoom: Fact[Earlyoom] = _NOT_ASKED
    """Absent: it does not run."""
    pcie_errors: Fact[tuple[str, ...]] = _NOT_ASKED
    """Fatal AER lines of this boot's kernel log."""
    clock: Fact[float] = _NOT_ASKED
    """Seconds since the epoch, with a fraction, when the batch began."""
    perftest: Fact[str] = _NOT_ASKED
    """Version of perftest; Absent when ib_write_bw is not installed."""


NOTHING = Survey()
CLOCK_AGAIN = replace(clock.PROBE, name="clock-again", moment="last")
PARSERS: dict[str, Callable[[str], Any]] = {
    "ethernet": netdevs.parse,
    "gids": gids.parse,
    "counters": counters.parse,
    "ways": paths.parse,
    "hellos": neighbours.parse,
    "lldp": neighbours.parse_lldp,
    **host.PARSERS,
    "profiles": profiles.parse,
    "knocks": knock.parse,
    "firewall": firewall.parse,
    "nccl": nccl.parse,
    "clock": clock.parse,
    "perftest": perftest_tool.parse,
}
"""By the name of the probe, which is the field's with dashes, and of the folder of its cases."""


def probes(asked: Inquiry) -> tuple[Probe, ...]:
    """The part of the batch that only a survey has."""
    fabric = (netdevs.PROBE, gids.PROBE, counters.PROBE, neighbours.LLDP_PROBE, paths.probe(asked.ways))
    machine = (*host.PROBES, perftest_tool.PROBE, profiles.PROBE, firewall.PROBE, host.space_probe(asked.folders))
    library = nccl.probe(image=asked.image, venv=asked.venv, naming=asked.naming)
    hellos = neighbours.probe(asked.token, asked.node, dict(asked.ears))
    knocks = knock.probe(asked.token, asked.meetings, asked.lent, asked.called)
    if not asked.whole:
        return (knocks, firewall.PROBE)
    engine = (library,) if asked.image or asked.venv else ()
    return (clock.PROBE, hellos, knocks, *engine, *fabric, *machine, CLOCK_AGAIN)


def read(asked: Inquiry, answer: Callable[[str], Fact[str]]) -> Survey:
    """The survey from the answers of a batch, by the name of the probe."""
    names = {probe.name for probe in probes(asked)}
    found = {name: parsed(answer(name), parser) for name, parser in PARSERS.items() if name in names}
    return Survey(**{name.replace("-", "_"): fact for name, fact in found.items()})


def skew(stdout: str, asked: float, answered: float) -> Fact[tuple[float, float]]:
    """(least, most) seconds by which a node's clock is ahead of ours, which read `asked` and `answered` around it.

    The node reads its clock first and last in the batch: how long the batch takes makes the bounds no wider.
    """
    said = answers(stdout)
    first, last = (parsed(said.get(name, Unknown("not answered")), clock.parse) for name in ("clock", "clock-again"))
    if not isinstance(first, Known):
        return first
    return Known(((last.value if isinstance(last, Known) else first.value) - answered, first.value - asked))
