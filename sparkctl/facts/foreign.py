"""Netplan files of others that concern fabric netdevs: what `templates/facts/foreign.py scan` says of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sparkctl.facts.base import Probe, number, word
from sparkctl.facts.files import SPECIAL, FileState, octal
from sparkctl.inventory.words import visible


@dataclass(frozen=True)
class ForeignStanza:
    """One stanza: how it concerns `netdevs` (and `others`, which are not of the fabric), and what it says."""

    kind: str
    id: str
    netdevs: tuple[str, ...]
    others: tuple[str, ...]
    how: str
    says: str


@dataclass(frozen=True)
class ForeignFile:
    """One file; `after`: the SHA-256 of what is left without its fabric stanzas, or `absent`."""

    path: str
    digest: str
    mode: int
    uid: int
    gid: int
    stanzas: tuple[ForeignStanza, ...]
    who: str
    movable: bool
    why_not: str
    after: str


def files_probe(others: tuple[str, ...]) -> Probe:
    """Asks for the state of every netplan file; `others` are looked at with them, for the probes that follow."""
    return Probe("netplan-files", ("netplan_files", *others))


def probe(ours: str, netdevs: tuple[str, ...]) -> Probe:
    """Asks for every file but `ours` that concerns one of `netdevs`."""
    return Probe("foreign", ("foreign_netplan", ours, *netdevs))


def parse(text: str) -> tuple[ForeignFile, ...]:
    """One JSON object per line; ValueError, KeyError or TypeError where it is anything else."""
    return tuple(_file(json.loads(line)) for line in text.splitlines())


def _file(said: dict[str, Any]) -> ForeignFile:
    stanzas = tuple(_stanza(stanza) for stanza in said.pop("stanzas"))
    owner = {name: number(str(said.pop(name))) for name in ("uid", "gid")}
    others = {"mode": octal(said.pop("mode")), "movable": said.pop("movable") is True}
    return ForeignFile(**_texts(said) | owner | others, stanzas=stanzas)


def _stanza(said: dict[str, Any]) -> ForeignStanza:
    lists = {name: tuple(map(word, said.pop(name))) for name in ("netdevs", "others")}
    return ForeignStanza(**_texts(said) | lists)


def _texts(said: dict[str, Any]) -> dict[str, Any]:
    """All values as text of one line, but a path as it is; TypeError for what is none: plans would stumble over it."""
    if not all(isinstance(value, str) for value in said.values()):
        raise TypeError("not a text")
    return {name: value if name == "path" else visible(value) for name, value in said.items()}


def parse_files(text: str) -> dict[str, FileState]:
    """All netplan files of a node: `link PATH`, or `state MODE UID GID PATH` and `digest SHA256  PATH`."""
    rows = [line.split(" ", 1) for line in text.splitlines()]
    if any(key not in ("link", "state", "digest") for key, _ in rows):
        raise ValueError("neither a link nor a state nor a digest")
    digests = {path: digest for digest, path in (rest.split("  ", 1) for key, rest in rows if key == "digest")}
    states = (rest.split(" ", 3) for key, rest in rows if key == "state")
    found = {path: FileState(octal(mode), number(uid), number(gid), digests[path]) for mode, uid, gid, path in states}
    return found | {rest: FileState(0, 0, 0, SPECIAL) for key, rest in rows if key == "link"}
