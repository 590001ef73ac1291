"""Check of the RDMA counters around the tests under load: bytes moved on every device, and nothing was sent twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sparkctl.checks.base import View, check, end, rail
from sparkctl.checks.transport import CAUSES, LAB, loaded, unasked
from sparkctl.fabric.model import Attachment
from sparkctl.loadtest.perftest import SIZE
from sparkctl.loadtest.results import Load
from sparkctl.outcome import Absent, Fact, Known, RailEnd, State, Unknown, Verdict

WORD = 4
"""Bytes that port_xmit_data and port_rcv_data count at once (InfiniBand PortCounters)."""
PROOF = 0.5
"""Of what perftest says it moved: it measures a part of its time only, so the counters show more."""
RESENT = (
    "packet_seq_err", "local_ack_timeout_err", "out_of_sequence", "rnr_nak_retry_err", "implied_nak_seq_err",
    "duplicate_request", "roce_adp_retrans", "rx_icrc_encapsulated", "port_rcv_errors", "port_xmit_discards",
)  # fmt: skip
"""What mlx5 counts when a packet was lost and sent again; facts ff17 names packet_seq_err."""
MOVED = {"sent": ("port_xmit_data", "sent_pkts"), "received": ("port_rcv_data", "rcvd_pkts")}
"""By direction: bytes of a real device; packets of Soft-RoCE, which counts no bytes."""


@check("rdma-counters", "network", after=("rail-bandwidth", *CAUSES), load="measured")
def rdma_counters(view: View) -> Iterator[Verdict]:
    """What perftest says was moved went through the RDMA device of that rail."""
    yield from unasked(view, "rdma-counters")
    load = loaded(view)
    if load is None:
        return
    for attachment in view.fabric.attachments:
        claimed = _claimed(load, attachment)
        if any(claimed.values()):
            yield from _judged(view, load, attachment, claimed)
        else:
            yield Verdict("rdma-counters", "skipped", rail(attachment), "no test ran here", ends=(end(attachment),))


def _claimed(load: Load, attachment: Attachment) -> dict[str, int]:
    """Bytes that perftest says this end sent and received."""
    found = {"sent": 0, "received": 0}
    for trial, facts in load.measured.items():
        for lane, fact in zip(trial.lanes, facts, strict=True):
            moved = fact.value.iterations * SIZE if isinstance(fact, Known) and trial.tool == "bandwidth" else 0
            found["sent"] += moved * (lane.client == attachment)
            found["received"] += moved * (lane.server == attachment)
    return found


def _judged(view: View, load: Load, attachment: Attachment, claimed: Mapping[str, int]) -> Iterator[Verdict]:
    where, about = rail(attachment), (end(attachment),)
    grown = growth(load, attachment.node, attachment.half.rdma)
    if not isinstance(grown, Known):
        remedy = "look at counters/ and hw_counters/ below /sys/class/infiniband/*/ports/1 on the node"
        yield Verdict("rdma-counters", "unknown", where, grown.reason, remedy=remedy, ends=about)
        return
    idle = [way for way, names in MOVED.items() if not _enough(grown.value, names, claimed[way])]
    if idle:
        said = f"perftest moved {max(claimed.values()) / 1e9:.2f} GB, {attachment.half.rdma} {_shown(grown.value)}"
        remedy = "the traffic took another device: see rail-path, rail-gid and rail-address of this end"
        moved = "bytes moved on this device"
        yield Verdict("rdma-counters", "fail", where, said, f"nothing {' or '.join(idle)}", moved, remedy, about)
    else:
        yield _repeated(view, where, grown.value, about)


def growth(load: Load, node: str, device: str) -> Fact[dict[str, int]]:
    """How much each counter of a device grew; Unknown when one went back, for then the device was reset."""
    before, after = load.before.get(node), load.after.get(node)
    if not isinstance(before, Known) or not isinstance(after, Known):
        odd = next((fact for fact in (before, after) if isinstance(fact, Absent | Unknown)), None)
        return Unknown(odd.reason if odd else "the counters were not read")
    unread = next((row for row in (*before.unread, *after.unread) if row.startswith(f"./{device}/")), "")
    if unread:
        return Unknown(unread)
    old, new = before.value.get(device), after.value.get(device)
    if old is None or new is None or not any(name in new for names in MOVED.values() for name in names):
        return Unknown(f"{device} has no counters of bytes or packets")
    grown = {name: new[name] - old.get(name, 0) for name in new}
    back = [name for names in MOVED.values() for name in names if grown.get(name, 0) < 0]
    return Unknown(f"{device} was reset meanwhile: {back[0]} went back") if back else Known(grown)


def _enough(grown: Mapping[str, int], names: tuple[str, str], claimed: int) -> bool:
    """Bytes where there are any; of packets one per write proves the way, for writes are larger than a packet."""
    data, packets = names
    if data in grown:
        return grown[data] * WORD >= PROOF * claimed
    return grown.get(packets, 0) * SIZE >= PROOF * claimed


def _shown(grown: Mapping[str, int]) -> str:
    sent, received = (grown.get(MOVED[way][0]) for way in ("sent", "received"))
    if sent is None or received is None:
        return f"sent {grown.get('sent_pkts', 0)} and received {grown.get('rcvd_pkts', 0)} packets"
    return f"sent {sent * WORD / 1e9:.2f} GB and received {received * WORD / 1e9:.2f} GB"


def _repeated(view: View, where: str, grown: Mapping[str, int], about: tuple[RailEnd, ...]) -> Verdict:
    """Retransmissions, as a share of all packets. An emulator's pauses cause some: a lab is not judged by them."""
    expected = "bytes moved, nothing sent again"
    if view.expect == "lab":
        return Verdict("rdma-counters", "pass", where, LAB, _shown(grown), "packets moved", ends=about)
    known = [name for name in RESENT if name in grown]
    if not known:
        remedy = "is hw_counters/ there below /sys/class/infiniband/*/ports/1? Update the driver"
        return Verdict("rdma-counters", "unknown", where, "no counters of lost packets", remedy=remedy, ends=about)
    odd = {name: grown[name] for name in known if grown[name] > 0}
    if not odd:
        return Verdict("rdma-counters", "pass", where, "counters around the tests", _shown(grown), expected, ends=about)
    packets = grown.get("port_xmit_packets", 0) + grown.get("port_rcv_packets", 0)
    state: State = "fail" if sum(odd.values()) > view.thresholds.retransmissions * packets else "warn"
    said = ", ".join(f"{name} +{count}" for name, count in odd.items())
    remedy = "reseat or swap the cable; through a switch: flow control (PFC, ECN) on every port, and one bridge only"
    return Verdict("rdma-counters", state, where, "packets were lost and sent again", said, expected, remedy, about)
