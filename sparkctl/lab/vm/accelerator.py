"""How QEMU computes: with KVM where a guest truly runs on it, else by emulation; found out once per machine."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

from sparkctl.lab.build import key
from sparkctl.lab.order import Accelerator
from sparkctl.lab.state import cache
from sparkctl.lab.vm.image import INITRD, KERNEL
from sparkctl.lab.vm.machine import QEMU

DEVICE = Path("/dev/kvm")
# What the initrd prints when it is asked for nothing else.
MARK = b"sparkctl-lab-probe-ok"
# A guest that runs is there after two seconds; on some machines /dev/kvm is there and the guest never gets on (seen).
_SECONDS = 15.0


def chosen(image: Path) -> Accelerator:
    """KVM if a guest gets as far as its initrd on it; the answer is remembered for this kernel and QEMU."""
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return "tcg"
    told = cache() / f"accelerator-{key(' '.join((platform.release(), platform.node(), _version())))}"
    if not told.exists():
        told.parent.mkdir(parents=True, exist_ok=True)
        told.write_text("kvm\n" if works(image) else "tcg\n")
    return "kvm" if told.read_text() == "kvm\n" else "tcg"


def _version() -> str:
    return subprocess.run([QEMU, "--version"], capture_output=True, text=True, check=True).stdout


def works(image: Path) -> bool:
    """Whether a guest on KVM prints what it should in time."""
    line = [QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-machine", "pc", "-accel", "kvm"]
    line += ["-cpu", "host", "-m", "256", "-no-reboot", "-serial", "stdio", "-kernel", str(image / KERNEL)]
    line += ["-initrd", str(image / INITRD), "-append", "console=ttyS0 quiet sparkctl.probe"]
    try:
        ran = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired as late:
        return MARK in (late.stdout or b"")
    return MARK in ran.stdout
