"""The state of a lab on disk: found, not found, crashed, unreadable, and never somebody else's."""

import os
import subprocess
import sys

import pytest

from sparkctl.errors import Refused
from sparkctl.lab import state
from sparkctl.lab.container import cgroups
from sparkctl.lab.state import LabNode, LabState, Supervisor


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def lab(pid: int, started: int, ready: bool = True) -> LabState:
    node = LabNode(
        name="n1",
        address="198.18.0.11",
        port=22,
        user="nvidia",
        netdev="enP7s7",
        known_hosts="/k",
        identity_file="/i",
    )
    return LabState(
        cluster="demo",
        inventory="demo.yaml",
        backend="container",
        supervisor=Supervisor(pid=pid, started=started),
        nodes=(node,),
        ready=ready,
    )


def saved(made: LabState) -> LabState:
    state.folder("demo").mkdir(parents=True)
    state.save(made)
    return made


def own() -> tuple[int, int]:
    started = state.started(os.getpid())
    assert started is not None
    return os.getpid(), started


def test_a_running_lab_is_found():
    made = saved(lab(*own()))
    assert state.find("demo") == made
    assert state.every() == (made,)
    assert made.node("n1").address == "198.18.0.11"


def test_no_lab_is_refused_with_the_way_to_one():
    with pytest.raises(Refused, match="no lab runs for cluster demo") as raised:
        state.find("demo")
    assert raised.value.remedy == "`sparkctl lab up`"


def test_a_program_that_has_the_pid_of_a_dead_supervisor_is_not_it():
    pid, started = own()
    made = saved(lab(pid, started + 1))
    assert not made.alive
    with pytest.raises(Refused, match="ended by itself"):
        state.find("demo")


def test_an_ended_program_is_not_alive():
    program = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT)
    assert state.started(program.pid) is None  # a zombie
    program.wait()
    assert state.started(program.pid) is None


def test_a_booting_lab_is_refused():
    saved(lab(*own(), ready=False))
    with pytest.raises(Refused, match="still booting"):
        state.find("demo")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 1}', "\x00\xff"])
def test_an_unreadable_state_is_refused(content):
    state.folder("demo").mkdir(parents=True)
    (state.folder("demo") / "state.json").write_text(content)
    with pytest.raises(Refused, match="cannot be read"):
        state.find("demo")


@pytest.mark.parametrize("name", ["", "..", "../x", "/etc", "-rf", "a/b", "a" * 70, "a\nb"])
def test_a_name_that_is_no_folder_name_is_refused(name):
    with pytest.raises(Refused, match="cannot be the name of a lab"):
        state.folder(name)


def test_an_unknown_node_is_refused():
    with pytest.raises(Refused, match="no node n9"):
        lab(*own()).node("n9")


def test_equal_names_in_other_folders_have_other_cgroups(tmp_path):
    assert state.group(tmp_path / "a" / "demo") != state.group(tmp_path / "b" / "demo")


HYBRID = "4:memory:/session/7\n3:cpu,cpuacct:/\n1:name=systemd:/gone\n0::/user\n"


def hierarchies(root, *folders):
    for folder in folders:
        (root / folder).mkdir(parents=True)


def test_cgroups_lie_below_the_callers_own_on_v1(tmp_path):
    hierarchies(tmp_path, "memory/session/7", "cpu,cpuacct", "systemd", "unified/user")
    homes = cgroups.homes("lab", tmp_path, HYBRID)
    expected = ["memory/session/7/lab", "cpu,cpuacct/lab", "systemd/lab", "unified/user/lab"]
    assert [str(home.relative_to(tmp_path)) for home in homes] == expected


def test_a_hierarchy_that_is_not_mounted_is_left_out(tmp_path):
    hierarchies(tmp_path, "memory/session/7")
    assert cgroups.homes("lab", tmp_path, HYBRID) == (tmp_path / "memory/session/7/lab",)


def test_on_pure_v2_there_is_one_at_the_top_and_it_hands_controllers_on(tmp_path):
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids rdma\n")
    (home,) = cgroups.homes("lab", tmp_path, "0::/user.slice/session-1.scope\n")
    assert home == tmp_path / "lab"
    (tmp_path / "cgroup.subtree_control").write_text("")
    assert cgroups.make(home, "node0") == home / "node0" / "cgroup.procs"
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+pids"  # a plain file keeps the last word written


def test_a_new_cpuset_is_filled_from_its_parent(tmp_path):
    for name, value in (("cpuset.cpus", "0-3"), ("cpuset.mems", "0")):
        (tmp_path / name).write_text(value)
    for folder in ("lab", "lab/node0"):
        (tmp_path / folder).mkdir()
        for name in ("cpuset.cpus", "cpuset.mems"):
            (tmp_path / folder / name).write_text("\n")
    cgroups.make(tmp_path / "lab", "node0")
    assert (tmp_path / "lab/node0/cpuset.cpus").read_text() == "0-3"


def test_removal_goes_from_the_inside_out_and_says_what_is_left(tmp_path):
    hierarchies(tmp_path, "a/node0/deep/er", "a/node1", "b/busy")
    (tmp_path / "b/busy/file").write_text("in the way")
    assert cgroups.remove([tmp_path / "a", tmp_path / "b", tmp_path / "never"], seconds=0.1) == (tmp_path / "b",)
    assert not (tmp_path / "a").exists()
