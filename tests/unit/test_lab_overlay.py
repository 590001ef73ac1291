"""What a rehearsal changes of the inventory, and that it says so."""

from dataclasses import replace

import pytest

from sparkctl.inventory.model import (
    Cluster,
    EngineIntent,
    FabricIntent,
    Node,
    Parallel,
    Runtime,
    Source,
    SshAccess,
)
from sparkctl.lab.overlay import overlay
from sparkctl.lab.state import LabNode, LabState, Supervisor

ENGINE = EngineIntent(
    kind="vllm",
    runtime=Runtime(docker="vllm/vllm-openai:v0.33.0"),
    model="openai/gpt-oss-120b",
    parallel=Parallel(tensor=2),
    port=8123,
    max_model_len=32768,
    gpu_memory_utilization=0.8,
    api_key_file="/secrets/api.key",
    volumes={"/srv/models": "/models:ro"},
    args={"load-format": "fastsafetensors"},
)
CLUSTER = Cluster(
    name="demo",
    ssh=SshAccess("root", "/home/me/.ssh/id", None, "prompt"),
    nodes=tuple(Node(f"n{i}", f"192.0.2.{i}", i, 2222, "root", "enP7s7") for i in range(2)),
    links=(),
    switches=(),
    fabric=FabricIntent("direct"),
    engine=ENGINE,
    source=Source("demo.yaml", {}),
)
STATE = LabState(
    cluster="demo",
    inventory="demo.yaml",
    backend="container",
    supervisor=Supervisor(pid=1, started=1),
    nodes=tuple(
        LabNode(
            name=f"n{i}",
            address=f"198.18.0.{11 + i}",
            port=22,
            user="spark",
            netdev="enP7s7",
            known_hosts="/lab/known_hosts",
            identity_file="/lab/id",
        )
        for i in range(2)
    ),
)


def test_nodes_are_reached_with_what_the_lab_made():
    twin, said = overlay(CLUSTER, STATE)
    assert [(n.name, n.address, n.port, n.user) for n in twin.nodes] == [
        ("n0", "198.18.0.11", 22, "spark"),
        ("n1", "198.18.0.12", 22, "spark"),
    ]
    assert twin.ssh == SshAccess("spark", "/lab/id", "/lab/known_hosts", "passwordless")
    assert said[0].startswith("ssh: emulated nodes at 198.18.0.11 to 198.18.0.12")


def test_roce_becomes_tcp_and_says_so():
    twin, said = overlay(CLUSTER, STATE)
    assert twin.fabric.transport == "tcp"
    assert "transport: tcp instead of roce, because container nodes have no RDMA device" in said


def test_a_cluster_that_is_tcp_already_is_not_changed_there():
    plain = replace(CLUSTER, fabric=replace(CLUSTER.fabric, transport="tcp"), engine=None)
    twin, said = overlay(plain, STATE)
    assert twin.fabric == plain.fabric
    assert [line.split(":")[0] for line in said] == ["ssh"]


def test_the_engine_is_the_labs_with_the_same_layout_port_and_model_name():
    engine = overlay(CLUSTER, STATE)[0].engine
    assert engine is not None
    assert (engine.parallel, engine.port) == (Parallel(tensor=2), 8123)
    assert engine.served_model_name == "openai/gpt-oss-120b"
    assert engine.runtime == Runtime(docker="sparkctl-lab/vllm-cpu:0.32.0")
    assert (engine.accelerator, engine.gpu_memory_utilization, engine.max_model_len) == ("cpu", None, 256)
    assert all(target.endswith(":ro") for target in engine.volumes.values())


def test_the_real_api_key_is_not_given_to_the_lab():
    twin, said = overlay(CLUSTER, STATE)
    assert twin.engine is not None
    assert twin.engine.api_key_file == "/lab/api.key"
    assert any(line.startswith("api key: the lab's own") for line in said)


def test_no_api_key_stays_no_api_key():
    engine = overlay(replace(CLUSTER, engine=replace(ENGINE, api_key_file=None)), STATE)[0].engine
    assert engine is not None
    assert engine.api_key_file is None


def test_limits_are_told_where_they_cannot_be_raised():
    assert not any(line.startswith("limits:") for line in overlay(CLUSTER, STATE)[1])
    limited = STATE.model_copy(update={"limited": True})
    assert any(line.startswith("limits:") for line in overlay(CLUSTER, limited)[1])


def test_what_is_left_out_of_the_engine_is_said():
    said = overlay(CLUSTER, STATE)[1]
    assert any("vllm/vllm-openai:v0.33.0 with openai/gpt-oss-120b" in line and "TP2" in line for line in said)
    assert "engine: args, volumes of the inventory left out, because they are for the real engine" in said


def test_a_venv_stays_a_venv():
    venv = replace(ENGINE, runtime=Runtime(venv="/opt/vllm"))
    engine = overlay(replace(CLUSTER, engine=venv), STATE)[0].engine
    assert engine is not None
    assert (engine.runtime, engine.volumes) == (Runtime(venv="/opt/sparkctl-lab/engine"), {})


@pytest.mark.parametrize(("parallel", "eager"), [(Parallel(tensor=2), True), (Parallel(pipeline=3), False)])
def test_eager_mode_only_without_a_pipeline(parallel, eager):
    engine = overlay(replace(CLUSTER, engine=replace(ENGINE, parallel=parallel)), STATE)[0].engine
    assert engine is not None
    assert ("enforce-eager" in engine.args) is eager
