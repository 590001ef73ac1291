"""Check of NCCL's all-gather over all ranks, measured in the engine's own environment."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from sparkctl.checks.base import Measured, View, check, ends, state
from sparkctl.checks.transport import CAUSES, SLOWING
from sparkctl.loadtest.results import Gathered
from sparkctl.outcome import Absent, Known, RailEnd, Verdict

ID = "nccl-gather"
WHERE = "all ranks"
RDMA = re.compile(r"NET/IB(ext(_v\d+)?)?")
"""NCCL's own transport, or the one of HPC-X's plug-in, which NVIDIA's images load (seen on Sparks: NET/IBext_v11)."""
RATES = ("rails-bandwidth", "rail-bandwidth")
LAME = ("roce-device", "rail-address", "rail-gid")  # each takes a rail away from NCCL, which then runs on the others


@check(ID, "engine", after=(*RATES, *CAUSES), slowed=(*RATES, *SLOWING, *LAME), load="measured")
def gathered(view: View) -> Iterator[Verdict]:
    """All ranks gather over RDMA at the rate of the fabric."""
    fact = view.load.gathered if view.load else None
    if view.cluster.engine is None:
        yield Verdict(ID, "skipped", WHERE, "the inventory has no engine, whose environment it would be measured in")
    elif fact is None or isinstance(fact, Absent):
        yield Verdict(ID, "skipped", WHERE, fact.reason if fact else "not asked: verify --load measures it")
    elif isinstance(fact, Known):
        yield _judged(view, fact.value)
    else:
        remedy = "read the first reason; can every rank reach the head's address and port, and all ports between them?"
        yield Verdict(ID, "unknown", WHERE, fact.reason, remedy=remedy, ends=_everywhere(view))


def _everywhere(view: View) -> tuple[RailEnd, ...]:
    """A fault of any rail is felt here."""
    return ends(view.fabric.attachments)


def _judged(view: View, found: Gathered) -> Verdict:
    """The most telling fault first: too few ranks, no GPU, sockets, then the rate; a rail may explain the last two."""
    own = _ranks(view, found) or _gpu(view, found)
    return own or replace(_network(view, found) or _rate(view, found), ends=_everywhere(view))


def _said(found: Gathered) -> str:
    by = f"{found.backend} {found.version}" + (f", {found.network}" if found.network else "")
    return f"{by}, {found.size / 2**20:g} MiB over {found.ranks} ranks"


def _failed(found: Gathered, measured: str, expected: str, remedy: str) -> Verdict:
    return Verdict(ID, "fail", WHERE, _said(found), measured, expected, remedy)


def _ranks(view: View, found: Gathered) -> Verdict | None:
    wanted = len(view.cluster.nodes)
    if found.ranks == wanted:
        return None
    remedy = "a rank did not take part; run it again, and look at the node that is missing"
    return _failed(found, f"{found.ranks} ranks", f"{wanted} ranks", remedy)


def _gpu(view: View, found: Gathered) -> Verdict | None:
    """Without a GPU it is gloo over TCP: it shows that the ranks meet, and nothing of RDMA."""
    engine = view.cluster.engine
    cpu = engine is not None and engine.accelerator == "cpu"
    if found.backend == "nccl":
        return None
    if view.expect == "lab" or cpu:
        message = f"{_said(found)}: the ranks meet and their bytes arrive; no GPU, so neither RDMA nor rate is judged"
        return Verdict(ID, "pass", WHERE, message)
    remedy = "torch sees no GPU inside the engine's image: is the NVIDIA container toolkit set up there?"
    return _failed(found, f"backend {found.backend}", "backend nccl", remedy)


def _network(view: View, found: Gathered) -> Verdict | None:
    """Found no usable RDMA, NCCL can serve a fabric by sockets, without an error (facts ff4)."""
    if view.cluster.fabric.transport == "tcp":
        return None
    if found.network == "NET/Socket":
        remedy = "look at rail-gid and roce-device, and whether NCCL_IB_HCA in /etc/sparkctl/nccl.env names the devices"
        return _failed(found, "NCCL uses sockets", "NET/IB", remedy)
    if not RDMA.fullmatch(found.network):
        remedy = (
            "a network plug-in of the image may have taken over: set NCCL_NET_PLUGIN: none under fabric.nccl, and read "
            "the log with NCCL_DEBUG=INFO"
        )
        return _failed(found, f"NCCL names {found.network or 'no network'}", "NET/IB", remedy)
    return None


def _rate(view: View, found: Gathered) -> Verdict:
    measured = f"{found.bus:.2f} GB/s"
    if view.expect == "lab":
        return Verdict(ID, "pass", WHERE, f"{_said(found)}: it runs; the rate of an emulated machine is not judged")
    if view.cluster.fabric.transport == "tcp":
        return Verdict(ID, "pass", WHERE, f"{_said(found)}: it runs; no limit is known for TCP", measured)
    least = gate(view)
    right = found.bus >= least
    remedy = "" if right else _cause(view, found)
    return Measured(ID, state(right), WHERE, _said(found), measured, f"at least {least:g} GB/s", remedy)


def gate(view: View) -> float:
    """GB/s that this fabric must reach: a mesh has a limit of its own, a ring none better; one rail is half of two."""
    limits = view.thresholds
    least = limits.gather if view.fabric.topology in ("direct", "switch") else limits.gather_mesh
    return least if view.cluster.fabric.rails == "both" else least / 2


def _cause(view: View, found: Gathered) -> str:
    """What a rate below the gate usually means."""
    limits, devices = view.thresholds, {a.half.rdma for a in view.fabric.attachments}
    if found.bus <= limits.gather_stuck:
        return (
            "about 3 GB/s whatever the size comes of a development build of NCCL: use one from a release tag; "
            "if it is a release, compare rail-bandwidth"
        )
    missing = sorted(devices - set(found.devices)) if found.devices else []
    if missing:
        return f"NCCL did not find {', '.join(missing)}: give the twin its address and GID, and list it in NCCL_IB_HCA"
    if limits.gather_half_low <= found.bus <= limits.gather_half_high:
        return "about half: one rail alone; both twins of every cabled port need an address, a GID and NCCL_IB_HCA"
    if view.cluster.fabric.mtu < 9000 and found.bus >= limits.gather_mtu:
        return "about what MTU 1500 leaves: set fabric.mtu to 9000, and the switch's l2mtu to 9216"
    return "compare rail-bandwidth: if the rails alone are fast, it is NCCL or its settings (fabric.nccl)"
