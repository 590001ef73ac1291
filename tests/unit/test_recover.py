"""Which way a dead run goes, and every book that cannot be believed stops it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from sparkctl.errors import Refused
from sparkctl.facts.base import parsed
from sparkctl.facts.record import Record, RunHeader, RunState, parse_journal, parse_lock, parse_run
from sparkctl.facts.snapshot import NodeFacts, Questions, snapshot
from sparkctl.outcome import Absent, Fact, Known, Unknown
from sparkctl.plan.recovery import recovery

RUN = "abcd1234"
NODES = ("spark-1", "spark-2")
STATES = ("intended", "armed", "started", "done", "confirmed")
JOURNAL = "".join(
    json.dumps({"version": 1, "run": RUN, "state": state, "step": "network"}, separators=(",", ":")) + "\n" for state in STATES
)
EMPTY = snapshot("spark-1", Questions((), (), (), "/etc/netplan/95-sparkctl.yaml"), "")


def header(action: str = "up", cluster: str = "dual") -> RunHeader:
    return RunHeader(run=RUN, action=action, cluster=cluster, owner="me@here", nodes=NODES, fingerprint="f")


def node(state: str | None, *, journal: str = JOURNAL, stages: str = "network", head: RunHeader | None = None, record: Fact[Record] | None = None) -> NodeFacts:
    """A node with the remains of a run in `state`; None: with none."""
    text = f"{state} {stages}\n{(head or header()).model_dump_json()}\n"
    run = Absent() if state is None else parsed(Known(text), parse_run)
    return replace(EMPTY, run=run, record=record or Absent(), lock=Absent(), journal=parsed(Known(journal), parse_journal))


def finished(run: str = RUN) -> NodeFacts:
    return node(None, record=Known(Record(cluster="dual", run=run)))


def way(**facts: NodeFacts) -> str | None:
    found = recovery("dual", {name.replace("_", "-"): known for name, known in facts.items()})
    return found and found.direction


def lines(*states: str) -> str:
    """A journal with entries of these states."""
    return "".join(line + "\n" for line in JOURNAL.splitlines() if json.loads(line)["state"] in states)


WAYS: tuple[tuple[dict[str, NodeFacts], str, str], ...] = (
    ({"spark-1": node("confirmed"), "spark-2": node("confirmed")}, "finish", "every node had confirmed it"),
    ({"spark-1": node("confirmed"), "spark-2": finished()}, "finish", "every node had confirmed it, and spark-2 had finished"),
    ({"spark-1": node("confirmed"), "spark-2": node("armed")}, "undo", "spark-2 had not confirmed it"),
    ({"spark-1": node("confirmed"), "spark-2": node(None)}, "undo", "spark-2 had put itself back"),
    ({"spark-1": replace(node("begun"), run=Known(RunState("begun", (), None)))}, "undo", "it had changed nothing yet"),
    ({"spark-1": replace(node(None), lock=Known(RUN))}, "undo", "it held the lock and had changed nothing yet"),
)


@pytest.mark.parametrize(("facts", "direction", "reason"), WAYS)
def test_each_way_says_why(facts: dict[str, NodeFacts], direction: str, reason: str) -> None:
    found = recovery("dual", facts)
    assert found is not None and (found.direction, found.reason) == (direction, reason)
    assert found.nodes == tuple(n for n, known in facts.items() if isinstance(known.run, Known) or isinstance(known.lock, Known))


@pytest.mark.parametrize(("action", "recorded"), [("up", True), ("reprovision", True), ("down", False)])
def test_a_record_stays_after_all_but_a_teardown(action: str, recorded: bool) -> None:
    found = recovery("dual", {"spark-1": node("armed", head=header(action))})
    assert found is not None and found.recorded is recorded and found.fingerprints == {"spark-1": "f"}
    begun = recovery("dual", {"spark-1": replace(node("begun"), run=Known(RunState("begun", (), None)))})
    assert begun is not None and not begun.recorded and begun.fingerprints == {}


@pytest.mark.parametrize(
    ("state", "stages", "journal", "doubt"),
    [
        ("armed", "", lines("intended", "armed"), ""),
        ("armed", "network", lines("intended", "armed", "started"), ""),
        ("armed", "network", lines("intended", "armed"), "stage network was begun"),
        ("reverting", "", lines("armed"), "it does not begin with the intention"),
        ("confirmed", "network", lines("intended", "armed", "started", "done"), "the run is confirmed"),
        ("confirmed", "network", lines("confirmed", "started"), "it does not begin with the intention"),
        ("armed", "", "", "it is empty"),
    ],
)
def test_what_a_node_shows_must_be_in_its_journal(state: str, stages: str, journal: str, doubt: str) -> None:
    facts = {"spark-1": node(state, stages=stages, journal=journal)}
    if not doubt:
        found = recovery("dual", facts)
        assert found is not None and found.direction == "undo"
        return
    with pytest.raises(Refused, match=doubt):
        recovery("dual", facts)


def test_a_journal_that_is_not_there_is_missing() -> None:
    with pytest.raises(Refused, match="spark-1: /var/lib/sparkctl/journal is missing"):
        way(spark_1=replace(node("armed"), journal=Absent()), spark_2=node(None))


def test_nothing_interrupted_is_nothing_to_recover() -> None:
    assert way(spark_1=node(None), spark_2=finished()) is None


@pytest.mark.parametrize("lock", ["boot 100 abcd1234 2026-01-01T00:00:00Z me@here\n", "", "boot 1"])
def test_a_lock_alone_is_taken_away(lock: str) -> None:
    """Also one that was cut off."""
    held = replace(node(None), lock=parsed(Known(lock), parse_lock))
    found = recovery("dual", {"spark-1": held, "spark-2": node(None)})
    assert found and (found.direction, found.nodes) == ("undo", ("spark-1",))


def test_confirmed_everywhere_is_finished() -> None:
    assert way(spark_1=node("confirmed"), spark_2=node("confirmed")) == "finish"


def test_confirmed_here_and_finished_there_is_finished() -> None:
    assert way(spark_1=node("confirmed"), spark_2=finished()) == "finish"
    down = header("down")
    assert way(spark_1=node("confirmed", head=down), spark_2=node(None)) == "finish"


@pytest.mark.parametrize("state", ["begun", "prepared", "armed", "reverting"])
def test_one_unconfirmed_node_undoes_all(state: str) -> None:
    assert way(spark_1=node("confirmed"), spark_2=node(state)) == "undo"


def test_confirmed_here_and_put_back_there_is_undone() -> None:
    assert way(spark_1=node("confirmed"), spark_2=node(None)) == "undo"
    assert way(spark_1=node("confirmed"), spark_2=finished("00000000")) == "undo"
    had = node(None, record=Known(Record(cluster="dual", run="00000000")))
    assert way(spark_1=node("confirmed", head=header("down")), spark_2=had) == "undo"


def test_a_silent_node_cannot_vouch_for_itself() -> None:
    found = recovery("dual", {"spark-1": node("confirmed")}, silent=("spark-2",))
    assert found is not None and found.direction == "undo" and "does not answer" in found.reason


def test_a_node_of_another_inventory_is_refused() -> None:
    with pytest.raises(Refused, match="spark-2, which this inventory does not name"):
        recovery("dual", {"spark-1": node("confirmed")})


def test_two_dead_runs_are_not_mixed() -> None:
    other = header().model_copy(update={"run": "99999999"})
    entries = JOURNAL.replace(RUN, "99999999")
    begun = replace(node("begun"), run=Known(RunState("begun", (), None)))
    with pytest.raises(Refused, match=r"more than one run: spark-1: run abcd1234, spark-2: run 99999999$"):
        way(spark_1=node("armed"), spark_2=node("armed", head=other, journal=entries), spark_3=begun)


@pytest.mark.parametrize("cut", range(len(JOURNAL)))
def test_a_journal_cut_anywhere_is_refused_or_undone(cut: int) -> None:
    """Never finished, never believed where it contradicts what the node shows."""
    text = JOURNAL[:cut]
    try:
        assert way(spark_1=node("armed", journal=text), spark_2=node("armed")) == "undo"
        assert text.endswith("\n") and '"started"' in text, "only a cut after whole entries looks like an earlier moment"
    except Refused as error:
        assert "spark-1" in error.message and "/var/lib/sparkctl/journal" in error.message
        assert "revert.sh" in error.remedy
    with pytest.raises(Refused):
        way(spark_1=node("confirmed", journal=text), spark_2=node("confirmed"))


@pytest.mark.parametrize(
    ("journal", "words"),
    [
        ("", "it is empty"),
        ("garbage\n", "line 1 is not an entry"),
        (JOURNAL.replace('"version":1', '"version":2'), "line 1 is not an entry"),
        (JOURNAL.replace(RUN, "feedbeef"), "of another run (feedbeef"),
        (JOURNAL + "\x00\x00\n", "line 6"),
        (JOURNAL.replace("armed", "levitated"), "line 2"),
    ],
)
def test_a_foreign_journal_is_refused(journal: str, words: str) -> None:
    with pytest.raises(Refused) as caught:
        way(spark_1=node("armed", journal=journal), spark_2=node("armed"))
    assert words in caught.value.message


def test_a_run_of_another_cluster_is_refused() -> None:
    with pytest.raises(Refused, match="belongs to cluster 'other'"):
        way(spark_1=node("armed", head=header(cluster="other")), spark_2=node(None))


def test_a_corrupt_header_or_record_is_refused() -> None:
    broken = replace(node("armed"), run=parsed(Known("armed network\n{half"), parse_run))
    assert isinstance(broken.run, Unknown)
    with pytest.raises(Refused, match=r"run is corrupt"):
        way(spark_1=broken, spark_2=node(None))
    with pytest.raises(Refused, match=r"record.json is corrupt"):
        way(spark_1=node("armed", record=Unknown("unreadable")), spark_2=node(None))
    with pytest.raises(Refused, match=r"run.json is missing"):
        way(spark_1=replace(node("armed"), run=parsed(Known("armed network\n"), parse_run)), spark_2=node(None))


def test_a_run_that_had_begun_nothing_needs_no_book() -> None:
    begun = replace(node("begun"), run=parsed(Known("begun\n"), parse_run), journal=Absent())
    assert way(spark_1=begun, spark_2=node(None)) == "undo"
