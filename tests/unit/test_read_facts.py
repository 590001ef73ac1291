"""What nodes are asked, and what becomes of those that do not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from sparkctl.engines import engine_of
from sparkctl.errors import AccessRefused, Unreachable
from sparkctl.execute.read_facts import gather, gather_reachable, questions
from sparkctl.fabric.ports import NETDEVS
from sparkctl.outcome import Failed, Lost, Ok, Result
from sparkctl.render.artifact import API_KEY
from sparkctl.ssh.fleet import Fleet
from tests.unit.healthy import studied
from tests.unit.test_load_run import Scripted

ASKED = questions(*studied("dual")[:2])
SILENT = Unreachable("spark-2: no route to it", "is it switched on?")
SHUT = AccessRefused("spark-2: no key is accepted", "add one")


def of(second: Result | BaseException, first: Result | BaseException = Ok("")) -> Fleet:
    """Two nodes that answer so."""
    return Fleet({"spark-1": Scripted(lambda _: first), "spark-2": Scripted(lambda _: second)})


def test_all_that_answer_are_read() -> None:
    assert set(asyncio.run(gather(of(Ok("")), ASKED))) == {"spark-1", "spark-2"}
    facts, silent = asyncio.run(gather_reachable(of(Ok("")), ASKED))
    assert (set(facts), silent) == ({"spark-1", "spark-2"}, {})


@pytest.mark.parametrize("answer", [Failed(1, "", "no sudo"), Lost("no answer within 30 s")])
def test_a_node_that_cannot_be_read_is_no_base_for_a_plan(answer: Result) -> None:
    with pytest.raises(AccessRefused, match="spark-2: ") as refused:
        asyncio.run(gather(of(answer), ASKED))
    assert "spark-1" not in refused.value.message and "nothing was changed" in refused.value.remedy
    facts, silent = asyncio.run(gather_reachable(of(answer), ASKED))
    assert (set(facts), set(silent)) == ({"spark-1"}, {"spark-2"})


def test_a_node_that_is_off_is_left_where_that_is_enough() -> None:
    with pytest.raises(AccessRefused):
        asyncio.run(gather(of(SILENT), ASKED))
    facts, silent = asyncio.run(gather_reachable(of(SILENT), ASKED))
    assert set(facts) == {"spark-1"} and "no route to it" in silent["spark-2"]
    with pytest.raises(Unreachable, match="no node answers"):
        asyncio.run(gather_reachable(of(SILENT, SILENT), ASKED))


def test_a_node_that_lets_nobody_in_is_a_refusal_everywhere() -> None:
    for read in (gather, gather_reachable):
        with pytest.raises(AccessRefused, match="no key is accepted"):
            asyncio.run(read(of(SHUT), ASKED))  # type: ignore[operator]


EXTRAS: dict[str, Callable[[Any], Any]] = {
    "pings": lambda one: one.rails,
    "journal": lambda one: one.journal,
    "survey": lambda one: one.survey is not None and one.survey.whole and one.routes,
    "knock": lambda one: one.survey is not None and not one.survey.whole and not one.routes,
    "routes": lambda one: one.routes and one.survey is None,
    "baseline": lambda one: one.baseline,
}


@pytest.mark.parametrize("extra", EXTRAS)
def test_what_is_asked_for_is_asked_of_every_node(extra: str) -> None:
    cluster, fabric, _ = studied("dual")
    found = questions(cluster, fabric, **{extra: True})  # type: ignore[arg-type]
    assert all(EXTRAS[extra](one) for one in found.values())
    plain = questions(cluster, fabric)
    assert not any(one.rails or one.journal or one.survey or one.routes or one.baseline for one in plain.values())
    for node, one in found.items():
        assert one.secrets == (API_KEY,) and one.paths and one.mtu == cluster.fabric.mtu
        assert one.image == plain[node].image is not None
        assert set(one.netdevs) == {a.netdev for a in fabric.of(node)}


def test_without_an_engine_nothing_of_one_is_asked() -> None:
    cluster, fabric, _ = studied("dual")
    one = questions(replace(cluster, engine=None), fabric, survey=True)["spark-1"]
    assert one.image is None and one.survey is not None
    assert (one.survey.lent, one.survey.folders, one.survey.image, one.survey.venv, one.survey.naming) == ({}, (), None, None, ())


def test_what_the_survey_of_a_node_knows() -> None:
    """All fabric ports listen, those that nothing is planned for too; ranks meet on every rail; RoCE's test port is called."""
    cluster, fabric, _ = studied("dual")
    one = questions(cluster, fabric, survey=True)["spark-1"].survey
    assert one is not None and one.token
    ears = dict(one.ears)
    assert set(ears) == set(NETDEVS)
    assert {netdev for netdev, nodes in ears.items() if nodes == ("spark-2",)} == {a.netdev for a in fabric.of("spark-1")}
    assert all(nodes in ((), ("spark-2",)) for nodes in ears.values())
    assert set(one.ways) == {(own, peer) for _, own, peer in one.meetings if own in {str(a.address.ip) for a in fabric.of("spark-1")}}
    assert one.called.keys() == {str(a.address.ip) for a in fabric.attachments}
    tcp = replace(cluster, fabric=replace(cluster.fabric, transport="tcp"))
    spoken = questions(tcp, fabric, survey=True)["spark-1"].survey
    assert spoken is not None and spoken.called == {}


def test_what_the_survey_knows_of_the_engine() -> None:
    """Where it keeps what is large, where its libraries are, and what names them."""
    cluster, fabric, _ = studied("dual")
    assert cluster.engine is not None
    for volumes, model, folders in ((("/a", "named", "/b"), "/m", ("/a", "/b")), ((), "/m", ("/m",)), ((), "of/a-hub", ())):
        engine = replace(cluster.engine, volumes=dict.fromkeys(volumes, "x"), model=model)
        one = questions(replace(cluster, engine=engine), fabric, survey=True)["spark-1"].survey
        assert one is not None and one.folders == folders
        assert (one.image, one.venv) == (engine.runtime.docker, engine.runtime.venv)
        assert one.naming == (*engine_of(engine.kind).nccl_path_variables, *(f"x={source}" for source in sorted(volumes)))
    assert cluster.engine.runtime.docker and one.naming


def test_nobody_listens_for_a_rank_at_a_name() -> None:
    """Where ranks meet over management: at numbers; a host name is none."""
    cluster, fabric, _ = studied("mesh-3")
    ends = {n: replace(e, netdev="enP7s7", address=f"192.0.2.{i}") for i, (n, e) in enumerate(fabric.endpoints.items(), 11)}
    for other, met in (("192.0.2.77", True), ("spark-2.lan", False)):
        there = replace(fabric, endpoints={**ends, "spark-2": replace(ends["spark-2"], address=other)})
        one = questions(cluster, there, survey=True)["spark-1"].survey
        assert one is not None
        management = {peer for netdev, _, peer in one.meetings if netdev == "enP7s7"}
        assert (other in management) == met and ends["spark-3"].address in management and ends["spark-1"].address not in management
