"""A running lab at the goal, into which faults are planted one at a time; and what `cluster verify` says of it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.cluster.conftest import ROOT, Ended, sparkctl

ENGINE = "\nengine:"
NodeScripts = Mapping[str, str]


@dataclass
class Site:
    """One lab of either backend."""

    inventory: Path
    healthy: int = 0
    alarms: list[str] = field(default_factory=list)

    def root(self, node: str, script: str) -> str:
        """Run `script` as root on `node`; it must succeed."""
        wanted = f"sudo -n sh -ec {shlex.quote(script)}"
        ended = sparkctl("lab", "ssh", str(self.inventory), node, "--", wanted, timeout=120)
        assert ended.code == 0, f"{node}: {script!r} failed: {ended.out}{ended.err}"
        return ended.out

    def fault(self, verb: str, subject: str) -> None:
        """`sparkctl lab fault INVENTORY VERB SUBJECT`."""
        ended = sparkctl("lab", "fault", str(self.inventory), verb, subject, timeout=180)
        assert ended.code == 0, ended.err

    def cluster(self, verb: str, *words: str) -> Ended:
        """`sparkctl cluster VERB INVENTORY --lab ...`."""
        return sparkctl("cluster", verb, str(self.inventory), "--lab", *words, timeout=900)

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


def booted(
    folder: Path, example: str, name: str, *options: str, engine: bool = False, goal: bool = True
) -> Iterator[Site]:
    """The lab of one example, at its goal or blank; down at the end, whatever happened."""
    text = (ROOT / "inventories" / f"{example}.yaml").read_text()
    text = text if engine else text.partition(ENGINE)[0] + "\n"
    inventory = folder / f"{name}.yaml"
    lines = [f"  name: {name}" if line.startswith("  name: ") else line for line in text.splitlines()]
    lines = [f"metadata: {{name: {name}}}" if line.startswith("metadata: {") else line for line in lines]
    inventory.write_text("\n".join(lines) + "\n")
    up = sparkctl("lab", "up", str(inventory), *options)
    assert up.code == 0, up.err
    try:
        site = Site(inventory)
        if goal:
            made = site.cluster("up", "--yes", *(() if engine else ("--only", "network")))
            assert made.code == 0, made.err + made.out
        yield site
    finally:
        down = sparkctl("lab", "down", str(inventory))
        assert down.code == 0, down.err
