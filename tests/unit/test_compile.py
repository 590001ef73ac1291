"""A plan to what a node is sent: the order of its steps, what the upload holds, how long each part may take."""

from __future__ import annotations

import json

import pytest

from sparkctl.commands.base import Command
from sparkctl.facts.record import FileRecord, Record
from sparkctl.inventory.names import NETPLAN, ONLY
from sparkctl.plan.changes import Change, FileChange, FileImage, ImageChange, NetdevTarget, NetworkChange, UnitChange
from sparkctl.plan.compile import Run, commit, conclude, prepare
from sparkctl.plan.plan import Plan, Step
from tests.unit.ground import body, members

NODE, OTHER, DEV = "spark-1", "spark-2", "enp1s0f1np1"
RUN = Run("abcd1234", "me@here", 120)
NEW = FileImage(digest="d1", mode=0o600, content="b\n")


def file(path: str, stage: str = "network", *, aside: tuple[str, ...] = ()) -> FileChange:
    fields = {"stage": stage, "path": path, "before": None, "after": NEW, "reason": "x", "aside": aside}
    return FileChange.model_validate(fields)


TARGET = NetdevTarget(
    netdev=DEV, before_mtu=1500, before_addresses=(), after_mtu=9000, after_address="10.0.0.1/24"
)
NETWORK = NetworkChange(netdevs=(TARGET,), reason="x")
IMAGE = ImageChange(image="vllm:1", reason="x")
NETFILE, ENVFILE, CX7 = file(NETPLAN), file(ONLY.nccl), "/etc/netplan/40-cx7.yaml"


def unit(action: str) -> UnitChange:
    fields = {"unit": ONLY.unit, "container": ONLY.container, "action": action, "was_enabled": True, "was_running": True}
    return UnitChange.model_validate({**fields, "reason": "x", "ready": (29501,) if action == "start" else ()})


def plan(*steps: tuple[str, tuple[Change, ...]], record: Record | None = None, spared: dict[str, str] | None = None) -> Plan:
    """Of one node, with these steps of a stage each."""
    made = tuple(Step.model_validate({"stage": s, "title": f"{s} {i}", "changes": {NODE: c}}) for i, (s, c) in enumerate(steps))
    return Plan(
        action="up",
        cluster="dual",
        nodes=(NODE, OTHER),
        fingerprints={NODE: "f1", OTHER: "f2"},
        records={NODE: record, OTHER: record},
        steps=made,
        spared={NODE: spared or {}},
    )


def prepared(*steps: tuple[str, tuple[Change, ...]]) -> list[str]:
    return body(prepare(plan(*steps), RUN, NODE, {}).script)


def files_of(command: Command) -> dict[str, bytes]:
    return members(command.stdin)


SCRATCH, CHECK = "scratch_netplan", "check_netplan"


@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        ((ENVFILE,), []),
        ((NETWORK,), [SCRATCH, f"{CHECK} {DEV}"]),
        ((NETFILE,), [SCRATCH, f"scratch_file {NETPLAN} run/after/0", CHECK]),
        ((ENVFILE, NETFILE, NETWORK), [SCRATCH, f"scratch_file {NETPLAN} run/after/1", f"{CHECK} {DEV}"]),
    ],
)
def test_netplan_is_asked_before_anything_is_changed_wherever_it_is_concerned(
    changes: tuple[Change, ...], asked: list[str]
) -> None:
    steps = prepared(("network", changes))
    assert steps[:3] == ["hold abcd1234 120", "begin", "journal abcd1234 intended up"]
    assert steps[steps.index("arm 120") + 1 :] == asked


def test_everything_is_saved_before_anything_is_drafted_and_both_before_the_timer() -> None:
    steps = prepared(("network", (file(CX7, aside=(DEV,)), NETFILE, NETWORK)), ("engine", (unit("stop"),)))
    assert steps[3 : steps.index("arm 120")] == [
        f"save_file {CX7} 0 absent",
        f"save_file {NETPLAN} 1 absent",
        f"save_netdev {DEV}",
        f"set_aside {CX7} 0 d1 {NETPLAN} {DEV}",
    ]


def test_a_step_proves_the_lock_says_what_it_does_and_takes_as_long_as_its_longest_change() -> None:
    made = plan(("network", (NETFILE, NETWORK)), ("engine", (ENVFILE, IMAGE, unit("start"))))
    first, second = (commit(made, RUN, step, NODE) for step in made.steps)
    assert body(first.script) == [
        "hold abcd1234 120",
        "started network",
        "journal abcd1234 started 'network 0'",
        f"put_file {NETPLAN} 0600 run/after/0",
        f"apply_netplan 60 {DEV}",
        f"await_netdev {DEV} 9000 10.0.0.1/24 5",
        "journal abcd1234 done 'network 0'",
    ]
    assert (first.timeout, second.timeout) == (120, 3600)
    assert body(second.script)[3:5] == [f"put_file {ONLY.nccl} 0600 run/after/1", "pull_image vllm:1"]


def test_the_way_back_is_the_last_first_by_stage_and_nothing_twice() -> None:
    made = plan(
        ("engine", (unit("stop"),)),
        ("network", (NETFILE, NETWORK)),
        ("engine", (ENVFILE.model_copy(update={"stage": "engine"}), unit("start"))),
    )
    steps = body(files_of(prepare(made, RUN, NODE, {}))["revert.sh"].decode())
    state = f"undo_unit {ONLY.unit} {ONLY.container} enabled active"
    shown = [line.strip().removesuffix(" || bad=$((bad + 1))") for line in steps if " || " in line or line.startswith("if ")]
    engine, network = (f'if [ -f "$R/started.{stage}" ]; then' for stage in ("engine", "network"))
    assert shown == [
        engine,
        f"stop_unit {ONLY.unit} {ONLY.container}",
        network,
        f"undo_file {NETPLAN} 0 absent",
        f"apply_netplan 60 {DEV}",
        f"undo_netdev {DEV} /var/lib/sparkctl/run/before/net.{DEV}",
        engine,
        f"undo_file {ONLY.nccl} 1 absent",
        engine,
        state,
        f"await_port {ONLY.unit} 29501 20 back",
    ]


KEPT = FileRecord(digest="d1", mode=0o600, stage="network", baseline="before.d0", baseline_digest="d0")


@pytest.mark.parametrize(
    ("record", "end", "keeps"),
    [
        (Record(cluster="dual", files={ONLY.nccl: KEPT}), "finish", ["keep 0 before.d0", f"keep net.{DEV} net.{DEV}"]),
        (None, "forget", []),
    ],
)
def test_a_run_ends_with_a_record_that_names_it_or_with_none(record: Record | None, end: str, keeps: list[str]) -> None:
    made = plan(("network", (ENVFILE, NETWORK)), record=record, spared={ONLY.key: "key.d0"})
    held = files_of(prepare(made, RUN, NODE, {}))
    assert json.loads(held["record.json"]) == (json.loads(record.model_copy(update={"run": RUN.id}).model_dump_json()) if record else None)
    assert body(held["finish.sh"].decode()) == [*keeps, f"spare {ONLY.key} key.d0", f"{end} abcd1234"]
    assert body(conclude(made, RUN, NODE).script) == [f"conclude abcd1234 abcd1234 120 {'recorded' if record else 'forgotten'}"]
    assert json.loads(held["run.json"]) == {
        "version": 1, "run": "abcd1234", "action": "up", "cluster": "dual", "owner": "me@here", "nodes": [NODE], "fingerprint": "f1",
    }  # fmt: skip


def test_a_program_that_several_changes_need_is_sent_once() -> None:
    made = plan(("network", (file(CX7, aside=(DEV,)), file("/etc/netplan/50-x.yaml", aside=(DEV,)))))
    assert [name for name in files_of(prepare(made, RUN, NODE, {})) if name.endswith(".py")] == ["foreign.py"]


# --- the plan as a value ------------------------------------------------------------------------------------------


def test_changes_of_a_node_are_numbered_by_their_kind_in_the_order_of_the_run() -> None:
    made = plan(("engine", (unit("stop"), IMAGE)), ("network", (NETFILE, NETWORK)), ("engine", (ENVFILE, unit("start"))))
    assert [(n, c.kind) for n, c in made.numbered(NODE)] == [
        (0, "file"), (1, "file"), (0, "image"), (0, "network"), (0, "unit"), (1, "unit"),
    ]  # fmt: skip
    assert [c.path for c in made.files(NODE)] == [NETPLAN, ONLY.nccl]
    assert (made.network(NODE), [c.action for c in made.units(NODE)]) == ((NETWORK,), ["stop", "start"])
    assert made.changed_nodes == (NODE,) and list(made.of(OTHER)) == [] and not made.empty and plan().empty


@pytest.mark.parametrize(
    ("changes", "risk"), [((), "none"), ((ENVFILE,), "none"), ((ENVFILE, unit("stop")), "restart"), ((unit("stop"), NETWORK), "link-drop")]
)
def test_the_risk_is_the_highest_of_any_change(changes: tuple[Change, ...], risk: str) -> None:
    assert plan(("network", changes)).risk == risk


def test_what_moved_since_and_what_differs_is_named() -> None:
    one = plan(("network", (NETFILE,)))
    moved = one.model_copy(update={"fingerprints": {NODE: "f1", OTHER: "f9"}})
    assert one.moved(one) == () and one.moved(moved) == (OTHER,)
    assert one.moved(one.model_copy(update={"fingerprints": {NODE: "f1"}})) == (OTHER,)
    assert one.differences(one) == () and one.differences(moved) == ("fingerprints",)
    assert one.differences(plan()) == ("steps",)
