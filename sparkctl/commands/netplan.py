"""Steps on the network; each is a call of a function of `templates/checkpoint/network.sh`."""

from __future__ import annotations

from collections.abc import Iterable

from sparkctl.commands.base import Words

APPLY_SECONDS = 60
"""Bound on `netplan apply`: 0.25 s (networkd) and 0.44 s (NetworkManager) measured in the lab; a minute is generous."""
AWAIT_SECONDS = 5
"""An address may come a moment after netplan returns (facts ff20: management was away about 1 s)."""


def scratch() -> Words:
    """Copy the node's netplan files to a scratch folder."""
    return ("scratch_netplan",)


def scratch_file(path: str, blob: str) -> Words:
    """Put `blob` (a file below /var/lib/sparkctl) in the place of `path` in the scratch folder; empty: take it away."""
    return ("scratch_file", path, blob)


def check(netdevs: Iterable[str] = ()) -> Words:
    """Ask netplan about the scratch folder; with `netdevs`, refuse changes of others that nobody applied yet."""
    return ("check_netplan", *netdevs)


def apply(netdevs: Iterable[str] = ()) -> Words:
    """Bring `netdevs` alone to what netplan's files say; without any, or where that fails, `netplan apply`."""
    return ("apply_netplan", str(APPLY_SECONDS), *netdevs)


def await_netdev(netdev: str, mtu: int, address: str) -> Words:
    """Give `netdev` a moment to get its MTU and address; settling judges, not this."""
    return ("await_netdev", netdev, str(mtu), address, str(AWAIT_SECONDS))


def save_netdev(netdev: str) -> Words:
    """Keep MTU, link state, addresses and sysctls of `netdev`, and what NetworkManager holds of it."""
    return ("save_netdev", netdev)


def undo_netdev(netdev: str, folder: str) -> Words:
    """Put back what was kept of `netdev` in `folder` (`run/before` or `baseline`)."""
    return ("undo_netdev", netdev, f"/var/lib/sparkctl/{folder}/net.{netdev}")
