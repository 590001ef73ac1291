"""A remedy that names a value is right: where it is done, what it is for is gone, nothing new comes, and no two contradict."""

from __future__ import annotations

import copy
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_interface
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import pytest
import yaml

from sparkctl.checks import View, judge
from sparkctl.fabric.ports import HALVES, half
from sparkctl.facts.neighbours import Hello
from sparkctl.facts.survey import Survey
from sparkctl.inventory.model import LinkEnd as Port
from sparkctl.inventory.words import visible
from sparkctl.loadtest.results import Trial
from sparkctl.outcome import Finding, Known, Named, Remedy, Verdict, values_of
from sparkctl.study import study_text
from tests.unit.changes import changed
from tests.unit.test_checks_cases import CASES as CHECKED
from tests.unit.test_checks_cases import identify, read, view
from tests.unit.test_rules import CASES, DESK

PORTS = {each.netdev: each.port for each in HALVES}


# --- rules: the file is written as the remedy says -----------------------------------------------------------------


Key = tuple[str, str, str]


def found(tree: object) -> dict[Key, Finding]:
    text = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True).encode()
    return {(f.id, f.where, f.message): f for f in study_text(text, "inventory.yaml", DESK).findings}


def written(tree: Any, value: Named) -> None:
    """Put `value` into the file, take the place out, or give it the other name."""
    here, rest = tree, value.of
    while True:
        keys = [key for key in (here if isinstance(here, dict) else range(len(here))) if _begins(rest, key)]
        key = max(keys, key=lambda key: len(str(key)), default=rest)
        after = rest.removeprefix(f"[{key}]" if isinstance(key, int) else str(key)).removeprefix(".")
        if not after:
            break
        here, rest = here[key], after
    if value.kind == "rename":
        here[value.value] = here.pop(key)
    elif value.value:
        here[key] = yaml.safe_load(value.value)
    else:
        del here[key]


def _begins(rest: str, key: object) -> bool:
    return rest.startswith(f"[{key}]") if isinstance(key, int) else re.match(rf"{re.escape(str(key))}(?=$|[.\[])", rest) is not None


def advised() -> list[Any]:
    """Every finding of the cases whose remedy names values of the file."""
    for case in CASES:
        try:
            tree = yaml.safe_load((case / "inventory.yaml").read_text())
            findings = found(tree) if isinstance(tree, dict) else {}
        except (yaml.YAMLError, UnicodeDecodeError, ValueError):
            continue
        for key, finding in findings.items():
            if values_of(finding.remedy):
                yield pytest.param(tree, key, id=f"{case.name}-{key[1]}")


ADVISED = list(advised())


@pytest.mark.parametrize(("tree", "key"), ADVISED)
def test_what_a_rule_says_to_write_mends_the_file(tree: dict[str, Any], key: Key) -> None:
    before, mended = found(tree), copy.deepcopy(tree)
    values = values_of(before[key].remedy)
    for value in values:
        assert value.of and value.kind in ("inventory", "rename", "plug", "cable"), value
        if value.kind in ("inventory", "rename"):
            written(mended, value)
        else:  # moves are parts of one
            mended["links"] = recabled(mended["links"], [v for f in before.values() for v in values_of(f.remedy)])
            break
    after = found(mended)
    assert key not in after
    new = Counter(id for id, _, _ in after) - Counter(id for id, _, _ in before)
    assert not new.keys() - LATENT.get(key[0], set()), "something new"


LATENT = {"NCL011": {"NCL009"}, "PAR007": {"MEM003"}, "TOP005": {"TOP007"}}
"""What is said of RDMA, a flag or a whole ring waits until the file asks for RDMA, names the flag, or has the ring."""


def recabled(links: list[Any], values: list[Named]) -> list[Any]:
    """The cables of the file after all plugs were put elsewhere, and the missing cables were laid."""
    plugs = {value.of: value.value for value in values if value.kind == "plug"}
    laid = {(value.of, value.value) for value in values if value.kind == "cable"}
    return [*(moved(link, plugs) for link in links), *map(list, sorted(laid))]


def moved(link: Any, plugs: dict[str, str]) -> Any:
    """A cable of the file after these plugs were put elsewhere."""
    if isinstance(link, dict):
        return {key: plugs.get(end, end) if key in "ab" else end for key, end in link.items()}
    return [plugs.get(end, end) for end in link]


def test_enough_rules_name_what_they_say() -> None:
    assert len({param.values[1][0] for param in ADVISED}) >= 15


# --- checks: the nodes are as the remedy says ----------------------------------------------------------------------


def done(seen: View, value: Named) -> View:
    """The cluster after somebody did what `value` says."""
    if value.kind == "kernel":
        kernel = seen.facts[value.of].survey.kernel
        assert isinstance(kernel, Known)
        booted = changed(seen, {"path": f"{value.of}.survey.memory.cma_free", "to": 0})
        line = f"{kernel.value.command_line} {value.value}"
        return changed(booted, {"path": f"{value.of}.survey.kernel.command_line", "to": line})
    if value.kind == "mtu":
        node, netdev = value.of.split()
        return pinged(changed(seen, {"path": f"{node}.netdevs.{netdev}.mtu", "to": int(value.value)}))
    if value.kind == "reboot":  # facts N1: it is what helps
        assert seen.load is not None
        sick = {t: f for t, f in seen.load.measured.items() if t.kind == "ways" and value.of in t.nodes}
        well = {t: tuple(seen.load.measured[Trial("bandwidth", (lane,))][0] for lane in t.lanes) for t in sick}
        return replace(seen, load=replace(seen.load, measured={**seen.load.measured, **well}))
    return commanded(seen, value.of, shlex.split(value.value.removeprefix("sudo ")))


def commanded(seen: View, node: str, words: list[str]) -> View:
    """`words` run on `node`: those that remedies may use."""
    facts = seen.facts[node]
    match words:
        case ["nmcli", "connection", "delete" | "modify" as verb, name, *rest]:
            assert isinstance(facts.survey.profiles, Known)
            kept = [p for p in facts.survey.profiles.value if visible(p.name) != name or verb == "modify"]
            bound = tuple(replace(p, netdev=rest[1]) if visible(p.name) == name else p for p in kept)
            assert verb == "delete" or rest[0] == "connection.interface-name"
            facts = replace(facts, survey=replace(facts.survey, profiles=Known(bound)))
        case ["ip", "route", "del", *route]:
            assert isinstance(facts.routes, Known)
            facts = replace(facts, routes=Known(tuple(r for r in facts.routes.value if str(r).split() != route)))
        case ["ip", "addr", "del", text, "dev", netdev]:
            here, routes, gids = facts.netdev(netdev), facts.routes, facts.survey.gids
            assert isinstance(here, Known) and isinstance(facts.netdevs, Known)
            assert isinstance(routes, Known) and isinstance(gids, Known)
            gone = ip_interface(text)  # its route and its GIDs go with it
            routes = Known(tuple(r for r in routes.value if (r.destination, r.netdev) != (gone.network, netdev)))
            gids = Known(tuple(g for g in gids.value if (g.address, g.netdev) != (gone.ip, netdev)))
            left = {name: tuple(a for a in getattr(here.value, name) if a != text) for name in ("addresses", "link_local")}
            netdevs = Known({**facts.netdevs.value, netdev: replace(here.value, **left)})
            facts = replace(facts, netdevs=netdevs, routes=routes, survey=replace(facts.survey, gids=gids))
        case ["ip", "link", "set", netdev, "up"]:
            assert netdev in seen.facts[node].netdevs.value
            for end in (a for a in seen.fabric.attachments if seen.facts[a.node].netdevs.value[a.netdev].up or a.node == node):
                for key, value in {"up": True, "carrier": True, "addresses": [str(end.address)]}.items():
                    seen = changed(seen, {"path": f"{end.node}.netdevs.{end.netdev}.{key}", "to": value})
            return pinged(seen)
        case _:
            pytest.fail(f"nobody knows what {words} does")
    return replace(seen, facts={**seen.facts, node: facts})


def plugged(seen: View, values: list[Named]) -> View:
    """The cables between nodes after all moves: who hears whom, and what has a carrier."""
    heard = {pair for node, facts in seen.facts.items() for pair in neighbours(node, facts.survey)}
    quiet = {Port(a.node, a.half.port) for a in seen.fabric.attachments} - {port for pair in heard for port in pair}
    heard |= {frozenset(pair) for pair in combinations(quiet, 2) if pair[0].owner == pair[1].owner}  # hears not itself
    plugs = {v.of: Port(*v.value.split(":")) for v in values if v.kind == "plug"}
    laid = {frozenset((Port(*v.of.split(":")), Port(*v.value.split(":")))) for v in values if v.kind == "cable"}
    cables = {frozenset(plugs.get(str(port), port) for port in pair) for pair in heard} | laid
    facts = {}
    for node, said in seen.facts.items():
        ends = [(a, b) for pair in cables for a, b in permutations(pair) if a.owner == node]
        hellos = tuple(Hello(half(a.port, r).netdev, b.owner, half(b.port, r).netdev) for a, b in ends for r in "AB")
        assert isinstance(said.netdevs, Known)
        lit = {half(a.port, r).netdev for a, _ in ends for r in "AB"}
        own = {a.netdev: (str(a.address),) for a in seen.fabric.of(node)}  # comes with the carrier
        netdevs = {
            n: replace(d, carrier=True, addresses=own.get(n, d.addresses)) if n in lit else d
            for n, d in said.netdevs.value.items()
        }
        facts[node] = replace(said, netdevs=Known(netdevs), survey=replace(said.survey, hellos=Known(hellos)))
    return pinged(replace(seen, facts=facts))


def neighbours(node: str, survey: Survey) -> Iterable[frozenset[Port]]:
    """By calls, and by LLDP where nobody could call."""
    said = [(h.netdev, h.node, h.sender) for h in survey.hellos.value] if isinstance(survey.hellos, Known) else []
    if not isinstance(survey.hellos, Known) and isinstance(survey.lldp, Known):
        said = [(n.netdev, n.system, n.port) for n in survey.lldp.value if n.port in PORTS]
    return (frozenset((Port(node, PORTS[netdev]), Port(other, PORTS[theirs]))) for netdev, other, theirs in said)


def pinged(seen: View) -> View:
    """The pings run again: all that ran are answered now."""
    facts = {n: replace(f, pings=Known(dict.fromkeys(f.pings.value, True)) if isinstance(f.pings, Known) else f.pings)
             for n, f in seen.facts.items()}  # fmt: skip
    return replace(seen, facts=facts)


def wrong(seen: View) -> dict[tuple[str, str], Verdict]:
    return {(v.id, v.where): v for v in judge(seen) if v.state in ("fail", "warn", "unknown")}


TOLD = [
    pytest.param(path, key, id=f"{identify(path)}-{key[0]}-{key[1]}")
    for path in CHECKED
    for key, verdict in wrong(view(read(path))).items()
    if values_of(verdict.remedy)
]


@pytest.mark.parametrize(("path", "key"), TOLD)
def test_what_a_check_says_to_do_mends_the_cluster(path: Path, key: tuple[str, str]) -> None:
    seen = view(read(path))
    before = wrong(seen)
    values = values_of(before[key].remedy)
    assert all(value.of and value.value for value in values)
    if values[0].kind in ("plug", "cable"):
        seen = plugged(seen, [v for verdict in before.values() for v in values_of(verdict.remedy)])
    else:
        for value in values:
            seen = done(seen, value)
    after = wrong(seen)
    assert key not in after
    assert not {id for id, _ in after.keys() - before.keys()} - LATER.get(path.parent.name, set()), "something new"


LATER = {"link-local-by-its-route": {"rail-gid"}, "other-end-down": {"rail-speed"}}
"""What no fact of the case shows: a GID goes with its address and profile, and a link that comes up has a speed again."""


def test_enough_checks_name_what_they_say() -> None:
    assert {param.values[1][0] for param in TOLD} >= {
        "kernel-known-bad", "rail-mtu", "rail-duplex", "fabric-route", "network-profile", "cabling",
    }  # fmt: skip


# --- no two contradict ---------------------------------------------------------------------------------------------


def contradictions(remedies: Iterable[str]) -> list[tuple[str, set[str]]]:
    """Things that are to have two values at once."""
    told: dict[tuple[str, str], set[str]] = defaultdict(set)
    for value in (value for remedy in remedies for value in values_of(remedy)):
        if value.kind != "command":  # a node may be told several
            told[value.kind, value.of].add(value.value)
    return [(f"{kind} of {of}", values) for (kind, of), values in told.items() if len(values) > 1]


@pytest.mark.parametrize("path", CHECKED, ids=identify)
def test_no_two_remedies_of_checks_contradict(path: Path) -> None:
    assert not contradictions(v.remedy for v in judge(view(read(path))))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_two_remedies_of_rules_contradict(case: Path) -> None:
    findings = study_text((case / "inventory.yaml").read_bytes(), "inventory.yaml", DESK).findings
    assert not contradictions(f.remedy for f in findings)


def test_a_contradiction_is_seen() -> None:
    one, other = (Remedy("x", Named("mtu", mtu, "spark-1 enp1s0f1np1")) for mtu in ("9000", "1500"))
    assert contradictions([one, one]) == [] and contradictions([one, other]) == [("mtu of spark-1 enp1s0f1np1", {"9000", "1500"})]
