"""The check that nothing is left behind sees each kind of thing that a lab could leave."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.labs import booting

SCRIPT = Path(__file__).with_name("leftovers.py")
HIERARCHY = Path("/sys/fs/cgroup/pids")  # cgroups version 1; in version 2 there is only one
CGROUP = (HIERARCHY if HIERARCHY.is_dir() else HIERARCHY.parent) / "sparkctl-lab-planted"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A shell in namespaces of its own: what is planted there goes with it, and no lab boots whose cgroups it would see."""
    command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash"]
    with booting():
        shell = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
        yield shell
        shell.kill()
        shell.communicate()


def run(shell: subprocess.Popen[str], line: str) -> str:
    """What `line` prints in the shell, up to its exit status."""
    assert shell.stdin is not None
    assert shell.stdout is not None
    shell.stdin.write(f"{{ {line}; }} </dev/null 2>&1; echo status=$?\n")
    shell.stdin.flush()
    seen = ""
    while not (text := shell.stdout.readline()).startswith("status="):
        assert text, f"the shell ended after: {seen}"
        seen += text
    return seen + text.strip()


def leftovers(verb: str) -> str:
    return f"{shlex.quote(sys.executable)} {shlex.quote(str(SCRIPT))} {verb} before.json 0"


@pytest.mark.parametrize(
    ("plant", "pull", "seen"),
    [
        ("ip link add br9 type bridge", "true", "left behind: link: br9"),
        ("mkdir m && mount -t tmpfs none m", "umount m", "left behind: mount: {cwd}/m"),
        ("bash -c 'exec -a systemd-nspawn sleep 60' & sleep 0.5", "kill $(jobs -p)", "left behind: process: "),
        ("unshare --net sleep 60 & sleep 0.5", "kill $(jobs -p)", "left behind: namespace: net:["),
        (f"mkdir {CGROUP}", f"rmdir {CGROUP}", f"left behind: cgroup: {CGROUP}"),
        ("mkdir -p sparkctl/labs/dual", "true", "left behind: lab: {cwd}/sparkctl/labs/dual"),
    ],
)
def test_what_is_left_is_named(stage: subprocess.Popen[str], tmp_path: Path, plant: str, pull: str, seen: str) -> None:
    run(stage, 'export XDG_STATE_HOME="$PWD"')
    assert run(stage, leftovers("record")) == "status=0"
    assert run(stage, plant).endswith("status=0")
    report = run(stage, leftovers("compare"))
    run(stage, pull)
    assert seen.format(cwd=os.path.realpath(tmp_path)) in report
    assert report.endswith("status=1")


def test_nothing_new_is_nothing_left(stage: subprocess.Popen[str]) -> None:
    run(stage, leftovers("record"))
    assert run(stage, leftovers("compare")).endswith("nothing left behind\nstatus=0")
