"""What a node would put back at teardown: files and netdevs, whether they are whole, whether netplan takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sparkctl.facts.base import Probe, number
from sparkctl.inventory.names import NETPLAN
from sparkctl.inventory.words import visible

PROBE = Probe("baseline", ("baseline_state", NETPLAN), ("checkpoint/network.sh", "facts/baseline.sh"))
ALL = "-"


@dataclass(frozen=True)
class SavedNetdev:
    """A netdev before sparkctl came: MTU in bytes, admin state, global IPv4 addresses as `address/prefix`.

    `lost`: routes, rules and permanent neighbours that it had and has not now, in the words of ip(8).
    """

    mtu: int
    up: bool
    addresses: tuple[str, ...]
    lost: tuple[str, ...]


@dataclass(frozen=True)
class Baseline:
    """Digests of the kept files by name; why netplan refuses them, by name (ALL: whatever comes back); the netdevs."""

    images: Mapping[str, str]
    refused: Mapping[str, str]
    netdevs: Mapping[str, SavedNetdev]


def parse(text: str) -> Baseline:
    """Lines of facts/baseline.sh; ValueError or KeyError where they are none."""
    images, refused = dict[str, str](), dict[str, str]()
    netdevs: dict[str, dict[str, list[str]]] = {}
    for line in text.splitlines():
        kind, name, rest = line.split(" ", 2)
        if kind == "net":
            key, _, value = rest.partition(" ")
            netdevs.setdefault(name, {}).setdefault(key, []).append(value)
        else:
            {"image": images, "refused": refused}[kind][name] = visible(rest)
    return Baseline(images, refused, {name: _saved(said) for name, said in netdevs.items()})


def _saved(said: Mapping[str, list[str]]) -> SavedNetdev:
    (mtu,), (link,) = said["mtu"], said["link"]
    addresses = tuple(visible(a.removeprefix("inet ")) for a in said.get("addr", ()) if a.startswith("inet "))
    return SavedNetdev(number(mtu), link == "up", addresses, tuple(map(visible, said.get("lost", ()))))
