"""The files of `verify --save`: the report in two forms, the inventory, and what every node said, without secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar

from sparkctl.facts.base import answers
from sparkctl.loadtest.results import Load
from sparkctl.outcome import Fact, Known, Verdict
from sparkctl.report.compare import Difference, Turn
from sparkctl.report.html import page
from sparkctl.report.redact import redacted, unknowing
from sparkctl.report.verification import Proof, document

VERDICTS = "verdicts.json"
PAGE = "report.html"
INVENTORY = "inventory.yaml"
RAW = "raw"
MOST_BYTES = 4 * 2**20
"""Characters of one answer: what is longer is cut; 64 KiB is the longest file that a probe reads."""
Clean: TypeAlias = Callable[[str], str]
Said = TypeVar("Said", Verdict, Turn, Difference)
Value = TypeVar("Value")
_ODD = re.compile(r"[^A-Za-z0-9._=-]+")


def files(proof: Proof, raw: Mapping[str, str], inventory: str, secrets: Iterable[str] = ()) -> dict[str, str]:
    """Content by path below the folder; secrets are taken out of every one of them."""
    known = tuple(secrets)
    clean = _without(proof, lambda text: unknowing(text, known))
    written = {VERDICTS: json.dumps(document(clean), indent=1, sort_keys=True) + "\n", PAGE: page(clean)}
    written[INVENTORY] = redacted(inventory, known)
    for node, said in raw.items():
        written |= {f"{RAW}/{file_name(node)}/{name}": redacted(text, known) for name, text in _answers(said).items()}
    return written


def _without(proof: Proof, clean: Clean) -> Proof:
    """Verdicts quote no file: what is known to be secret could be in their words; states, ids and keys are ours."""
    verdicts = tuple(_each(v, clean, "message", "measured", "expected", "remedy") for v in proof.verdicts)
    since = proof.since and replace(
        proof.since,
        turns=tuple(_each(turn, clean, "said") for turn in proof.since.turns),
        moves=tuple(_each(move, clean, "before", "after") for move in proof.since.moves),
    )
    return replace(proof, verdicts=verdicts, since=since, load=proof.load and _measured(proof.load, clean))


def _each(said: Said, clean: Clean, *names: str) -> Said:
    cleaned: dict[str, Any] = {name: clean(getattr(said, name)) for name in names}
    return replace(said, **cleaned)


def _measured(load: Load, clean: Clean) -> Load:
    """Why a test gave no number may be in a node's own words."""

    def reasoned(fact: Fact[Value]) -> Fact[Value]:
        return fact if isinstance(fact, Known) else replace(fact, reason=clean(fact.reason))

    measured = {trial: tuple(map(reasoned, facts)) for trial, facts in load.measured.items()}
    return replace(load, measured=measured, gathered=load.gathered and reasoned(load.gathered))


def _answers(said: str) -> dict[str, str]:
    """The answer to each probe by a name for its file; why there is none where there is none; or all as it came."""
    found = answers(said)
    if not found:
        return {"answer.txt": said[:MOST_BYTES]}
    named: dict[str, str] = {}
    for probe, fact in found.items():
        name, number = f"{file_name(probe)}.txt", 2
        while name in named:
            name, number = f"{file_name(probe)}-{number}.txt", number + 1
        named[name] = fact.value[:MOST_BYTES] if isinstance(fact, Known) else f"({fact.reason})\n"
    return named


def file_name(text: str) -> str:
    """`text` as a name of one file: no slashes, nothing hidden."""
    return _ODD.sub("_", text)[:120].lstrip(".") or "_"
