"""A run of tests under load over nodes in memory: order, failures, interruption."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable

import pytest

from sparkctl.commands.base import Command, Effect
from sparkctl.errors import EffectRefused, Unreachable
from sparkctl.execute.rdma_test import AGAIN, Measuring, load
from sparkctl.loadtest import perftest as commands
from sparkctl.loadtest.perftest import FULL
from sparkctl.loadtest.perftest_output import BUSY, NO_TOOL, SLOW, STOPPED
from sparkctl.loadtest.results import Load
from sparkctl.loadtest.schedule import schedule
from sparkctl.outcome import Absent, Fact, Failed, Known, Lost, Ok, Result, Unknown
from sparkctl.report.events import Ended, Event, Note
from sparkctl.ssh.fleet import Fleet
from sparkctl.ssh.transport import Counters, LineSink
from tests.unit.healthy import SHIPPED, healthy, studied
from tests.unit.test_perftest import real_json

TRIALS = ("bandwidth under load", "latency under load")


class Scripted:
    """A node in memory: answers by a function of the command; says how many trials ran on it at once."""

    def __init__(self, answer: Callable[[Command], Result | BaseException], wait: float = 0.0) -> None:
        self.counters, self.answer, self.wait = Counters(), answer, wait
        self.busy = self.most = 0
        self.patient = False
        self.ran: list[str] = []

    async def run(self, command: Command, on_line: LineSink | None = None) -> Result:
        self.ran.append(command.title)
        trial = command.title in TRIALS
        self.busy += trial
        self.most = max(self.most, self.busy)
        try:
            await asyncio.sleep(self.wait if trial else 0)
            async with asyncio.timeout(10):
                while self.patient and trial and self.ran[-1] != "stop the tests under load":
                    await asyncio.sleep(0.001)
        finally:
            self.busy -= trial
        found = self.answer(command)
        if isinstance(found, BaseException):
            raise found
        return found

    async def renew(self) -> None: ...

    async def close(self) -> None: ...


def coded(text: str) -> str:
    return "=" + base64.b64encode(text.encode()).decode()


def healthy_answer(command: Command) -> Result:
    """Counters for a batch, a report per lane for a trial."""
    if command.effect is Effect.READ:
        body = "./rocep1s0f1/ports/1/counters/port_xmit_data:7\n"
        return Ok(base64.b64encode(f"counters 0 {len(body)}\n{body}\n".encode()).decode())
    keys = [line.split()[1] for line in command.script.splitlines() if line.startswith("lane ")]
    return Ok("\n\n" + "".join(f"lane {key} 0 {coded(real_json())} =\n" for key in keys))


def fleet_of(
    inventory: str, answers: dict[str, Callable[[Command], Result | BaseException]] | None = None, wait: float = 0.0
) -> tuple[Fleet, dict[str, Scripted], list[Event]]:
    events: list[Event] = []
    nodes = {n.name: Scripted((answers or {}).get(n.name, healthy_answer), wait) for n in studied(inventory)[0].nodes}
    return Fleet(nodes, events.append), nodes, events


def measured(inventory: str, fleet: Fleet, **how: bool) -> Load:
    view = healthy(inventory)
    return asyncio.run(load(fleet, view.fabric, view.facts, **how))


@pytest.mark.parametrize("inventory", SHIPPED)
def test_everything_is_measured_one_trial_per_node_at_a_time(inventory: str) -> None:
    fleet, nodes, events = fleet_of(inventory, wait=0.001)
    found = measured(inventory, fleet)
    planned = [trial for round in schedule(healthy(inventory).fabric) for pair in round for trial in pair]
    assert set(found.measured) == set(planned)
    assert all(isinstance(fact, Known) for facts in found.measured.values() for fact in facts)
    assert {node.most for node in nodes.values()} == {1}
    assert set(found.before) == set(found.after) == set(nodes)
    assert found.after[next(iter(nodes))] == Known({"rocep1s0f1": {"port_xmit_data": 7}})
    assert len([e for e in events if isinstance(e, Ended) and e.title.startswith(("bandwidth ", "latency "))]) == len(planned)
    assert all(gate.ceiling is Effect.READ for gate in fleet.gates.values()), "the gates are closed again"


def test_both_rails_together_are_measured_where_both_are_under_way() -> None:
    scripts: list[str] = []

    def heard(command: Command) -> Result:
        scripts.append(command.script)
        return healthy_answer(command)

    fleet, _, _ = fleet_of("dual", {"spark-1": heard})
    measured("dual", fleet)
    for script in (script for script in scripts if " ib_write_bw " in script):
        lanes = [line for line in script.splitlines() if line.startswith("lane ")]
        seconds, bounds = ("4", {"16", "20"}) if len(lanes) == 2 else ("2", {"14", "18"})
        assert all(f" -D {seconds}" in line and line.split()[2] in bounds for line in lanes), lanes


def test_what_hangs_with_both_rails_is_said_with_its_own_bound() -> None:
    def deaf(command: Command) -> Result:
        both = "\nlane 1 " in command.script and command.title in TRIALS
        return Ok(f"lane 0 {SLOW} = =\nlane 1 {SLOW} = =\n") if both else healthy_answer(command)

    fleet, _, _ = fleet_of("dual", {"spark-1": deaf, "spark-2": deaf})
    found = measured("dual", fleet).measured
    slow = {fact.reason for facts in found.values() for fact in facts if isinstance(fact, Absent)}
    assert slow and all("not done within 16 s" in reason for reason in slow)


def test_the_gates_let_no_load_pass_outside_of_a_run() -> None:
    fleet, _, _ = fleet_of("dual")
    with pytest.raises(EffectRefused):
        asyncio.run(fleet.gates["spark-1"].run(commands.stop("t")))


def no_tool(command: Command) -> Result | BaseException:
    if command.effect is Effect.READ or "stop" in command.title:
        return healthy_answer(command)
    return Ok(f"lane 0 {NO_TOOL} = =\nlane 1 {NO_TOOL} = =\n")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (no_tool, Absent("spark-2: perftest is not installed")),
        (lambda c: Failed(BUSY, "", ""), Unknown("spark-2: another test under load runs there")),
        (lambda c: Lost("the connection was lost"), Unknown("spark-2: unknown outcome: the connection was lost")),
        (lambda c: Unreachable("spark-2: no answer", "x"), Unknown("spark-2: unknown outcome: spark-2: no answer")),
        (lambda c: Ok("lane x\x1b[31m"), None),
    ],
)
def test_an_end_that_fails_is_named(answer: Callable[[Command], Result | BaseException], reason: Fact[object]) -> None:
    fleet, nodes, _ = fleet_of("dual", {"spark-2": answer, "spark-1": waiting_in_vain})
    nodes["spark-1"].patient = True
    found = measured("dual", fleet, quick=True)
    facts = {without(fact) for facts in found.measured.values() for fact in facts}
    assert facts == {reason} if reason else all(isinstance(fact, Unknown) for fact in facts)
    assert "stop the tests under load" in nodes["spark-1"].ran, "the other end is not left waiting"


def without(fact: Fact[object]) -> Fact[object]:
    return Absent(fact.reason.removeprefix(AGAIN)) if isinstance(fact, Absent) else fact


def test_what_does_not_connect_is_tried_once_and_the_other_rail_all_the_same() -> None:
    def deaf(command: Command) -> Result:
        last = [line for line in command.script.splitlines() if line.startswith("lane ")]
        blocked = command.title in TRIALS and any("rocep1s0f1" in line for line in last)
        return Ok(f"lane 0 {SLOW} = =\n") if blocked else healthy_answer(command)

    fleet, nodes, _ = fleet_of("dual", {"spark-1": deaf, "spark-2": deaf})
    found = measured("dual", fleet)
    absent = [t for t, facts in found.measured.items() if any(isinstance(fact, Absent) for fact in facts)]
    assert len(absent) == 7, "rail A each way, both rails each way, rail A both ways at once, latency each way"
    assert all("A" in {lane.client.rail for lane in trial.lanes} for trial in absent)
    assert len([title for title in nodes["spark-1"].ran if title in TRIALS]) == 1 + 5


def test_a_rail_that_did_connect_is_tried_once_more() -> None:
    """One lost packet of a connection is no verdict on a rail that works."""
    writers: list[str] = []

    def once_deaf(command: Command) -> Result:
        lanes = [line for line in command.script.splitlines() if line.startswith("lane ") and " client " in line]
        writers.extend(lanes[:1])
        deaf = len(writers) == 2 and lanes
        return Ok(f"lane 0 {SLOW} = =\n") if deaf and command.title in TRIALS else healthy_answer(command)

    fleet, _, _ = fleet_of("dual", {"spark-1": once_deaf, "spark-2": once_deaf})
    found = measured("dual", fleet)
    assert all(isinstance(fact, Known) for facts in found.measured.values() for fact in facts)
    assert len(writers) == 1 + sum(2 if trial.kind == "ways" else 1 for trial in found.measured)
    ports = [line.split(" -p ")[1].split()[0] for line in writers]
    assert len(ports) == len(set(ports)), "what is left of one trial is never taken for the next"


def waiting_in_vain(command: Command) -> Result:
    """What the script says that was told to stop."""
    return Failed(STOPPED, "", "") if command.title in TRIALS else healthy_answer(command)


def test_what_need_not_be_tried_is_not() -> None:
    fleet, nodes, _ = fleet_of("dual")
    rounds = schedule(healthy("dual").fabric)
    run = Measuring(fleet, rounds, lambda lane: "no carrier" if lane.client.rail == "B" else "", lambda end: 3, FULL)
    found = asyncio.run(run.all())
    facts = {str(lane): fact for t, facts in found.measured.items() for lane, fact in zip(t.lanes, facts, strict=True)}
    assert all(isinstance(fact, Unknown) for lane, fact in facts.items() if lane.endswith("B"))
    alone = [facts for trial, facts in found.measured.items() if {x.client.rail for x in trial.lanes} == {"A"}]
    assert len(alone) == 5 and all(isinstance(fact, Known) for facts in alone for fact in facts)
    together = [facts for trial, facts in found.measured.items() if trial.kind == "rails"]
    assert set(sum(together, ())) == {Unknown("not run: no carrier")}
    assert len([title for title in nodes["spark-1"].ran if title in TRIALS]) == 5


def interrupted(example: str, fleet: Fleet) -> None:
    """Load tests of `example` that somebody stops soon after their begin."""

    async def begun() -> None:
        view = healthy(example)
        task = asyncio.create_task(load(fleet, view.fabric, view.facts))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(begun())


def test_an_interruption_stops_every_node_and_says_so() -> None:
    fleet, nodes, events = fleet_of("quad-switch", wait=30)
    interrupted("quad-switch", fleet)
    assert all(node.ran[-1] == "stop the tests under load" for node in nodes.values())
    assert events[-1] == Note("tests under load were stopped on spark-1, spark-2, spark-3, spark-4")


def test_what_cannot_be_stopped_is_said() -> None:
    def mute(command: Command) -> Result:
        return Lost("no answer") if command.title.startswith("stop") else healthy_answer(command)

    fleet, _, events = fleet_of("dual", {"spark-2": mute}, wait=30)
    interrupted("dual", fleet)
    said = events[-1]
    assert isinstance(said, Note) and "could not be stopped (spark-2: unknown outcome: no answer)" in said.text


def test_both_ways_of_a_rail_are_written_at_once_and_each_is_named() -> None:
    """Each node serves one way and writes the other; what one of them says is never taken for the other way."""
    sent: dict[str, list[list[str]]] = {"spark-1": [], "spark-2": []}

    def node(name: str, rate: float) -> Callable[[Command], Result | BaseException]:
        def answer(command: Command) -> Result:
            lanes = [line for line in command.script.splitlines() if line.startswith("lane ")]
            roles = [line.split()[3] for line in lanes]
            if sorted(roles) != ["client", "server"]:
                return healthy_answer(command)
            sent[name].append(lanes)
            said = (f"lane {k} 0 {coded(real_json(BW_average=rate) if roles[k] == 'client' else '')} =\n" for k in range(2))
            return Ok("".join(said))

        return answer

    fleet, _, _ = fleet_of("dual", {"spark-1": node("spark-1", 60), "spark-2": node("spark-2", 30)})
    found = {t: facts for t, facts in measured("dual", fleet).measured.items() if t.kind == "ways"}
    assert [t.both_ways for t in found] == [f"spark-1:p1 <-> spark-2:p1 rail {rail}" for rail in "AB"]
    for facts in found.values():
        assert [fact.value.gbits for fact in facts if isinstance(fact, Known)] == [60, 30]
    for one, other in zip(sent["spark-1"], sent["spark-2"], strict=True):
        assert [line.split()[3] for line in one] == ["client", "server"] == [line.split()[3] for line in reversed(other)]
        assert all(" -D 4" in line for line in (*one, *other))
        ports = [[line.split(" -p ")[1].split()[0] for line in lanes] for lanes in (one, other)]
        assert ports[0] == ports[1] and len(set(ports[0])) == 2
