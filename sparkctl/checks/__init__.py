"""Verdicts about a running cluster: pure functions of the inventory, the fabric and the facts."""

# ruff: noqa: F401, I001 - each module registers its checks, and their order is that of reports: from the cable upwards
from sparkctl.checks import off, cabling, carrier, speed, mtu, addresses, routes, ping, device, gid
from sparkctl.checks import next_boot
from sparkctl.checks import bandwidth, duplex, counters, perftest_tool, firewall
from sparkctl.checks import profiles, uniform, kernel, pcie_errors, memory, earlyoom, gpu, clock, disk
from sparkctl.checks import nccl, nccl_settings, engine, allgather
from sparkctl.checks.base import CHECKS, OF_HARDWARE, STAGES, UNDER_LOAD, View, excused, judge, words

__all__ = ["CHECKS", "OF_HARDWARE", "STAGES", "UNDER_LOAD", "View", "excused", "judge", "words"]
