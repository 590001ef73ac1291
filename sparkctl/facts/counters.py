"""Counters of a node's RDMA devices: counters/ and hw_counters/ of port 1, and the device's own hw_counters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from sparkctl.facts.base import Probe, number, word

PROBE = Probe("counters", ("rdma_counters",), ("facts/survey.sh",))
_SETTING = "lifespan"  # of the kernel's cache in milliseconds: a file beside the counters that counts nothing
_UNCOUNTED = "N/A (no PMA)"

Counters: TypeAlias = Mapping[str, Mapping[str, int]]
"""By device, by the kernel's name of the counter (`port_xmit_data` counts 4-byte words; `packet_seq_err` packets)."""


def parse(text: str) -> Counters:
    """Lines `./DEVICE/.../NAME:VALUE`; ValueError for any other. A later line of the same name prevails."""
    found: dict[str, dict[str, int]] = {}
    for line in text.splitlines():
        path, value = line.removeprefix("./").split(":", 1)
        device, *_, name = path.split("/")
        if name != _SETTING and value != _UNCOUNTED:
            found.setdefault(word(device), {})[word(name)] = number(value)
    return found
