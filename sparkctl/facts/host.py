"""What the machine is: kernel, memory, release, GPU, services that interfere, faults that it logged."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from sparkctl.facts.base import Probe, Rows, each
from sparkctl.inventory.words import visible

SOURCES = ("facts/host.sh",)
KERNEL_PROBE = Probe("kernel", ("kernel_state",), SOURCES)
MEMORY_PROBE = Probe("memory", ("memory_state",), SOURCES)
RELEASE_PROBE = Probe("release", ("release_state",), SOURCES)
GPUS_PROBE = Probe("gpus", ("gpu_state",), SOURCES)
EARLYOOM_PROBE = Probe("earlyoom", ("earlyoom_state",), SOURCES)
PCIE_ERRORS_PROBE = Probe("pcie-errors", ("kernel_faults",), SOURCES)
PROBES = (KERNEL_PROBE, MEMORY_PROBE, RELEASE_PROBE, GPUS_PROBE, EARLYOOM_PROBE, PCIE_ERRORS_PROBE)
"""What needs no arguments and is asked of every node."""

MOST_KIB = 1 << 50
"""More memory or disk than any machine has: such a number is not an answer."""
REASONS = {
    0x2: "applications clocks setting",
    0x4: "software power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
    0x100: "display clock setting",
}
"""nvml.h, nvmlClocksEventReason*; 0x1 is idle."""
FAULTS = ("[GPU is lost]", "[GPU requires reset]", "[Unknown Error]")
"""nvmlErrorString of NVML_ERROR_GPU_IS_LOST, _RESET_REQUIRED and _UNKNOWN; nvidia-smi puts them in place of figures."""
NO_FIGURE = ("N/A", "[N/A]", "[Not Supported]", "[Insufficient Permissions]", *FAULTS)
SYSTEM = ("NAME", "VERSION", "VERSION_ID", "DGX_OTA_VERSION", "DGX_SWBUILD_VERSION")
IDLE = 0x1
EARLYOOM_DEFAULT = 10
"""earlyoom(1), -m."""
CONNECTX = re.compile(r"\bmlx5_core\b|\b000[02]:0[01]:00\.[01]\b")
"""The root ports of ConnectX-7 and its functions on a Spark (facts ff3.1 and ff48)."""


@dataclass(frozen=True)
class Kernel:
    """`release` is `uname -r`; `command_line` is /proc/cmdline."""

    release: str
    command_line: str


@dataclass(frozen=True)
class Memory:
    """KiB, from /proc/meminfo; CMA figures are None on a kernel without CMA."""

    total: int
    available: int
    cma_total: int | None
    cma_free: int | None
    swap_total: int


@dataclass(frozen=True)
class Release:
    """`name` and `version` of the system (os-release), and the DGX OS version where it is one (dgx-release)."""

    name: str
    version: str
    dgx: str | None


@dataclass(frozen=True)
class Gpu:
    """One GPU as nvidia-smi says it; MHz, W; `reasons` are the active clock event (throttle) reasons, never `idle`.

    `idle`: it has nothing to run, so its clock says nothing. `fault`: what it says instead of figures when it is sick.
    """

    name: str
    driver: str
    clock: int | None
    clock_max: int | None
    power: float | None
    power_limit: float | None
    reasons: tuple[str, ...]
    idle: bool = False
    fault: str = ""


@dataclass(frozen=True)
class Space:
    """KiB free where the engine's images and models go; None: nothing answers there, as a dead network mount."""

    path: str
    free: int | None


@dataclass(frozen=True)
class Earlyoom:
    """earlyoom runs; `floor` is the percentage of memory below which it kills (10 is its default)."""

    floor: int


def parse_kernel(text: str) -> Kernel:
    """Two lines: release, command line."""
    release, _, command_line = text.partition("\n")
    if not re.fullmatch(r"\d+\.\d+[\w.+~-]{0,200}", release, re.ASCII):
        raise ValueError("the first line is not a kernel release")
    return Kernel(release, visible(command_line.strip()))


def parse_memory(text: str) -> Memory:
    """`Name: N kB` lines; KeyError where one of those that every kernel has is missing."""
    rows = re.findall(r"^(\w+): +(\d{1,20}) kB$", text, re.MULTILINE | re.ASCII)
    figures = {name: bounded(int(value)) for name, value in rows}
    if len(figures) < len(rows):
        raise ValueError("a figure twice")
    cma = figures.get("CmaTotal"), figures.get("CmaFree")
    return Memory(figures["MemTotal"], figures["MemAvailable"], *cma, figures["SwapTotal"])


def bounded(value: int) -> int:
    """`value`, if a machine can have that many KiB."""
    if not 0 <= value <= MOST_KIB:
        raise ValueError("a number that no machine has")
    return value


def parse_release(text: str) -> Release:
    """os-release(5), then the version lines of dgx-release; updates append lines there, so the last one counts."""
    last = dict(_assignments(text))
    shown = {key: visible(" ".join(shlex.split(last[key][:1000]))[:200]) for key in SYSTEM if key in last}
    dgx = shown.get("DGX_OTA_VERSION") or shown.get("DGX_SWBUILD_VERSION")
    return Release(shown["NAME"], shown.get("VERSION_ID") or shown.get("VERSION", ""), dgx)


def _assignments(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and re.fullmatch(r"[A-Z][A-Z0-9_]*", key):
            yield key, value


def parse_gpus(text: str) -> tuple[Gpu, ...] | Rows[tuple[Gpu, ...]]:
    """One line of seven columns per GPU; a name may hold commas, nothing else does."""
    if not text.strip():
        raise ValueError("no GPU")
    return each(filter(str.strip, text.splitlines()), _gpu, tuple)


def _gpu(line: str) -> Gpu:
    name, driver, clock, most, power, limit, reasons = (cell.strip() for cell in line.rsplit(",", 6))
    if not name or not re.fullmatch(r"\d{1,5}(\.\d{1,5}){1,3}", driver, re.ASCII):
        raise ValueError("no name or no driver version")
    figures = _whole(clock), _whole(most), _number(power), _number(limit)
    # not of the limits: healthy GPUs have an unknown error there (gh:Quake4/MindMiner#627)
    fault = next((text.strip("[]") for text in FAULTS if text in (clock, power, reasons)), "")
    return Gpu(visible(name[:100]), driver, *figures, *_reasons(reasons), fault)


def _number(cell: str) -> float | None:
    """None where the GPU has no such sensor (GB10 has no memory figures and says [N/A]), or is sick."""
    if cell in NO_FIGURE:
        return None
    value = float(cell)
    if not math.isfinite(value) or not 0 <= value < 1e6:
        raise ValueError("neither MHz nor W")
    return value


def _whole(cell: str) -> int | None:
    value = _number(cell)
    return None if value is None else round(value)


def _reasons(cell: str) -> tuple[tuple[str, ...], bool]:
    """The reasons by name, and whether idle is among them."""
    if cell.startswith(("[", "N/A")):
        return (), False
    if not re.fullmatch(r"0x[0-9a-fA-F]{1,16}", cell):
        raise ValueError("no mask of reasons")
    mask = int(cell, 16)
    bits = (1 << n for n in range(64) if mask & ~IDLE & 1 << n)
    return tuple(REASONS.get(bit, f"reason {bit:#x}") for bit in bits), bool(mask & IDLE)


def space_probe(folders: Iterable[str]) -> Probe:
    """Asks for the space below `folders`, and where Docker keeps its images."""
    return Probe("space", ("space_state", *dict.fromkeys(folders)), SOURCES)


def parse_space(text: str) -> tuple[Space, ...] | Rows[tuple[Space, ...]]:
    """`KiB path` lines, each path once, `?` for no answer; ValueError where df gave no number."""
    if not text.strip():
        raise ValueError("no folder")
    return each(filter(None, text.splitlines()), _space, lambda found: tuple({it.path: it for it in found}.values()))


def _space(line: str) -> Space:
    said, path = line.split(" ", 1)
    return Space(visible(path[:1000]), None if said == "?" else bounded(int(said)))


def parse_earlyoom(text: str) -> Earlyoom:
    """MemTotal in KiB, then the words of its command line: of -m PERCENT and -M KIB the lower one counts."""
    first, *words = text.splitlines()
    total = bounded(int(first))
    percent = _option(words, "-m")
    size = _option(words, "-M")
    floors = ([] if percent is None else [percent]) + ([] if size is None else [100 * size / max(total, 1)])
    floor = min(floors, default=EARLYOOM_DEFAULT)
    if not 0 <= floor <= 100:
        raise ValueError("no percentage")
    return Earlyoom(round(floor))


def _option(words: list[str], flag: str) -> float | None:
    """The first number of `-m 5,3` or `-m5,3`: where it terminates; the second is where it kills."""
    given = [words[n + 1] if word == flag else word[2:] for n, word in enumerate(words) if word.startswith(flag)]
    return float(given[-1].partition(",")[0]) if given else None


def parse_pcie_errors(text: str) -> tuple[str, ...]:
    """Faults of ConnectX-7 and the root ports above it, at most twenty; ValueError for a line that is not a fault."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not all("(Fatal)" in line or "health compromised" in line for line in lines):
        raise ValueError("a line that is not a fault")
    return tuple(visible(line[:400]) for line in islice(filter(CONNECTX.search, lines), 20))


PARSERS = {
    "kernel": parse_kernel,
    "memory": parse_memory,
    "release": parse_release,
    "gpus": parse_gpus,
    "space": parse_space,
    "earlyoom": parse_earlyoom,
    "pcie-errors": parse_pcie_errors,
}
"""By the name of the probe."""
