"""Check of the RDMA device of each rail."""

from __future__ import annotations

from collections.abc import Iterator

from sparkctl.checks.base import TCP_REASON, View, check, end, netdev_of, rail, see, state, unreadable
from sparkctl.checks.ports import ethernet_of
from sparkctl.fabric.model import Attachment
from sparkctl.facts.base import entry
from sparkctl.facts.system import RdmaDevice
from sparkctl.outcome import Absent, Cause, Known, Unknown, Verdict

ID = "roce-device"


@check(ID, "network")
def device(view: View) -> Iterator[Verdict]:
    """The RDMA device of each rail is active on Ethernet."""
    for here in view.fabric.attachments:
        found = entry(view.facts[here.node].rdma, here.half.rdma, "absent")
        if view.cluster.fabric.transport == "tcp":
            yield Verdict(ID, "skipped", rail(here), TCP_REASON, ends=(end(here),))
        elif isinstance(found, Unknown) or not isinstance(view.facts[here.node].rdma, Known):
            yield from unreadable(ID, rail(here), found, (end(here),))
        else:
            yield _judged(view, here, found.value if isinstance(found, Known) else None)


def _judged(view: View, here: Attachment, found: RdmaDevice | None) -> Verdict:
    netdev = netdev_of(view, here)
    measured = f"{found.state}, {found.link_layer}" if found else "absent"
    right = found is not None and found.state.endswith("ACTIVE") and found.link_layer == "Ethernet"
    lit = not isinstance(netdev, Known) or netdev.value.lit
    if not right and (isinstance(netdev, Absent) or (found is not None and not lit)):
        return see(ID, rail(here), measured, Cause("rail-carrier"), (end(here),))
    remedy = "" if right else _remedy(view, here, found)
    name, expected = here.half.rdma, "4: ACTIVE, Ethernet"
    return Verdict(ID, state(right), rail(here), name, measured, expected, remedy, (end(here),))


def _remedy(view: View, here: Attachment, found: RdmaDevice | None) -> str:
    if found is not None and found.link_layer != "Ethernet":
        return f"the port speaks {found.link_layer}: its link type must be Ethernet (a firmware setting of {here.node})"
    ethernet = ethernet_of(view, here)
    other = ethernet.value.rdma if isinstance(ethernet, Known) else None
    if found is None and other and other != here.half.rdma:
        return f"it is called {other} here: install rdma-core, whose udev rule names devices, and reboot {here.node}"
    return f"on {here.node}: `rdma link` shows the devices; is the module mlx5_ib loaded, the netdev up?"
