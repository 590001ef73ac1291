"""Verdicts about a running cluster: pure functions of the inventory, the fabric and the facts."""

from sparkctl.checks import bandwidth as _bandwidth  # noqa: F401 - registers its checks
from sparkctl.checks import clock as _clock  # noqa: F401 - registers its checks
from sparkctl.checks import counters as _counters  # noqa: F401 - registers its checks
from sparkctl.checks import disk as _disk  # noqa: F401 - registers its checks
from sparkctl.checks import earlyoom as _earlyoom  # noqa: F401 - registers its checks
from sparkctl.checks import engine as _engine  # noqa: F401 - registers its checks
from sparkctl.checks import firewall as _firewall  # noqa: F401 - registers its checks
from sparkctl.checks import gather as _gather  # noqa: F401 - registers its checks
from sparkctl.checks import gpu as _gpu  # noqa: F401 - registers its checks
from sparkctl.checks import kernel as _kernel  # noqa: F401 - registers its checks
from sparkctl.checks import latency as _latency  # noqa: F401 - registers its checks
from sparkctl.checks import memory as _memory  # noqa: F401 - registers its checks
from sparkctl.checks import nccl as _nccl  # noqa: F401 - registers its checks
from sparkctl.checks import pcie_errors as _pcie_errors  # noqa: F401 - registers its checks
from sparkctl.checks import perftest_tool as _perftest_tool  # noqa: F401 - registers its checks
from sparkctl.checks import profiles as _profiles  # noqa: F401 - registers its checks
from sparkctl.checks import rails as _rails  # noqa: F401 - registers its checks
from sparkctl.checks import uniform as _uniform  # noqa: F401 - registers its checks
from sparkctl.checks.base import CHECKS, STAGES, View, judge, words

__all__ = ["CHECKS", "STAGES", "View", "judge", "words"]
