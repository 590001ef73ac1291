"""What the ranks of an all-gather reported, put together: one value, or why there is none."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sparkctl.facts.base import number
from sparkctl.inventory.words import visible
from sparkctl.loadtest.results import Gathered
from sparkctl.outcome import Fact, Failed, Known, Ok, Result, Unknown

MOST_STEPS = 16
LONGEST = 400
"""Characters of a reason: some ranks' errors quote a page of C++."""


@dataclass(frozen=True)
class Report:
    """One rank's line; `failed` is empty when it measured."""

    failed: str
    gathered: Gathered | None


def parse(stdout: str) -> Report:
    """The last line that is an object; ValueError, KeyError or TypeError when it is no report."""
    lines = [line for line in stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise ValueError("no report")
    fields = json.loads(lines[-1])
    if "failed" in fields:
        return Report(_reason([fields["failed"], *fields.get("said", [])]), None)
    return Report("", _gathered(fields))


def _reason(said: list[object]) -> str:
    return visible("; ".join(map(str, said)))[:LONGEST]


def _gathered(fields: Mapping[str, Any]) -> Gathered:
    steps = tuple((int(size), float(bus)) for size, bus in fields["sweep"][:MOST_STEPS])
    if not steps or not all(0 < size < 2**63 and math.isfinite(bus) and bus >= 0 for size, bus in steps):
        raise ValueError("no sizes that could be measured")
    size, bus = steps[-1]
    names = tuple(visible(str(name))[:64] for name in fields["devices"][:64])
    backend, version, network = (visible(str(fields[name]))[:64] for name in ("backend", "version", "network"))
    return Gathered(backend, version, number(str(fields["ranks"])), size, bus, network, steps, names)


def together(results: Mapping[str, Result]) -> Fact[Gathered]:
    """All ranks as one; Unknown names every rank that did not report, those first that have a reason of their own."""
    reports = {node: _report(result) for node, result in results.items()}
    failed = {node: report.failed for node, report in reports.items() if report.failed}
    if failed:
        chosen = sorted(failed.items(), key=lambda item: _waited(item[1]))
        return Unknown("; ".join(f"{node}: {reason}" for node, reason in chosen))
    return _agreed([report.gathered for report in reports.values() if report.gathered])


def _waited(reason: str) -> bool:
    """Whether a rank only says that others did not come."""
    said = reason.lower()
    return any(
        word in said for word in ("timeout", "timed out", "connection reset", "connection closed", "another rank")
    )


def _report(result: Result) -> Report:
    if not isinstance(result, Ok | Failed):
        return Report(visible(result.reason)[:LONGEST] or "no answer", None)
    try:
        return parse(result.stdout)
    except Exception as error:
        reason = result.reason if isinstance(result, Failed) else f"unreadable report: {error}"
        return Report(visible(reason)[:LONGEST], None)


def _agreed(ranks: list[Gathered]) -> Fact[Gathered]:
    """The slowest figure; a rank that says sockets speaks for all, and versions that differ are all named."""
    if not ranks:
        return Unknown("no rank reported")
    if len({(one.backend, one.ranks, one.size) for one in ranks}) > 1:
        return Unknown("the ranks did not measure the same: " + ", ".join(f"{r.backend} {r.ranks}" for r in ranks))
    slowest = min(ranks, key=lambda one: one.bus)
    version = " and ".join(sorted({one.version for one in ranks}))
    network = max((one.network for one in ranks), key=lambda name: (name == "NET/Socket", name))
    fewest = min((one.devices for one in ranks), key=len)
    return Known(replace(slowest, version=version, network=network, devices=fewest))
