"""What is to become of a run that died: finished where it was confirmed everywhere, undone otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from sparkctl.errors import Refused
from sparkctl.facts.record import ROOT, Entry, RunHeader, RunState
from sparkctl.facts.snapshot import NodeFacts
from sparkctl.inventory.words import quoted
from sparkctl.outcome import Absent, Known, Unknown

BY_HAND = f"sudo sh {ROOT}/run/revert.sh controller"
Direction = Literal["finish", "undo"]


@dataclass(frozen=True)
class Recovery:
    """One dead run: which way it goes, why, and the nodes that it left something on. `header` None: it changed none.

    `fingerprints`: what those nodes were before the run.
    """

    direction: Direction
    reason: str
    nodes: tuple[str, ...]
    header: RunHeader | None
    fingerprints: Mapping[str, str]

    @property
    def recorded(self) -> bool:
        """Whether the nodes keep a record at its end."""
        return self.header is not None and self.header.action != "down"


def recovery(cluster: str, facts: Mapping[str, NodeFacts], silent: tuple[str, ...] = ()) -> Recovery | None:
    """The way on for the run that died on these nodes; None when there is none. `silent`: nodes that do not answer.

    Refused when what the nodes say cannot be trusted or does not fit together: nothing is guessed.
    """
    found = list(_distrust(cluster, facts))
    if found:
        raise Refused("nothing was changed, because\n  " + "\n  ".join(found), f"look at the node; by hand: {BY_HAND}")
    left = {node: known.run.value for node, known in facts.items() if isinstance(known.run, Known)}
    if not left:
        return _only_locked(facts)
    headers = {state.header.run: state.header for state in left.values() if state.header}
    if len(headers) > 1:
        runs = ", ".join(f"{node}: run {s.header.run}" for node, s in left.items() if s.header)
        raise Refused(f"the remains of more than one run: {runs}", f"on each of these nodes: {BY_HAND}")
    header = next(iter(headers.values()), None)
    direction, reason = _direction(left, header, facts, silent)
    prints = {node: state.header.fingerprint for node, state in left.items() if state.header}
    return Recovery(direction, reason, tuple(left), header, prints)


def _only_locked(facts: Mapping[str, NodeFacts]) -> Recovery | None:
    """A controller that died early leaves locks, whose leases end, and whose files stay."""
    locked = tuple(node for node, known in facts.items() if not isinstance(known.lock, Absent))
    return Recovery("undo", "it held the lock and had changed nothing yet", locked, None, {}) if locked else None


def _distrust(cluster: str, facts: Mapping[str, NodeFacts]) -> Iterator[str]:
    for node, known in facts.items():
        if isinstance(known.run, Unknown):
            yield f"{node}: {ROOT}/run is corrupt or of another version: {known.run.reason}"
        if isinstance(known.record, Unknown):
            yield f"{node}: {ROOT}/record.json is corrupt or of another version: {known.record.reason}"
        if isinstance(known.run, Known):
            yield from (f"{node}: {reason}" for reason in _doubts(cluster, known.run.value, known))


def _doubts(cluster: str, run: RunState, facts: NodeFacts) -> Iterator[str]:
    """Why the book of this run cannot be believed. A run that had no state yet had no book either."""
    header, journal = run.header, facts.journal
    if run.state == "begun":
        return
    if header is None:
        yield f"{ROOT}/run/run.json is missing"
    elif header.cluster != cluster:
        yield f"the run there belongs to cluster {quoted(header.cluster)}, not {quoted(cluster)}"
    elif isinstance(journal, Absent):
        yield f"{ROOT}/journal is missing"
    elif isinstance(journal, Unknown):
        yield f"{ROOT}/journal is corrupt or of another version: {journal.reason}"
    else:
        yield from _contradictions(run, header, journal.value)


def _contradictions(run: RunState, header: RunHeader, entries: tuple[Entry, ...]) -> Iterator[str]:
    """The journal is written before each act, so whatever the state shows must be in it."""
    said = {entry.state for entry in entries}
    others = {entry.run for entry in entries} - {header.run}
    if others:
        yield f"{ROOT}/journal is of another run ({', '.join(sorted(others))}, not {header.run})"
    elif run.state == "confirmed" and "confirmed" not in said:
        yield f"{ROOT}/journal is truncated: the run is confirmed, and the journal does not say so"
    elif run.stages and "started" not in said:
        yield f"{ROOT}/journal is truncated: stage {run.stages[0]} was begun, and the journal does not say so"
    elif "intended" not in said:
        yield f"{ROOT}/journal is truncated: it does not begin with the intention"


def _direction(
    left: Mapping[str, RunState], header: RunHeader | None, facts: Mapping[str, NodeFacts], silent: tuple[str, ...]
) -> tuple[Direction, str]:
    if header is None:
        return "undo", "it had changed nothing yet"
    unconfirmed = [node for node, state in left.items() if state.state != "confirmed"]
    if unconfirmed:
        return "undo", f"{', '.join(unconfirmed)} had not confirmed it"
    strangers = [node for node in header.nodes if node not in facts and node not in silent]
    if strangers:
        raise Refused(
            f"run {header.run} also changed {', '.join(strangers)}, which this inventory does not name",
            "use the inventory that it was run with",
        )
    others = [node for node in header.nodes if node not in left]
    done = [node for node in others if node in facts and _finished(header, facts[node])]
    if done:
        return "finish", f"every node had confirmed it, and {', '.join(done)} had finished"
    undone = [node for node in others if node in facts]
    if undone:
        return "undo", f"{', '.join(undone)} had put itself back"
    if others:
        return "undo", f"{', '.join(others)} does not answer, so nobody knows whether it had confirmed"
    return "finish", "every node had confirmed it"


def _finished(header: RunHeader, facts: NodeFacts) -> bool:
    """A node without remains of the run: finished, or put back by itself?"""
    if header.action == "down":
        return isinstance(facts.record, Absent)
    return isinstance(facts.record, Known) and facts.record.value.run == header.run
