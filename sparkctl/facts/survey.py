"""Everything that `verify` asks of a node beyond what a plan rests on: one value, read in the same round trip."""

from __future__ import annotations

from dataclasses import dataclass

from sparkctl.facts.counters import Counters
from sparkctl.facts.firewall import Firewall
from sparkctl.facts.gids import Gid
from sparkctl.facts.host import Earlyoom, Gpu, Kernel, Memory, Release, Space
from sparkctl.facts.nccl import Nccl
from sparkctl.facts.neighbours import Hello, Lldp
from sparkctl.facts.netdevs import Ethernet
from sparkctl.facts.paths import Way
from sparkctl.facts.profiles import Profile
from sparkctl.outcome import Absent, Fact

_NOT_ASKED = Absent("not asked")


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
    firewall: Fact[Firewall] = _NOT_ASKED
    docker: Fact[str] = _NOT_ASKED
    """Version of the Docker server."""
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
