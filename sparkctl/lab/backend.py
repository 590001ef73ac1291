"""What a kind of lab is: one object that says what it needs, how it is ordered and reached, and what it can show."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from sparkctl.lab.build import Say
from sparkctl.lab.container.backend import Containers
from sparkctl.lab.limits import Need
from sparkctl.lab.order import Order
from sparkctl.lab.spec import LabSpec
from sparkctl.lab.state import BackendName, LabState
from sparkctl.lab.vm.backend import Machines


class Backend(Protocol):
    """One kind of lab. A supervisor of its own keeps the nodes, and gives up before its patience ends."""

    supervisor: str
    """The module that is run as the lab's one program: STATE_FOLDER PIPE."""
    boot_seconds: float
    """How long all nodes may take to boot."""
    fault_seconds: float
    """How long the supervisor may take for a fault; a node that is booted again is one."""
    needs: tuple[Need, ...]
    """What one node takes of this machine's limits."""
    has_rdma: bool
    """Whether nodes have RDMA devices."""
    has_engine: bool
    """Whether nodes have room for an engine."""

    def require(self, spec: LabSpec) -> None:
        """Refused when this machine cannot run such a lab, with what to do about it."""

    def require_end(self) -> None:
        """Refused when this machine, or who is at it, cannot end one."""

    def order(self, spec: LabSpec, home: Path, say: Say) -> Order:
        """Everything that the supervisor needs to know; what it needs is built where it is missing."""

    def enter(self, state: LabState) -> None:
        """Step into the network of a lab, so that its nodes are dialled like any others; before any thread starts."""

    def connect(self, control: socket.socket, home: Path) -> None:
        """Reach the supervisor's control socket; OSError when it does not answer."""

    def gone(self, home: Path) -> bool:
        """Whether all programs of the lab in the folder `home` have ended; waits some seconds for it."""


BACKENDS: Mapping[BackendName, Backend] = {"container": Containers(), "vm": Machines()}
