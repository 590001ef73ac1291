"""What a rehearsal in the lab changes of the inventory, openly: one plain sentence per change. Pure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

from sparkctl.engines import engine_of
from sparkctl.inventory.model import Cluster, Node, SshAccess
from sparkctl.lab.backend import BACKENDS
from sparkctl.lab.order import API_KEY
from sparkctl.lab.state import LabState

Overlaid = tuple[Cluster, tuple[str, ...]]


def overlay(cluster: Cluster, state: LabState) -> Overlaid:
    """The cluster as the lab can play it, and what was changed."""
    twin, said = _access(cluster, state)
    backend = BACKENDS[state.backend]
    played = _engine if backend.has_engine else _no_engine
    for change in (played,) if backend.has_rdma else (_transport, played):
        twin, more = change(twin)
        said += more
    if twin.engine is not None and twin.engine.api_key_file is not None:
        key = str(PurePosixPath(state.nodes[0].known_hosts).with_name(API_KEY))
        twin = replace(twin, engine=replace(twin.engine, api_key_file=key))
        said += (f"api key: the lab's own, {key}, not the real one",)
    if state.limited and twin.engine is not None:
        said += ("limits: containers get no higher ones than this machine has, because its root may not raise them",)
    return twin, said


def _access(cluster: Cluster, state: LabState) -> Overlaid:
    nodes = tuple(_twin(node, state) for node in cluster.nodes)
    first = state.nodes[0]
    ssh = SshAccess(first.user, first.identity_file, first.known_hosts, "passwordless")
    there = " to ".join(_place(node) for node in (nodes[0], nodes[-1]))
    said = f"ssh: emulated nodes at {there}, with keys of the lab, not the real ones"
    return replace(cluster, ssh=ssh, nodes=nodes), (said,)


def _place(node: Node) -> str:
    return node.address if node.port == 22 else f"{node.address}:{node.port}"


def _twin(node: Node, state: LabState) -> Node:
    lab = state.node(node.name)
    return replace(node, address=lab.address, port=lab.port, user=lab.user)


def _transport(cluster: Cluster) -> Overlaid:
    if cluster.fabric.transport == "tcp":
        return cluster, ()
    fabric = replace(cluster.fabric, transport="tcp")
    said = "transport: tcp instead of roce, because container nodes have no RDMA device"
    return replace(cluster, fabric=fabric), (said,)


def _no_engine(cluster: Cluster) -> Overlaid:
    """Virtual nodes have Soft-RoCE, so the transport stays as it is."""
    if cluster.engine is None:
        return cluster, ()
    return replace(cluster, engine=None), ("engine: left out, because vm nodes have no room for it",)


def _engine(cluster: Cluster) -> Overlaid:
    intent = cluster.engine
    if intent is None:
        return cluster, ()
    was = f"{intent.kind} from {intent.runtime.docker or intent.runtime.venv} with {intent.model}"
    twin = engine_of(intent.kind).lab_twin(intent)
    said: tuple[str, ...] = (
        f"engine: {twin.said}, same layout {intent.parallel}, instead of {was}, because container nodes have no GPU",
    )
    left_out = [name for name in ("args", "env", "volumes") if getattr(intent, name)]
    if left_out:
        said += (f"engine: {', '.join(left_out)} of the inventory left out, because they are for the real engine",)
    return replace(cluster, engine=twin.intent), said
