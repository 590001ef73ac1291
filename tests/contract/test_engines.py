"""What every engine of the registry must keep, whatever it is."""

from __future__ import annotations

from ipaddress import IPv4Interface
from itertools import chain

import pytest

from sparkctl.engines import ENGINES, Engine, Rank
from sparkctl.engines.flags import canonical
from sparkctl.fabric.model import Attachment, Endpoint, Fabric
from sparkctl.fabric.ports import half
from sparkctl.inventory.model import Cluster, EngineIntent, FabricIntent, Node, Parallel, Runtime, Source, SshAccess

engines = pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
NAMES = ("n0", "n1", "n2", "n3")


def gang(engine: Engine, user: str = "op") -> list[Rank]:
    """Four ranks on a switch, with a key and a fixed served name."""
    intent = EngineIntent(engine.kind, Runtime(docker="i:1"), "m/x", Parallel(4), api_key_file="/secret/place/key")
    nodes = tuple(Node(name, f"192.0.2.{11 + k}", k, 22, user, "enP7s7") for k, name in enumerate(NAMES))
    fabric = FabricIntent("switch")
    cluster = Cluster("c", SshAccess(user), nodes, (), (), fabric, intent, Source("i.yaml", {}))
    ends = {node.name: Endpoint("enp1s0f1np1", f"10.20.0.{11 + node.rank}") for node in nodes}
    attached = (
        Attachment(node.name, half("p1", rail), 0, IPv4Interface(f"10.20.{k}.{11 + node.rank}/24"), 9000)
        for node in nodes
        for k, rail in enumerate(("A", "B"))
    )
    return [Rank(cluster, Fabric("switch", tuple(attached), (), ends), node, intent) for node in nodes]


@engines
def test_it_is_registered_under_its_own_kind(engine: Engine) -> None:
    assert ENGINES[engine.kind] is engine


@engines
def test_the_same_rank_gives_the_same_words(engine: Engine) -> None:
    assert [engine.words(r) for r in gang(engine)] == [engine.words(r) for r in gang(engine)]
    assert [engine.environment(r) for r in gang(engine)] == [engine.environment(r) for r in gang(engine)]


@engines
def test_whoever_runs_sparkctl_leaves_no_trace(engine: Engine) -> None:
    assert [engine.words(r) for r in gang(engine, "alice")] == [engine.words(r) for r in gang(engine, "bob")]


@engines
def test_no_two_ranks_have_the_same_words(engine: Engine) -> None:
    assert len({engine.words(rank) for rank in gang(engine)}) == len(NAMES)


@engines
def test_every_word_is_a_word(engine: Engine) -> None:
    for rank in gang(engine):
        words = engine.words(rank)
        assert words
        assert all(isinstance(word, str) and "\n" not in word and "\0" not in word for word in words)


@engines
def test_no_secret_and_no_path_of_one_shows(engine: Engine) -> None:
    for rank in gang(engine):
        shown = chain(engine.words(rank), engine.environment(rank), engine.environment(rank).values())
        assert not [word for word in shown if "secret" in word or "KEY" in word]


@engines
def test_every_flag_it_writes_for_a_role_is_its_own(engine: Engine) -> None:
    """What differs between ranks must be owned, or a user's argument could make the gang disagree."""
    flags = [{canonical(w.split("=")[0]) for w in engine.words(r) if w.startswith("--")} for r in gang(engine)]
    differing = set().union(*flags) - set.intersection(*flags)
    assert differing - {"host"} <= engine.owned, "host is given to the head alone, and every engine takes care of it"


@engines
def test_every_node_starts_once_and_the_head_is_last(engine: Engine) -> None:
    waves = engine.start_order(gang(engine)[0].cluster)
    assert sorted(chain(*waves)) == sorted(NAMES)
    assert waves[-1] == (NAMES[0],)


@engines
def test_the_canary_asks_for_one_token_and_not_for_a_health_page(engine: Engine) -> None:
    probe = engine.probe(gang(engine)[0].intent)
    assert probe.completion_path.startswith("/v1/")
    assert "health" not in probe.completion_path
    assert probe.completion["model"] == probe.model
    assert probe.port != engine.rendezvous_port(gang(engine)[0].intent)


@engines
def test_a_plain_section_has_no_findings(engine: Engine) -> None:
    rank = gang(engine)[0]
    assert engine.findings(rank.cluster, rank.intent) == ()
