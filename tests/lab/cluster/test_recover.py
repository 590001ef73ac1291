"""After something died: who says so, who may end it, and what a second command finds. And a running cluster that changes."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path

import pytest

from tests.lab.cluster.matrix.course import REST, Course
from tests.lab.cluster.matrix.driver import Event
from tests.lab.labs import Ended, Rig, same, sparkctl

HEAD = Event("spark-1", "network, head", 3, "", 0)
RECORD = Event("spark-1", "record", 7, "", 0)
ALL_AT_REST = {"spark-1": "rest\n", "spark-2": "rest\n"}


@pytest.fixture
def course(bare: Rig, tmp_path: Path) -> Course:
    """Runs of the CLI that die where they are told to."""
    return Course(bare, "direct", tmp_path)


def dies(course: Course, place: Event, *, late: bool = True) -> None:
    """An `up` whose controller is killed at `place`."""
    code, said, passed = course.struck("up", "CONTROLLER_KILLED", place, late=late)
    assert code == -9 and any(e.fired for e in passed), said


def direction(ended: Ended) -> str:
    recovery = ended.json["recovery"]
    assert isinstance(recovery, dict)
    return str(recovery["direction"])


def steps(ended: Ended) -> list[dict[str, object]]:
    plan = ended.json["plan"]
    assert isinstance(plan, dict)
    return list(plan["steps"])


def edited(rig: Rig, old: str, new: str) -> Rig:
    """The same lab under an inventory that was edited: `old`, a pattern, became `new`."""
    text, count = re.subn(old, new, rig.inventory.read_text(), count=1)
    assert count == 1, f"{old!r} is not in the inventory"
    path = rig.inventory.with_name(f"edited-{abs(hash((old, new)))}.yaml")
    path.write_text(text)
    return Rig(path, rig.name)


def test_a_dead_run_is_named_its_lease_respected_and_then_broken(bare: Rig, course: Course) -> None:
    before = bare.capture()
    nothing = bare.cluster("recover", "--yes", "--json")
    assert nothing.code == 0 and nothing.json["recovered"] == "nothing", nothing.err

    dies(course, HEAD)
    for verb in ("plan", "up"):
        told = bare.cluster(verb, *(["--yes"] if verb == "up" else []))
        assert told.code == 4, told.err
        assert "interrupted run" in told.err and "cluster recover" in told.err, told.err
    dry = bare.cluster("recover", "--dry-run", "--json")
    assert dry.code == 0 and direction(dry) == "undo", dry.err
    patient = bare.cluster("recover", "--yes")
    assert patient.code == 4, patient.err
    assert re.search(r"locked by \S+@\S+ since \d{4}-\d\d-\d\dT", patient.err) and "--break-lock" in patient.err, patient.err
    broken = bare.cluster("recover", "--yes", "--break-lock", "--json")
    assert broken.code == 0 and broken.json["recovered"] == "undo", broken.err
    assert course.each(REST) == ALL_AT_REST
    same(before, bare.capture())
    assert bare.cluster("up", "--yes").code == 0, "and the way is free again"


def test_a_run_that_all_had_confirmed_is_finished(bare: Rig, course: Course) -> None:
    dies(course, RECORD, late=False)
    recovered = bare.cluster("recover", "--yes", "--break-lock", "--json")
    assert recovered.code == 0 and recovered.json["recovered"] == "finish", recovered.err
    again = bare.cluster("up", "--yes", "--json")
    assert again.code == 0 and steps(again) == [], again.err


@pytest.mark.more
def test_when_the_lease_has_ended_nobody_has_to_break_it(bare: Rig, course: Course) -> None:
    """The timers are fast here: the nodes are back before anybody comes, and nothing is left to recover."""
    before = bare.capture()
    dies(course, HEAD)
    assert course.each(REST) == ALL_AT_REST
    recovered = bare.cluster("recover", "--yes", "--json")
    assert recovered.code == 0 and recovered.json["recovered"] == "nothing", recovered.err
    same(before, bare.capture())


@pytest.mark.more
def test_a_lock_whose_controller_died_early_is_taken_away(bare: Rig, course: Course) -> None:
    before = bare.capture()
    dies(course, Event("spark-1", "lock", 1, "", 0))
    assert bare.cluster("recover", "--yes").code == 4, "its lease has not ended"
    recovered = bare.cluster("recover", "--yes", "--break-lock")
    assert recovered.code == 0 and "had changed nothing yet" in recovered.out, recovered.err
    same(before, bare.capture())


def test_a_node_that_is_booted_in_the_middle_puts_itself_back(bare: Rig, course: Course) -> None:
    """No controller, no timer any more: the hook in its boot does it. The other one has its timer."""
    dies(course, HEAD)
    for verb in ("kill", "boot"):
        assert sparkctl("lab", "fault", str(bare.inventory), verb, "spark-2").code == 0
    assert "10.20." not in bare.root("spark-2", f"{REST}ip -4 -o addr")
    files = "ls -d /var/lib/sparkctl /etc/sparkctl /etc/netplan/95-sparkctl.yaml /etc/systemd/system/*boot-revert* /etc/systemd/system/*/*boot-revert* 2>/dev/null || :"
    assert bare.root("spark-2", files) == ""
    assert course.each(REST) == ALL_AT_REST
    assert "nothing" in json.dumps(bare.cluster("recover", "--yes", "--json").json["recovered"])


def test_down_does_what_it_can_without_a_dead_node_and_the_rest_later(bare: Rig) -> None:
    assert bare.cluster("up", "--yes").code == 0
    assert sparkctl("lab", "fault", str(bare.inventory), "kill", "spark-2").code == 0
    try:
        down = bare.cluster("down", "--yes")
    finally:
        assert sparkctl("lab", "fault", str(bare.inventory), "boot", "spark-2").code == 0
    assert down.code == 6 and "spark-2" in down.err and "still there" in down.err, down.err
    assert "sparkctl" not in bare.root("spark-1", "ls /etc /var/lib /etc/netplan")
    assert "sparkctl" in bare.root("spark-2", "ls /var/lib")
    later = bare.cluster("down", "--yes", "--json")
    assert later.code == 0, later.err
    assert "sparkctl" not in bare.root("spark-2", "ls /etc /var/lib /etc/netplan")
    assert bare.cluster("down", "--yes", "--json").json["plan"]["steps"] == []  # type: ignore[index]


@pytest.mark.more
def test_a_wiped_node_joins_again_and_the_others_are_not_touched(bare: Rig, course: Course) -> None:
    assert bare.cluster("up", "--yes").code == 0
    course.now = "goal"
    course.go("wiped")
    untouched = bare.capture()["spark-1"]
    dry = bare.cluster("reprovision", "--dry-run", "--json")
    assert {node for step in steps(dry) for node in step["changes"]} == {"spark-2"}, dry.err  # type: ignore[attr-defined]
    joined = bare.cluster("reprovision", "--yes", "--json")
    assert joined.code == 0, joined.err
    same({"spark-1": untouched}, {"spark-1": bare.capture()["spark-1"]})
    assert bare.cluster("verify").code == 0
    stranger = bare.cluster("reprovision", "--node", "spark-9", "--yes")
    assert stranger.code == 2 and "spark-9" in stranger.err


def changed(ended: Ended) -> dict[str, list[str]]:
    """Per node: the paths of a plan, and `netplan apply` where it has one."""
    found: dict[str, list[str]] = {}
    for step in steps(ended):
        for node, changes in step["changes"].items():  # type: ignore[attr-defined]
            found.setdefault(node, []).extend(str(c.get("path", "netplan apply")) for c in changes)
    return {node: sorted(paths) for node, paths in found.items()}


NETPLAN, NCCL = "/etc/netplan/95-sparkctl.yaml", "/etc/sparkctl/nccl.env"


@pytest.mark.parametrize(
    ("old", "new", "paths", "shown"),
    [
        ("mtu: 9000", "mtu: 1500", [NETPLAN, "netplan apply"], "mtu 1500"),
        pytest.param(
            r"subnet_pool: 10\.20\.0\.0", "subnet_pool: 10.77.0.0", [NETPLAN, "netplan apply"], "10.77.0.1", marks=pytest.mark.more
        ),
    ],
    ids=["mtu", "pool"],
)
def test_a_running_cluster_changes_as_its_inventory_does(bare: Rig, old: str, new: str, paths: list[str], shown: str) -> None:
    """Only what is needed; and after `down` no trace of either."""
    before = bare.capture()
    assert bare.cluster("up", "--yes").code == 0
    other = edited(bare, old, new)
    planned = other.cluster("plan", "--exit-code", "--json")
    assert planned.code == 10, planned.err
    assert changed(planned) == {"spark-1": paths, "spark-2": paths}
    moved = other.cluster("up", "--yes")
    assert moved.code == 0, moved.err
    assert other.cluster("verify").code == 0
    now = bare.root("spark-2", "ip addr show dev enp1s0f1np1")
    assert shown in now and now.count("inet ") == 1, now
    assert bare.cluster("down", "--yes").code == 0
    same(before, bare.capture())


def second_port(rig: Rig) -> None:
    """Cable the other port of both nodes, as it would be in a Spark: two more netdevs in each."""
    pid = rig.state.supervisor.pid
    names = {node.name: f"node{index}" for index, node in enumerate(rig.state.nodes, 1)}
    known = subprocess.run(["nsenter", f"--net=/proc/{pid}/ns/net", f"--mount=/proc/{pid}/ns/mnt", "ip", "netns"], capture_output=True, text=True, timeout=20)
    one, two = sorted(re.findall(r"^(node\d+)", known.stdout, re.M))[: len(names)]
    for dev in ("enp1s0f0np0", "enP2p1s0f0np0"):
        line = f"ip link add {dev} netns {one} type veth peer name {dev} netns {two}"
        enter = ["nsenter", f"--net=/proc/{pid}/ns/net", f"--mount=/proc/{pid}/ns/mnt"]
        subprocess.run([*enter, *line.split()], check=True, timeout=20)
    time.sleep(1)


@pytest.mark.more
def test_a_cable_that_moved_to_the_other_port(bare: Rig) -> None:
    """The old netdevs get back what they were, the new ones get the addresses."""
    second_port(bare)
    try:
        for node in ("spark-1", "spark-2"):
            bare.root(node, "for d in enp1s0f0np0 enP2p1s0f0np0; do ip link set $d up; done; sleep 0.5; for d in enp1s0f0np0 enP2p1s0f0np0; do ip link set $d down; done")
        before = bare.capture()
        assert bare.cluster("up", "--yes").code == 0
        moved = edited(bare, r"\[spark-1:p1, spark-2:p1\]", "[spark-1:p0, spark-2:p0]")
        up = moved.cluster("up", "--yes")
        assert up.code == 0, up.err
        addresses = bare.root("spark-2", "ip -4 -o addr")
        assert "enp1s0f0np0    inet 10.20.0.12/24" in addresses and "f1np1" not in addresses, addresses
        assert bare.root("spark-2", "cat /sys/class/net/enp1s0f1np1/mtu").strip() == "1500"
        down = moved.cluster("down", "--yes")
        assert down.code == 0, down.err
        same(before, bare.capture())
    finally:
        for dev in ("enp1s0f0np0", "enP2p1s0f0np0"):
            bare.root("spark-1", f"ip link delete {dev}")
