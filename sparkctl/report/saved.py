"""The files of `verify --save`: the report in two forms, the inventory, and what every node said, without secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from sparkctl.facts.base import answers
from sparkctl.outcome import Known
from sparkctl.report.html import page
from sparkctl.report.proof import Proof, document
from sparkctl.report.redact import redacted

VERDICTS = "verdicts.json"
PAGE = "report.html"
INVENTORY = "inventory.yaml"
RAW = "raw"
MOST_BYTES = 4 * 2**20
"""Characters of one answer: what is longer is cut; 64 KiB is the longest file that a probe reads."""
_ODD = re.compile(r"[^A-Za-z0-9._=-]+")


def files(proof: Proof, raw: Mapping[str, str], inventory: str, secrets: Iterable[str] = ()) -> dict[str, str]:
    """Content by path below the folder; secrets are taken out of every one of them."""
    known = tuple(secrets)
    written = {VERDICTS: json.dumps(document(proof), indent=1, sort_keys=True) + "\n", PAGE: page(proof)}
    clean = {INVENTORY: redacted(inventory, known)}
    for node, said in raw.items():
        clean |= {f"{RAW}/{file_name(node)}/{name}": redacted(text, known) for name, text in _answers(said).items()}
    return {path: _without(text, known) for path, text in written.items()} | clean


def _without(text: str, known: Iterable[str]) -> str:
    """A report is made of verdicts, which quote no file: only what is known to be secret could be in it."""
    for secret in known:
        text = text.replace(secret.strip(), "[redacted]") if len(secret.strip()) > 3 else text
    return text


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
