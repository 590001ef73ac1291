"""Which way packets to each peer go: `ip route get PEER from OWN` per rail."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sparkctl.facts.base import Probe, Rows, each, word

_SPACE = re.compile(r"\s*")


@dataclass(frozen=True)
class Way:
    """The kernel's choice for packets to `peer`: out of `netdev`, through `gateway`, with `source` as the sender."""

    peer: str
    netdev: str
    gateway: str | None
    source: str


def probe(pairs: Sequence[tuple[str, str]]) -> Probe:
    """Asks for the way from each own address to the peer's; without an own address, for the way of any packet."""
    return Probe("ways", ("peer_ways", *(f"{own}={peer}" for own, peer in pairs)), ("facts/survey.sh",))


def parse(text: str) -> dict[str, Way] | Rows[dict[str, Way]]:
    """By the peer's address; a peer that the kernel has no way to is not in it. From our own address comes first."""
    ordered = sorted(_entries(text), key=lambda entry: "from" in entry)
    usable = (e for e in ordered if "dev" in e and e.get("type", "unicast") in ("unicast", "local"))
    return each(usable, _way, lambda ways: {way.peer: way for way in ways})


def _entries(text: str) -> Iterator[dict[str, Any]]:
    """One JSON array after another, as `ip -j -batch` prints them."""
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        listed, at = decoder.raw_decode(text, at)
        yield from listed
        at = _SPACE.match(text, at).end()  # type: ignore[union-attr]  # it always matches


def _way(entry: dict[str, Any]) -> Way:
    gateway = entry.get("gateway") or entry.get("via", {}).get("host")
    source = entry.get("from") or entry.get("prefsrc")
    through = word(gateway) if gateway else None
    return Way(word(entry["dst"]), word(entry["dev"]), through, word(source) if source else "")
