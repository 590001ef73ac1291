"""Ports as checks of rails see them: which half is whose twin, where a port is on the case, its netdev's own words."""

from __future__ import annotations

from dataclasses import replace

from sparkctl.checks.base import View
from sparkctl.fabric.model import Attachment
from sparkctl.fabric.ports import half
from sparkctl.facts.base import entry
from sparkctl.facts.netdevs import Ethernet
from sparkctl.outcome import Fact

CAGE = {"p0": "the cage next to the RJ45 jack", "p1": "the outer cage"}


def twin(attachment: Attachment) -> Attachment:
    """The other half of the same port; its address is not to be looked at."""
    return replace(attachment, half=half(attachment.half.port, "B" if attachment.rail == "A" else "A"))


def ethernet_of(view: View, attachment: Attachment) -> Fact[Ethernet]:
    """What sysfs and ethtool say of an attachment's netdev; Absent where there is no such netdev."""
    fact = view.facts[attachment.node].survey.ethernet
    return entry(fact, attachment.netdev, f"no netdev {attachment.netdev}")
