"""NCL: values of fabric.nccl that NCCL would read as something else, or that defeat the fabric."""

from __future__ import annotations

from collections.abc import Iterator

from sparkctl.inventory.model import Cluster, Path
from sparkctl.inventory.words import quoted
from sparkctl.rules.base import Hit, rule

_FOREIGN = {'"': "a quote", "'": "a quote", "#": "a `#`", " ": "a blank"}


def _at(name: str) -> Path:
    return ("fabric", "nccl", name)


@rule("NCL002", "error", "an empty NCCL value", "facts: field-faults, row 3")
def values_are_given(cluster: Cluster) -> Iterator[Hit]:
    """NCCL parses an empty number as 0, which is worse than leaving the variable unset."""
    for name, value in cluster.fabric.nccl.items():
        if not value:
            yield Hit(_at(name), f"`{name}` is empty, which NCCL parses as 0", "give a value, or remove the line")


@rule("NCL003", "warning", "NCCL_IB_GID_INDEX is set", "facts: field-faults, row 3; engine-nccl-netplan E")
def gid_index_is_left_to_nccl(cluster: Cluster) -> Iterator[Hit]:
    """The index differs per node and drifts; NCCL 2.21 and newer choose it themselves."""
    if "NCCL_IB_GID_INDEX" in cluster.fabric.nccl:
        said = "`NCCL_IB_GID_INDEX` is set for all nodes, but the index differs per node and changes"
        yield Hit(_at("NCCL_IB_GID_INDEX"), said, "remove it: NCCL chooses the RoCE v2 address itself")


@rule("NCL004", "error", "RDMA switched off on a roce fabric", "facts: engine-nccl-netplan B3")
def rdma_stays_on(cluster: Cluster) -> Iterator[Hit]:
    """The fabric promises RoCE and NCCL would use sockets."""
    if cluster.fabric.transport != "roce":
        return
    for name, off in (("NCCL_IB_DISABLE", "1"), ("NCCL_NET", "Socket")):
        if cluster.fabric.nccl.get(name, "").lower() == off.lower():
            said = f"`{name}={off}` switches RDMA off, but fabric.transport is roce"
            yield Hit(_at(name), said, "remove it, or write `transport: tcp`")


@rule("NCL008", "error", "quotes, blanks or comments inside an NCCL value", "facts: engine-nccl-netplan B1")
def values_are_bare(cluster: Cluster) -> Iterator[Hit]:
    """NCCL does not trim, unquote or strip comments: they become part of the value."""
    for name, value in cluster.fabric.nccl.items():
        found = next((words for c, words in _FOREIGN.items() if c in value), None)
        if found:
            said = f"the value {quoted(value)} of `{name}` contains {found}, which NCCL takes as part of it"
            yield Hit(_at(name), said, "write the bare value")
