"""Owners of fabric netdevs that are no netplan files: what `templates/facts/owners.py` says of them."""

from __future__ import annotations

import json

from sparkctl.facts import foreign
from sparkctl.facts.base import Probe
from sparkctl.facts.foreign import ForeignFile
from sparkctl.inventory.names import is_owner, may_change
from sparkctl.outcome import Fact, Known

NEXT_BOOT = {
    "profile": "At the next boot NetworkManager may choose it instead of sparkctl's.",
    "network": "At every boot systemd-networkd takes it before what netplan makes.",
    "unmanaged": "NetworkManager leaves that alone, whatever netplan says.",
    "interfaces": "At the next boot ifupdown has it.",
    "port": "The port of another netdev has no addresses of its own.",
}
"""By the kind of what an owner has: what comes of it."""


def probe(netdevs: tuple[str, ...]) -> Probe:
    """Asks for every owner of one of `netdevs`."""
    return Probe("owners", ("foreign_owners", *netdevs))


def parse(text: str) -> tuple[ForeignFile, ...]:
    """As `foreign.parse`; ValueError also for an unknown kind of owner, and for a file that may not be moved."""
    found = foreign.parse(text)
    for file in found:
        if not file.stanzas or any(stanza.kind not in NEXT_BOOT for stanza in file.stanzas):
            raise ValueError("an owner of no known kind")
        if file.movable and not (is_owner(file.path) and may_change(file.path) and file.after == "absent"):
            raise ValueError("a file that sparkctl does not move")
    return found


def comes(file: ForeignFile) -> str:
    """What comes of a file of somebody else that has fabric netdevs."""
    return next((NEXT_BOOT[s.kind] for s in file.stanzas if s.kind in NEXT_BOOT), "netplan would join both.")


def counts(fact: Fact[tuple[ForeignFile, ...]]) -> str:
    """What a plan rests on: not whether a profile is active at the moment. Empty where there is no owner."""
    found = fact.value if isinstance(fact, Known) else None
    return "" if found == () else json.dumps(found and [(file.path, file.digest, file.movable) for file in found])
