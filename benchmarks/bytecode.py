"""Bytecode that is there before a clock runs: without it a command spends a second compiling, on some machines only."""

from __future__ import annotations

import compileall
import os
import sysconfig
from pathlib import Path


def pinned() -> None:
    """Compile what benchmarks start, and let what they start find and keep it."""
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"):
        os.environ.pop(name, None)
    for folder in (Path(__file__).resolve().parents[1] / "sparkctl", sysconfig.get_path("purelib")):
        compileall.compile_dir(folder, quiet=2, workers=0)
