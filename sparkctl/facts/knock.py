"""What packet filters let through: knocks at ports of peers, while these knock at ports that are opened for it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sparkctl.facts.base import Probe, number, word
from sparkctl.inventory.names import ONLY

SECONDS = 5.0
"""How long to knock where nothing answers, as hellos do: the kernel sends a SYN anew after 1 and 3 s (RFC 6298)."""
FIRST, LAST = 32768, 60999
"""Where NCCL, Gloo and ZMQ listen (facts A4): `ip_local_port_range` of every kernel."""
UNSENT = "not sent"
"""How the answer begins where no knock left the node."""
Way = tuple[str, str, str]
"""Netdev, own address, address of a peer."""
Ports = Mapping[str, tuple[int, ...]]
"""By the address that they are at."""


@dataclass(frozen=True)
class Knocks:
    """`said`: what came of each knock, by own and peer's address, and port: accepted, refused, silent, icmp CODE, or
    why none was sent. `opened`: address and port of each that was open all the time. `half`: own address, port and peer
    of each knock that came in, but whose answer did not reach the peer.
    """

    said: Mapping[tuple[str, str], Mapping[int, str]] = field(default_factory=dict)
    opened: tuple[tuple[str, int], ...] = ()
    half: tuple[tuple[str, int, str], ...] = ()


def ports(token: str) -> tuple[int, ...]:
    """Three of the ports that programs get from the kernel, one in each third, other ones in each run.

    Even ones: a program that asks the kernel for a port to listen on gets an odd one while there are any
    (inet_csk_find_open_port), and no port that it can have is in use because of us.
    """
    third = (LAST + 1 - FIRST) // 3
    return tuple(FIRST + n * third + (int(token, 16) >> 16 * n) % (third // 2) * 2 for n in range(3))


def probe(token: str, ways: Iterable[Way], lent: Ports, called: Ports) -> Probe:
    """Knocks along `ways` at three ports that the peers open; at those `lent` by the engine, which they open only while
    its unit is inactive; and at those only `called`, where who is refused has got through, too.
    """
    ways = tuple(ways)
    own = dict.fromkeys((netdev, address) for netdev, address, _ in ways)
    doors = [(*place, port, False) for place in own for port in ports(token)]
    doors += [(*place, port, True) for place in own for port in lent.get(place[1], ())]
    knocks = [(*way, port, True) for way in ways for port in ports(token)]
    knocks += [(*way, port, False) for way in ways for known in (lent, called) for port in known.get(way[2], ())]
    asked = {"seconds": SECONDS, "unit": ONLY.unit, "doors": doors, "knocks": knocks}
    words = ("call_knock", json.dumps(asked, separators=(",", ":")))
    return Probe("knocks", words, ("facts/survey.sh", "facts/knock.py"), "early")


def parse(text: str) -> Knocks:
    """One JSON object; ValueError with the reason where nobody could knock."""
    found = json.loads(text)
    if "why" in found:
        raise ValueError(word(found["why"]))
    said: dict[tuple[str, str], dict[int, str]] = {}
    for own, peer, port, answer in found["said"]:
        said.setdefault((word(own), word(peer)), {})[_port(port)] = word(answer)
    return Knocks(
        said,
        tuple((word(address), _port(port)) for address, port in found["opened"]),
        tuple((word(address), _port(port), word(peer)) for address, port, peer in found["half"]),
    )


def _port(value: object) -> int:
    return number(str(value))
