"""Check of the MTU at both ends of every rail."""

from __future__ import annotations

from collections.abc import Iterator

from sparkctl.checks.base import View, check, end, netdev_of, rail, see, state, unreadable
from sparkctl.outcome import Absent, Cause, Known, Named, Remedy, Verdict

ID = "rail-mtu"


@check(ID, "network")
def mtu(view: View) -> Iterator[Verdict]:
    """The MTU is what the inventory says. Both ends are read: a ping can pass while one end is smaller (measured)."""
    for here in view.fabric.attachments:
        fact = netdev_of(view, here)
        if isinstance(fact, Absent):
            yield see(ID, rail(here), "no netdev", Cause("rail-carrier"), (end(here),))
        elif not isinstance(fact, Known):
            yield from unreadable(ID, rail(here), fact, (end(here),))
        else:
            right = fact.value.mtu == here.mtu
            measured, expected = str(fact.value.mtu), str(here.mtu)
            cure = f"`sparkctl cluster up` sets it; who changed {here.netdev} on {here.node}?"
            remedy = "" if right else Remedy(cure, Named("mtu", expected, f"{here.node} {here.netdev}"))
            said = f"MTU of {here.netdev}"
            yield Verdict(ID, state(right), rail(here), said, measured, expected, remedy, (end(here),))
