"""NCL: variables that NCCL would read as something else, would not know, or that defeat the fabric."""

from __future__ import annotations

from collections.abc import Iterator

from sparkctl.engines import ENGINES
from sparkctl.fabric.model import Fabric
from sparkctl.fabric.ports import HALVES, MANAGEMENT, NETDEVS, WIFI
from sparkctl.inventory.model import Cluster
from sparkctl.inventory.words import listed, nearest, quoted
from sparkctl.rule import Hit, fabric_rule, remove, rename, rule, write
from sparkctl.rules.nccl import BARE, Setting, carried, effective, is_older, names, picked, settings, unpicked

_FOREIGN = {'"': "a quote", "'": "a quote", "#": "a `#`", " ": "a blank"}
_CIRCLES = ("mesh", "ring")
_OUR_DEVICES = "remove it: sparkctl names the cabled devices of each node"
_ROUTING_SINCE = "2.30.7"  # the first with NCCL_IB_SUBNET_AWARE_ROUTING (facts A7)
_ELSEWHERE = ("lo", "docker0", WIFI, MANAGEMENT)  # what every Spark has besides its ports
# Each asks for what this machine cannot do, unless it has one of these values (facts ff3.2).
_DIRECT = {
    "NCCL_NET_GDR_LEVEL": ("0", "LOC"),
    "NCCL_NET_GDR_READ": ("0",),
    "NCCL_NET_GDR_C2C": ("0",),
    "NCCL_DMABUF_ENABLE": ("0",),
    "NCCL_GDRCOPY_ENABLE": ("0",),
}


@rule("NCL001", "error", "a name that no release of NCCL knows", "NCCL's source up to 2.32.3 (facts B6)")
def names_are_known(cluster: Cluster) -> Iterator[Hit]:
    """NCCL ignores a misspelt variable without a word."""
    for name in cluster.fabric.nccl:
        if name in BARE:
            said = f"`{name}` is not a variable of NCCL, and sparkctl sets it for each node"
            yield Hit(("fabric", "nccl", name), said, remove())
        elif name.startswith("NCCL_") and name not in names():  # INV008 says the rest
            said = f"no release of NCCL knows {quoted(name)}: it would be ignored without a word"
            guess = _nearest(name)
            remedy = rename(guess) if guess else "a patched library's own variable goes into `engine.env`"
            yield Hit(("fabric", "nccl", name), said, remedy)


def _nearest(name: str) -> str | None:
    """All names begin alike, which would make them all look similar."""
    guess = nearest(name.removeprefix("NCCL_"), (known.removeprefix("NCCL_") for known in names()))
    return f"NCCL_{guess}" if guess else None


@rule("NCL002", "error", "an empty NCCL value", "facts ff3")
def values_are_given(cluster: Cluster) -> Iterator[Hit]:
    """NCCL parses an empty number as 0, which is worse than leaving the variable unset."""
    for setting in settings(cluster):
        if not setting.value:
            said = f"`{setting.name}` is empty, which NCCL parses as 0"
            yield Hit(setting.path, said, "give a value, or remove the line")


@rule("NCL003", "warning", "NCCL_IB_GID_INDEX is set", "facts ff3 and E2")
def gid_index_is_left_to_nccl(cluster: Cluster) -> Iterator[Hit]:
    """The index differs per node and drifts; NCCL 2.21 and newer choose it themselves."""
    for setting in settings(cluster):
        if setting.name == "NCCL_IB_GID_INDEX" and setting.value != "-1":  # which is to let NCCL choose
            said = "`NCCL_IB_GID_INDEX` is set for all nodes, but the index differs per node and changes"
            yield Hit(setting.path, said, remove("remove it: NCCL chooses the RoCE v2 address itself"))


@rule("NCL004", "error", "RDMA switched off on a roce fabric", "facts B3")
def rdma_stays_on(cluster: Cluster) -> Iterator[Hit]:
    """The fabric promises RoCE and NCCL would use sockets."""
    off = {"NCCL_IB_DISABLE": "1", "NCCL_NET": "socket"}
    for setting in settings(cluster) if cluster.fabric.transport == "roce" else ():
        if off.get(setting.name) == setting.value.lower():
            said = f"`{setting.name}={setting.value}` switches RDMA off, but fabric.transport is roce"
            yield Hit(setting.path, said, remove("remove it, or write `transport: tcp`"))


@fabric_rule("NCL005", "error", "NCCL_IB_HCA is not the cabled RoCE devices", "facts ff1")
def devices_are_the_cabled_ones(cluster: Cluster, fabric: Fabric) -> Iterator[Hit]:
    """A device without a cable breaks the connection; a cabled one that is left out costs its share of the rate."""
    setting = effective(cluster, "NCCL_IB_HCA")
    if not setting.value or cluster.fabric.transport != "roce":
        return
    unknown = unpicked(setting.value, [half.rdma for half in HALVES])
    if unknown:
        guess = nearest(unknown[0], [half.rdma for half in HALVES])
        remedy = f"did you mean `{guess}`?" if guess else remove(_OUR_DEVICES)
        excluded = "^" in setting.value
        does = "excludes" if excluded else "names"
        said = f"NCCL_IB_HCA {does} {quoted(unknown[0])}, which is not a device of a Spark"
        yield Hit(setting.path, said, remedy, "warning" if excluded else None)
        return
    for node in cluster.nodes:
        cabled = [attachment.half.rdma for attachment in fabric.of(node.name)]
        taken = picked(setting.value, [half.rdma for half in HALVES])
        hit = _device_fault(setting, node.name, cabled, taken, cluster.fabric.rails == "both")
        if hit is not None:
            yield hit
            return


def _device_fault(setting: Setting, node: str, cabled: list[str], taken: tuple[str, ...], all: bool) -> Hit | None:
    exact = setting.value.startswith("=")  # what has no carrier is passed over, but not where it is named
    idle = [name for name in taken if name not in cabled] if exact else []
    left_out = [name for name in cabled if name not in taken]
    remedy = remove(_OUR_DEVICES)
    if idle or len(left_out) == len(cabled):
        which = f"names {listed(idle)}, which has no cable" if idle else "picks no device that has a cable"
        said = f"on node `{node}`, NCCL_IB_HCA {which}; cabled are {listed(cabled)}"
        return Hit(setting.path, said, remedy)
    if left_out and all:
        said = f"on node `{node}`, NCCL_IB_HCA leaves out {listed(left_out)}: half of a port is half of its rate"
        return Hit(setting.path, said, remove("remove it, or write `rails: A` if that is meant"), "warning")
    return None


@fabric_rule("NCL006", "error", "NCCL_SOCKET_IFNAME does not pick one planned interface", "facts B2")
def sockets_use_one_planned_interface(cluster: Cluster, fabric: Fabric) -> Iterator[Hit]:
    """A list, a beginning or an exclusion picks whatever comes first, on one node Wi-Fi and on the next a cable."""
    setting = effective(cluster, "NCCL_SOCKET_IFNAME")
    if not setting.value:
        return
    for node in cluster.nodes:
        plan = {node.management} | {a.netdev for a in fabric.of(node.name) if cluster.fabric.topology not in _CIRCLES}
        everything = dict.fromkeys((*NETDEVS, *_ELSEWHERE, node.management))
        taken = picked(setting.value, everything)
        remedy = remove(
            "remove it: sparkctl names the interface of each node; or write `=` and one name, such as =enP7s7"
        )
        if len(taken) > 1:
            said = f"on node `{node.name}`, NCCL_SOCKET_IFNAME could pick any of {listed(taken)}"
            yield Hit(setting.path, said, remedy)
            return
        if not plan.intersection(taken):
            said = f"on node `{node.name}`, NCCL_SOCKET_IFNAME picks no interface of the plan: {listed(sorted(plan))}"
            yield Hit(setting.path, said, remedy)
            return


@rule("NCL007", "warning", "GPUDirect RDMA is asked for", "facts ff38 and ff3.2: NVIDIA's porting guide")
def no_gpudirect(cluster: Cluster) -> Iterator[Hit]:
    """GPUDirect RDMA, dma-buf, GDRCopy and nvidia-peermem do not work on this machine; `GDR 0` in the log is right."""
    for setting in settings(cluster):
        if setting.name in _DIRECT and setting.value and setting.value not in _DIRECT[setting.name]:
            said = f"`{setting.name}={setting.value}` asks for GPUDirect RDMA, which a DGX Spark does not support"
            cure = "remove it: NCCL copies through host memory, which is the same memory here"
            yield Hit(setting.path, said, remove(cure))


@rule("NCL008", "error", "quotes, blanks or comments inside an NCCL value", "facts B1")
def values_are_bare(cluster: Cluster) -> Iterator[Hit]:
    """NCCL does not trim, unquote or strip comments: they become part of the value."""
    for setting in settings(cluster):
        found = next((words for c, words in _FOREIGN.items() if c in setting.value), None)
        if found:
            value = f"the value {quoted(setting.value)} of `{setting.name}`"
            said = f"{value} contains {found}, which NCCL takes as part of it"
            yield Hit(setting.path, said, "write the bare value")


@rule(
    "NCL009",
    "warning",
    "a mesh or ring without what NCCL needs to find the right port",
    "facts ff10, ff3.6 and B4",
)
def circles_are_routed(cluster: Cluster) -> Iterator[Hit]:
    """sparkctl sets both; here an override takes them away."""
    if cluster.fabric.topology not in _CIRCLES or cluster.fabric.transport != "roce":
        return
    routing, merge = (effective(cluster, f"NCCL_IB_{name}") for name in ("SUBNET_AWARE_ROUTING", "MERGE_NICS"))
    if routing.value not in ("1", "0x1"):
        said = f"`{routing.name}={routing.value}`: NCCL may take a port that does not lead to its peer, and time out"
        yield Hit(routing.path, said, remove("remove it: sparkctl sets it to 1 here"))
    if merge.value != "0":
        said = f"`{merge.name}={merge.value}` joins the devices of two cages, and here they lead to two different nodes"
        yield Hit(merge.path, said, remove("remove it (sparkctl sets 0), unless your NCCL log shows that it is right"))


@rule("NCL010", "warning", "an engine whose NCCL is too old for a mesh or ring", "facts A7")
def library_knows_circles(cluster: Cluster) -> Iterator[Hit]:
    """Before 2.30.7 NCCL ignores NCCL_IB_SUBNET_AWARE_ROUTING, and picks a port with no way to the peer."""
    known = carried(cluster)
    if known is None or cluster.fabric.topology not in _CIRCLES or cluster.fabric.transport != "roce":
        return
    if is_older(known.version, _ROUTING_SINCE):
        needs = f"a {cluster.fabric.topology} needs {_ROUTING_SINCE}"
        said = f"{known.release} has NCCL {known.version} inside; {needs}"
        yield Hit(("engine", "runtime", "docker"), said, f"{_newer(cluster)}: what the host has does not count")


def _newer(cluster: Cluster) -> str:
    """The first release of the engine that carries one new enough."""
    releases = ENGINES[cluster.engine.kind].nccl_releases if cluster.engine is not None else {}
    first = next((release for release, inside in releases.items() if not is_older(inside, _ROUTING_SINCE)), None)
    return f"use {first} or newer" if first else f"use an image with NCCL {_ROUTING_SINCE}"


@rule(
    "NCL011",
    "warning",
    "tcp over a mesh or ring goes over management",
    "facts B3: sockets use the interface of NCCL_SOCKET_IFNAME for data too",
)
def circles_carry_rdma_alone(cluster: Cluster) -> Iterator[Hit]:
    """Without RDMA, NCCL sends its data where the ranks meet, and in a circle that is management."""
    if cluster.fabric.topology in _CIRCLES and cluster.fabric.transport == "tcp":
        said = f"with `transport: tcp`, a {cluster.fabric.topology} carries nothing: NCCL's sockets use management"
        yield Hit(("fabric", "transport"), said, write("roce", "write `transport: roce`, or use a switch"))


@rule(
    "NCL012",
    "warning",
    "a name that is newer than the engine's NCCL",
    "facts B6 and A7",
)
def names_are_not_too_new(cluster: Cluster) -> Iterator[Hit]:
    """An older NCCL ignores it without a word."""
    known = carried(cluster)
    for setting in settings(cluster) if known is not None else ():
        since = names().get(setting.name, "-")
        if known is not None and is_older(known.version, since):
            inside = f"{known.release} has {known.version} inside"
            said = f"`{setting.name}` is first known to NCCL {since}; {inside}"
            yield Hit(setting.path, said, remove("remove it, or use a newer engine"))
