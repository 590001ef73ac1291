"""Counters of a node's RDMA devices: counters/ and hw_counters/ of port 1, and the device's own hw_counters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from sparkctl.facts.base import Probe, Rows, each, number, word

PROBE = Probe("counters", ("rdma_counters",), ("facts/survey.sh",))
_SETTING = "lifespan"  # of the kernel's cache in milliseconds: a file beside the counters that counts nothing
_UNCOUNTED = "N/A (no PMA)"

Counters: TypeAlias = Mapping[str, Mapping[str, int]]
"""By device, by the kernel's name of the counter (`port_xmit_data` counts 4-byte words; `packet_seq_err` packets)."""


def parse(text: str) -> Counters | Rows[Counters]:
    """Lines `./DEVICE/.../NAME:VALUE`; a later line of the same name prevails."""
    return each(text.splitlines(), _counter, _by_device)


def _counter(line: str) -> tuple[str, str, int | None]:
    path, value = line.removeprefix("./").split(":", 1)
    device, *_, name = path.split("/")
    return word(device), word(name), None if name == _SETTING or value == _UNCOUNTED else number(value)


def _by_device(rows: Iterable[tuple[str, str, int | None]]) -> Counters:
    found: dict[str, dict[str, int]] = {}
    for device, name, value in rows:
        if value is not None:
            found.setdefault(device, {})[name] = value
    return found
