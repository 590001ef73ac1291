"""What the machine is: kernel, memory, release, GPU, Docker, services that interfere, faults that it logged."""

from __future__ import annotations

from dataclasses import dataclass


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
    """One GPU as nvidia-smi says it; MHz, W; `reasons` are the active clock event (throttle) reasons, never `idle`."""

    name: str
    driver: str
    clock: int | None
    clock_max: int | None
    power: float | None
    power_limit: float | None
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Space:
    """KiB free where the engine's images and models go."""

    path: str
    free: int


@dataclass(frozen=True)
class Earlyoom:
    """earlyoom runs; `floor` is the percentage of memory below which it kills (10 is its default)."""

    floor: int
