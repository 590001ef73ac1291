"""A healthy cluster of real Sparks as its facts tell it: the view that every case of a check starts from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Literal

from sparkctl.checks import View
from sparkctl.commands.canary import Answer
from sparkctl.execute.read_facts import questions
from sparkctl.fabric.model import Attachment, Fabric
from sparkctl.fabric.ports import HALVES, MANAGEMENT, half
from sparkctl.facts.files import FileState
from sparkctl.facts.firewall import Firewall
from sparkctl.facts.gids import Gid
from sparkctl.facts.host import Gpu, Kernel, Memory, Release, Space
from sparkctl.facts.knock import Knocks
from sparkctl.facts.links import Netdev
from sparkctl.facts.nccl import Nccl
from sparkctl.facts.neighbours import Hello, Lldp
from sparkctl.facts.netdevs import Ethernet
from sparkctl.facts.paths import Way
from sparkctl.facts.profiles import Profile
from sparkctl.facts.record import FileRecord, Record
from sparkctl.facts.routes import Route, parse
from sparkctl.facts.snapshot import NodeFacts
from sparkctl.facts.survey import Survey
from sparkctl.facts.system import RdmaDevice, SystemState
from sparkctl.facts.units import ContainerState, UnitState
from sparkctl.inventory.model import Cluster
from sparkctl.loadtest.results import Gathered, Lane, Load, Measure, Tool, Trial
from sparkctl.outcome import Absent, Fact, Known
from sparkctl.render import Rendering, render
from sparkctl.render.artifact import NodeRendering
from sparkctl.study import study

INVENTORIES = Path(__file__).resolve().parents[2] / "inventories"
SHIPPED = tuple(sorted(path.stem for path in INVENTORIES.glob("*.yaml")))
GIB = 1024 * 1024  # in KiB
IMAGE = "sha256:" + "5a" * 32
KNOCKED = (40000, 50000, 60000)
PCI = {"A": "0000:01:00", "B": "0002:01:00"}


@cache
def studied(inventory: str) -> tuple[Cluster, Fabric, Rendering]:
    """A shipped inventory, by its name without `.yaml`."""
    found = study(INVENTORIES / f"{inventory}.yaml")
    assert found.cluster is not None and found.fabric is not None, found.findings
    return found.cluster, found.fabric, render(found.cluster, found.fabric)


def healthy(inventory: str, expect: Literal["real", "lab"] = "real") -> View:
    """The view of `verify --load` on a cluster that has no fault."""
    cluster, fabric, rendering = studied(inventory)
    facts = {node.name: node_facts(cluster, fabric, node.name, rendering.nodes[node.name]) for node in cluster.nodes}
    skews = {node.name: (-0.012, 0.018) for node in cluster.nodes}
    canary = Known(Answer(" 4", 1, 0.042, "0.33.0")) if cluster.engine else Absent("the inventory has no engine")
    load = loaded(cluster, fabric)
    return View(cluster, fabric, rendering.nodes, facts, canary, skews=skews, load=load, expect=expect)


def node_facts(cluster: Cluster, fabric: Fabric, node: str, rendering: NodeRendering) -> NodeFacts:
    """All that one node says."""
    engine = cluster.engine is not None
    docker = engine and cluster.engine is not None and cluster.engine.runtime.docker is not None
    no_image: Fact[str] = Absent("the engine uses no image")
    return NodeFacts(
        node=node,
        system=Known(SystemState(f"boot-{node}", 100 * GIB)),
        netdevs=Known(netdevs(cluster, fabric, node)),
        files={file.path: Known(FileState(file.mode, 0, 0, file.digest, file.content)) for file in rendering.files},
        record=Known(record(cluster, rendering)),
        run=Absent("no run"),
        lock=Absent("no lock"),
        journal=Absent("not asked"),
        foreign=Known(()),
        owners=Known(()),
        netplan_files=Known({}),
        missing_tools=Known(()),
        rdma=Known({each.rdma: RdmaDevice(*rdma_state(fabric, node, each.port)) for each in HALVES}),
        unit=Known(UnitState(True, "active", "running", True, 0)) if engine else Absent("no unit"),
        image=Known(IMAGE) if docker else no_image,
        container=Known(ContainerState("running", IMAGE)) if docker else Absent("no container"),
        pings=Known({(a.netdev, str(p.address.ip)): True for a in fabric.of(node) for p in fabric.peers(a)}),
        routes=Known(routes(fabric, node)),
        survey=survey(cluster, fabric, node),
    )


def survey(cluster: Cluster, fabric: Fabric, node: str) -> Survey:
    """What `verify` asks beyond a plan's facts: DGX OS of this autumn, ConnectX-7 at full rate, nobody in the way."""
    return Survey(
        ethernet=Known({each.netdev: ethernet(fabric, node, each.port, each.rail) for each in HALVES}),
        gids=Known(tuple(gids(fabric, node))),
        counters=Known(counters(fabric, node, moved=0)),
        ways=Known({str(p.address.ip): _way(a, p) for a in fabric.of(node) for p in fabric.peers(a)}),
        hellos=Known(tuple(hellos(fabric, node))),
        lldp=Known(tuple(lldp(fabric, node))),
        kernel=Known(Kernel("6.17.0-1021-nvidia", "BOOT_IMAGE=/boot/vmlinuz-6.17.0-1021-nvidia root=UUID=1 ro")),
        memory=Known(Memory(121 * GIB, 100 * GIB, 262144, 131072, 16 * GIB)),
        release=Known(Release("Ubuntu", "24.04", "7.5.0")),
        gpus=Known((Gpu("NVIDIA GB10", "580.178.04", 2411, 3003, 11.4, None, ()),)),
        profiles=Known((Profile(f"netplan-{MANAGEMENT}", MANAGEMENT, MANAGEMENT, "auto"),)),
        knocks=Known(knocks(cluster, fabric, node)),
        firewall=Known(Firewall("inactive", ())),
        nccl=Known(Nccl("/usr/lib/aarch64-linux-gnu/libnccl.so.2", "2.30.7", "7c" * 32)),
        space=Known((Space("/var/lib/docker", 900 * GIB), Space("/srv/models", 900 * GIB))),
        earlyoom=Absent("earlyoom does not run"),
        pcie_errors=Known(()),
        clock=Known(1_790_000_000.25),
        perftest=Known("24.07.0"),
    )


# --- the fabric -------------------------------------------------------------------------------------------------


def cabled(fabric: Fabric, node: str, port: str) -> bool:
    """Whether a cable of the inventory is in `port` of `node`."""
    return any(end.owner == node and end.port == port for cable in fabric.cables for end in (cable.a, cable.b))


def planned(fabric: Fabric, node: str, netdev: str) -> Attachment | None:
    """The attachment of a netdev."""
    return next((a for a in fabric.of(node) if a.netdev == netdev), None)


def netdevs(cluster: Cluster, fabric: Fabric, node: str) -> dict[str, Netdev]:
    """The four halves and management; a half without a cable is up, without a carrier."""
    found = {MANAGEMENT: Netdev(MANAGEMENT, 1500, True, True, (f"{cluster.node(node).address}/24",))}
    for each in HALVES:
        here = planned(fabric, node, each.netdev)
        addresses = (str(here.address),) if here else ()
        mtu = here.mtu if here else 1500
        found[each.netdev] = Netdev(each.netdev, mtu, True, cabled(fabric, node, each.port), addresses)
    return found


def ethernet(fabric: Fabric, node: str, port: str, rail: Literal["A", "B"]) -> Ethernet:
    """One half of a port: PCIe Gen5 x4 and, with a cable, 200 Gb/s."""
    each, here = half(port, rail), cabled(fabric, node, port)
    mac = hashlib.sha256(f"{node} {each.netdev}".encode()).hexdigest()
    return Ethernet(
        netdev=each.netdev,
        mac=":".join(("02", *(mac[i : i + 2] for i in range(0, 10, 2)))),
        up=True,
        carrier=here,
        mtu=9000 if planned(fabric, node, each.netdev) else 1500,
        losses=1,
        speed=200000 if here else None,
        duplex="full" if here else "unknown",
        driver="mlx5_core",
        firmware="28.45.4028 (NVD0000000087)",
        pcie_address=f"{PCI[rail]}.{port[1]}",
        pcie_speed=32.0,
        pcie_width=4,
        rdma=each.rdma,
    )


def rdma_state(fabric: Fabric, node: str, port: str) -> tuple[str, str]:
    """State and link layer of the RDMA device of a port's half."""
    return ("4: ACTIVE" if cabled(fabric, node, port) else "1: DOWN"), "Ethernet"


def gids(fabric: Fabric, node: str) -> Iterator[Gid]:
    """RoCE v1 and v2 of the link-local IPv6 address (0, 1) and of the planned IPv4 address (2, 3)."""
    for each in HALVES:
        here = planned(fabric, node, each.netdev)
        for index, kind in enumerate(("IB/RoCE v1", "RoCE v2")):
            yield Gid(each.rdma, index, "fe80:0000:0000:0000:0000:00ff:fe00:0001", kind, each.netdev, None)
        for index, kind in enumerate(("IB/RoCE v1", "RoCE v2"), 2):
            if here:
                packed = here.address.ip.packed.hex()
                gid = f"0000:0000:0000:0000:0000:ffff:{packed[:4]}:{packed[4:]}"
                yield Gid(each.rdma, index, gid, kind, each.netdev, here.address.ip)


def counters(fabric: Fabric, node: str, moved: int) -> dict[str, dict[str, int]]:
    """The counters of mlx5 after `moved` bytes each way on every cabled half."""
    words = {a.half.rdma: moved // 4 for a in fabric.of(node)}
    return {each.rdma: _counted(words.get(each.rdma, 0)) for each in HALVES}


def _counted(words: int) -> dict[str, int]:
    packets = words // 1024
    errors = ("packet_seq_err", "out_of_sequence", "local_ack_timeout_err", "rnr_nak_retry_err", "port_rcv_errors")
    moved = {"port_xmit_data": words, "port_rcv_data": words, "port_xmit_packets": packets, "port_rcv_packets": packets}
    return moved | dict.fromkeys(errors, 0)


def _way(attachment: Attachment, peer: Attachment) -> Way:
    return Way(str(peer.address.ip), attachment.netdev, None, str(attachment.address.ip))


def routes(fabric: Fabric, node: str) -> tuple[Route, ...]:
    """The connected routes of the rails and the default route over management."""
    default = parse(f'[{{"dst": "default", "gateway": "192.0.2.1", "dev": "{MANAGEMENT}"}}]')
    return (*(Route(a.address.network, a.netdev) for a in fabric.of(node)), *default)


def hellos(fabric: Fabric, node: str) -> Iterator[Hello]:
    """A call of one half comes out of the cable at both halves of the other end."""
    for here in fabric.of(node):
        for there in fabric.attachments:
            if there.node != node and there.segment == here.segment:
                yield Hello(here.netdev, there.node, there.netdev)


def knocks(cluster: Cluster, fabric: Fabric, node: str) -> Knocks:
    """As `questions` asks: all answered, by the program that knocks back, an engine that serves, and perftest's closed port."""
    asked = questions(cluster, fabric, survey=True)[node].survey
    assert asked is not None
    own = {address for _, address, _ in asked.meetings}
    said = {}
    for _, here, peer in asked.meetings:
        ports = dict.fromkeys((*KNOCKED, *asked.lent.get(peer, ())), "accepted")
        said[here, peer] = ports | dict.fromkeys(asked.called.get(peer, ()), "refused")
    return Knocks(said, tuple((address, port) for address in sorted(own) for port in KNOCKED))


def lldp(fabric: Fabric, node: str) -> Iterator[Lldp]:
    """Each half's neighbour: the same half of the node at the other end, or the switch's port."""
    for here in fabric.of(node):
        for cable in fabric.cables:
            for mine, other in ((cable.a, cable.b), (cable.b, cable.a)):
                if (mine.owner, mine.port) == (node, here.half.port):
                    beyond = half(other.port, here.rail).netdev if other.port in ("p0", "p1") else other.port
                    yield Lldp(here.netdev, other.owner, beyond)


# --- the host ---------------------------------------------------------------------------------------------------


def record(cluster: Cluster, rendering: NodeRendering) -> Record:
    """What a finished `up` leaves."""
    files = {f.path: FileRecord(digest=f.digest, mode=f.mode, stage=f.stage) for f in rendering.files}
    return Record(cluster=cluster.name, files=files, netdevs=(), unit=None, run="abcd1234")


# --- load -------------------------------------------------------------------------------------------------------


def loaded(cluster: Cluster, fabric: Fabric) -> Load:
    """Every pair of neighbours measured: each rail alone, both together, both ways at once; then an all-gather."""
    measured = {trial: tuple(Known(_measure(trial)) for _ in trial.lanes) for trial in trials(fabric)}
    before: Mapping[str, Fact[dict[str, dict[str, int]]]] = {
        n.name: Known(counters(fabric, n.name, moved=0)) for n in cluster.nodes
    }
    after = {n.name: Known(counters(fabric, n.name, moved=40_000_000_000)) for n in cluster.nodes}
    ranks = len(cluster.nodes)
    bus = 23.8 if fabric.topology in ("direct", "switch") else 21.0
    gathered = Gathered("nccl", "2.30.7", ranks, 512 << 20, bus, "NET/IB")
    return Load(measured, before, after, Known(gathered))


def trials(fabric: Fabric) -> Iterator[Trial]:
    """Every pair of nodes that share a segment, in both directions: per rail, both rails together, latency; each rail both ways."""
    for one, other in combinations(fabric.attachments, 2):
        if other.rail == one.rail == "A" and one.segment == other.segment and one.node != other.node:
            for client, server in ((one, other), (other, one)):
                yield from _between(fabric, client, server)
            ends = zip(_port(fabric, one), _port(fabric, other), strict=True)
            yield from (Trial("bandwidth", (Lane(a, b), Lane(b, a))) for a, b in ends)


def _between(fabric: Fabric, client: Attachment, server: Attachment) -> Iterator[Trial]:
    lanes = tuple(Lane(*pair) for pair in zip(_port(fabric, client), _port(fabric, server), strict=True))
    for lane in lanes:
        yield Trial("bandwidth", (lane,))
        yield Trial("latency", (lane,))
    if len(lanes) > 1:
        yield Trial("bandwidth", lanes)


def _port(fabric: Fabric, attachment: Attachment) -> tuple[Attachment, ...]:
    return tuple(a for a in fabric.of(attachment.node) if a.half.port == attachment.half.port)


def _measure(trial: Trial) -> Measure:
    tool: Tool = trial.tool
    if tool == "latency":
        return Measure(tool, None, 1.47, 3, 4096, 10000)
    return Measure(tool, {"alone": 111.8, "rails": 98.04, "ways": 106.5}[trial.kind], None, 3, 4096, 20000 if trial.kind == "ways" else 70000)
