"""Labs of virtual machines: real kernels with RoCE v2 in software, half a minute to boot, no engine; no root."""

from __future__ import annotations

import fcntl
import os
import platform
import socket
import time
from contextlib import ExitStack
from pathlib import Path

from sparkctl.errors import Refused
from sparkctl.lab import packages
from sparkctl.lab.build import Say
from sparkctl.lab.limits import MEMORY, Need
from sparkctl.lab.order import LOOPBACK, Order
from sparkctl.lab.spec import LabSpec
from sparkctl.lab.state import LabState
from sparkctl.lab.vm import image
from sparkctl.lab.vm.accelerator import chosen
from sparkctl.lab.vm.machine import QEMU
from sparkctl.lab.vm.supervisor import ALIVE, CONTROL

# Program -> the Debian package that has it; the image is built by the second ones, as root.
NEEDED = {QEMU: "qemu-system-x86", "qemu-img": "qemu-utils", "ssh": "openssh-client"}
BUILDING = {"debootstrap": "debootstrap", "mke2fs": "e2fsprogs"}
_ONCE = 'sudo XDG_CACHE_HOME="${XDG_CACHE_HOME:-$HOME/.cache}" XDG_STATE_HOME=/tmp/sparkctl-once'


class Machines:
    """`--backend vm`."""

    supervisor = "sparkctl.lab.vm.supervisor"
    # A virtual node takes 25 s of a core to boot without KVM.
    boot_seconds, fault_seconds = 900.0, 240.0
    has_rdma, has_engine = True, False
    needs: tuple[Need, ...] = (Need(MEMORY, "MB of memory", 900),)  # Source: as those of containers

    def require(self, spec: LabSpec) -> None:
        """As Backend.require."""
        if platform.machine() != "x86_64":
            raise Refused("vm nodes are x86-64 machines, and this one is not", "use --backend container")
        if spec.renderer != "networkd":
            raise Refused(f"vm nodes have networkd, not {spec.renderer}", "use --backend container")
        needed = NEEDED if image.ready() else {**NEEDED, **BUILDING}
        packages.require(needed)
        if not image.ready() and os.geteuid() != 0:
            raise Refused(
                "the disk of the vm nodes is not built yet; only that needs root (debootstrap), running them does not",
                f"once: `{_ONCE} sparkctl lab up --backend vm`; then `{_ONCE} sparkctl lab down`; then try again",
            )

    def require_end(self) -> None:
        """As Backend.require_end: whoever began it can end it."""

    def order(self, spec: LabSpec, home: Path, say: Say) -> Order:
        """As Backend.order."""
        disk = image.image(say)
        accelerator = chosen(disk)
        if accelerator == "tcg":
            say("no KVM here: the nodes' processors are emulated, and slow")
        return Order(
            spec=spec,
            folder=str(home),
            image=str(disk),
            engine=None,
            cgroups=(),
            limited=False,
            ports=free_ports(len(spec.nodes)),
            accelerator=accelerator,
        )

    def enter(self, state: LabState) -> None:
        """As Backend.enter: virtual nodes answer at ports of this machine."""

    def connect(self, control: socket.socket, home: Path) -> None:
        """As Backend.connect; through the folder, because the name of a socket may not be long."""
        folder = os.open(home, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            control.connect(f"/proc/self/fd/{folder}/{CONTROL}")
        finally:
            os.close(folder)

    def gone(self, home: Path, seconds: float = 20.0) -> bool:
        """As Backend.gone: its supervisor and all of its QEMUs hold a lock."""
        try:
            lock = os.open(home / ALIVE, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        deadline = time.monotonic() + seconds
        try:
            while not _locked(lock):
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.02)
        finally:
            os.close(lock)
        return True


def free_ports(count: int) -> tuple[int, ...]:
    """Ports of this machine that nobody has, all different."""
    with ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in held:
            each.bind((LOOPBACK, 0))
        return tuple(each.getsockname()[1] for each in held)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
