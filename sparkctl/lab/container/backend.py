"""Labs of systemd machines in namespaces: seconds to boot, real Docker and engine on the CPU, no RDMA; root only."""

from __future__ import annotations

import os
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sparkctl.engines import engine_of
from sparkctl.errors import Refused
from sparkctl.lab import engine, image, packages
from sparkctl.lab.build import Say
from sparkctl.lab.container import cgroups, networkmanager
from sparkctl.lab.container.supervisor import CONTROL
from sparkctl.lab.limits import INSTANCES, MEMORY, PIDS, THREADS, WATCHES, Need
from sparkctl.lab.namespaces import join_network
from sparkctl.lab.order import Order
from sparkctl.lab.spec import LabSpec
from sparkctl.lab.state import LabState, group

_SYS_RESOURCE = 24  # linux/capability.h
# Program -> the Debian package that has it.
NEEDED = {
    "chroot": "coreutils",
    "debootstrap": "debootstrap",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
    "ip": "iproute2",
    "mount": "mount",
    "nsenter": "util-linux",
    "ssh": "openssh-client",
    "systemd-nspawn": "systemd-container",
    "unshare": "util-linux",
}


class Containers:
    """`--backend container`."""

    supervisor = "sparkctl.lab.container.supervisor"
    boot_seconds, fault_seconds = 150.0, 90.0
    has_rdma, has_engine = False, True
    # A node has 9 inotify instances, up to 16 while it boots or changes (NetworkManager: 18), 43 watches, 41 threads;
    # 122 threads and 2.5 GB where it serves. Source: /proc of every node of the lab suites, each 7 s, 2026-11-27.
    needs: tuple[Need, ...] = (
        Need(INSTANCES, "inotify instances", 11),
        Need(WATCHES, "inotify watches", 50),
        Need(PIDS, "processes and threads", 60, 120),
        Need(THREADS, "processes and threads", 60, 120),
        Need(MEMORY, "MB of memory", 300, 2200),
    )

    def require(self, spec: LabSpec) -> None:
        """As Backend.require."""
        self.require_end()

    def require_end(self) -> None:
        """As Backend.require_end."""
        if sys.platform != "linux":
            raise Refused("the lab needs Linux: its nodes are namespaces", "run it on a Linux machine or in a Linux VM")
        if os.geteuid() != 0:
            said = "the lab needs root: it makes namespaces, mounts and netdevs of its own"
            raise Refused(said, "`sudo sparkctl ...`")
        packages.require(NEEDED)

    def order(self, spec: LabSpec, home: Path, say: Say) -> Order:
        """As Backend.order."""
        root, built = _parts(spec, say)
        return Order(
            spec=spec,
            folder=str(home),
            image=str(root),
            layers=() if spec.renderer == "networkd" else (str(networkmanager.desktop(root, say)),),
            engine=str(built) if built else None,
            cgroups=tuple(map(str, cgroups.homes(group(home)))),
            limited=not may_raise_limits(Path("/proc/self/status").read_text()),
        )

    def enter(self, state: LabState) -> None:
        """As Backend.enter."""
        try:
            join_network(state.supervisor.pid)
        except PermissionError:
            raise Refused("the lab's network can only be entered by root", "`sudo sparkctl ...`") from None
        except OSError as error:
            said = f"the lab's network cannot be entered: {error.strerror}"
            raise Refused(said, "`sparkctl lab up`") from None

    def connect(self, control: socket.socket, home: Path) -> None:
        """As Backend.connect; whoever calls it has entered."""
        control.connect(CONTROL)

    def gone(self, home: Path) -> bool:
        """As Backend.gone: the kernel ends everything with the supervisor."""
        return True


def _parts(spec: LabSpec, say: Say) -> tuple[Path, Path | None]:
    """The image and, for an inventory with an engine, the engine: built at the same time where they are missing."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        root = pool.submit(image.image, say)
        if not spec.engine:
            return root.result(), None
        built = pool.submit(engine.engine, engine_of(spec.kind).lab_build, root.result, say)
        return root.result(), built.result()


def may_raise_limits(status: str) -> bool:
    """Whether a program with this /proc/PID/status has CAP_SYS_RESOURCE; some containers and sandboxes take it away."""
    effective = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective.split()[1], 16) >> _SYS_RESOURCE & 1)
