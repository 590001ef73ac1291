"""Every topology serves a real token through `cluster up`: three ranks in a mesh (PP3), four on a switch (TP4)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.cluster.conftest import ROOT, Rig, lab_of


@pytest.fixture(params=["mesh-3", "quad-switch"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """The lab of one example."""
    text = (ROOT / "inventories" / f"{request.param}.yaml").read_text()
    yield from lab_of(text, tmp_path, f"test-{request.param}")


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
