"""vLLM's arguments: one list for all ranks, and the roles."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
import yaml

from sparkctl.engines import ENGINES, Rank, engine_of, kinds, variables
from sparkctl.engines.vllm.engine import Vllm
from sparkctl.errors import SparkctlError
from sparkctl.fabric.model import Fabric
from sparkctl.inventory.model import Cluster, EngineIntent
from sparkctl.inventory.resolve import Controller
from sparkctl.outcome import Finding
from sparkctl.study import study_text

ROLE = {"--node-rank", "--headless", "--host", "--port"}


def text(nodes: int, **engine: object) -> bytes:
    """An inventory of `nodes` nodes on a switch."""
    section = {
        "kind": "vllm",
        "runtime": {"docker": "vllm/vllm-openai:v0.33.0"},
        "model": "openai/gpt-oss-120b",
        "parallel": f"TP{nodes}",
    }
    return yaml.safe_dump(
        {
            "apiVersion": "sparkctl/v1",
            "kind": "Cluster",
            "metadata": {"name": "c"},
            "nodes": [{"name": f"n{k}", "address": f"192.0.2.{11 + k}"} for k in range(nodes)],
            "links": [{"a": f"n{k}:p1", "b": f"sw:port{k}"} for k in range(nodes)],
            "switches": [{"name": "sw", "l2mtu": 9216}],
            "fabric": {"topology": "switch"},
            "engine": {**section, **engine},
        }
    ).encode()


def findings(nodes: int, **engine: object) -> list[Finding]:
    """What the rules of engines say of it."""
    found = study_text(text(nodes, **engine), "i.yaml", Controller("op", PurePosixPath("/"), PurePosixPath("/")))
    return [finding for finding in found.findings if finding.id.startswith("ENG")]


def studied(nodes: int, **engine: object) -> tuple[Cluster, Fabric, EngineIntent]:
    """The cluster, its fabric and its engine, whatever the rules for engines say of it."""
    found = study_text(text(nodes, **engine), "i.yaml", Controller("op", PurePosixPath("/"), PurePosixPath("/")))
    assert found.cluster is not None
    assert found.fabric is not None, found.findings
    assert found.cluster.engine is not None
    return found.cluster, found.fabric, found.cluster.engine


def words(nodes: int, **engine: object) -> list[tuple[str, ...]]:
    """The words of every rank."""
    cluster, fabric, intent = studied(nodes, **engine)
    return [Vllm().words(Rank(cluster, fabric, node, intent)) for node in cluster.nodes]


def options(rank: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Flag to values."""
    found: dict[str, tuple[str, ...]] = {}
    for word in rank[3:]:
        if word.startswith("--"):
            last, *value = word.split("=", 1)
            found[last] = tuple(value)
        else:
            found[last] += (word,)
    return found


@pytest.mark.parametrize(("nodes", "parallel"), [(2, "TP2"), (4, "TP4"), (3, "PP3"), (4, "TP2PP2"), (4, "TP2DP2")])
def test_ranks_differ_in_their_role_alone(nodes: int, parallel: str) -> None:
    ranks = words(nodes, parallel=parallel, args={"max-num-seqs": 8})
    shared = [{k: v for k, v in options(rank).items() if k not in ROLE} for rank in ranks]
    assert all(rank == shared[0] for rank in shared)
    assert [options(rank)["--node-rank"] for rank in ranks] == [(str(k),) for k in range(nodes)]
    assert [("--headless" in rank, "--port" in rank, "--host" in rank) for rank in ranks] == [
        (False, True, True),
        *[(True, False, False)] * (nodes - 1),
    ]
    positions = [rank[:3] for rank in ranks]
    assert set(positions) == {("vllm", "serve", "openai/gpt-oss-120b")}


def test_the_gang_meets_at_the_heads_fabric_address() -> None:
    given = options(words(2)[1])
    assert given["--nnodes"] == ("2",)
    assert given["--master-addr"] == ("10.20.0.11",)
    assert given["--master-port"] == ("29501",)
    assert given["--distributed-executor-backend"] == ("mp",)


@pytest.mark.parametrize(
    ("parallel", "sizes"),
    [("TP4", ("4", "1", None)), ("TP2PP2", ("2", "2", None)), ("PP4", ("1", "4", None)), ("TP2DP2", ("2", "1", "2"))],
)
def test_the_layout_becomes_the_sizes(parallel: str, sizes: tuple[str | None, ...]) -> None:
    given = options(words(4, parallel=parallel)[0])
    names = ("--tensor-parallel-size", "--pipeline-parallel-size", "--data-parallel-size")
    assert tuple(given[name][0] if name in given else None for name in names) == sizes


def test_one_node_needs_no_gang() -> None:
    given = options(words(1, parallel="TP1")[0])
    assert not given.keys() & {"--nnodes", "--node-rank", "--master-addr", "--tensor-parallel-size", "--headless"}
    assert given["--port"] == ("8000",)


def test_the_section_becomes_flags() -> None:
    given = options(words(2, served_model_name="oss", max_model_len=4096, gpu_memory_utilization=0.75, port=9000)[0])
    assert given["--served-model-name"] == ("oss",)
    assert given["--max-model-len"] == ("4096",)
    assert given["--gpu-memory-utilization"] == ("0.75",)
    assert given["--port"] == ("9000",)


def test_null_switches_a_default_off_and_a_value_replaces_it() -> None:
    given = options(words(2, args={"gpu-memory-utilization": None, "--master_port": 30000, "enforce-eager": True})[0])
    assert "--gpu-memory-utilization" not in given
    assert given["--master-port"] == ("30000",)
    assert given["--enforce-eager"] == ()


def test_without_a_gpu_there_is_no_share_of_it() -> None:
    cluster, fabric, intent = studied(2)
    cpu = EngineIntent(**{**vars(intent), "accelerator": "cpu"})
    assert "--gpu-memory-utilization" not in Vllm().words(Rank(cluster, fabric, cluster.head, cpu))


def test_a_venv_names_its_own_program() -> None:
    assert words(2, runtime={"venv": "/opt/vllm/"})[0][:2] == ("/opt/vllm/bin/vllm", "serve")


def test_host_goes_to_the_head_alone() -> None:
    head, worker = words(2, args={"host": "192.0.2.11"})
    assert options(head)["--host"] == ("192.0.2.11",)
    assert "--host" not in worker


OURS = ["--nnodes", "node_rank", "-tp", "headless", "api-key", "master-addr", "model", "port", "config", "dpn"]


@pytest.mark.parametrize("flag", OURS)
def test_a_flag_that_is_ours_is_refused_even_if_validation_let_it_pass(flag: str) -> None:
    cluster, fabric, intent = studied(2)
    meddled = EngineIntent(**{**vars(intent), "args": {flag: "1"}})
    with pytest.raises(SparkctlError, match="which sparkctl sets"):
        Vllm().words(Rank(cluster, fabric, cluster.head, meddled))


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"speculative-config.num_speculative_tokens": 5}, ("--speculative-config.num_speculative_tokens", "5")),
        ({"--speculative_config.draft_model": "x/y"}, ("--speculative-config.draft_model", "x/y")),
        ({"cc.pass_config.fuse_rms": False}, ("--compilation-config.pass_config.fuse_rms", "false")),
        ({"-cc.pass_config.fuse_rms": True}, ("--compilation-config.pass_config.fuse_rms", "true")),
        ({"additional-config.a": "5"}, ("--additional-config.a", '"5"')),
        ({"additional-config.a": "true"}, ("--additional-config.a", '"true"')),
        ({"additional-config.a": "80g"}, ("--additional-config.a", '"80g"')),
        ({"additional-config.a": "-x"}, ("--additional-config.a", '"-x"')),
        ({"additional-config.a": ["b", 1]}, ("--additional-config.a", '["b",1]')),
        ({"additional-config.a": {"b_c": None}}, ("--additional-config.a", '{"b_c":null}')),
        ({"additional-config.a+": ["b", "c"]}, ("--additional-config.a+", "b,c")),
        ({"additional-config.a+": "b,c"}, ("--additional-config.a+", "b,c")),
        ({"additional-config.a+": ["b,c"]}, ("--additional-config.a", '["b,c"]')),
        ({"additional-config.a+": [1, 2]}, ("--additional-config.a", "[1, 2]")),
        ({"additional-config.a+": 1}, ("--additional-config.a", "[1]")),
        ({"additional-config.a": None}, ()),
        ({"ep": False}, ("--no-enable-expert-parallel",)),
        ({"q": "fp8"}, ("--quantization", "fp8")),
        ({"O": 2}, ("--optimization-level", "2")),
    ],
)
def test_arguments_arrive_as_written(args: dict[str, object], said: tuple[str, ...]) -> None:
    bare, given = words(2)[1], words(2, args=args)[1]
    assert tuple(word for word in given if word not in bare) == tuple(word for word in said if word not in bare)


@pytest.mark.parametrize("flag", ["hf-overrides", "hf_overrides.rope_theta"])
def test_a_key_of_a_flag_that_alters_the_model_alters_it(flag: str) -> None:
    altered = Vllm().memory(studied(2, args={flag: 1})[2]).altered
    assert altered is not None
    assert altered.flag == flag


def test_workers_start_first() -> None:
    cluster, _, intent = studied(4)
    assert [wave.nodes for wave in Vllm().start_order(cluster, intent)] == [("n1", "n2", "n3"), ("n0",)]
    cluster, _, intent = studied(1, parallel="TP1")
    assert [wave.nodes for wave in Vllm().start_order(cluster, intent)] == [("n0",)]


@pytest.mark.parametrize(
    ("engine", "host", "model"),
    [
        ({}, "127.0.0.1", "openai/gpt-oss-120b"),
        ({"served_model_name": "oss"}, "127.0.0.1", "oss"),
        ({"served_model_name": "oss", "args": {"served-model-name": ["x", "y"]}}, "127.0.0.1", "x"),
        ({"args": {"served-model-name": None}}, "127.0.0.1", "openai/gpt-oss-120b"),
        ({"args": {"--host": "192.0.2.11"}}, "192.0.2.11", "openai/gpt-oss-120b"),
        ({"args": {"host": "0.0.0.0"}}, "127.0.0.1", "openai/gpt-oss-120b"),
    ],
)
def test_the_canary_asks_where_and_what_the_head_serves(engine: dict[str, object], host: str, model: str) -> None:
    probe = Vllm().probe(studied(2, **engine)[2])
    assert (probe.host, probe.port, probe.model) == (host, 8000, model)
    assert probe.completion["model"] == model
    assert probe.completion["max_tokens"] == 1
    assert Vllm().probe(studied(2, **engine)[2], 16).completion["max_tokens"] == 16


def test_the_rendezvous_port_is_the_one_rendered() -> None:
    for args in ({}, {"master-port": 30000}, {"--master_port": "30001"}):
        intent = studied(2, args=args)[2]
        assert options(words(2, args=args)[0])["--master-port"] == (str(Vllm().ports(intent)[0].number),)


def test_what_cannot_be_one_value_for_all_ranks_is_found() -> None:
    found = findings(2, env={"VLLM_HOST_IP": "10.20.0.11", "VLLM_API_KEY": "x"})
    assert [(f.id, f.severity) for f in found] == [("ENG002", "error")] * 2
    assert sorted(f.where for f in found) == ["engine.env.VLLM_API_KEY", "engine.env.VLLM_HOST_IP"]


def test_every_rank_binds_its_own_address() -> None:
    cluster, fabric, intent = studied(2)
    given = [variables(Rank(cluster, fabric, node, intent)) for node in cluster.nodes]
    assert [each["VLLM_HOST_IP"] for each in given] == ["10.20.0.11", "10.20.0.12"]


def test_a_model_that_the_container_may_not_see_is_a_warning() -> None:
    hidden = findings(2, model="/models/x", volumes={"/srv": "/models2:ro"})
    assert [(f.id, f.severity) for f in hidden] == [("ENG003", "warning")]
    assert findings(2, model="/models/x", volumes={"/srv": "/models/:ro"}) == []


@pytest.mark.parametrize("kind", [kind for kind in kinds() if kind not in ENGINES])
def test_a_kind_of_a_later_version_is_a_finding_and_never_a_traceback(kind: str) -> None:
    assert [(f.id, f.severity, f.where) for f in findings(2, kind=kind)] == [("ENG001", "error", "engine.kind")]
    with pytest.raises(SparkctlError, match="not yet supported"):
        engine_of(kind)


def test_a_kind_that_nobody_knows_is_refused_with_those_that_are() -> None:
    found = study_text(text(2, kind="vlm"), "i.yaml", Controller("op", PurePosixPath("/"), PurePosixPath("/"))).findings
    assert [(f.id, f.where, f.remedy) for f in found] == [("INV004", "engine.kind", "did you mean `vllm`?")]
    assert found[0].message == "`engine.kind`: expected vllm, vllm-ray, sglang, trtllm or torchrun, got the text 'vlm'"
    assert set(ENGINES) == {"vllm"}


def test_an_argument_that_is_no_port_is_no_traceback() -> None:
    intent = EngineIntent(**{**vars(studied(2)[2]), "args": {"master-port": "x"}})
    assert [port.number for port in Vllm().ports(intent)] == [29501]
    spread = EngineIntent(**{**vars(studied(4, parallel="TP2DP2")[2])})
    assert [port.number for port in Vllm().ports(spread)] == [29501, 29550]
