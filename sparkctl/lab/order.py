"""What `lab up` hands to the supervisor, through a file in the lab's folder."""

from __future__ import annotations

from sparkctl.lab.spec import LabSpec
from sparkctl.lab.state import Frozen, LabNode, LabState, Supervisor

IDENTITY = "id_ed25519"
KNOWN_HOSTS = "known_hosts"
API_KEY = "api.key"


def host_key(node: str) -> str:
    """The file of a node's private host key, in the lab's folder."""
    return f"{node}.key"


class Order(Frozen):
    """The lab to boot and where its parts are; `layers` lie above the image, the highest first."""

    spec: LabSpec
    folder: str
    image: str
    layers: tuple[str, ...] = ()
    engine: str | None
    cgroups: tuple[str, ...]
    limited: bool

    def state(self, supervisor: Supervisor) -> LabState:
        """What is known of the lab while it boots."""
        nodes = tuple(
            LabNode(
                name=node.name,
                address=node.address,
                port=22,
                user=node.user,
                netdev=node.netdev,
                known_hosts=f"{self.folder}/{KNOWN_HOSTS}",
                identity_file=f"{self.folder}/{IDENTITY}",
            )
            for node in self.spec.nodes
        )
        return LabState(
            cluster=self.spec.cluster,
            inventory=self.spec.inventory,
            backend="container",
            renderer=self.spec.renderer,
            supervisor=supervisor,
            nodes=nodes,
            engine=self.engine,
            limited=self.limited,
        )
