"""Every topology serves a real token through `cluster up`: three ranks in a mesh (PP3), four on a switch (TP4)."""

from __future__ import annotations

import pytest

from tests.lab.labs import INVENTORIES, LabKind, Labs, Rig


@pytest.fixture(params=["mesh-3", pytest.param("quad-switch", marks=pytest.mark.more)])
def rig(labs: Labs, request: pytest.FixtureRequest) -> Rig:
    """The lab of one example."""
    return labs.of(LabKind(f"test-{request.param}", (INVENTORIES / f"{request.param}.yaml").read_text()), request.node.nodeid)


def test_up_serves_and_down_leaves_nothing(rig: Rig) -> None:
    up = rig.cluster("up", "--yes", "--json", timeout=900)
    assert up.code == 0, up.err
    report = up.json
    completion = report["completion"]
    assert isinstance(completion, dict) and completion["tokens"] >= 1
    verdicts = report["verdicts"]
    assert isinstance(verdicts, list)
    assert {v["state"] for v in verdicts if v["id"] == "rail-ping"} == {"pass"}
    assert rig.cluster("down", "--yes").code == 0
    for node in rig.state.nodes:
        assert "sparkctl" not in rig.root(node.name, "ls /etc /var/lib /etc/netplan")
