"""nccl.env: what NCCL, Gloo and their kin must know of the fabric, per node (facts B1 to B4, C1 and C2)."""

from __future__ import annotations

from collections.abc import Mapping

from sparkctl.fabric.model import Endpoint, Fabric
from sparkctl.inventory.model import Cluster, Node
from sparkctl.render.artifact import NCCL_ENV, Artifact
from sparkctl.render.environment import text_of
from sparkctl.rules.nccl import BARE

# Without NET=IB a fabric whose RDMA is not found is silently served by sockets (facts ff4). GID_INDEX is never set: it
# drifts and differs per node (facts ff3); NCCL finds it by RoCE version and address family (facts B3).
ROCE = {"NCCL_NET": "IB", "NCCL_IB_DISABLE": "0", "NCCL_IB_ROCE_VERSION_NUM": "2", "NCCL_IB_ADDR_FAMILY": "AF_INET"}
TCP = {"NCCL_NET": "Socket", "NCCL_IB_DISABLE": "1"}


def fabric_environment(cluster: Cluster, fabric: Fabric, node: Node) -> dict[str, str]:
    """The variables of one node, sorted."""
    merged = {name: value for _, layer in fabric_layers(cluster, fabric, node) for name, value in layer.items()}
    return dict(sorted(merged.items()))


def fabric_layers(cluster: Cluster, fabric: Fabric, node: Node) -> tuple[tuple[str, Mapping[str, str]], ...]:
    """The same by who says it; those of the topology and then the user's `fabric.nccl` have the last word."""
    own = ROCE | {"NCCL_IB_HCA": hca(fabric, node)} if cluster.fabric.transport == "roce" else TCP
    ours = own | interfaces(fabric.endpoints[node.name])
    return ("sparkctl", ours), ("fabric.topology", fabric.nccl), ("fabric.nccl", cluster.fabric.nccl)


def hca(fabric: Fabric, node: Node) -> str:
    """The RDMA devices of the cabled ports: one alone is half the rate, a bare name a prefix (facts ff1 and B3)."""
    return "=" + ",".join(attachment.half.rdma for attachment in fabric.of(node.name))


def interfaces(endpoint: Endpoint) -> dict[str, str]:
    """Who meets where: NCCL takes `=name` as exact, all others take bare names and break on the `=` (facts C2)."""
    return {"NCCL_SOCKET_IFNAME": f"={endpoint.netdev}"} | dict.fromkeys(BARE, endpoint.netdev)


def nccl_file(cluster: Cluster, node: Node, variables: Mapping[str, str]) -> Artifact:
    """The file, readable by all: people run nccl-tests with it."""
    content = text_of("nccl/nccl.env.j2", cluster=cluster, node=node, variables=variables)
    return Artifact(NCCL_ENV, content, 0o644, "network")
