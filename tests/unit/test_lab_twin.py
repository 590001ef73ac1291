"""With `--lab` a fabric that meets over management meets over the lab's management, in every file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sparkctl.cli.desk import Desk
from sparkctl.cli.opening import opened
from sparkctl.execute.site import Site
from sparkctl.lab.state import LabNode, LabState, Supervisor

INVENTORIES = Path(__file__).resolve().parents[2] / "inventories"
Open = Callable[[str, int], Site]


def lab(name: str, nodes: int) -> LabState:
    """The state that `sparkctl lab up` would have left."""
    return LabState(
        cluster=name,
        inventory=f"{name}.yaml",
        backend="container",
        supervisor=Supervisor(pid=1, started=1),
        nodes=tuple(
            LabNode(
                name=f"spark-{i}",
                address=f"198.18.0.{10 + i}",
                port=22,
                user="spark",
                netdev="enP7s7",
                known_hosts="/lab/known_hosts",
                identity_file="/lab/id",
            )
            for i in range(1, nodes + 1)
        ),
    )


@pytest.fixture
def open_twin(monkeypatch: pytest.MonkeyPatch) -> Open:
    """The way to the twin, without a lab: only what the lab knows of itself is put in its place."""

    def open_it(name: str, nodes: int) -> Site:
        monkeypatch.setattr("sparkctl.lab.state.find", lambda cluster: lab(cluster, nodes))
        monkeypatch.setattr("sparkctl.lab.enter.enter", lambda state: None)
        return opened(Desk(INVENTORIES / f"{name}.yaml", lab=True, quiet=True))

    return open_it


@pytest.mark.parametrize(("name", "nodes"), [("mesh-3", 3), ("ring-4", 4)])
def test_the_ranks_meet_at_the_labs_addresses(name: str, nodes: int, open_twin: Open) -> None:
    site = open_twin(name, nodes)
    lab_addresses = [f"198.18.0.{10 + i}" for i in range(1, nodes + 1)]
    assert [endpoint.address for endpoint in site.fabric.endpoints.values()] == lab_addresses
    assert {endpoint.netdev for endpoint in site.fabric.endpoints.values()} == {"enP7s7"}
    for node, address in zip(site.rendering.nodes.values(), lab_addresses, strict=True):
        assert node.engine is not None
        assert (node.engine.env["VLLM_HOST_IP"], node.nccl["NCCL_SOCKET_IFNAME"]) == (address, "=enP7s7")
        assert node.nccl["NCCL_NET"] == "Socket"
        assert not {"NCCL_IB_SUBNET_AWARE_ROUTING", "NCCL_IB_MERGE_NICS", "NCCL_NET_PLUGIN"} & node.nccl.keys()
        assert node.engine.argv[node.engine.argv.index("--master-addr") + 1] == lab_addresses[0]
        assert not any("192.0.2." in file.content for file in node.files)


def test_a_pair_still_meets_on_the_fabric(open_twin: Open) -> None:
    site = open_twin("dual", 2)
    assert [endpoint.address for endpoint in site.fabric.endpoints.values()] == ["10.20.0.11", "10.20.0.12"]
