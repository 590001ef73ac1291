"""Whatever a node says, the checks judge: no traceback, nothing that a terminal obeys, nothing without bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkctl.checks import judge
from sparkctl.checks.base import LONGEST
from tests.unit.healthy import healthy

HOSTILE = (
    *("", "\x1b[2J\x1b]0;owned\x07", "\u202egpj.exe", "a\nb", "$(reboot)", "; rm -rf /", "'\"`", "10.20.0.12/99"),
    *("169.254.1.1/16", "fe80::1/64", "0.0.0.0/0", "x" * 100_000, "\udcff", "spark-1", "enp1s0f1np1", "RoCE v2", "-1"),
)
NUMBERS = (0, 1, -1, 2**63, 10**30)


def scrambled(value: Any, dice: Random, share: float) -> Any:
    """`value` with a share of all its texts and numbers replaced, its shape kept."""
    if is_dataclass(value) and not isinstance(value, type):
        made = {f.name: scrambled(getattr(value, f.name), dice, share) for f in fields(value) if f.init}
        return replace(value, **made)  # type: ignore[type-var]
    if isinstance(value, Mapping):
        return {key: scrambled(item, dice, share) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(scrambled(item, dice, share) for item in value)
    if dice.random() >= share or isinstance(value, bool) or value is None:
        return value
    if isinstance(value, str):
        return dice.choice(HOSTILE)
    return dice.choice(NUMBERS) if isinstance(value, int | float) else value


@pytest.mark.parametrize("inventory", ["dual", "mesh-3"])
@given(seed=st.integers(0, 2**64), share=st.sampled_from((0.01, 0.1, 1.0)))
def test_nothing_that_a_node_says_breaks_a_check(inventory: str, seed: int, share: float) -> None:
    dice = Random(seed)
    start = healthy(inventory)
    node = dice.choice(sorted(start.facts))
    said = start.facts[node]
    facts = replace(
        said, **{f.name: scrambled(getattr(said, f.name), dice, share) for f in fields(said) if _read(f.name)}
    )
    for verdict in judge(replace(start, facts={**start.facts, node: facts})):
        texts = (verdict.where, verdict.message, verdict.measured, verdict.remedy)
        assert all(text.isprintable() and len(text) <= LONGEST * 12 for text in texts), verdict.id


def _read(name: str) -> bool:
    """The record is parsed strictly, by its own model."""
    return name not in ("node", "record")
