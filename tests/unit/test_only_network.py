"""After `up --only network` the record says that no engine was brought up: none is judged, and all else is."""

from __future__ import annotations

from dataclasses import replace

from sparkctl.execute.verify import only_network
from sparkctl.facts.snapshot import NodeFacts
from sparkctl.outcome import Absent, Known, Unknown
from tests.unit.healthy import healthy

FULL = healthy("dual").facts


def fabric_alone(facts: NodeFacts) -> NodeFacts:
    """The same node, with the files of the network stage on record."""
    assert isinstance(facts.record, Known)
    files = {path: file for path, file in facts.record.value.files.items() if file.stage == "network"}
    assert files and len(files) < len(facts.record.value.files)
    return replace(facts, record=Known(facts.record.value.model_copy(update={"files": files})))


PART = {node: fabric_alone(facts) for node, facts in FULL.items()}
FIRST, SECOND = PART


def test_the_record_of_every_node_that_answers_counts() -> None:
    assert only_network(PART) and not only_network(FULL)
    assert not only_network({**PART, SECOND: FULL[SECOND]}), "one node has the engine"
    for record in (Absent("none"), Unknown("cut off")):
        odd = {**PART, SECOND: replace(PART[SECOND], record=record)}
        assert not only_network(odd) and only_network(odd, {SECOND})
    assert not only_network({}) and not only_network(PART, {FIRST, SECOND})


def test_a_unit_or_an_empty_record_is_no_network_alone() -> None:
    record = PART[FIRST].record
    assert isinstance(record, Known)
    for change in ({"unit": "sparkctl-engine.service"}, {"files": {}}):
        odd = replace(PART[FIRST], record=Known(record.value.model_copy(update=change)))
        assert not only_network({**PART, FIRST: odd})
