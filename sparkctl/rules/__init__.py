"""The rules, and `study`: one inventory file to its Cluster, its Fabric and every finding."""

from __future__ import annotations

from sparkctl.rules import adr, circle, eng, inv, mem, mgt, mtu, ncl, par, sec, swt, top
from sparkctl.rules.base import Rule, rules
from sparkctl.rules.study import Study, study, study_text

__all__ = [
    "Rule",
    "Study",
    "adr",
    "circle",
    "eng",
    "inv",
    "mem",
    "mgt",
    "mtu",
    "ncl",
    "par",
    "rules",
    "sec",
    "study",
    "study_text",
    "swt",
    "top",
]
