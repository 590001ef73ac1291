"""The environment of a rank for people: value, source, and what was overridden."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sparkctl.inventory.words import visible
from sparkctl.render.effective import Effective

_WIDEST = 60  # characters of a value in line with the others; a longer one pushes its source aside
UNSEEN = """not seen from here: variables of an image, where the name is none of these, and /etc/nccl.conf;
`sparkctl cluster verify` reads them (nccl-settings)"""
"""What only a node can say."""


def lines(found: Iterable[Effective]) -> Iterator[str]:
    """One line for each variable."""
    rows = [(each.name, visible(each.said.value), _source(each)) for each in found]
    name = max((len(row[0]) for row in rows), default=0)
    value = min(_WIDEST, max((len(row[1]) for row in rows), default=0))
    yield from (f"{row[0]:<{name}}  {row[1]:<{value}}  {row[2]}" for row in rows)


def _source(found: Effective) -> str:
    before = ", ".join(f"{visible(said.value)} of {said.source}" for said in reversed(found.overridden))
    return f"{found.said.source} (instead of {before})" if before else found.said.source
