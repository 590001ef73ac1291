"""The canary program as a node runs it, with a systemctl of the test's own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from sparkctl.commands.base import Command

ACTIVE = "echo ActiveState=active"


def last_word(asked: Command, folder: Path, systemctl: str = ACTIVE) -> dict[str, object]:
    """The last object that the program prints; `systemctl`: shell for what the unit is."""
    tools = folder / "bin"
    tools.mkdir(exist_ok=True)
    for name, text in (("systemctl", systemctl), ("journalctl", "exit 0")):
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    env = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    ran = subprocess.run(["sh", "-c", asked.script], input=asked.stdin, capture_output=True, env=env, timeout=30, check=True)
    said = json.loads(ran.stdout.splitlines()[-1])
    assert isinstance(said, dict)
    return said
