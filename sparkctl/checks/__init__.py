"""Verdicts about a running cluster: pure functions of the inventory, the fabric and the facts."""

from sparkctl.checks import engine as _engine  # noqa: F401 - registers its checks
from sparkctl.checks import gather as _gather  # noqa: F401 - registers its checks
from sparkctl.checks import rails as _rails  # noqa: F401 - registers its checks
from sparkctl.checks.base import CHECKS, STAGES, View, judge, words

__all__ = ["CHECKS", "STAGES", "View", "judge", "words"]
