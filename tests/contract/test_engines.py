"""What every engine of the registry must keep, whatever it is."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from ipaddress import IPv4Interface
from itertools import chain

import pytest

from sparkctl.engines import ENGINES, Engine, Rank, variables
from sparkctl.engines.base import LAB_FOLDER
from sparkctl.errors import SparkctlError
from sparkctl.fabric.model import Attachment, Endpoint, Fabric
from sparkctl.fabric.ports import half
from sparkctl.inventory.model import (
    Cluster,
    EngineIntent,
    FabricIntent,
    Node,
    Parallel,
    Runtime,
    Source,
    SshAccess,
    canonical,
)
from sparkctl.rule import shared
from tests.standin.engine import ENGINE as STANDIN

EVERY = {**ENGINES, STANDIN.kind: STANDIN}
engines = pytest.mark.parametrize("engine", EVERY.values(), ids=EVERY)


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENGINES, STANDIN.kind, STANDIN)


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
    ranks = gang(engine)
    flags = [{canonical(w.split("=")[0]) for w in engine.words(r) if w.startswith("--")} for r in ranks]
    differing = set().union(*flags) - set.intersection(*flags)
    owned = engine.owned(ranks[0].intent).keys()
    assert differing - {"host"} <= owned, "host is given to the head alone, and every engine takes care of it"


@engines
def test_every_node_starts_once(engine: Engine) -> None:
    rank = gang(engine)[0]
    waves = engine.start_order(rank.cluster, rank.intent)
    assert sorted(chain(*(wave.nodes for wave in waves))) == sorted(NAMES)
    assert all(wave.nodes for wave in waves)
    assert all(0 < port < 65536 for wave in waves for port in wave.ready)


@engines
def test_its_ports_are_ports_and_none_is_the_one_that_serves(engine: Engine) -> None:
    intent = gang(engine)[0].intent
    numbers = [port.number for port in engine.ports(intent)]
    assert numbers
    assert len({*numbers, intent.port}) == len(numbers) + 1
    assert all(0 < number < 65536 for number in numbers)
    assert all(port.use for port in engine.ports(intent))


@engines
def test_a_port_moves_with_its_flag_and_nonsense_moves_none(engine: Engine) -> None:
    intent = gang(engine)[0].intent
    for flag in {port.flag for port in engine.ports(intent)} - {""}:
        assert 30123 in [p.number for p in engine.ports(replace(intent, args={flag: 30123}))]
        assert engine.ports(replace(intent, args={flag: "x" * 30})) == engine.ports(intent)


@engines
def test_the_canary_asks_for_real_tokens_and_not_for_a_health_page(engine: Engine) -> None:
    rank = gang(engine)[0]
    probe = engine.probe(rank.intent)
    assert probe.completion_path.startswith("/")
    assert "health" not in probe.completion_path
    assert probe.port == rank.intent.port
    assert probe.completion != engine.probe(rank.intent, 16).completion
    assert json.loads(json.dumps(vars(probe))) == vars(probe)


@engines
def test_what_an_answer_holds_is_named_by_keys_and_indexes_alone(engine: Engine) -> None:
    probe = engine.probe(gang(engine)[0].intent)
    for place in ("", "a b", "__import__('os')", "a..b", "a[0]", ".a", "a.", "a-b", "é"):
        with pytest.raises(SparkctlError, match="names no place"):
            replace(probe, text=place)


@engines
def test_addresses_and_the_key_are_variables_that_a_user_may_not_set(engine: Engine) -> None:
    rank = gang(engine)[0]
    names = (*engine.address_variables, engine.api_key_variable)
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]*", name) for name in names)
    assert not set(names) & engine.environment(rank).keys()
    assert [variables(r)[name] for r in gang(engine) for name in engine.address_variables] == [
        r.address for r in gang(engine) for _ in engine.address_variables
    ]


@engines
def test_memory_is_a_share_and_every_layer_has_a_stage(engine: Engine) -> None:
    intent = replace(gang(engine)[0].intent, parallel=Parallel(1, 3))
    assert 0 < engine.memory(intent).share <= 1
    for layers in (3, 36, 61, 80):
        stages = engine.stage_layers(intent, layers)
        assert (len(stages), sum(stages)) == (3, layers)


@engines
def test_the_ids_of_its_rules_are_its_own(engine: Engine) -> None:
    own = {rule.id for rule in engine.rules()}
    others = [rule.id for other in ENGINES.values() if other is not engine for rule in other.rules()]
    assert len(own) == len(engine.rules())
    assert not own & {*others, *(rule.id for rule in shared())}


@engines
def test_its_twin_serves_the_same_name_at_the_same_port_without_a_gpu(engine: Engine) -> None:
    intent = gang(engine)[0].intent
    twin = engine.lab_twin(intent)
    assert (twin.intent.kind, twin.intent.port, twin.intent.parallel) == (engine.kind, intent.port, intent.parallel)
    assert engine.probe(twin.intent).model == engine.probe(intent).model
    assert (twin.intent.accelerator, twin.intent.runtime.docker) == ("cpu", engine.lab_build.image)
    assert twin.said and engine.lab_build.about and engine.lab_build.made
    assert "'" not in engine.lab_build.finish, "it stands in quotes"
    assert len(engine.lab_build.renamed) in (0, 3)
    venv = engine.lab_twin(replace(intent, runtime=Runtime(venv="/opt/x")))
    assert venv.intent.runtime == Runtime(venv=LAB_FOLDER)
    assert all(not word or word.isprintable() for word in engine.words(replace(gang(engine)[0], intent=venv.intent)))


@engines
def test_the_unit_says_why_it_restarts_or_not(engine: Engine) -> None:
    policy = engine.restart_policy
    assert policy.why.isprintable() and policy.why_stop.isprintable()
    assert policy.stop > 0
    assert policy.restart == "no" or policy.pause > 0
