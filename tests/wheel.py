"""The wheel of this checkout, as a user gets it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")


def run(*words: str | Path, cwd: Path) -> str:
    """Standard output of a program that must succeed."""
    command = [str(word) for word in words]
    ran = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, f"{' '.join(command)}\n{ran.stdout}{ran.stderr}"
    return ran.stdout


def built(folder: Path) -> Path:
    """The wheel, made into `folder`."""
    run(*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    return wheel
