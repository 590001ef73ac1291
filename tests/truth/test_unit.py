"""systemd's own verdict on the unit, in a tree that holds just what the unit names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sparkctl.render import NodeRendering
from sparkctl.render.artifact import ENGINE_UNIT, UNIT_NAME

Rooted = Callable[[NodeRendering], Path]
PROGRAMS = ("usr/bin/timeout", "usr/bin/docker")
# What systemd joins to every service, and what ours names: empty units of the same names.
NEIGHBOURS = ("sysinit.target", "basic.target", "shutdown.target", "network-online.target", "multi-user.target")
EMPTY = "[Unit]\nDescription=stand-in\nDefaultDependencies=no\n"


def verify(root: Path, real: Callable[..., Any]) -> tuple[int, str]:
    """Status and everything said."""
    for name in PROGRAMS:
        program = root / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    for name in NEIGHBOURS:
        (root / "etc/systemd/system" / name).write_text(EMPTY)
    (root / "etc/systemd/system/docker.service").write_text(f"{EMPTY}[Service]\nExecStart=/usr/bin/docker\n")
    said = real(["systemd-analyze", "verify", "--man=no", f"--root={root}", UNIT_NAME])
    return said.returncode, said.stdout + said.stderr


def test_systemd_has_nothing_to_say(engine_node: NodeRendering, rooted: Rooted, real: Callable[..., Any]) -> None:
    assert verify(rooted(engine_node), real) == (0, "")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("Restart=always", "Restart=forever", "forever"),
        ("TimeoutStopSec=60", "TimeoutStopSecs=60", "TimeoutStopSecs"),
        ("ExecStart=/etc/sparkctl/engine.sh", "ExecStart=/etc/sparkctl/other.sh", "other.sh"),
        ("Wants=network-online.target", "Requires=nowhere.target", "nowhere.target"),
    ],
)
def test_systemd_would_have_said_so(
    old: str, new: str, complaint: str, head: NodeRendering, rooted: Rooted, real: Callable[..., Any]
) -> None:
    root = rooted(head)
    unit = root / ENGINE_UNIT[1:]
    unit.write_text(unit.read_text().replace(old, new, 1))
    _, said = verify(root, real)
    assert complaint in said


def test_the_script_must_be_executable(head: NodeRendering, rooted: Rooted, real: Callable[..., Any]) -> None:
    root = rooted(head)
    (root / "etc/sparkctl/engine.sh").chmod(0o644)
    status, said = verify(root, real)
    assert status != 0
    assert "engine.sh is not executable" in said
