"""What no file can change is refused at plan time, by name, with nothing sent but questions; and nothing else is."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import pytest

from sparkctl.checks import judge
from sparkctl.checks.base import end, rail
from sparkctl.commands.base import Command, Effect
from sparkctl.errors import Refused, Unreachable
from sparkctl.execute import plan_verbs
from sparkctl.execute.apply import apply
from sparkctl.execute.plan_verbs import Planned, accept, drifted, plan_down, plan_up
from sparkctl.execute.read_facts import questions
from sparkctl.execute.site import Site
from sparkctl.execute.undo import Undo
from sparkctl.execute.verify import status
from sparkctl.fabric.ports import NETDEVS
from sparkctl.facts.holders import Holder, parse
from sparkctl.facts.snapshot import NodeFacts, snapshot
from sparkctl.facts.system import parse_arrival, parse_room
from sparkctl.facts.units import ContainerState, UnitState
from sparkctl.outcome import Absent, Fact, Known, Ok, Result, Unknown, Verdict
from sparkctl.plan import blocks
from sparkctl.plan.compile import Run
from sparkctl.plan.plan import Plan
from sparkctl.plan.playbook import load
from sparkctl.ssh.fleet import Fleet
from tests.unit.changes import changed
from tests.unit.healthy import healthy
from tests.unit.test_plan import ASKED, CLUSTER, FABRIC, RENDERING, FakeNode, planned, settled
from tests.unit.test_receipt import UP, Answering, Place

RAIL_A, RAIL_B = (a.netdev for a in FABRIC.of("spark-1"))
TAKEN = 'LISTEN 0 128 0.0.0.0:8000 0.0.0.0:* users:(("python3",pid=4711,fd=3))\n'
BOTH = {"network", "engine"}


@dataclass
class Sick(FakeNode):
    """A node with a fault. Netdevs in `dark` are up without carrier, in `down` administratively down, in `gone` not there."""

    dark: frozenset[str] = frozenset()
    down: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    room: str | None = "1000000000 4096\n"
    arrival: str | None = "192.0.2.11"
    holders: str | None = ""

    def links(self) -> str:
        shown = [link for link in json.loads(super().links()) if link["ifname"] not in self.gone]
        for link in shown:
            if link["ifname"] in self.dark:
                link["flags"] = ["NO-CARRIER", "UP"]
            if link["ifname"] in self.down:
                link["flags"] = []
        return json.dumps(shown)

    def said(self) -> str:
        rdma = "".join(f"{name}|4: ACTIVE|Ethernet\n" for name in ("rocep1s0f1", "roceP2p1s0f1"))
        rest = {"rdma": rdma, "room": self.room, "arrival": self.arrival, "holders": self.holders}
        lines = "".join(self._line(name, text) for name, text in rest.items())
        return base64.b64encode(base64.b64decode(super().said()) + lines.encode()).decode()


@dataclass
class Wired(Answering):
    """Answers the first question as `first`, if there is one, and nothing at all where it is `off`."""

    first: FakeNode | None = None
    off: bool = False

    async def run(self, command: Command, on_line: object = None) -> Result:
        """What it says."""
        self.sent.append(command)
        if self.off:
            raise Unreachable(f"{self.node.name}: no answer at 192.0.2.12:22 for 10 s", "is it switched on?")
        node = self.first if self.first is not None and len(self.sent) == 1 else self.node
        return Ok(node.said(), "")


def pair(**faults: object) -> dict[str, Sick]:
    """Two nodes as delivered; spark-2 has the faults."""
    return {"spark-1": Sick("spark-1"), "spark-2": Sick("spark-2", **faults)}  # type: ignore[arg-type]


def serving(**faults: object) -> dict[str, Sick]:
    """Both as a finished `up` leaves them, and the faults of spark-2."""
    shared = {name: vars(node) for name, node in settled().items()}
    return {name: Sick(**(fields | (faults if name == "spark-2" else {}))) for name, fields in shared.items()}


def site(nodes: Mapping[str, FakeNode], off: str = "", first: Mapping[str, FakeNode] = {}) -> Place:
    wires = {n: Wired(node, first=first.get(n), off=n == off) for n, node in nodes.items()}
    return Place(CLUSTER, FABRIC, RENDERING, Fleet(wires), "me@here")


def sent(place: Site, node: str = "spark-1") -> list[Command]:
    found: list[Command] = place.fleet.transports[node].sent  # type: ignore[attr-defined]
    return found


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Seconds that were waited."""
    waited: list[float] = []

    async def wait(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(plan_verbs.asyncio, "sleep", wait)
    yield waited


def made(place: Site, stage: str | None = None) -> Planned:
    return asyncio.run(plan_up(place, UP.only(stage)))


CABLE = frozenset({RAIL_A, RAIL_B})
FAULTS: dict[str, tuple[dict[str, object], set[str], str]] = {
    "netdev gone": ({"gone": CABLE}, BOTH, f"no netdev {RAIL_A}: no cable in p1, or the port is asleep"),
    "half gone": ({"gone": frozenset({RAIL_B})}, BOTH, "half of the port is missing"),
    "dark": ({"dark": CABLE}, BOTH, f"{RAIL_A} has no carrier"),
    "full": ({"room": "3 4096\n"}, BOTH, "No space left: 12 KiB free"),
    "no room": ({"image": None, "room": "2000000 4096\n"}, {"engine"}, "7.6 GiB free below /var/lib: no room for the image"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_refused_by_name_and_only_questions_were_sent(fault: str) -> None:
    change, stages, words = FAULTS[fault]
    place = site(pair(**change))
    found = made(place)
    assert words in str(found.blocked[0]) and "spark-2" in str(found.blocked[0])
    assert {s for b in found.blocked for s in b.stages} == stages and not found.plan.empty
    with pytest.raises(Refused) as caught:
        asyncio.run(apply(place, found))
    assert caught.value.exit_code == 4 and words in caught.value.message and caught.value.remedy
    assert {command.effect for command in sent(place)} == {Effect.READ}
    for stage in BOTH:
        assert bool(made(site(pair(**change)), stage).blocked) == (stage in stages), "only stages that rest on it"


@pytest.mark.parametrize(
    ("image", "room", "stages"),
    [
        ("sha256:1", "3 4096\n", BOTH),
        ("sha256:1", "4 4096\n", set()),
        (None, "5242879 4096\n", {"engine"}),
        (None, "5242880 4096\n", set()),
        ("sha256:1", "5242879 4096\n", set()),
        (None, None, set()),
    ],
)
def test_a_disk_is_full_below_16_kib_or_below_20_gib_where_an_image_is_fetched(
    image: str | None, room: str | None, stages: set[str]
) -> None:
    found = made(site(pair(image=image, room=room)))
    assert {stage for block in found.blocked for stage in block.stages} == stages


def test_each_cable_and_each_netdev_that_is_missing_is_named_once() -> None:
    fabric = healthy("mesh-3").fabric
    cases = (("carrier", True, 3), ("carrier", False, 0), ("netdev", False, 12), ("", True, 0))
    for missing, twice, count in cases:  # whatever the words are
        said = {"measured": "no carrier", "missing": missing}
        seen = [Verdict("rail-carrier", "fail", rail(a), "x", ends=(end(a),), **said) for a in fabric.attachments]
        found = list(blocks.links(seen + seen, blocks.dark(seen) if twice else (), fabric))
        assert len(found) == len({block.where for block in found}) == count


def test_without_a_fault_nothing_is_blocked_in_one_round_trip(pauses: list[float]) -> None:
    place = site(pair())
    assert made(place).blocked == () and pauses == [] and len(sent(place)) == 1


def test_a_cable_that_is_out_is_named_once_after_two_looks(pauses: list[float]) -> None:
    out = {n: replace(node, dark=CABLE) for n, node in serving().items()}
    place = site(out)
    found = made(place)
    assert [str(b) for b in found.blocked] == ["spark-1 p1 rail A: cable 0 has no link: spark-1:p1 to spark-2:p1"]
    assert "port p1 of spark-2" in found.blocked[0].remedy
    assert pauses == [3.0] and len(sent(place)) == 2


def test_a_carrier_that_comes_meanwhile_is_there(pauses: list[float]) -> None:
    first = {n: replace(node, dark=CABLE) for n, node in pair().items()}
    assert made(site(pair(), first=first)).blocked == () and pauses == [3.0]


def test_a_carrier_that_goes_meanwhile_was_not_missing_twice(pauses: list[float]) -> None:
    first = pair(dark=frozenset({RAIL_A}))
    assert made(site(pair(dark=frozenset({RAIL_B})), first=first)).blocked == ()


def test_a_link_that_is_down_is_planned_whatever_its_other_end_says(pauses: list[float]) -> None:
    """The other end has no carrier because of that, and gets it when the plan brings this one up."""
    nodes = pair(down=CABLE) | {"spark-1": Sick("spark-1", dark=CABLE)}
    found = made(site(nodes))
    assert found.blocked == () and pauses == [] and found.plan.network("spark-2")


def test_a_node_that_is_off_blocks_and_the_dark_end_of_its_cable_is_no_other_fault(pauses: list[float]) -> None:
    place = site({"spark-1": Sick("spark-1", dark=CABLE), "spark-2": Sick("spark-2")}, off="spark-2")
    found = made(place)
    assert [b.where for b in found.blocked] == ["spark-2"] and "no answer at 192.0.2.12:22" in found.blocked[0].cause
    assert pauses == [] and found.plan.changed_nodes == ("spark-1",), "what the others would do is shown"
    assert [s.title for s in found.plan.steps] == ["network, head", "engine, head"]


def taken(**more: object) -> Planned:
    head = Sick("spark-1", holders=TAKEN, **more)  # type: ignore[arg-type]
    return made(site(pair() | {"spark-1": head}))


def test_a_port_that_is_taken_is_named_with_its_holder() -> None:
    (block,) = taken().blocked
    assert str(block) == "spark-1: port 8000 is taken by python3 (pid 4711)" and block.stages == ("engine",)
    assert taken(active="activating").blocked, "between two starts our engine holds nothing"


@pytest.mark.parametrize(
    ("unit", "container", "count"),
    [
        (Unknown("no answer"), Absent(), 1),
        (Absent(), Unknown("no answer"), 1),
        (Absent(), Known(ContainerState("exited", "sha256:1")), 1),
        (Absent(), Known(ContainerState("running", "sha256:1")), 0),
        (Known(UnitState(True, "failed", "failed", True, 0)), Absent(), 1),
        (Known(UnitState(True, "active", "running", True, 0)), Absent(), 0),
    ],
)
def test_a_port_is_ours_only_where_our_unit_or_container_is_known_to_run(
    unit: Fact[UnitState], container: Fact[ContainerState], count: int
) -> None:
    facts = replace(Sick("spark-1", holders=TAKEN).facts(), unit=unit, container=container)
    facts = replace(facts, holders=Known((Holder(8000, "python3", 4711),)))
    assert len(list(blocks.taken({"spark-1": facts}))) == count


def test_a_way_of_ssh_over_netdevs_that_cannot_be_read_blocks_nothing() -> None:
    nodes = pair(addresses={RAIL_A: "10.9.9.1/24"})
    facts = {n: replace(node.facts(), arrival=Known("10.9.9.1")) for n, node in nodes.items()}
    plan = planned(nodes)  # type: ignore[arg-type]
    assert [block.where for block in blocks.arrivals(plan, facts)] == ["spark-2"]
    unread = {n: replace(known, netdevs=Unknown("no answer")) for n, known in facts.items()}
    assert list(blocks.arrivals(plan, unread)) == []


@pytest.mark.parametrize("state", ["active", "deactivating", "reloading"])
def test_a_port_that_our_engine_holds_is_not_taken(state: str) -> None:
    assert taken(active=state).blocked == ()


def test_the_ports_of_the_head_are_asked_of_the_head_alone() -> None:
    asked = questions(CLUSTER, FABRIC, plan=True)
    assert asked["spark-1"].opens == (29501, 8000) and asked["spark-2"].opens == ()
    assert questions(CLUSTER, FABRIC)["spark-1"].opens is None


@pytest.mark.parametrize(("address", "verb"), [("10.9.9.1/24", "renumbers"), ("", "changes")])
def test_ssh_over_a_netdev_that_the_plan_changes_is_refused_by_name(address: str, verb: str) -> None:
    at = address or str(FABRIC.of("spark-2")[0].address)
    nodes = pair(addresses={RAIL_A: at}, arrival=at.partition("/")[0])
    (block,) = made(site(nodes)).blocked
    assert block.cause == f"SSH to spark-2 arrives on {RAIL_A}, which this plan {verb}" and block.stages == ("network",)
    assert "management address of spark-2" in block.remedy


def test_ssh_over_a_fabric_that_stays_as_it_is_is_fine() -> None:
    nodes = serving(arrival=str(FABRIC.of("spark-2")[0].address.ip))
    assert made(site(nodes)).blocked == ()


@pytest.mark.parametrize("name", ["room", "arrival", "holders"])
def test_what_cannot_be_read_blocks_nothing_and_the_run_proves_it(name: str) -> None:
    assert made(site(pair(broken=(name,)))).blocked == ()


def test_down_and_diff_are_never_blocked() -> None:
    nodes = {n: replace(node, dark=CABLE, room="0 4096\n", arrival="10.9.9.1") for n, node in serving().items()}
    assert asyncio.run(plan_down(site(nodes), load("down"))).blocked == ()
    assert asyncio.run(drifted(site(nodes)))


def test_a_saved_plan_is_blocked_too() -> None:
    receipt = made(site(pair())).receipt(site(pair()))
    with pytest.raises(Refused, match="no carrier"):
        asyncio.run(accept(site(pair(dark=CABLE)), receipt))


def test_status_shows_the_others_and_a_row_for_the_node_that_is_off() -> None:
    nodes = serving()
    found = asyncio.run(status(site(nodes | {"spark-1": replace(nodes["spark-1"], dark=CABLE)}, off="spark-2")))
    bad = [v for v in found.verdicts if v.state in ("fail", "unknown")]
    assert [(v.id, v.where, v.measured) for v in bad] == [("node-off", "spark-2", "off")]
    assert any(v.state == "pass" and v.nodes == ("spark-1",) for v in found.verdicts)
    assert any(v.id == "rail-carrier" and v.cause and v.cause.where == "spark-2" for v in found.verdicts)


def test_a_fault_of_another_node_is_not_hidden_by_one_that_is_off() -> None:
    nodes = serving()
    head = replace(nodes["spark-1"], dark=CABLE, mtu=1500)
    found = asyncio.run(status(site(nodes | {"spark-1": head}, off="spark-2")))
    assert {v.id for v in found.verdicts if v.state == "fail"} == {"node-off", "rail-mtu"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (TAKEN, Holder(8000, "python3", 4711)),
        ("LISTEN 0 4096 [::]:8000 [::]:*\n", Holder(8000, "", 0)),
        ('LISTEN 0 1 127.0.0.1%lo:8000 0.0.0.0:* users:(("a\x1b[31mb",pid=5,fd=3),("c",pid=6,fd=3))\n', Holder(8000, "a\\x1b[31mb", 5)),
    ],
)
def test_holders(line: str, said: Holder) -> None:
    assert parse(line) == (said,)


@pytest.mark.parametrize("line", ["nonsense", "ESTAB 0 0 1.2.3.4:8000 1.2.3.4:9", "LISTEN 0 1 1.2.3.4:http x"])
def test_no_holders(line: str) -> None:
    with pytest.raises(ValueError):
        parse(line)


def test_room_and_arrival() -> None:
    assert parse_room("10 4096\n") == 40 and parse_arrival("fe80::1%eth0") == "fe80::1"
    for text in ("", "x", "10.0.0.1 evil"):
        with pytest.raises(ValueError):
            parse_arrival(text)


def undo_of(before: dict[str, Sick]) -> Undo:
    """The undo of a run of `up` on these nodes."""
    facts = {n: node.facts() for n, node in before.items()}
    plan = last_plan(facts)
    return Undo(Fleet({}), plan, Run("abcd1234", "me@here", 120), ASKED, facts)


def last_plan(facts: dict[str, NodeFacts]) -> Plan:
    changed = serving()
    changed["spark-2"].mtu = 1500
    plan = planned(changed)  # type: ignore[arg-type]
    return plan.model_copy(update={"fingerprints": {n: f.fingerprint(NETDEVS) for n, f in facts.items()}})


@pytest.mark.parametrize(
    ("now", "before"),
    [
        ({}, True),
        ({"dark": CABLE}, True),
        ({"dark": CABLE, "addresses": {}}, True),
        ({"dark": CABLE, "addresses": {RAIL_A: "10.9.9.9/24"}}, False),
        ({"dark": CABLE, "mtu": 1500}, False),
        ({"dark": CABLE, "active": "failed"}, False),
        ({"addresses": {}}, False),
    ],
)
def test_a_carrier_that_went_meanwhile_is_the_fault_and_all_else_is_as_before(now: dict[str, object], before: bool) -> None:
    undo = undo_of(serving())
    assert undo._as_before("spark-2", serving(**now)["spark-2"].facts()) == before
    assert bool(undo.but) == (before and bool(now))


def test_what_no_node_that_answers_has_is_not_missed_because_one_is_off() -> None:
    start = changed(healthy("dual"), {"path": "spark-1.survey.gpus", "absent": "no nvidia-smi"})
    asked = questions(start.cluster, start.fabric, survey=True)["spark-2"]
    off = replace(start, silent={"spark-2": "no answer"}, facts=dict(start.facts) | {"spark-2": snapshot("spark-2", asked, "")})
    assert [v.id for v in judge(off) if v.state in ("fail", "unknown")] == ["node-off"]
