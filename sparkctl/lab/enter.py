"""Step into a lab: its nodes are then dialled like any others."""

from __future__ import annotations

import os

from sparkctl.lab.backend import BACKENDS
from sparkctl.lab.state import LabNode, LabState


def enter(state: LabState) -> None:
    """Move this program into the lab's network for the rest of its life. Call it before any thread is started."""
    BACKENDS[state.backend].enter(state)


def inside(state: LabState) -> tuple[str, ...]:
    """Words that run a program where the nodes of a lab answer."""
    if state.backend == "vm":
        return ()
    root = ("sudo",) if "SUDO_UID" in os.environ else ()
    return (*root, "nsenter", f"--net=/proc/{state.supervisor.pid}/ns/net")


def ssh_words(node: LabNode, command: list[str]) -> list[str]:
    """The ssh program for a node of the lab, trusting its pinned key only, and nothing of the user's own settings."""
    keys = ("StrictHostKeyChecking=yes", f"UserKnownHostsFile={node.known_hosts}", "IdentitiesOnly=yes")
    # an isolated node answers nothing at all: without these, ssh waits for TCP's own two minutes
    patience = ("ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=4")
    chosen = [word for option in (*keys, *patience, "LogLevel=ERROR") for word in ("-o", option)]
    to = ["-p", str(node.port), "-i", node.identity_file, f"{node.user}@{node.address}"]
    return ["ssh", "-F", "none", *chosen, *to, *command]
