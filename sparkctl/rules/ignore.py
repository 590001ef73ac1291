"""INV011 and the comments it is about: `# sparkctl: ignore TOP011 (reason)` silences a warning of its own line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sparkctl.inventory.words import nearest, quoted
from sparkctl.outcome import Finding, Location, Severity
from sparkctl.rule import MOST, declare
from sparkctl.rules import rules

declare(
    "INV011", "info", "an ignore comment that silences nothing", "an ignore that outlives its reason hides the next one"
)

_COMMENT = re.compile(r"(?:^|(?<=\s))#\s*sparkctl:\s*(?P<order>.*)$")
_ORDER = re.compile(r"ignore\s+(?P<ids>\w+(?:\s*,\s*\w+)*)\s*\(\s*(?P<reason>[^\s)].*)\)\s*")
_FORM = "write `# sparkctl: ignore TOP011 (why this is right here)`"


@dataclass(frozen=True)
class _Comment:
    """One comment that speaks to sparkctl; `ids` is empty when it cannot be obeyed."""

    place: Location
    ids: tuple[str, ...]


def without_ignored(findings: Iterable[Finding], content: bytes, path: str, *, complete: bool) -> tuple[Finding, ...]:
    """The findings that no comment on their line silences, and those about the comments themselves.

    `complete` says that every rule has judged: only then is it certain that a comment silences nothing.
    """
    before = tuple(findings)
    comments = tuple(_comments(content, path))
    orders = {(c.place.line, id) for c in comments for id in c.ids}
    kept = tuple(f for f in before if f.severity == "error" or (f.location.line, f.id) not in orders)
    hits: dict[tuple[int, str], Severity] = {}
    for finding in sorted(before, key=lambda f: f.severity == "error"):  # of two on one line the error counts
        hits[finding.location.line, finding.id] = finding.severity
    about = (_complaint(comment, hits, complete) for comment in comments)
    return kept + tuple(finding for finding in about if finding is not None)[:MOST]


def _comments(content: bytes, path: str) -> Iterator[_Comment]:
    text = content.decode("utf-8-sig", "replace")
    for number, line in enumerate(text.split("\n") if "sparkctl:" in text else (), start=1):
        found = _COMMENT.search(line)
        if found and nearest(found["order"].partition(" ")[0], ["ignore"]):
            order = _ORDER.fullmatch(found["order"])
            ids = tuple(re.split(r"\s*,\s*", order["ids"])) if order else ()
            yield _Comment(Location(path, number, found.start() + 1), ids)


def _complaint(comment: _Comment, hits: Mapping[tuple[int, str], Severity], complete: bool) -> Finding | None:
    """What is wrong with a comment; the first thing of several."""
    if not comment.ids:
        return _finding(comment, "an ignore comment needs the id of a rule and, in brackets, a reason", _FORM)
    known = [rule.id for rule in rules()]
    for id in comment.ids:
        if id not in known:
            guess = nearest(id, known)
            remedy = f"did you mean {guess}?" if guess else "`sparkctl explain` lists all rules"
            return _finding(comment, f"{quoted(id)} is not the id of a rule", remedy)
        if hits.get((comment.place.line, id)) == "error":
            return _finding(comment, f"{id} is an error here, and errors cannot be ignored", "fix it")
    idle = [id for id in comment.ids if (comment.place.line, id) not in hits]
    if not idle or not complete:
        return None
    said = f"the `ignore {', '.join(idle)}` comment here has no effect"
    return _finding(comment, said, "remove it, or move it to the line of the finding")


def _finding(comment: _Comment, message: str, remedy: str) -> Finding:
    return Finding("INV011", "info", "comment", comment.place, message, remedy)
