"""What a survey asks of whom, and that the clock of each node is compared with the controller's."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from dataclasses import dataclass, field, replace

from sparkctl.commands.base import Command, Effect
from sparkctl.execute.read_facts import gather, questions
from sparkctl.fabric.ports import NETDEVS
from sparkctl.facts import knock
from sparkctl.facts.base import batch
from sparkctl.facts.survey import NOTHING, probes
from sparkctl.outcome import Absent, Known, Ok, Result, Unknown
from sparkctl.ssh.fleet import Fleet
from sparkctl.ssh.transport import Counters, LineSink
from tests.unit.healthy import studied

CLUSTER, FABRIC, _ = studied("dual")
ASKED = questions(CLUSTER, FABRIC, survey=True)


@dataclass
class Clock:
    """A node whose clock is ahead by some seconds, and which says nothing else."""

    ahead: float
    counters: Counters = field(default_factory=Counters)

    async def run(self, command: Command, on_line: LineSink | None = None) -> Result:
        first = f"{time.time() + self.ahead:.9f}\n"
        await asyncio.sleep(0.2)
        last = f"{time.time() + self.ahead:.9f}\n"
        said = "".join(f"{name} 0 {len(text)}\n{text}\n" for name, text in (("clock", first), ("clock-again", last)))
        return Ok(base64.b64encode(said.encode()).decode())

    async def renew(self) -> None: ...

    async def close(self) -> None: ...


def test_the_clock_of_each_node_is_compared_in_the_same_round() -> None:
    fleet = Fleet({"spark-1": Clock(0.0), "spark-2": Clock(-3600.0)})
    facts = asyncio.run(gather(fleet, ASKED))
    assert fleet.rounds == 1
    for node, ahead in (("spark-1", 0.0), ("spark-2", -3600.0)):
        skew = facts[node].skew
        assert isinstance(skew, Known)
        assert skew.value[0] <= ahead <= skew.value[1]
        assert skew.value[1] - skew.value[0] < 0.15, "the 0.2 s that the batch took do not count"
        assert isinstance(facts[node].survey.gids, Unknown)


def test_the_library_is_looked_for_where_the_engine_is_given_one() -> None:
    assert CLUSTER.engine is not None
    env = {"LD_PRELOAD": "/models/libnccl.so.2", "OTHER": "x", "VLLM_NCCL_SO_PATH": "/a"}
    given = replace(CLUSTER, engine=replace(CLUSTER.engine, env=env))
    asked = questions(given, FABRIC, survey=True)["spark-1"].survey
    assert asked is not None
    assert asked.naming == (
        *("VLLM_NCCL_SO_PATH", "VLLM_NCCL_SO_PATH=/a", "LD_PRELOAD=/models/libnccl.so.2"),
        "/models=/srv/models",
    )
    (venv,) = (probe for probe in probes(replace(asked, image=None, venv="/opt/vllm")) if probe.name == "nccl")
    assert "LD_PRELOAD=/models/libnccl.so.2" in str(venv)


def test_without_a_survey_nothing_of_it_is_asked_or_known() -> None:
    plain = questions(CLUSTER, FABRIC)
    facts = asyncio.run(gather(Fleet({node: Clock(0.0) for node in plain}), plain))
    assert all(fact.survey is NOTHING and isinstance(fact.skew, Absent) for fact in facts.values())
    assert {probe.name for probe in plain["spark-1"].probes()} & {"clock", "hellos", "knocks", "ethernet", "firewall"} == set()


def test_a_survey_only_reads() -> None:
    assert batch(ASKED["spark-1"].probes()).effect is Effect.READ


def test_all_nodes_of_one_run_share_a_token_that_the_next_run_does_not() -> None:
    tokens = {asked.survey.token for asked in ASKED.values() if asked.survey}
    later = {asked.survey.token for asked in questions(CLUSTER, FABRIC, survey=True).values() if asked.survey}
    assert len(tokens) == len(later) == 1
    assert tokens != later


def test_every_port_listens_and_only_planned_peers_are_awaited() -> None:
    survey = ASKED["spark-1"].survey
    assert survey is not None
    ears = dict(survey.ears)
    planned = {a.netdev: tuple(p.node for p in FABRIC.peers(a)) for a in FABRIC.of("spark-1")}
    assert set(ears) == set(NETDEVS)
    assert {netdev: peers for netdev, peers in ears.items() if peers} == planned
    assert set(planned.values()) == {("spark-2",)}


def test_the_ways_are_those_of_every_rail_to_every_peer() -> None:
    survey = ASKED["spark-2"].survey
    assert survey is not None
    here = {str(a.address.ip): {str(p.address.ip) for p in FABRIC.peers(a)} for a in FABRIC.of("spark-2")}
    assert {(own, peer) for own, peers in here.items() for peer in peers} == set(survey.ways)
    assert {(own, peer) for _, own, peer in survey.meetings} == set(survey.ways)


def test_nodes_knock_at_one_another_where_the_ranks_meet() -> None:
    """On rails of their own between two nodes; over management on a mesh, where no rail joins all."""
    for name, met in (("dual", "enp1s0f1np1"), ("mesh-3", "enP7s7")):
        cluster, fabric, _ = studied(name)
        asked = [q.survey for q in questions(cluster, fabric, survey=True).values() if q.survey]
        netdevs = {netdev for survey in asked for netdev, _, _ in survey.meetings}
        assert netdevs == {a.netdev for a in fabric.attachments} | {met}
        both = {(own, peer) for survey in asked for _, own, peer in survey.meetings}
        assert both == {(peer, own) for own, peer in both}, "who is knocked at knocks back"
        assert all(survey.lent == {fabric.endpoints[cluster.head.name].address: (29501,)} for survey in asked)


def test_the_ports_of_a_run_are_three_that_no_program_is_given() -> None:
    """One in each third of the range of the kernel, even (a program that listens gets odd ones), others in each run."""
    for token in ("0" * 16, "f" * 16, "0123456789abcdef"):
        found = knock.ports(token)
        assert [(port - knock.FIRST) // 9410 for port in found] == [0, 1, 2]
        assert all(port % 2 == 0 and knock.FIRST <= port <= knock.LAST for port in found)
    assert knock.ports("0123456789abcdef") != knock.ports("fedcba9876543210")


def test_only_the_port_of_the_engine_is_lent_and_only_on_the_head() -> None:
    for node, lent in (("spark-1", [["enp1s0f1np1", "10.20.0.11", 29501, True]]), ("spark-2", [])):
        (probe,) = (probe for probe in ASKED[node].probes() if probe.name == "knocks")
        words = json.loads(probe.words[-1])
        assert [door for door in words["doors"] if door[3]] == lent
        assert len(words["doors"]) == len(lent) + 2 * 3
