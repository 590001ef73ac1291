"""A running lab at the goal, into which faults are planted one at a time; and what `cluster verify` says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.lab.labs import Rig

NodeScripts = Mapping[str, str]


@dataclass
class Site(Rig):
    """One lab of either backend."""

    healthy: int = 0
    alarms: list[str] = field(default_factory=list)

    def root(self, node: str, script: str, timeout: float = 120) -> str:
        """Run `script` as root on `node`; every command of it must succeed."""
        return super().root(node, f"set -e\n{script}", timeout)

    def verify(self, *words: str) -> tuple[int, tuple[dict[str, str], ...]]:
        """Exit code and verdicts of `cluster verify --lab --json`."""
        ended = self.cluster("verify", "--json", *words)
        assert ended.code in (0, 7), ended.err
        verdicts = ended.json["verdicts"]
        assert isinstance(verdicts, list)
        return ended.code, tuple(verdicts)

    def look_healthy(self, *words: str) -> None:
        """A verify of a cluster without a fault: whatever it finds is a false alarm."""
        code, verdicts = self.verify(*words)
        found = [f"{v['id']} at {v['where']}: {v['state']}: {v['message']} {v['measured']}" for v in wrong(verdicts)]
        self.healthy += 1
        self.alarms += found
        assert code == 0 and not found, "\n".join(found)


def wrong(verdicts: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """The verdicts that make exit code 7."""
    return [v for v in verdicts if v["state"] in ("fail", "unknown")]


Act = Callable[[Site], None]


@dataclass(frozen=True)
class Fault:
    """Something that breaks on a real lab, and who has to name it.

    `named`: every check that must fail, with words of the places that it must name; no other check may fail.
    `remedy`: words that the advice must hold. `words`: options of verify.
    """

    name: str
    plant: Act
    mend: Act
    named: Mapping[str, tuple[str, ...]]
    remedy: str
    words: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name


def scripts(plants: NodeScripts, mends: NodeScripts) -> tuple[Act, Act]:
    """A fault that scripts on nodes put in and take away."""

    def on(nodes: NodeScripts) -> Act:
        def act(site: Site) -> None:
            for node, script in nodes.items():
                site.root(node, script)

        return act

    return on(plants), on(mends)


def lab(verb: str, subject: str, back: str, subject_back: str | None = None) -> tuple[Act, Act]:
    """A fault that the lab itself puts in and takes away."""
    return lambda site: site.fault(verb, subject), lambda site: site.fault(back, subject_back or subject)


def misnamed(fault: Fault, code: int, verdicts: Sequence[dict[str, str]]) -> list[str]:
    """Why these verdicts do not name `fault`; empty when they do."""
    found = wrong(verdicts)
    problems = [] if code == 7 else [f"exit code {code}, expected 7"]
    failed = {v["id"] for v in found}
    if failed != set(fault.named):
        problems.append(f"{sorted(failed)} failed, expected {sorted(fault.named)}")
    for id, places in fault.named.items():
        where = " | ".join(f"{v['where']}: {v['message']} {v['measured']}" for v in found if v["id"] == id)
        problems += [f"{id} does not name {place}, but: {where}" for place in places if place not in where]
    advice = " | ".join(v["remedy"] for v in found)
    if fault.remedy not in advice:
        problems.append(f"no advice with {fault.remedy!r}, but: {advice}")
    return problems


def at_goal(rig: Rig) -> Site:
    """The network of a running lab up, and its engine where it has one."""
    site = Site(rig.inventory, rig.name)
    engine = "\nengine:" in rig.inventory.read_text()
    made = site.cluster("up", "--yes", *(() if engine else ("--only", "network")))
    assert made.code == 0, made.err + made.out
    return site
