"""IPv4 routes of a node, of all tables: `ip -j -4 route show table all` to Route."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from itertools import chain
from typing import Any

from sparkctl.facts.base import Probe, Rows, each, word
from sparkctl.inventory.words import visible

PROBE = Probe("routes", ("ip", "-j", "-4", "route", "show", "table", "all"))
ANYWHERE = IPv4Network("0.0.0.0/0")


@dataclass(frozen=True)
class Route:
    """Packets to `destination` leave by `netdev`, through `gateway` where there is one. `protocol`: who made it."""

    destination: IPv4Network
    netdev: str
    gateway: str | None = None
    table: str = "main"
    protocol: str = field(default="kernel", compare=False)

    def __str__(self) -> str:
        where = "default" if self.destination == ANYWHERE else str(self.destination)
        through = f" via {self.gateway}" if self.gateway else ""
        table = "" if self.table == "main" else f" table {self.table}"
        return f"{where}{through} dev {self.netdev}{table}"


def parse(text: str) -> tuple[Route, ...] | Rows[tuple[Route, ...]]:
    """The unicast routes; ValueError or KeyError where `text` is not the output of iproute2."""
    listed = json.loads(text)
    return each(listed, _routes, lambda found: tuple(chain.from_iterable(found)))


def _routes(entry: dict[str, Any]) -> tuple[Route, ...]:
    return tuple(_hops(entry)) if entry.get("type", "unicast") == "unicast" else ()


def _hops(entry: dict[str, Any]) -> Iterator[Route]:
    """One per next hop; one without a netdev (an object of `ip nexthop`) cannot be judged and is left out."""
    destination = ANYWHERE if entry["dst"] == "default" else IPv4Network(word(entry["dst"]))
    hops = entry.get("nexthops", [entry])
    if not isinstance(hops, list):
        raise ValueError("nexthops are a list")
    for hop in hops:
        if "dev" in hop:
            gateway = word(hop["gateway"]) if "gateway" in hop else None
            table, protocol = visible(str(entry.get("table", "main"))), visible(str(entry.get("protocol", "boot")))
            yield Route(destination, word(hop["dev"]), gateway, table, protocol)
