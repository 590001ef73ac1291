"""MTU: one size from end to end."""

from __future__ import annotations

from collections.abc import Iterator

from sparkctl.inventory.model import Cluster
from sparkctl.outcome import Named, Remedy
from sparkctl.rule import Hit, rule, write

SMALLEST, LARGEST = 1280, 9216  # what IPv6 needs (RFC 8200, 5), what switches pass (facts ff4.3)
USUAL = 9000  # what both ends and every measurement of the facts use (facts ff3.4)
HEADER = 22  # Ethernet header with a VLAN tag and checksum, on top of the MTU (facts ff4.3)


@rule("MTU001", "error", "mtu outside 1280..9216", "RFC 8200, 5, for the least; facts ff4.3 for the most")
def mtu_is_possible(cluster: Cluster) -> Iterator[Hit]:
    """What IPv6 needs at least and what switches pass at most."""
    mtu = cluster.fabric.mtu
    if not SMALLEST <= mtu <= LARGEST:
        cure = write(str(USUAL), f"write {USUAL}, or leave it out")
        yield Hit(("fabric", "mtu"), f"mtu {mtu} is outside {SMALLEST}..{LARGEST}", cure)


@rule(
    "MTU002",
    "warning",
    "mtu is not 9000",
    "facts ff3.4: at 1500 busbw is 18.9-20.9 instead of 23.7-23.9 GB/s",
)
def mtu_is_usual(cluster: Cluster) -> Iterator[Hit]:
    """Smaller works and costs bandwidth; larger gains none: 4096 is the largest of InfiniBand's (ibv_mtu)."""
    mtu = cluster.fabric.mtu
    if SMALLEST <= mtu <= LARGEST and mtu != USUAL:
        small = "works, but a smaller one costs bandwidth: NCCL loses 12 to 21 % at 1500"
        large = f"gains nothing, for a RoCE packet holds 4096 bytes at most, and switches must pass {mtu + HEADER}"
        said = f"mtu {mtu} instead of {USUAL} {large if mtu > USUAL else small}"
        narrow = [n for n, it in enumerate(cluster.switches) if it.l2mtu is not None and it.l2mtu < USUAL + HEADER]
        raised = (Named("inventory", str(LARGEST), f"switches[{n}].l2mtu") for n in narrow)
        first = f"raise `l2mtu` of the switches to {LARGEST}, then " if narrow else ""
        cure = Remedy(f"{first}write {USUAL}", Named("inventory", str(USUAL)), *raised)
        yield Hit(("fabric", "mtu"), said, cure)


@rule("MTU003", "error", "a switch whose l2mtu is too small for the mtu", "facts ff9")
def switches_pass_the_mtu(cluster: Cluster) -> Iterator[Hit]:
    """Small pings pass and NCCL stalls when a switch port drops full frames."""
    needed = cluster.fabric.mtu + HEADER
    for index, switch in enumerate(cluster.switches):
        if switch.l2mtu is not None and switch.l2mtu < needed:
            said = (
                f"switch `{switch.name}` passes frames of {switch.l2mtu} bytes; mtu {cluster.fabric.mtu} needs {needed}"
            )
            yield Hit(
                ("switches", index, "l2mtu"),
                said,
                write(str(LARGEST), f"raise its l2mtu to 9216, or lower fabric.mtu to {switch.l2mtu - HEADER}"),
            )


@rule("MTU004", "warning", "a switch without l2mtu", "facts ff9")
def l2mtu_is_written(cluster: Cluster) -> Iterator[Hit]:
    """Nothing can be proved of a switch whose frame size nobody wrote down."""
    for index, switch in enumerate(cluster.switches):
        if switch.l2mtu is None:
            said = f"switch `{switch.name}` has no `l2mtu`: nothing proves that it passes mtu {cluster.fabric.mtu}"
            yield Hit(
                ("switches", index, "name"), said, "read it on the switch's ports and add it, such as `l2mtu: 9216`"
            )
