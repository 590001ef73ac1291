"""All facts of a node in one value, and the fingerprint that tells whether a plan made from them is stale."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sparkctl.fabric.ports import NETDEVS
from sparkctl.facts import baseline as baseline_facts
from sparkctl.facts import files as file_facts
from sparkctl.facts import foreign as foreign_facts
from sparkctl.facts import holders, links, owners, pings, survey, units
from sparkctl.facts import record as record_facts
from sparkctl.facts import routes as route_facts
from sparkctl.facts import system as system_facts
from sparkctl.facts.base import Probe, answers, entry, parsed
from sparkctl.facts.survey import NOTHING, Inquiry, Survey
from sparkctl.inventory.names import BESIDE
from sparkctl.outcome import Absent, Fact, Known, Unknown

NOT_ASKED = Absent("not asked")
UNANSWERED = Unknown("the node did not answer this")


@dataclass(frozen=True)
class Questions:
    """What to ask one node. `rails` are (netdev, peer) pairs to ping at `mtu` bytes; none: no pings.

    `journal`, `routes`, `survey`, `baseline`: whether to ask for these too. Of these only a teardown rests on one, on
    `baseline`. `opens`: the ports that the node's engine will open; None: no plan is made for them, and neither free
    disk nor the way of SSH is asked for.
    """

    paths: tuple[str, ...]
    secrets: tuple[str, ...]
    netdevs: tuple[str, ...]
    netplan_path: str
    image: str | None = None
    mtu: int = 0
    rails: tuple[tuple[str, str], ...] = ()
    journal: bool = False
    routes: bool = False
    survey: Inquiry | None = None
    baseline: bool = False
    opens: tuple[int, ...] | None = None

    def probes(self) -> tuple[Probe, ...]:
        """The whole batch, in a fixed order."""
        state = (record_facts.PROBE, record_facts.RUN_PROBE, record_facts.LOCK_PROBE)
        fixed = (system_facts.PROBE, links.PROBE, *state, system_facts.RDMA_PROBE)
        shown = tuple(file_facts.probe(path) for path in self.paths)
        hidden = tuple(file_facts.probe(path, secret=True) for path in self.secrets)
        netplan = (
            foreign_facts.files_probe((*self.paths, *self.secrets)),
            foreign_facts.probe(self.netplan_path, self.netdevs),
            owners.probe(self.netdevs),
        )
        engine = (units.image_probe(self.image), units.container_probe()) if self.image else ()
        tools = system_facts.tools_probe(("docker",) if self.image else ())
        rails = (pings.probe(self.mtu, self.rails),) if self.rails else ()
        more = ((record_facts.JOURNAL_PROBE,) if self.journal else ()) + ((route_facts.PROBE,) if self.routes else ())
        more += (baseline_facts.PROBE,) if self.baseline else ()
        more += () if self.opens is None else (system_facts.ROOM_PROBE, system_facts.ARRIVAL_PROBE)
        more += (holders.probe(self.opens),) if self.opens else ()
        surveyed = survey.probes(self.survey) if self.survey else ()
        return (*surveyed, *fixed, *more, tools, *netplan, units.unit_probe(), *engine, *shown, *hidden, *rails)


@dataclass(frozen=True)
class NodeFacts:
    """What one node said in one round trip."""

    node: str
    system: Fact[system_facts.SystemState]
    netdevs: Fact[dict[str, links.Netdev]]
    files: Mapping[str, Fact[file_facts.FileState]]
    record: Fact[record_facts.Record]
    run: Fact[record_facts.RunState]
    lock: Fact[str]
    journal: Fact[tuple[record_facts.Entry, ...]]
    foreign: Fact[tuple[foreign_facts.ForeignFile, ...]]
    owners: Fact[tuple[foreign_facts.ForeignFile, ...]]
    """Owners of fabric netdevs that are no netplan files."""
    netplan_files: Fact[dict[str, file_facts.FileState]]
    """And those of the other folders of BESIDE."""
    missing_tools: Fact[tuple[str, ...]]
    rdma: Fact[dict[str, system_facts.RdmaDevice]]
    unit: Fact[units.UnitState]
    image: Fact[str]
    container: Fact[units.ContainerState]
    pings: Fact[dict[tuple[str, str], bool]]
    pulled: Fact[tuple[str, ...]] = NOT_ASKED
    """Digests of the manifests that the image was pulled by. No plan rests on them."""
    routes: Fact[tuple[route_facts.Route, ...]] = NOT_ASKED
    baseline: Fact[baseline_facts.Baseline] = NOT_ASKED
    room: Fact[int] = NOT_ASKED
    """Free KiB where nodes keep what a run needs."""
    arrival: Fact[str] = NOT_ASKED
    """The node's own address of the SSH connection; Absent where it came by none."""
    holders: Fact[tuple[holders.Holder, ...]] = NOT_ASKED
    """Whoever listens at a port that the engine will open."""
    survey: Survey = NOTHING
    skew: Fact[tuple[float, float]] = NOT_ASKED
    """(least, most) seconds that the node's clock is ahead of the controller's; only with a survey."""
    raw: str = field(default="", repr=False, compare=False)
    """What the node said, as it came: for `verify --save`."""

    def netdev(self, name: str) -> Fact[links.Netdev]:
        """One netdev; Absent when the node has none of that name."""
        return entry(self.netdevs, name, f"no netdev {name}: no cable in that port, or the port is asleep")

    def file(self, path: str) -> Fact[file_facts.FileState]:
        """One file that was asked about, or any below a folder of BESIDE."""
        if path in self.files or not path.startswith(tuple(BESIDE)):
            return self.files.get(path, UNANSWERED)
        if not isinstance(self.netplan_files, Known):
            return self.netplan_files
        found = self.netplan_files.value.get(path)
        return Known(found) if found else Absent(f"no file {path}")

    @property
    def others(self) -> tuple[foreign_facts.ForeignFile, ...]:
        """Whatever of somebody else has netdevs of the fabric, as far as it could be read."""
        both = (self.foreign, self.owners)
        return tuple(file for fact in both if isinstance(fact, Known) for file in fact.value)

    def unknowns(self) -> Iterable[tuple[str, str]]:
        """(subject, reason) of whatever a plan rests on and could not be read: then none can be made."""
        rests: dict[str, Fact[Any]] = {rest.said: rest.fact(self) for rest in RESTS}
        ours = (fact for name in NETDEVS if isinstance(fact := self.netdev(name), Unknown))
        rests |= {"netdevs": next(ours, self.netdevs), **self.files}
        return ((name, fact.reason) for name, fact in rests.items() if isinstance(fact, Unknown))

    def fingerprint(self, netdevs: Iterable[str]) -> str:
        """SHA-256 of everything that a plan for these `netdevs` rests on; counters and clocks are left out."""
        state: dict[str, object] = {rest.name: rest.counts(rest.fact(self)) for rest in RESTS}
        state |= {
            "files": {path: _plain(fact) for path, fact in self.files.items()},
            "netdevs": {name: _plain(self.netdev(name)) for name in netdevs},
        }
        kept = {name: counted for name, counted in state.items() if counted is not NOTHING_MISSING}
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def _plain(fact: Fact[object]) -> str:
    if not isinstance(fact, Known):
        return type(fact).__name__
    return repr(fact.value)


def _unit(fact: Fact[units.UnitState]) -> object:
    return (fact.value.running, fact.value.enabled) if isinstance(fact, Known) else None


NOTHING_MISSING = ""
OWNERS = "owners of netdevs"


def _missing(fact: Fact[tuple[str, ...]]) -> str:
    return NOTHING_MISSING if fact == Known(()) else _plain(fact)


@dataclass(frozen=True)
class Rest:
    """A fact that plans rest on, beside those of files and netdevs.

    `name`: in fingerprints, which journals hold; `said`: to people; `counts`: what of it must be the same when a plan
    runs. All in one list: what is asked for an answer is part of the fingerprint, too.
    """

    name: str
    said: str
    fact: Callable[[NodeFacts], Fact[Any]]
    counts: Callable[[Fact[Any]], object] = _plain


RESTS = (
    Rest("record", "record", lambda facts: facts.record),
    Rest("run", "run", lambda facts: facts.run),
    Rest("foreign", "foreign netplan files", lambda facts: facts.foreign),
    Rest("owners", OWNERS, lambda facts: facts.owners, owners.counts),
    Rest("netplan files", "netplan files", lambda facts: facts.netplan_files),
    Rest("tools", "tools", lambda facts: facts.missing_tools, _missing),
    Rest("unit", "unit", lambda facts: facts.unit, _unit),
    Rest("image", "image", lambda facts: facts.image),
)


def snapshot(node: str, questions: Questions, stdout: str) -> NodeFacts:
    """Parse the output of the batch of `questions`."""
    said = answers(stdout)

    def answer(name: str) -> Fact[str]:
        return said.get(name, UNANSWERED)

    no_image = Absent("the engine uses no image")
    return NodeFacts(
        node=node,
        raw=stdout,
        system=parsed(answer("system"), system_facts.parse),
        netdevs=parsed(answer("links"), links.parse),
        files={p: parsed(answer(f"file:{p}"), file_facts.parse) for p in (*questions.paths, *questions.secrets)},
        record=parsed(answer("record"), record_facts.parse),
        run=parsed(answer("run"), record_facts.parse_run),
        lock=parsed(answer("lock"), record_facts.parse_lock),
        journal=parsed(answer("journal"), record_facts.parse_journal) if questions.journal else NOT_ASKED,
        foreign=parsed(answer("foreign"), foreign_facts.parse),
        owners=parsed(answer("owners"), owners.parse),
        netplan_files=parsed(answer("netplan-files"), foreign_facts.parse_files),
        missing_tools=parsed(answer("tools"), system_facts.parse_tools),
        rdma=parsed(answer("rdma"), system_facts.parse_rdma),
        unit=parsed(answer("unit"), units.parse_unit),
        image=parsed(answer("image"), units.parse_image) if questions.image else no_image,
        pulled=parsed(answer("image"), units.parse_pulled) if questions.image else NOT_ASKED,
        container=parsed(answer("container"), units.parse_container) if questions.image else no_image,
        pings=parsed(answer("pings"), pings.parse) if questions.rails else NOT_ASKED,
        routes=parsed(answer("routes"), route_facts.parse) if questions.routes else NOT_ASKED,
        baseline=parsed(answer("baseline"), baseline_facts.parse) if questions.baseline else NOT_ASKED,
        room=parsed(answer("room"), system_facts.parse_room) if questions.opens is not None else NOT_ASKED,
        arrival=parsed(answer("arrival"), system_facts.parse_arrival) if questions.opens is not None else NOT_ASKED,
        holders=parsed(answer("holders"), holders.parse) if questions.opens else NOT_ASKED,
        survey=survey.read(questions.survey, answer) if questions.survey else NOTHING,
    )
