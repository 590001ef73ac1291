"""The program on the node that waits for the engine: a cable that is out ends the wait, whatever the engine says."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from sparkctl.commands import canary
from sparkctl.commands.canary import Watch, command

SLICE = 1.0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("PAUSE", 0.05), ("LOOK_EVERY", 1), ("DARK", 0.3)):
        monkeypatch.setattr(canary, name, value)


def watched(folder: Path, systemctl: str = "echo ActiveState=active") -> dict[str, object]:
    """What a worker's watch ends with; `folder` holds the attributes of its one netdev."""
    tools = folder / "bin"
    tools.mkdir()
    for name, text in (("systemctl", systemctl), ("journalctl", "exit 0")):
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    asked = command(Watch("sparkctl-engine.service", {}, netdevs=(f"../../..{folder}",)), SLICE)
    env = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    ran = subprocess.run(["sh", "-c", asked.script], input=asked.stdin, capture_output=True, env=env, timeout=30, check=True)
    said = json.loads(ran.stdout.splitlines()[-1])
    assert isinstance(said, dict)
    return said


def test_a_cable_that_is_out_ends_the_wait(tmp_path: Path) -> None:
    (tmp_path / "carrier").write_text("0\n")
    assert watched(tmp_path) == {"failed": f"../../..{tmp_path} has lost its link: is the cable out?"}


@pytest.mark.parametrize("carrier", ["1\n", None], ids=["a link", "a netdev that is down says nothing"])
def test_what_is_not_dark_ends_no_wait(carrier: str | None, tmp_path: Path) -> None:
    if carrier:
        (tmp_path / "carrier").write_text(carrier)
    assert watched(tmp_path).keys() == {"waiting", "cursor"}


def test_a_link_that_comes_back_ends_no_wait(tmp_path: Path) -> None:
    """Dark at the first look, as when a cable is pushed home."""
    (tmp_path / "carrier").write_text("0\n")
    again = f"echo 1 >{tmp_path}/carrier; echo ActiveState=active"
    assert watched(tmp_path, f"[ -e {tmp_path}/seen ] && {{ {again}; exit; }}; : >{tmp_path}/seen; echo ActiveState=active").keys() == {"waiting", "cursor"}
