"""The rules: one file per family, each rule registered under its id; and those that each engine has for itself."""

from __future__ import annotations

from sparkctl.engines import ENGINES
from sparkctl.rule import Rule, shared
from sparkctl.rules import adr, circle, eng, inv, mem, mgt, mtu, ncl, par, sec, swt, top

__all__ = ["Rule", "adr", "circle", "eng", "inv", "mem", "mgt", "mtu", "ncl", "par", "rules", "sec", "swt", "top"]


def rules() -> tuple[Rule, ...]:
    """Every rule, by id; ValueError when two have one id."""
    every = [*shared(), *(rule for engine in ENGINES.values() for rule in engine.rules())]
    by_id = {rule.id: rule for rule in every}
    if len(by_id) < len(every):
        raise ValueError("two rules have one id")
    return tuple(by_id[id] for id in sorted(by_id))
