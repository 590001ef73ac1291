"""The rules: one file per family, each rule registered under its id."""

from __future__ import annotations

from sparkctl.rule import Rule, rules
from sparkctl.rules import adr, circle, eng, inv, mem, mgt, mtu, ncl, par, sec, swt, top

__all__ = ["Rule", "adr", "circle", "eng", "inv", "mem", "mgt", "mtu", "ncl", "par", "rules", "sec", "swt", "top"]
