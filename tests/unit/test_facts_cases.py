"""Every folder below tests/cases/facts/FACT is what a node said (input.txt) and what is made of it (expected.txt)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from pprint import pformat
from typing import Any

import pytest

from sparkctl.facts import baseline, files, foreign, links, listeners, owners, pings, record, routes, system, units
from sparkctl.facts.base import parsed
from sparkctl.facts.survey import PARSERS as SURVEYED
from sparkctl.loadtest import perftest_output
from sparkctl.outcome import Known, Unknown

CASES = Path(__file__).parents[1] / "cases" / "facts"
PARSERS: dict[str, Callable[[str], Any]] = {
    **SURVEYED,
    "baseline": baseline.parse,
    "container": units.parse_container,
    "file": files.parse,
    "foreign": foreign.parse,
    "journal": record.parse_journal,
    "links": links.parse,
    "listeners": listeners.parse,
    "lock": record.parse_lock,
    "netplan-files": foreign.parse_files,
    "perftest-report": perftest_output.parse,
    "owners": owners.parse,
    "pings": pings.parse,
    "rdma": system.parse_rdma,
    "record": record.parse,
    "routes": routes.parse,
    "run": record.parse_run,
    "system": system.parse,
    "tools": system.parse_tools,
    "unit": units.parse_unit,
}
ELSEWHERE = {"gathered"}  # not of the batch: test_gathered
INPUTS = sorted(path for path in CASES.glob("*/*/input.txt") if path.parents[1].name not in ELSEWHERE)
NEVER_UNKNOWN = ("tools",)  # a list of words: any text is an answer


def said(path: Path) -> str:
    """As a batch brings it: bytes that are no UTF-8 are replaced."""
    return path.read_bytes().decode("utf-8", "replace")


def shown(path: Path) -> str:
    """The value; of what cannot be read that it is unknown: reasons are Python's own words and change with it."""
    fact = parsed(Known(said(path)), PARSERS[path.parents[1].name])
    unread = f"unread: {len(fact.unread)}\n" if isinstance(fact, Known) and fact.unread else ""
    return f"{pformat(fact.value, width=110)}\n{unread}" if isinstance(fact, Known) else f"{type(fact).__name__}\n"


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: "-".join(path.parts[-3:-1]))
def test_a_case(path: Path, golden: Callable[[Path, str], None]) -> None:
    golden(path.with_name("expected.txt"), shown(path))


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: "-".join(path.parts[-3:-1]))
def test_a_reason_is_one_printable_line(path: Path) -> None:
    fact = parsed(Known(said(path)), PARSERS[path.parents[1].name])
    assert isinstance(fact, Known) or (
        isinstance(fact, Unknown) and fact.reason.isprintable() and len(fact.reason) < 400
    )


@pytest.mark.parametrize("fact", PARSERS)
def test_every_fact_has_good_bad_cut_off_foreign_and_hostile_cases(fact: str) -> None:
    cases = {path.name: shown(path / "input.txt") for path in (CASES / fact).iterdir()}
    results = {expected == "Unknown\n" for expected in cases.values()}
    assert results == ({False} if fact in NEVER_UNKNOWN else {True, False}), "one that can be read and one that cannot"
    kinds = {"truncated", "foreign-locale", "hostile"}
    assert {kind for kind in kinds if any(name.startswith(kind) for name in cases)} == kinds


def test_no_case_is_left_without_a_parser_or_an_input() -> None:
    assert {path.name for path in CASES.iterdir()} == set(PARSERS) | ELSEWHERE
    folders = {path for path in CASES.glob("*/*") if path.parent.name not in ELSEWHERE}
    assert {path.parent for path in INPUTS} == folders


NEWLINE = "\n"


def lines(row: str) -> Callable[[str], str]:
    return lambda text: f"{text.rstrip(NEWLINE)}{NEWLINE}{row}{NEWLINE}"


def entries(row: object) -> Callable[[str], str]:
    return lambda text: json.dumps([*json.loads(text), row])


ODD: dict[str, Callable[[str], str]] = {
    **dict.fromkeys(("ethernet", "gids", "counters", "rdma", "pings", "gpus", "space", "hellos"), lines("odd")),
    "profiles": lambda text: f"{text.rstrip()}\n\nodd\n",
    "links": entries({"ifname": "usb0"}),
    "routes": entries({"dst": "odd"}),
    "ways": lambda text: text + json.dumps([{"dev": "usb0"}]),
}


@pytest.mark.parametrize("fact", ODD)
def test_one_row_that_cannot_be_read_costs_no_other(fact: str) -> None:
    good = [text for path in (CASES / fact).glob("*/input.txt") if (known := read(fact, text := said(path))).value and not known.unread]
    assert good
    for text in good:
        found = read(fact, ODD[fact](text))
        assert found.value == read(fact, text).value and len(found.unread) == 1, text
        assert found.unread[0].isprintable() and len(found.unread[0]) < 400


def read(fact: str, text: str) -> Known[Any]:
    """Known, or nothing that can be compared."""
    found = parsed(Known(text), PARSERS[fact])
    return found if isinstance(found, Known) else Known(None, ("unknown",))
