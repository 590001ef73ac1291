"""Which libnccl the engine's image holds: found in the image's files on the node, without starting a container."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import NamedTuple

from sparkctl.facts.base import MOST_UNREAD, Probe, Rows
from sparkctl.inventory.words import visible

SOURCES = ("facts/host.sh", "facts/nccl.py")


class NcclSetting(NamedTuple):
    """`place`: `the image`, or the path of a conf file."""

    place: str
    name: str
    value: str


@dataclass(frozen=True)
class Nccl:
    """`version` such as 2.30.7; `digest` the library's SHA-256 (equal versions can differ: facts ff3.7).

    `settings`: variables of NCCL, Gloo and their kin that the image or a conf file sets, the first of a name wins.
    """

    path: str
    version: str
    digest: str
    settings: tuple[NcclSetting, ...] = ()


def probe(*, image: str | None = None, venv: str | None = None, naming: tuple[str, ...] = ()) -> Probe:
    """Asks for libnccl of the engine's image, or of its venv. It reads 250 MB, so it runs beside the others.

    `naming`: variables that name the library, besides LD_PRELOAD; `NAME=VALUE` of those that the engine is given
    whatever its image says, and `/TARGET=/SOURCE` of volumes.
    """
    where = ("image", image, *naming) if image else ("venv", venv or "", *naming)
    return Probe("nccl", ("nccl_library", *where), SOURCES, "early")


def parse(text: str) -> Nccl | Rows[Nccl]:
    """The JSON of facts/nccl.py; ValueError with the reason where it could not be found out. A row: a conf file."""
    said = json.loads(text)
    if "why" in said:
        raise ValueError(visible(str(said["why"])[:300]))
    path, version, digest = (str(said[key]) for key in ("path", "version", "digest"))
    if not re.fullmatch(r"\d{1,3}\.\d{1,4}\.\d{1,4}", version, re.ASCII) or not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise ValueError("no version or no digest")
    settings = tuple(NcclSetting(*(visible(str(part)[:300]) for part in row)) for row in said.get("settings", ())[:200])
    found = Nccl(visible(path[:1000]), version, digest, settings)
    unread = tuple(visible(str(why)[:300]) for why in said.get("unread", ())[:MOST_UNREAD])
    return Rows(found, unread) if unread else found
