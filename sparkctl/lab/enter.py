"""Step into a lab: its nodes are then dialled like any others."""

from __future__ import annotations

from sparkctl.errors import Refused
from sparkctl.lab.namespaces import join_network
from sparkctl.lab.state import LabState


def enter(state: LabState) -> None:
    """Move this program into the lab's network for the rest of its life. Call it before any thread is started."""
    try:
        join_network(state.supervisor.pid)
    except PermissionError:
        raise Refused("the lab's network can only be entered by root", "run it as root (sudo)") from None
    except OSError as error:
        raise Refused(f"the lab's network cannot be entered: {error.strerror}", "sparkctl lab up INVENTORY") from None
