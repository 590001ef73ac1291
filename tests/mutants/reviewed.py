"""The mutants that no test can kill, each with the reason that somebody has looked at: `reviewed.toml`.

Its tables are files and functions, a key is what comes after the function in a mutant's name, a value is `KIND: sentence`.
`open.txt` has the names of those that a test is still missing for: a debt, for which `make mutants` fails.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.mutant import Mutant

FILE, OPEN = (Path(__file__).with_name(name) for name in ("reviewed.toml", "open.txt"))
KINDS = ("equivalent", "words", "lab", "open")
"""Nothing can tell it apart; only words for people differ; a named test of tests/lab kills it; of `open.txt`."""
MOST = 0.10


@dataclass(frozen=True)
class Review:
    """Why a mutant lives."""

    kind: str
    reason: str


DEBT = Review("open", "a test is missing")


def reviews() -> dict[str, Review]:
    """By the names of mutants."""
    read = tomllib.loads(FILE.read_text()) if FILE.exists() else {}
    found = dict.fromkeys(OPEN.read_text().splitlines(), DEBT) if OPEN.exists() else {}
    for file, functions in read.items():
        for function, rows in functions.items():
            for said, text in rows.items():
                kind, _, reason = text.partition(": ")
                found[f"{file} {function}: {said}"] = Review(kind, reason)
    return found


def wrong(mutants: Sequence[Mutant], known: dict[str, Review]) -> list[str]:
    """What is not right with the list: names of none, kinds and reasons that are none, too many, and where none may be."""
    by_name = {m.name: m for m in mutants}
    faults = [f"no such mutant: {name}" for name in known if name not in by_name]
    faults += [f"no reason: {name}" for name, review in known.items() if review.kind not in KINDS or not review.reason]
    told = [name for name, review in known.items() if review.kind != "open"]
    if len(told) > MOST * len(mutants):
        faults.append(f"{len(told)} reasons are more than {MOST:.0%} of {len(mutants)} mutants")
    faults += [f"a refusal has no reason to live: {name}" for name in told if name in by_name and by_name[name].refusal]
    return faults
