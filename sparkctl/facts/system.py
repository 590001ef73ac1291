"""The machine itself: boot, memory, tools, RDMA devices."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from sparkctl.facts.base import Probe, Rows, each, number

PROBE = Probe("system", ("system_state",))
RDMA_PROBE = Probe("rdma", ("rdma_devices",))
ROOM_PROBE = Probe("room", ("stat", "-f", "-c", "%a %S", "/var/lib"))
ARRIVAL_PROBE = Probe("arrival", ("ssh_arrival",))
NEEDED = ("netplan", "ip", "systemctl", "systemd-run", "sha256sum", "flock", "base64", "tar", "python3", "ping")
"""What sparkctl's scripts call; all are on DGX OS (netplan itself is Python)."""


@dataclass(frozen=True)
class SystemState:
    """`memory_available` in KiB."""

    boot_id: str
    memory_available: int


@dataclass(frozen=True)
class RdmaDevice:
    """State and link layer of port 1, as sysfs says them (`4: ACTIVE`, `Ethernet`)."""

    state: str
    link_layer: str


def parse(text: str) -> SystemState:
    """Lines: boot id, kernel, MemAvailable."""
    boot_id, _, memory, _ = text.split("\n", 3)
    return SystemState(boot_id, number(memory))


def parse_room(text: str) -> int:
    """Free KiB, of free blocks and their size in bytes."""
    blocks, size = map(number, text.split())
    return blocks * size // 1024


def parse_arrival(text: str) -> str:
    """The node's own address of the SSH connection, without a zone; ValueError where it is none."""
    return str(ip_address(text.strip().partition("%")[0]))


def tools_probe(extra: tuple[str, ...] = ()) -> Probe:
    """Asks which of the needed tools are missing."""
    return Probe("tools", ("tools", *NEEDED, *extra))


def parse_tools(text: str) -> tuple[str, ...]:
    """Names of the missing tools."""
    return tuple(text.split())


def parse_rdma(text: str) -> dict[str, RdmaDevice] | Rows[dict[str, RdmaDevice]]:
    """One `name|state|link layer` per line."""
    return each(filter(None, text.splitlines()), _rdma, dict)


def _rdma(line: str) -> tuple[str, RdmaDevice]:
    name, state, layer = line.split("|")
    return name, RdmaDevice(state, layer)
