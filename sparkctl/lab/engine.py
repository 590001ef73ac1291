"""The folder of an engine's twin: an environment for the Python of the node image, made once for this machine.

Nodes see it at `LAB_FOLDER`, read-only, and so do their containers. It does not matter which Python sparkctl itself
runs on.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from sparkctl.engines.base import LAB_FOLDER, TwinBuild
from sparkctl.lab.build import BuildFailed, Say, built, run

_SECONDS = 1800.0
_SITE = "lib/python3.11/site-packages"
_PYVENV = "home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11.2\n"
# In a mount namespace of its own: the image is only lent, and nothing stays mounted on it.
_INSIDE = f"""set -eu
mount --bind "$1" "$2{LAB_FOLDER}"
mount -t proc proc "$2/proc"
exec chroot "$2" /bin/sh -ec 'cd {LAB_FOLDER}; export HOME=/tmp/engine-build PYTHONDONTWRITEBYTECODE=
"$0" -m compileall -q -j 2 lib >/dev/null || true
FINISH
rm -rf $HOME' {LAB_FOLDER}/bin/python
"""


def recipe(twin: TwinBuild) -> str:
    """Everything that the folder depends on."""
    files = (f"{path}\n{text}" for path, text in sorted(twin.files.items()))
    own = (twin.image, twin.lock, *twin.renamed, *files, twin.finish, twin.made)
    return "\n".join(["engine", *own, _PYVENV, _INSIDE])


def engine(twin: TwinBuild, image: Callable[[], Path], say: Say) -> Path:
    """The folder, built when it is not there yet (one has 2.4 GB); `image` is asked for after the downloads."""

    def build(folder: Path, log: Path) -> None:
        if twin.lock:
            _install(json.loads(twin.lock), folder, log)
        _wrap(twin, folder)
        _finish(twin, folder, image(), log)

    return built("engine", recipe(twin), build, f"engine ({twin.about})", say)


def _install(lock: Mapping[str, list[str]], folder: Path, log: Path) -> None:
    """The packages, by a pip of our own: the one that sparkctl was installed with need not be there any more."""
    run([sys.executable, "-m", "venv", str(folder / "tool")], log, _SECONDS)
    (folder / "scratch").mkdir()
    _add(lock["packages"], folder, log)
    try:
        _add(lock["cpu"], folder, log)
    except BuildFailed:  # no index that pip knows has torch for the CPU alone: its usual build, 3 GB more
        _add(lock["cuda"], folder, log)
    for done in ("tool", "scratch"):
        shutil.rmtree(folder / done)


def _add(part: list[str], folder: Path, log: Path) -> None:
    """One part of the lock, and nothing else."""
    wanted = folder / "scratch" / "requirements.txt"
    wanted.write_text("\n".join(part) + "\n")
    words = [str(folder / "tool/bin/pip"), "install", "--require-hashes", "--no-deps", "--requirement", str(wanted)]
    more = ["--no-compile", f"--target={folder / _SITE}", *_as_on_a_node()]
    run([*words, *more], log, _SECONDS, {**os.environ, "TMPDIR": str(wanted.parent)})


def _as_on_a_node() -> list[str]:
    """The Python of the node image for pip, which may run on another: Debian bookworm's, with its glibc 2.36."""
    names = [f"manylinux_2_{minor}" for minor in range(36, 4, -1)] + ["manylinux2014", "manylinux2010", "manylinux1"]
    platforms = [f"--platform={name}_{platform.machine()}" for name in names]
    return ["--only-binary=:all:", "--python-version=3.11", "--implementation=cp", *platforms]


def _wrap(twin: TwinBuild, folder: Path) -> None:
    """Make it an environment with the twin's files."""
    (folder / "pyvenv.cfg").write_text(_PYVENV)
    (folder / "bin").mkdir()
    for name in ("python", "python3"):
        (folder / "bin" / name).symlink_to("/usr/bin/python3.11")
    for path, text in twin.files.items():
        (folder / path).write_text(text)
        (folder / path).chmod(0o755 if path.startswith("bin/") else 0o644)
    if twin.renamed:
        distribution, name, version = twin.renamed
        _rename(distribution, name, version, folder / _SITE)


def _rename(distribution: str, name: str, version: str, site: Path) -> None:
    """Let a package find itself that looks up its version under another name."""
    renamed = shutil.copytree(site / f"{distribution}-{version}.dist-info", site / f"{name}-{version}+cpu.dist-info")
    text = re.sub(r"^Name: .*$", f"Name: {name}", (renamed / "METADATA").read_text(), count=1, flags=re.MULTILINE)
    text = re.sub(r"^Version: .*$", f"Version: {version}+cpu", text, count=1, flags=re.MULTILINE)
    (renamed / "METADATA").write_text(text)


def _finish(twin: TwinBuild, folder: Path, image: Path, log: Path) -> None:
    """Compile it, so that read-only mounts start fast, and finish it: both with the Python of the node image."""
    script = _INSIDE.replace("FINISH\n", twin.finish)
    words = ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", script, "sh", str(folder), str(image)]
    run(words, log, _SECONDS)
    for path in twin.files:
        if not path.startswith("bin/"):
            (folder / path).unlink()
    if not (folder / twin.made).is_file():
        raise BuildFailed(f"{twin.made} of the lab's engine was not made", f"see {log}")
