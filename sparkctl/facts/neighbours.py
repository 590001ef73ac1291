"""Who is at the other end of each netdev: by raw Ethernet hellos between the nodes of a cluster, and by LLDP."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sparkctl.facts.base import Probe, Rows, each, word

SECONDS = 5.0
"""How long to call where a peer stays silent: a busy node begins seconds after another. Who is heard ends at once."""
LLDP_PROBE = Probe("lldp", ("lldp_neighbours",), ("facts/survey.sh",))


@dataclass(frozen=True)
class Hello:
    """`netdev` of this node heard `node`'s `sender` (a netdev's name) call. One cable may carry both halves' calls."""

    netdev: str
    node: str
    sender: str


@dataclass(frozen=True)
class Lldp:
    """`netdev` of this node has an LLDP neighbour: the system's name and its port (a netdev, a switch port)."""

    netdev: str
    system: str
    port: str


def probe(token: str, node: str, ears: Mapping[str, Iterable[str]], seconds: float = SECONDS) -> Probe:
    """Calls on each netdev of `ears` as `node`, until every peer that belongs there says that it has heard."""
    words = (f"{netdev}={','.join(peers)}" for netdev, peers in ears.items())
    sources = ("facts/survey.sh", "facts/hello.py")
    return Probe("hellos", ("call_hello", token, node, str(seconds), *words), sources, "early")


def parse(text: str) -> tuple[Hello, ...] | Rows[tuple[Hello, ...]]:
    """One JSON object per line; a row with the reason where a netdev could not be listened on."""
    return each(text.splitlines(), _hello, tuple)


def _hello(line: str) -> Hello:
    said = json.loads(line)
    if "why" in said:
        raise ValueError(said["why"])
    return Hello(**{key: word(value) for key, value in said.items()})


def parse_lldp(text: str) -> tuple[Lldp, ...] | Rows[tuple[Lldp, ...]]:
    """`lldpctl -f json`: what is one and what are many differ in shape at every level."""
    found = json.loads(text)["lldp"].get("interface", {})
    return each((pair for entry in _many(found) for pair in entry.items()), _neighbour, tuple)


def _many(found: Any) -> Iterator[dict[str, Any]]:
    yield from found if isinstance(found, list) else [found]


def _neighbour(pair: tuple[str, dict[str, Any]]) -> Lldp:
    netdev, said = pair
    chassis, port = said["chassis"], said["port"]
    named = next((name for name, value in chassis.items() if isinstance(value, dict) and "id" in value), None)
    id = port["id"]
    label = id["value"] if id["type"] == "ifname" else port.get("descr", id["value"])
    return Lldp(word(netdev), word(named or chassis["id"]["value"]), word(label))
