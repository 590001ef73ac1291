"""The wait for a first token over nodes in memory: what a look says, who ends the wait, and whom it leaves behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from sparkctl.commands.canary import Answer as Said
from sparkctl.commands.canary import Watch
from sparkctl.execute.readiness import SLICE_SECONDS, Look, NotReady, Wait, ask_once, read_look
from sparkctl.execute.verify import canary, watch
from sparkctl.facts.units import UnitState
from sparkctl.outcome import Absent, Failed, Known, Lost, Ok, Unknown
from sparkctl.render.artifact import API_KEY, UNIT_NAME
from sparkctl.report.events import LogLine
from tests.unit.nodes import HEAD, TOKEN, WORKER, Answer, Nodes, both
from tests.unit.test_plan import CLUSTER, FakeNode

READY = {"text": " 4", "tokens": 1, "seconds": 0.04, "version": "0.33.0"}
TOLD = Said(" 4", 1, 0.04, "0.33.0")
WATCHES = {HEAD: Watch(UNIT_NAME, {"url": "http://127.0.0.1:8000"}), WORKER: Watch(UNIT_NAME, {})}


def said(*rows: object) -> Ok:
    """What the canary program prints."""
    return Ok("".join(f"{json.dumps(row)}\n" for row in rows))


LOOKS: dict[str, tuple[str, Look]] = {
    "ready": (said({"ready": READY}).stdout, Look(ready=TOLD)),
    "ready after a wait": (said({"waiting": "x", "cursor": "c"}, {"ready": READY}).stdout, Look(ready=TOLD, cursor="c")),
    "ready without a text": (said({"ready": {**READY, "tokens": "many"}}).stdout, Look(waiting="")),
    "failed": (said({"failed": "exit 1"}).stdout, Look(failed="exit 1")),
    "failed with its last words": (said({"failed": "exit 1", "last": ["a", 2]}).stdout, Look(failed="exit 1; a; 2")),
    "failed with no list": (said({"failed": "exit 1", "last": "a"}).stdout, Look(failed="exit 1")),
    "waiting": (said({"waiting": "x"}, {"waiting": "y", "cursor": "c"}).stdout, Look(waiting="y", cursor="c")),
    "a line of the log": (said({"log": "loading"}).stdout, Look()),
    "no object": ('[1]\n"ready"\n3\nnull\n\nready\n{"ready"', Look()),
    "deeper than anything": ("[" * 100_000 + "\n" + said({"failed": "exit 1"}).stdout, Look(failed="exit 1")),
}


@pytest.mark.parametrize("kind", LOOKS)
def test_what_a_look_says(kind: str) -> None:
    text, look = LOOKS[kind]
    found = read_look(text)
    assert found == (look if kind != "ready without a text" else replace(look, waiting=found.waiting))
    assert bool(found.waiting) == (kind in ("waiting", "ready without a text"))


@pytest.mark.parametrize(
    ("answer", "fact"),
    [
        (said({"ready": READY}), Known(TOLD)),
        (said({"failed": "exit 1"}), Unknown("exit 1")),
        (said({"failed": "exit 1"}, {"waiting": "connection refused"}), Unknown("exit 1")),
        (said({"waiting": "connection refused"}), Unknown("connection refused")),
        (Ok(""), Unknown("no answer")),
        (Failed(1, "", "no python"), Unknown("no python")),
        (Lost("no answer within 60 s"), Unknown("unknown outcome: no answer within 60 s")),
    ],
)
def test_one_completion_is_asked_for_now(answer: Answer, fact: object) -> None:
    nodes = Nodes(ends={(HEAD, TOKEN): [answer]})
    with nodes.opened():
        assert nodes.play(lambda: ask_once(nodes.fleet, HEAD, WATCHES[HEAD])) == fact
    assert nodes.told == [f"{HEAD} {TOKEN}"]
    assert '"slice": 0' in nodes.by_name[HEAD].sent[0].script and '"logs": false' in nodes.by_name[HEAD].sent[0].script


def waited(
    ends: Mapping[tuple[str, str], list[Answer]] = {},
    takes: Mapping[tuple[str, str], float] = {},
    seconds: float = 60,
    pause: BaseException | None = None,
) -> tuple[Nodes, Any]:
    """The nodes a moment after the wait, and what came of it; a pause is told."""
    nodes = Nodes(ends=ends, takes=takes)

    async def paused() -> None:
        nodes.told.append("pause")
        if pause:
            raise pause

    async def wait() -> Any:
        with nodes.opened():
            try:
                return await Wait(nodes.fleet, HEAD, WATCHES, paused).token(seconds)
            finally:
                nodes.told.append("over")
                await asyncio.sleep(0.1)
                nodes.told.append("left")

    return nodes, nodes.play(wait)


ASIDE: dict[tuple[str, str], list[Answer]] = {(WORKER, TOKEN): [said({"waiting": "a worker's own words"})]}
LATE = {(WORKER, TOKEN): SLICE_SECONDS + 1}


def test_the_first_token_ends_the_wait_and_every_watch() -> None:
    nodes, found = waited({(HEAD, TOKEN): [said({"ready": READY})], **ASIDE}, LATE)
    assert found == TOLD and nodes.clock.now < 1
    assert nodes.told == [*both(TOKEN), "over", f"{WORKER} {TOKEN}: cancelled", "left"]
    assert nodes.fleet.gates[WORKER].ceiling == 0


def test_between_two_looks_the_run_goes_on_and_the_log_is_read_further() -> None:
    rows: list[Answer] = [said({"waiting": "loading", "cursor": "c1"}), said({"waiting": "loading"}), said({"ready": READY})]
    nodes, found = waited({(HEAD, TOKEN): rows, **ASIDE})
    assert found == TOLD and nodes.told == [*(*both(TOKEN), "pause") * 2, *both(TOKEN), "over", "left"]
    cursors = [json.loads(c.script[c.script.index("{") : c.script.rindex("}") + 1])["cursor"] for c in nodes.by_name[HEAD].sent]
    assert cursors == ["", "c1", "c1"]
    assert all('"cursor": ""' in c.script for c in nodes.by_name[WORKER].sent)
    assert all('"logs": true' in c.script for node in nodes.by_name.values() for c in node.sent)


def test_a_rank_that_is_dead_ends_the_wait_at_once() -> None:
    nodes, found = waited({(WORKER, TOKEN): [said({"failed": "exit 137"})]}, {(HEAD, TOKEN): SLICE_SECONDS})
    assert type(found) is NotReady and found.message == f"{WORKER}: exit 137"
    assert nodes.clock.now < 1 and nodes.told[-2:] == [f"{HEAD} {TOKEN}: cancelled", "left"]


@pytest.mark.parametrize(
    ("answer", "why"), [(said({"waiting": "loading"}), "loading"), (Lost("no answer"), "unknown outcome: no answer"), (Ok(""), "")]
)
def test_a_wait_has_an_end_and_says_what_the_head_waited_for(answer: Answer, why: str) -> None:
    """Whatever a worker says later."""
    takes = {(HEAD, TOKEN): SLICE_SECONDS - 1, (WORKER, TOKEN): SLICE_SECONDS}
    nodes, found = waited({(HEAD, TOKEN): [answer], **ASIDE}, takes, seconds=2 * SLICE_SECONDS)
    assert type(found) is NotReady and found.message == f"{HEAD}: no token within 20 s: {why}"
    assert nodes.told.count("pause") == 1 and nodes.told.count(f"{HEAD} {TOKEN}") == 2


def test_an_interruption_between_two_looks_ends_the_wait() -> None:
    stopped = KeyError("stopped")
    _, found = waited({(HEAD, TOKEN): [said({"waiting": "loading"})], **ASIDE}, pause=stopped)
    assert found is stopped


def test_lines_of_the_log_are_shown() -> None:
    rows = said({"log": "loading 1/4"}, {"log": ""}, {"other": 1}, {"log": 7}, {"ready": READY})
    nodes, _ = waited({(HEAD, TOKEN): [rows], **ASIDE})
    assert [event for event in nodes.events if isinstance(event, LogLine)] == [LogLine(HEAD, "loading 1/4"), LogLine(HEAD, "7")]


# --- whom a completion is asked of ------------------------------------------------------------------------------

RUNNING = FakeNode(HEAD, active="active", enabled=True)


def asked(head: FakeNode, silent: tuple[str, ...] = (), *, engine: bool = True) -> tuple[Nodes, Any]:
    """The nodes, and what is known of a completion."""
    nodes = Nodes(ends={(HEAD, TOKEN): [said({"ready": READY})]})
    site = nodes.place()
    place = replace(site, cluster=replace(CLUSTER, engine=CLUSTER.engine if engine else None))
    return nodes, nodes.play(lambda: canary(place, {HEAD: head.facts(), WORKER: FakeNode(WORKER).facts()}, silent, 3))


def test_a_head_that_may_serve_is_asked() -> None:
    for head in (RUNNING, replace(RUNNING, broken=("unit",))):
        nodes, found = asked(head)
        assert found == Known(TOLD) and nodes.told == [f"{HEAD} {TOKEN}"]
        assert nodes.fleet.gates[HEAD].ceiling == 0, "the gate is closed again"


@pytest.mark.parametrize(
    ("head", "silent", "engine", "fact"),
    [
        (RUNNING, (), False, Absent("the inventory has no engine")),
        (RUNNING, (HEAD,), True, Unknown("the head does not answer")),
        (FakeNode(HEAD), (), True, Unknown("the head's unit is not running")),
    ],
)
def test_a_head_that_cannot_serve_is_not_asked(head: FakeNode, silent: tuple[str, ...], engine: bool, fact: object) -> None:
    nodes, found = asked(head, silent, engine=engine)
    assert (found, nodes.told) == (fact, [])


def test_what_is_watched_on_each_node() -> None:
    """The head is asked for tokens; restarts count from what is known; the key's path goes only where there is one."""
    site = Nodes().place()
    restarted = replace(RUNNING.facts(), unit=Known(UnitState(True, "active", "running", True, 3)))
    head = watch(site, HEAD, restarted)
    assert head.probe and (head.unit, head.restarts, head.key_file) == (UNIT_NAME, 3, API_KEY)
    assert head.netdevs == tuple(a.netdev for a in site.fabric.of(HEAD)) != ()
    assert not watch(site, WORKER).probe and watch(site, WORKER).restarts == 0
    assert watch(site, HEAD, replace(restarted, unit=Unknown("x"))).restarts == 0
    assert CLUSTER.engine is not None
    keyless = replace(site, cluster=replace(CLUSTER, engine=replace(CLUSTER.engine, api_key_file=None)))
    assert watch(keyless, HEAD).key_file is None
    with pytest.raises(ValueError, match="no engine"):
        watch(replace(site, cluster=replace(CLUSTER, engine=None)), HEAD)
