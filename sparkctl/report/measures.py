"""What was measured under load as rows, for the JSON, for the page and to compare with another day."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from sparkctl.loadtest.results import Gathered, Load, Measure, Trial
from sparkctl.outcome import Fact, Known, RailEnd

BETTER = {"bandwidth": "more", "both rails": "more", "both ways": "more", "all-gather": "more", "latency": "less"}
"""Which way is up, by the kind of test."""


@dataclass(frozen=True)
class Row:
    """One number; `value` None: there is none, and `note` says why. A lane beside the other rail is `beside`, one
    against the other way of its own rail `each way`.

    `ends`: the client's and the server's, of one lane.
    """

    test: str
    where: str
    value: float | None
    unit: str
    note: str = ""
    ends: tuple[RailEnd, ...] = ()


def rows(load: Load | None) -> tuple[Row, ...]:
    """Every measurement in the order of its test."""
    if load is None:
        return ()
    found = [row for trial, facts in load.measured.items() for row in _trial(trial, facts)]
    found += [_gathered(load.gathered)] if load.gathered is not None else []
    order = ("bandwidth", "beside", "both rails", "each way", "both ways", "latency", "all-gather")
    return tuple(sorted(found, key=lambda row: order.index(row.test)))


def as_values(load: Load | None) -> list[dict[str, object]] | None:
    """For `--json`; None: nothing was measured."""
    return None if load is None else [{**asdict(row), "ends": list(map(str, row.ends))} for row in rows(load)]


def _trial(trial: Trial, facts: Sequence[Fact[Measure]]) -> Iterator[Row]:
    unit = "Gb/s" if trial.tool == "bandwidth" else "us"
    test = {"rails": "beside", "ways": "each way"}.get(trial.kind, trial.tool)
    values = []
    for lane, fact in zip(trial.lanes, facts, strict=False):
        values.append(_value(fact))
        yield Row(test, str(lane), values[-1], unit, _note(fact), lane.ends)
    if trial.kind != "alone":
        known = [value for value in values if value is not None]
        whole = round(sum(known), 3) if len(known) == len(trial.lanes) else None
        rails = trial.kind == "rails"
        where = str(trial.lanes[0]).rpartition(" rail ")[0] if rails else trial.both_ways
        missing = f"a {'rail' if rails else 'way'} was not measured" if whole is None else ""
        yield Row(f"both {trial.kind}", where, whole, unit, missing)


def _value(fact: Fact[Measure]) -> float | None:
    if not isinstance(fact, Known):
        return None
    return fact.value.gbits if fact.value.tool == "bandwidth" else fact.value.microseconds


def _note(fact: Fact[Measure]) -> str:
    if not isinstance(fact, Known):
        return fact.reason
    said = {"GID": fact.value.gid_index, "MTU": fact.value.mtu, "iterations": fact.value.iterations}
    return ", ".join(f"{name} {number}" for name, number in said.items() if number is not None)


def _gathered(fact: Fact[Gathered]) -> Row:
    if not isinstance(fact, Known):
        return Row("all-gather", "all ranks", None, "GB/s", fact.reason)
    one = fact.value
    said = (f"{one.backend} {one.version}", f"{one.size / 2**20:.0f} MiB", one.network)
    return Row("all-gather", f"{one.ranks} ranks", one.bus, "GB/s", ", ".join(filter(None, said)))
