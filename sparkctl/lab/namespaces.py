"""The three system calls that Python 3.11 does not offer: unshare, setns and prctl."""

from __future__ import annotations

import ctypes
import os
import signal
from pathlib import Path

# Source: linux/sched.h and linux/prctl.h
NEW_MOUNTS = 0x00020000
NEW_IPC = 0x08000000
NEW_PIDS = 0x20000000
NEW_NETWORK = 0x40000000
_DIE_WITH_PARENT = 1

_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """Leave the namespaces named by `flags`; new pid namespaces begin with the next fork."""
    _checked(_libc.unshare(ctypes.c_int(flags)), "unshare")


def join_network(pid: int) -> None:
    """Enter the network namespace of `pid`. It holds for this thread and for those it starts from now on."""
    descriptor = os.open(Path("/proc") / str(pid) / "ns" / "net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _checked(_libc.setns(ctypes.c_int(descriptor), ctypes.c_int(NEW_NETWORK)), "setns")
    finally:
        os.close(descriptor)


def die_with_parent() -> None:
    """Ask the kernel to kill this one when its parent ends, however that ends."""
    _checked(_libc.prctl(_DIE_WITH_PARENT, ctypes.c_ulong(signal.SIGKILL)), "prctl")


def _checked(status: int, call: str) -> None:
    if status != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
