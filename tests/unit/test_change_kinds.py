"""Each kind of change, as what it says to people, what it sends, how it is undone and what it keeps."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from sparkctl.commands.base import functions
from sparkctl.facts.record import FileRecord, Record
from sparkctl.inventory.names import NETPLAN, ONLY
from sparkctl.plan.changes import FileChange, FileImage, ImageChange, NetdevTarget, NetworkChange, Undoing, UnitChange
from sparkctl.plan.changes.file import difference

ENV, KEY, THEIRS = ONLY.nccl, ONLY.key, "/etc/netplan/40-cx7.yaml"
OLD, NEW = FileImage(digest="d0", mode=0o644, content="a\n"), FileImage(digest="d1", mode=0o600, content="b\n")
SECRET = FileImage(digest="d2", mode=0o600)
DEV, OTHER = "enp1s0f1np1", "enP2p1s0f1np1"
Sent = tuple[tuple[str, ...], ...]


def file(path: str = ENV, stage: str = "engine", **fields: Any) -> FileChange:
    return FileChange.model_validate({"stage": stage, "path": path, "before": None, "after": None, "reason": "x", **fields})


MADE = file(after=NEW)
CHANGED = file(before=OLD, after=NEW)
REMOVED = file(before=OLD)
HIDDEN = file(KEY, after=SECRET, source="key.txt")
BACK = file(ENV, before=NEW, after=SECRET, baseline="etc_env.d2")
CUT = file(THEIRS, "network", before=OLD, after=SECRET, aside=(DEV,))
GONE = file(THEIRS, "network", before=OLD, aside=(DEV, OTHER))


@pytest.mark.parametrize(
    ("change", "summary", "details"),
    [
        (MADE, f"create {ENV} (0600)", ["@@ -0,0 +1 @@", "+b"]),
        (CHANGED, f"change {ENV} (0600)", ["@@ -1 +1 @@", "-a", "+b"]),
        (REMOVED, f"remove {ENV}", ["@@ -1 +0,0 @@", "-a"]),
        (file(before=SECRET, after=NEW), f"change {ENV} (0600)", ["@@ -0,0 +1 @@", "+b"]),
        (HIDDEN, f"create {KEY} (0600) from key.txt", ["(a secret: its content is never shown)"]),
        (BACK, f"change {ENV} (0600)", ["(the node's own before-image comes back)"]),
        (CUT, f"move the fabric stanzas of {THEIRS} aside", ["(its content never leaves the node; teardown puts it back)"]),
        (GONE, f"move all of {THEIRS} aside", ["(its content never leaves the node; teardown puts it back)"]),
    ],
)
def test_what_people_see_of_a_file(change: FileChange, summary: str, details: list[str]) -> None:
    assert (change.summary, list(change.details())) == (summary, details)


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        ("a\nb", "a\nb\n", [" a", " b", f"-{chr(92)} No newline at end of file"]),
        ("", "x", ["+x", f"+{chr(92)} No newline at end of file"]),
        ("a\rb\n", "a\n", ["-a\rb", "+a"]),
        ("same\n", "same\n", []),
    ],
)
def test_a_difference_has_every_line_and_whether_the_last_one_ends(before: str, after: str, shown: list[str]) -> None:
    assert list(difference(before, after)[3:]) == shown


PREPARED = f"after/{3}"
CUTTER = ("foreign.py", functions("facts/foreign.py").encode())


@pytest.mark.parametrize(
    ("change", "members", "drafts", "steps", "blob"),
    [
        (MADE, [(PREPARED, b"b\n")], (), (("put_file", ENV, "0600", "run/after/3"),), "run/after/3"),
        (HIDDEN, [(PREPARED, b"hush")], (), (("put_file", KEY, "0600", "run/after/3"),), "run/after/3"),
        (REMOVED, [], (), (("drop_file", ENV),), ""),
        (BACK, [], (), (("restore_file", ENV, "etc_env.d2", "d2"),), "baseline/etc_env.d2"),
        (
            CUT,
            [CUTTER, (PREPARED, b"")],
            (("set_aside", THEIRS, "3", "d2", NETPLAN, DEV),),
            (("put_file", THEIRS, "0600", "run/after/3"),),
            "run/after/3",
        ),
        (
            GONE,
            [CUTTER, (PREPARED, b"")],
            (("set_aside", THEIRS, "3", "absent", NETPLAN, DEV, OTHER),),
            (("drop_file", THEIRS),),
            "",
        ),
    ],
)
def test_what_a_file_brings_along_and_how_it_is_written(
    change: FileChange, members: list[tuple[str, bytes]], drafts: Sent, steps: Sent, blob: str
) -> None:
    assert list(change.members(3, {KEY: b"hush"})) == members
    assert (tuple(change.drafts(3)), tuple(change.steps(3)), change.blob(3)) == (drafts, steps, blob)


@pytest.mark.parametrize(
    ("change", "part", "digest"),
    [
        (MADE, Undoing.ENGINE_FILES, "absent"),
        (REMOVED, Undoing.ENGINE_FILES, "d0"),
        (CUT, Undoing.NETWORK_FILES, "d0"),
        (file(NETPLAN, "network", after=NEW), Undoing.NETWORK_FILES, "absent"),
    ],
)
def test_a_file_is_saved_and_undone_as_what_it_was(change: FileChange, part: Undoing, digest: str) -> None:
    assert list(change.saves(1)) == [("save_file", change.path, "1", digest)]
    assert list(change.undo(1)) == [(part, ("undo_file", change.path, "1", digest))]


def record(**files: str | None) -> Record:
    kept = {"env": ENV, "key": KEY}
    made = {kept[k]: FileRecord(digest="d", mode=0o600, stage="engine", baseline=name) for k, name in files.items()}
    return Record(cluster="dual", files=made, netdevs=(DEV,))


@pytest.mark.parametrize(
    ("after", "keeps"),
    [
        (record(env="etc_env.d0"), [("keep", "2", "etc_env.d0")]),
        (record(env=None), []),
        (record(key="etc_key.d0"), []),
        (None, []),
    ],
)
def test_a_baseline_is_kept_of_what_stays_on_record_with_one(after: Record | None, keeps: list[tuple[str, ...]]) -> None:
    assert list(CHANGED.keeps(2, after)) == keeps


@pytest.mark.parametrize(
    "fields",
    [
        {"path": "/etc/cron.d/evil"},
        {"after": NEW.model_copy(update={"mode": 0o4755})},
        {"after": SECRET, "baseline": "../../etc/shadow"},
        {"after": SECRET, "baseline": ".."},
    ],
)
def test_no_change_is_of_a_file_mode_or_image_that_sparkctl_has_no_business_with(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="file of sparkctl, or has a mode"):
        file(**fields)


def target(mtu: int | None = 9000, address: str | None = "10.0.0.1/24", **fields: Any) -> NetdevTarget:
    fields = {"netdev": DEV, "before_mtu": 1500, "before_addresses": (), "after_mtu": mtu, "after_address": address} | fields
    return NetdevTarget.model_validate(fields)


def network(*targets: NetdevTarget) -> NetworkChange:
    return NetworkChange(netdevs=targets, reason="x")


HERE, ELSEWHERE = "10.0.0.1/24", "10.9.9.9/24"
APPLY = ("apply_netplan", "60", DEV)
TO_BASELINE = ("undo_netdev", DEV, f"/var/lib/sparkctl/baseline/net.{DEV}")


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (target(), f"{DEV} mtu 1500->9000 10.0.0.1/24"),
        (target(before_mtu=9000), f"{DEV} 10.0.0.1/24"),
        (target(before_addresses=(HERE,)), f"{DEV} mtu 1500->9000"),
        (target(before_addresses=(ELSEWHERE,)), f"{DEV} mtu 1500->9000 10.9.9.9/24 becomes 10.0.0.1/24"),
        (target(before_mtu=9000, before_addresses=(ELSEWHERE, HERE)), f"{DEV} without 10.9.9.9/24"),
        (target(None, None), f"{DEV} as it was before sparkctl"),
    ],
)
def test_what_people_see_of_a_netdev(wanted: NetdevTarget, words: str) -> None:
    assert network(wanted).summary == f"netplan apply: {words}"


@pytest.mark.parametrize(
    ("wanted", "step", "keeps"),
    [
        (target(), ("await_netdev", DEV, "9000", HERE, "5"), ("keep", f"net.{DEV}", f"net.{DEV}")),
        (target(None, None), TO_BASELINE, ("forget_netdev", DEV)),
        (target(9000, None), TO_BASELINE, ("forget_netdev", DEV)),
        (target(None), TO_BASELINE, ("keep", f"net.{DEV}", f"net.{DEV}")),
    ],
)
def test_a_netdev_gets_its_goal_or_goes_back_and_is_undone_to_what_it_was(
    wanted: NetdevTarget, step: tuple[str, ...], keeps: tuple[str, ...]
) -> None:
    """Half a goal is none."""
    change = network(wanted)
    assert list(change.saves(0)) == [("save_netdev", DEV)] and list(change.steps(0)) == [APPLY, step]
    back = ("undo_netdev", DEV, f"/var/lib/sparkctl/run/before/net.{DEV}")
    assert list(change.undo(0)) == [(Undoing.NETWORK, APPLY), (Undoing.NETWORK, back)]
    assert list(change.keeps(0, record())) == [keeps] and list(change.keeps(0, None)) == []


def test_a_netdev_of_management_is_never_a_target() -> None:
    with pytest.raises(ValidationError, match="netdev of the fabric"):
        target(netdev="enP7s7")


def unit(action: str, *, ran: bool = True, enabled: bool = True, ready: tuple[int, ...] = (), **names: str) -> UnitChange:
    fields = {"unit": ONLY.unit, "container": ONLY.container, "action": action, "was_enabled": enabled, "was_running": ran}
    return UnitChange.model_validate({**fields, "reason": "x", "ready": ready, **names})


STOP = ("stop_unit", ONLY.unit, ONLY.container)
WAIT, WAIT_BACK = (("await_port", ONLY.unit, "29501", *rest) for rest in (("50", ""), ("20", "back")))


@pytest.mark.parametrize(
    ("change", "steps", "again"),
    [
        (unit("start"), [("start_unit", ONLY.unit)], True),
        (unit("start", ready=(29501,)), [("start_unit", ONLY.unit), WAIT], True),
        (unit("start", ran=False, ready=(29501,)), [("start_unit", ONLY.unit), WAIT], False),
        (unit("stop"), [STOP], False),
        (unit("stop", ran=False, enabled=False), [STOP], False),
    ],
)
def test_a_unit_is_started_or_stopped_and_undone_to_what_it_was(
    change: UnitChange, steps: list[tuple[str, ...]], again: bool
) -> None:
    assert list(change.steps(0)) == steps and change.runs_again is again
    state = ("enabled" if change.was_enabled else "disabled", "active" if change.was_running else "inactive")
    back = [(Undoing.STOP, STOP), (Undoing.START, ("undo_unit", ONLY.unit, ONLY.container, *state))]
    waits = [(Undoing.READY, WAIT_BACK)] if change.ready and change.was_running else []
    assert list(change.undo(0)) == back + waits


@pytest.mark.parametrize("names", [{"unit": "ssh.service"}, {"container": "theirs"}])
def test_no_unit_and_no_container_of_somebody_else(names: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="unit of sparkctl"):
        unit("stop", **names)


def test_an_image_is_fetched_and_stays() -> None:
    change = ImageChange(image="vllm:1", reason="x")
    assert (change.summary, list(change.steps(0))) == ("pull image vllm:1", [("pull_image", "vllm:1")])
    assert (list(change.undo(0)), change.runs_again, change.reversible) == ([], False, False)
    assert CHANGED.reversible and not CHANGED.runs_again
