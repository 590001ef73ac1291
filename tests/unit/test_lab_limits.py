"""What a lab takes of its machine: what is short is said before anything boots, with the line that raises it."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import pytest

from sparkctl.errors import Refused
from sparkctl.lab import life, limits
from sparkctl.lab.backend import BACKENDS
from sparkctl.lab.container.backend import Containers
from sparkctl.lab.spec import LabSpec, NodeSpec
from sparkctl.lab.state import BackendName

PLENTY = {
    "fs.inotify.max_user_instances": (8192, 0),
    "fs.inotify.max_user_watches": (1 << 20, 0),
    "kernel.pid_max": (1 << 22, 0),
    "kernel.threads-max": (1 << 20, 0),
    "MemAvailable": (1 << 20, 0),
}


def spec(nodes: int, engine: bool = False, backend: BackendName = "container") -> LabSpec:
    """A lab of so many nodes, without its wires."""
    made = [NodeSpec(index=n, name=f"spark-{n}", address=f"198.18.0.{n}", user="spark", netdev="enP7s7") for n in range(nodes)]
    return LabSpec(
        cluster="limits", inventory="limits.yaml", network="198.18.0.0/24", nodes=tuple(made), bridges=(), wires=(), trunks=(), engine=engine, backend=backend
    )


def refused(monkeypatch: pytest.MonkeyPatch, wanted: LabSpec, **room: tuple[int, int]) -> Refused:
    """What is said where `room` is all that there is of it, and plenty of the rest."""
    monkeypatch.setattr(limits, "room", lambda: PLENTY | {name.replace("__", "."): pair for name, pair in room.items()})
    with pytest.raises(Refused) as raised:
        limits.require(wanted, BACKENDS[wanted.backend].needs)
    return raised.value


def test_sixteen_nodes_do_not_fit_into_the_inotify_instances_of_a_fresh_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    told = refused(monkeypatch, spec(16), fs__inotify__max_user_instances=(128, 20))
    assert "16 nodes" in told.message and "inotify instances" in told.message and "108 are left" in told.message
    assert told.remedy.startswith("sudo sysctl fs.inotify.max_user_instances=")
    raised = int(told.remedy.rpartition("=")[2])
    monkeypatch.setattr(limits, "room", lambda: PLENTY | {"fs.inotify.max_user_instances": (raised, 20)})
    limits.require(spec(16), BACKENDS["container"].needs)


def test_what_other_labs_use_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "room", lambda: PLENTY | {"fs.inotify.max_user_instances": (128, 0)})
    limits.require(spec(4), BACKENDS["container"].needs)
    refused(monkeypatch, spec(4), fs__inotify__max_user_instances=(128, 120))


@pytest.mark.parametrize("name", ["fs.inotify.max_user_watches", "kernel.pid_max", "kernel.threads-max"])
def test_each_limit_is_named_with_its_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told = refused(monkeypatch, spec(8), **{name.replace(".", "__"): (1000, 990)})
    assert f"sudo sysctl {name}=" in told.remedy


def test_an_engine_needs_memory_that_a_fabric_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "room", lambda: PLENTY | {"MemAvailable": (3000, 0)})
    limits.require(spec(2), BACKENDS["container"].needs)
    told = refused(monkeypatch, spec(2, engine=True), MemAvailable=(3000, 0))
    assert "memory" in told.message and "fewer nodes" in told.remedy and "sysctl" not in told.remedy


def test_virtual_nodes_need_memory_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "room", lambda: dict.fromkeys(PLENTY, (0, 0)) | {"MemAvailable": (8192, 0)})
    limits.require(spec(4, backend="vm"), BACKENDS["vm"].needs)
    refused(monkeypatch, spec(4, backend="vm"), MemAvailable=(1024, 0))


def test_several_are_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told = refused(monkeypatch, spec(16), fs__inotify__max_user_instances=(128, 0), MemAvailable=(100, 0))
    assert "inotify instances" in told.message and "memory" in told.message


def test_a_limit_that_is_not_told_refuses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "room", dict)
    limits.require(spec(16, engine=True), BACKENDS["container"].needs)


def test_the_instances_and_watches_of_a_program_are_seen(tmp_path: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    before = sorted(limits.inotify(Path("/proc/self")))
    handle = libc.inotify_init()
    assert handle >= 0
    try:
        for folder in (tmp_path, tmp_path.parent):
            assert libc.inotify_add_watch(handle, bytes(folder), 0x100) >= 0
        assert sorted(limits.inotify(Path("/proc/self"))) == sorted([*before, 2])
    finally:
        os.close(handle)
    assert limits.inotify(Path("/proc/4194305")) == ()


def test_this_machine_tells_all_of_them() -> None:
    assert limits.room().keys() == PLENTY.keys()
    assert all(most > 0 and used >= 0 for most, used in limits.room().values())


def test_up_looks_before_it_boots(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(Containers, "require", lambda *_: None)
    monkeypatch.setattr(Containers, "order", lambda *_: pytest.fail("it went on"))
    monkeypatch.setattr(limits, "room", lambda: {"MemAvailable": (1, 0)})
    with pytest.raises(Refused, match="do not fit into this machine"):
        life.up(spec(2), lambda _: None)
