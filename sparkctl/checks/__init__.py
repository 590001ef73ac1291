"""Verdicts about a running cluster: pure functions of the inventory, the fabric and the facts."""

# ruff: noqa: F401, I001 - each module registers its checks, and their order is that of reports: from the cable upwards
from sparkctl.checks import cabling as _cabling
from sparkctl.checks import carrier as _carrier
from sparkctl.checks import speed as _speed
from sparkctl.checks import mtu as _mtu
from sparkctl.checks import addresses as _addresses
from sparkctl.checks import routes as _routes
from sparkctl.checks import ping as _ping
from sparkctl.checks import device as _device
from sparkctl.checks import gid as _gid
from sparkctl.checks import bandwidth as _bandwidth
from sparkctl.checks import latency as _latency
from sparkctl.checks import counters as _counters
from sparkctl.checks import perftest_tool as _perftest_tool
from sparkctl.checks import firewall as _firewall
from sparkctl.checks import profiles as _profiles
from sparkctl.checks import uniform as _uniform
from sparkctl.checks import kernel as _kernel
from sparkctl.checks import pcie_errors as _pcie_errors
from sparkctl.checks import memory as _memory
from sparkctl.checks import earlyoom as _earlyoom
from sparkctl.checks import gpu as _gpu
from sparkctl.checks import clock as _clock
from sparkctl.checks import disk as _disk
from sparkctl.checks import nccl as _nccl
from sparkctl.checks import engine as _engine
from sparkctl.checks import allgather as _gather
from sparkctl.checks.base import CHECKS, OF_HARDWARE, STAGES, UNDER_LOAD, View, judge, words

__all__ = ["CHECKS", "OF_HARDWARE", "STAGES", "UNDER_LOAD", "View", "judge", "words"]
