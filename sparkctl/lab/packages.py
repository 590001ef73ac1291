"""Debian packages that labs need: which are missing on this machine, and the one line that installs them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from sparkctl.errors import Refused


def missing(needed: Mapping[str, str]) -> list[str]:
    """Packages by name; `needed`: program, or a file by its path, to the package that has it."""
    return sorted({package for what, package in needed.items() if not (shutil.which(what) or Path(what).is_file())})


def install(packages: list[str]) -> str:
    """The line to paste."""
    return f"sudo apt-get install --no-install-recommends {' '.join(packages)}"


def require(needed: Mapping[str, str]) -> None:
    """Refused where packages are missing."""
    packages = missing(needed)
    if packages:
        raise Refused(f"the lab needs the packages {', '.join(packages)}", install(packages))
