"""Nodes as commit d0ab016 left them, under a real systemd, netplan and sshd: this code recovers, upgrades and tears them down."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sparkctl.render.artifact import NCCL_ENV
from tests.fixtures.laying import HERE, OURS, recorded
from tests.lab.labs import Ended, LabKind, Labs, Rig, same

COMMIT = "d0ab016"
GONE = f"for path in {' '.join(OURS)}; do ls -d $path* 2>/dev/null; done; systemctl list-units --all --plain --no-legend 'sparkctl-*'"
LATE = 110
"""Of the 120 seconds of a lease."""


# As the ports of the recorded nodes were before sparkctl came: used, and down.
DOWN = "for dev in /sys/class/net/en*np*; do ip link set ${dev##*/} up; sleep 0.1; ip link set ${dev##*/} down; done; sleep 3"
RECORDED = LabKind("recorded", (HERE / COMMIT / "bare/recorded.yaml").read_text(), used=False, prepared=DOWN)


@pytest.fixture
def lab(labs: Labs, request: pytest.FixtureRequest) -> Rig:
    """The cluster that was recorded without an engine, blank."""
    return labs.of(RECORDED, request.node.getparent(pytest.Module).nodeid)


@pytest.fixture
def blank(lab: Rig) -> Iterator[dict[str, str]]:
    """What every node is before; afterwards each is the same again."""
    before = lab.capture()
    yield before
    same(before, lab.capture())


def lay(lab: Rig, moment: str, late: int = 0, kind: str = "bare") -> None:
    """Every node as it was recorded, but for an engine's process."""
    for node, wanted in recorded(f"{COMMIT}/{kind}", moment).items():
        boot, clock = lab.root(node, "cat /proc/sys/kernel/random/boot_id; cut -d. -f1 /proc/uptime").split()
        lab.root(node, wanted.script(boot, int(clock), engine=False, late=late), timeout=120)


def gone(lab: Rig) -> bool:
    """Nothing of sparkctl is on any node."""
    return all(not lab.root(node.name, GONE).strip() for node in lab.state.nodes)


def down(lab: Rig) -> None:
    """Tear down; nothing is left."""
    ended = lab.cluster("down", "--yes")
    assert ended.code == 0, ended.err
    assert gone(lab)


def test_the_recorded_timers_put_the_nodes_back(lab: Rig, blank: dict[str, str]) -> None:
    """Nobody is there but systemd and the scripts that the run left."""
    lay(lab, "network-head", LATE)
    assert not gone(lab)
    for node in lab.state.nodes:
        lab.root(node.name, "for i in $(seq 400); do [ -d /var/lib/sparkctl ] || exit 0; sleep 0.1; done; exit 1", timeout=90)
    assert gone(lab)


def test_a_dead_run_is_refused_then_recovered(lab: Rig, blank: dict[str, str]) -> None:
    lay(lab, "before-confirm")
    refused = lab.cluster("up", "--yes")
    assert refused.code == 4 and "interrupted run" in refused.err, refused.err
    patient = lab.cluster("recover", "--yes")
    assert patient.code == 4 and "locked by me@here" in patient.err, patient.err
    broken = lab.cluster("recover", "--yes", "--break-lock", "--json")
    assert broken.code == 0 and broken.json["recovered"] == "undo", broken.err
    assert gone(lab)


def test_a_confirmed_run_is_finished_and_torn_down(lab: Rig, blank: dict[str, str]) -> None:
    lay(lab, "confirmed")
    finished = lab.cluster("recover", "--yes", "--break-lock", "--json")
    assert finished.code == 0 and finished.json["recovered"] == "finish", finished.err
    down(lab)


def paths(planned: Ended) -> set[str]:
    """The files that a plan of network alone changes; it changes nothing else."""
    plan = planned.json["plan"]
    assert isinstance(plan, dict)
    found = [change for step in plan["steps"] for changes in step["changes"].values() for change in changes]
    assert {change["kind"] for change in found} <= {"file"}
    return {change["path"] for change in found}


def test_a_running_cluster_is_upgraded_and_torn_down(lab: Rig, blank: dict[str, str]) -> None:
    """nccl.env loses the variable of an engine; then another MTU is laid over the recorded baselines."""
    lay(lab, "idle")
    old = lab.cluster("plan", "--exit-code", "--json")
    assert old.code == 10 and paths(old) == {NCCL_ENV}, old.out + old.err
    smaller = Rig(lab.inventory.with_name("smaller.yaml"), lab.name)
    smaller.inventory.write_text(lab.inventory.read_text().replace("mtu: 9000", "mtu: 4200"))
    changed = smaller.cluster("up", "--yes")
    assert changed.code == 0, changed.err
    assert "mtu 4200" in lab.root("spark-2", "ip link show dev enp1s0f1np1")
    down(lab)


def test_an_engine_that_nobody_wants_any_more_goes(lab: Rig, blank: dict[str, str]) -> None:
    """A recorded cluster with an engine, under an inventory without one: its unit and files go, its network stays."""
    lay(lab, "idle", kind="serving")
    ended = lab.cluster("up", "--yes", "--json")
    assert ended.code == 0, ended.err
    plan = ended.json["plan"]
    assert isinstance(plan, dict) and not any(c["kind"] == "network" for step in plan["steps"] for node in step["changes"].values() for c in node)
    assert "sparkctl-engine" not in lab.root("spark-2", GONE)
    down(lab)


def test_a_teardown_that_died_is_undone(lab: Rig, blank: dict[str, str]) -> None:
    lay(lab, "down-network-head")
    broken = lab.cluster("recover", "--yes", "--break-lock", "--json")
    assert broken.code == 0 and broken.json["recovered"] == "undo", broken.err
    assert paths(lab.cluster("plan", "--json")) == {NCCL_ENV}
    down(lab)


def test_a_teardown_that_died_confirmed_is_finished(lab: Rig, blank: dict[str, str]) -> None:
    lay(lab, "down-confirmed")
    finished = lab.cluster("recover", "--yes", "--break-lock", "--json")
    assert finished.code == 0 and finished.json["recovered"] == "finish", finished.err
    assert gone(lab)
