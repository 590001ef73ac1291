"""systemd units and engine containers of a node."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sparkctl.facts.base import Probe, number
from sparkctl.inventory.names import ONLY

MOST_PULLED = 100
"""Digests of one image: one a registry and tag that it was pulled from."""


@dataclass(frozen=True)
class UnitState:
    """A unit as systemd shows it; `restarts` counts since it was last started by hand."""

    loaded: bool
    active: str
    sub: str
    enabled: bool
    restarts: int

    @property
    def running(self) -> bool:
        """Up, coming up, or between two automatic restarts."""
        return self.active in ("active", "activating", "reloading", "deactivating")


@dataclass(frozen=True)
class ContainerState:
    """A container: its status and the id of its image."""

    status: str
    image: str


def unit_probe(unit: str = ONLY.unit) -> Probe:
    """Asks for the state of `unit`."""
    return Probe("unit", ("unit_state", unit))


def parse_unit(text: str) -> UnitState:
    """`key=value` lines of `systemctl show`."""
    shown = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return UnitState(
        loaded=shown["LoadState"] == "loaded",
        active=shown["ActiveState"],
        sub=shown["SubState"],
        enabled=shown.get("UnitFileState", "") == "enabled",
        restarts=number(shown.get("NRestarts") or "0"),
    )


def image_probe(image: str) -> Probe:
    """Asks for the id of `image`, and for the digests by which registries know it."""
    return Probe("image", ("image_id", image))


def parse_image(text: str) -> str:
    """The first word: of Docker's own store the digest of its configuration, of containerd's that of its manifest."""
    return text.split()[0]


def parse_pulled(text: str) -> tuple[str, ...]:
    """The digests of manifests after it; none for an image that was built or loaded into Docker's own store."""
    return tuple(re.findall(r"@(sha256:[0-9a-f]{64})(?!\S)", text)[:MOST_PULLED])


def container_probe(name: str = ONLY.container) -> Probe:
    """Asks for the state of the engine's container."""
    return Probe("container", ("container_state", name))


def parse_container(text: str) -> ContainerState:
    """`status image restarts`, one line."""
    status, image, _ = text.split()
    return ContainerState(status, image)
