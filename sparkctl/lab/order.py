"""What `lab up` hands to the supervisor, through a file in the lab's folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from sparkctl.facts.record import Frozen
from sparkctl.lab.spec import LabSpec
from sparkctl.lab.state import LabNode, LabState, Supervisor

IDENTITY = "id_ed25519"
KNOWN_HOSTS = "known_hosts"
API_KEY = "api.key"
LOOPBACK = "127.0.0.1"
Accelerator = Literal["none", "kvm", "tcg"]


def host_key(node: str) -> str:
    """The file of a node's private host key, in the lab's folder."""
    return f"{node}.key"


def dialled(spec: LabSpec, ports: Sequence[int]) -> list[tuple[str, int]]:
    """Where each node's sshd is reached: at its own address, or at a port of this machine for virtual ones."""
    if ports:
        return [(LOOPBACK, port) for port in ports]
    return [(node.address, 22) for node in spec.nodes]


class Order(Frozen):
    """The lab to boot and where its parts are; `layers` lie above the image, the highest first.

    Virtual nodes are reached at `ports` of this machine, one per node, and run on `accelerator`.
    """

    spec: LabSpec
    folder: str
    image: str
    layers: tuple[str, ...] = ()
    engine: str | None
    cgroups: tuple[str, ...]
    limited: bool
    ports: tuple[int, ...] = ()
    accelerator: Accelerator = "none"

    def state(self, supervisor: Supervisor) -> LabState:
        """What is known of the lab while it boots."""
        nodes = tuple(
            LabNode(
                name=node.name,
                address=address,
                port=port,
                user=node.user,
                netdev=node.netdev,
                known_hosts=f"{self.folder}/{KNOWN_HOSTS}",
                identity_file=f"{self.folder}/{IDENTITY}",
            )
            for node, (address, port) in zip(self.spec.nodes, dialled(self.spec, self.ports), strict=True)
        )
        return LabState(
            cluster=self.spec.cluster,
            inventory=self.spec.inventory,
            backend=self.spec.backend,
            renderer=self.spec.renderer,
            supervisor=supervisor,
            nodes=nodes,
            engine=self.engine,
            limited=self.limited,
        )
