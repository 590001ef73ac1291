"""One node after another: which files, in which order."""

from __future__ import annotations

from sparkctl.engines import Rank
from sparkctl.fabric.model import Fabric
from sparkctl.inventory.model import Cluster, Node
from sparkctl.render.artifact import NodeRendering, Rendering
from sparkctl.render.engine import engine_command, engine_files, engine_secrets
from sparkctl.render.nccl import fabric_environment, nccl_file
from sparkctl.render.netplan import netplan_file
from sparkctl.render.switch import switch_renderings


def render(cluster: Cluster, fabric: Fabric) -> Rendering:
    """Every node's and switch's files; the same inventory gives the same bytes on any machine and day."""
    nodes = {node.name: _node(cluster, fabric, node) for node in cluster.nodes}
    return Rendering(cluster.name, nodes, switch_renderings(cluster, fabric))


def _node(cluster: Cluster, fabric: Fabric, node: Node) -> NodeRendering:
    nccl = fabric_environment(cluster, fabric, node)
    network = (netplan_file(cluster, fabric, node), nccl_file(cluster, node, nccl))
    if cluster.engine is None:
        return NodeRendering(files=network, nccl=nccl)
    rank = Rank(cluster, fabric, node, cluster.engine)
    command = engine_command(rank, nccl)
    return NodeRendering(network + engine_files(rank, command), engine_secrets(rank), nccl, command)
