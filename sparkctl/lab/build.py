"""What is built once: under a name that says what made it, complete or not there, by one builder at a time."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from sparkctl.errors import Refused
from sparkctl.lab.state import cache

Builder = Callable[[Path, Path], None]
Say = Callable[[str], None]


class BuildFailed(Refused):
    """An image or the engine of the lab could not be built; the log says why."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Only one holder at a time, of all programs; the lock ends with its holder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def key(recipe: str) -> str:
    """What a recipe is called: a changed recipe is another thing."""
    return sha256(recipe.encode()).hexdigest()[:12]


def built(name: str, recipe: str, build: Builder, stage: str, say: Say) -> Path:
    """The folder of `name` made by `recipe`. `build(folder, log)` fills an empty folder when it is not there yet.

    Then how long that takes is told. Else there is no lock: who only runs labs need not be able to write beside it.
    """
    target = place(name, recipe)
    if target.is_dir():
        return target
    say(f"building the {stage} ...")
    begun = time.monotonic()
    with locked(target.with_suffix(".lock")):
        if not target.is_dir():
            partial = target.with_suffix(".partial")
            if partial.exists():
                shutil.rmtree(partial)
            partial.mkdir()
            build(partial, target.with_suffix(".log"))
            partial.rename(target)
    say(f"built the {stage}: {time.monotonic() - begun:.0f} s")
    return target


def place(name: str, recipe: str) -> Path:
    """Where that folder is, or will be."""
    return cache() / f"{name}-{key(recipe)}"


def run(words: list[str], log: Path, seconds: float, environment: Mapping[str, str] | None = None) -> None:
    """Run one program of a recipe into `log`; BuildFailed with its last words."""
    with log.open("ab") as out:
        try:
            subprocess.run(
                words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=True, timeout=seconds, env=environment
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise BuildFailed(f"{words[0]} failed: {_last_line(log) or error}", f"see {log}, then try again") from None


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""
