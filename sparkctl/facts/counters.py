"""Counters of a node's RDMA devices: counters/ and hw_counters/ of port 1, and the device's own hw_counters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

Counters: TypeAlias = Mapping[str, Mapping[str, int]]
"""By device, by the kernel's name of the counter (`port_xmit_data` counts 4-byte words; `packet_seq_err` packets)."""
