"""Which libnccl the engine's image holds: found in the image's files on the node, without starting a container."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Nccl:
    """`version` such as 2.30.7; `digest` the library's SHA-256 (equal versions can differ: field-faults 3.7)."""

    path: str
    version: str
    digest: str
