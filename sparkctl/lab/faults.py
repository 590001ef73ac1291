"""The faults that can be put into a running lab, whatever its nodes are made of: one table."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from functools import partial
from typing import Protocol

from sparkctl.errors import UsageError
from sparkctl.inventory.words import quoted
from sparkctl.lab.cable_faults import PLUG_FAULTS, faulty
from sparkctl.lab.spec import LabSpec, NodeSpec


class RunningLab(Protocol):
    """A lab that runs: which cables are `cut`, which nodes are `isolated`, which have power."""

    spec: LabSpec
    cut: set[int]
    isolated: set[str]

    @property
    def running(self) -> Container[str]:
        """Names of the nodes that have power."""

    def light(self) -> None:
        """Set the carrier of every cable, as both its ends see it."""

    def replug(self) -> None:
        """Every plug into the port that it belongs in, every port to the MTU that it carries; then `light`."""

    def reach(self, node: NodeSpec, on: bool) -> None:
        """Let the management network through to a node that runs, or not; its own link stays up."""

    def kill(self, node: NodeSpec) -> None:
        """Take the power from a node that runs: all of its programs end at once."""

    def boot(self, node: NodeSpec) -> None:
        """Power for a node that has none; its disk is as it was."""


def carry_out(lab: RunningLab, verb: str, subject: str) -> str:
    """Put one fault into the lab, or take it away; the answer says why that cannot be, and is empty when it is done."""
    if verb in CABLES:
        CABLES[verb](lab.cut, int(subject))
        lab.light()
        return ""
    if verb in PLUG_FAULTS:
        lab.spec = faulty(lab.spec, verb, subject)
        lab.replug()
        return ""
    return NODES[verb](lab, lab.spec.node(subject))


def possible(spec: LabSpec, verb: str, subject: str) -> None:
    """UsageError when there is no such fault, or nothing in this lab to put it into."""
    if verb in PLUG_FAULTS:
        faulty(spec, verb, subject)
        return
    if verb not in CABLES and verb not in NODES:
        remedy = "use cut or mend with a cable; swap or mtu with ports; kill, boot, isolate or join with a node"
        raise UsageError(f"there is no fault called {quoted(verb)}", remedy)
    known = {str(cable) for cable in spec.cables} if verb in CABLES else {node.name for node in spec.nodes}
    if subject not in known:
        raise UsageError(f"{verb}: there is no {subject}", f"name one of: {', '.join(sorted(known))}")


def _reach(lab: RunningLab, node: NodeSpec, *, on: bool) -> str:
    (lab.isolated.discard if on else lab.isolated.add)(node.name)
    if node.name in lab.running:
        lab.reach(node, on)
    return ""


def _kill(lab: RunningLab, node: NodeSpec) -> str:
    if node.name not in lab.running:
        return f"{node.name} is not running"
    lab.kill(node)
    return ""


def _boot(lab: RunningLab, node: NodeSpec) -> str:
    if node.name in lab.running:
        return f"{node.name} is running"
    lab.boot(node)
    return ""


CABLES: Mapping[str, Callable[[set[int], int], None]] = {"cut": set.add, "mend": set.discard}
NODES: Mapping[str, Callable[[RunningLab, NodeSpec], str]] = {
    "kill": _kill,
    "boot": _boot,
    "isolate": partial(_reach, on=False),
    "join": partial(_reach, on=True),
}
