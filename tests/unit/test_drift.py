"""Every kind of drift is named, with what to do; nothing that could not be read is taken for right."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from sparkctl.execute.read_facts import questions
from sparkctl.facts.files import FileState
from sparkctl.facts.foreign import ForeignFile, ForeignStanza
from sparkctl.facts.record import FileRecord, Record, RunState
from sparkctl.facts.routes import Route, parse
from sparkctl.facts.snapshot import NodeFacts
from sparkctl.facts.units import ContainerState, UnitState
from sparkctl.inventory.names import NETPLAN
from sparkctl.outcome import Absent, Known, Unknown
from sparkctl.plan.drift import UP, Drift, drift
from sparkctl.render import render
from sparkctl.render.artifact import API_KEY, NCCL_ENV
from sparkctl.report.drift import as_values, print_drift
from tests.unit.test_plan import CLUSTER, FABRIC, desired, settled

ATTACHED = FABRIC.of("spark-2")[0]
DEV, NETWORK = ATTACHED.netdev, ATTACHED.address.network
CONNECTED = {node: tuple(Route(a.address.network, a.netdev) for a in FABRIC.of(node)) for node in ("spark-1", "spark-2")}
DEFAULT = parse('[{"dst":"default","gateway":"192.0.2.1","dev":"enP7s7"}]')[0]


def healthy() -> dict[str, NodeFacts]:
    """Both nodes as a finished `up` leaves them."""
    return {n: replace(node.facts(), routes=Known((*CONNECTED[n], DEFAULT))) for n, node in settled().items()}


def found(change: Callable[[NodeFacts], NodeFacts] = lambda facts: facts, silent: dict[str, str] | None = None) -> list[Drift]:
    """Drift when spark-2 is changed."""
    facts = healthy()
    facts["spark-2"] = change(facts["spark-2"])
    return list(drift(CLUSTER.name, desired(), facts, silent or {}))


def only(change: Callable[[NodeFacts], NodeFacts]) -> Drift:
    (one,) = found(change)
    assert one.node == "spark-2" and one.remedy and one.expected and one.found
    return one


def with_file(path: str, state: FileState | None) -> Callable[[NodeFacts], NodeFacts]:
    fact = Known(state) if state else Absent("not there")
    return lambda facts: replace(facts, files={**facts.files, path: fact})


def edited(path: str, **changes: Any) -> Callable[[NodeFacts], NodeFacts]:
    now = healthy()["spark-2"].file(path)
    assert isinstance(now, Known)
    return with_file(path, replace(now.value, **changes))


def netdev(**changes: Any) -> Callable[[NodeFacts], NodeFacts]:
    now = healthy()["spark-2"].netdevs
    assert isinstance(now, Known)
    return lambda facts: replace(facts, netdevs=Known({**now.value, DEV: replace(now.value[DEV], **changes)}))


def routed(*routes: Route) -> Callable[[NodeFacts], NodeFacts]:
    return lambda facts: replace(facts, routes=Known(routes))


def record(facts: NodeFacts) -> Record:
    assert isinstance(facts.record, Known)
    return facts.record.value


def test_a_settled_cluster_has_no_drift() -> None:
    assert found() == []


def test_an_edit_is_shown_with_its_lines() -> None:
    content = "# mine\n"
    one = only(edited(NCCL_ENV, digest="other", content=content))
    assert (one.kind, one.subject) == ("edited", NCCL_ENV) and "edited since sparkctl wrote it" in one.found
    assert "+# mine" in one.lines and any(line.startswith("-NCCL_") for line in one.lines)
    assert f"--force-path {NCCL_ENV}" in one.remedy


def test_what_somebody_else_wrote_is_no_edit_of_ours_and_what_cannot_be_shown_has_no_lines() -> None:
    def unrecorded(facts: NodeFacts) -> NodeFacts:
        files = {path: old for path, old in record(facts).files.items() if path != NCCL_ENV}
        return replace(facts, record=Known(record(facts).model_copy(update={"files": files})))

    one = only(lambda facts: unrecorded(edited(NCCL_ENV, digest="other")(facts)))
    assert (one.kind, one.found) == ("edited", "written by somebody else")
    assert only(edited(NCCL_ENV, digest="special", content=None)).lines == ()
    assert only(lambda facts: unrecorded(with_file(NCCL_ENV, None)(facts))).found == "not there yet"


def test_an_edited_secret_shows_nothing() -> None:
    one = only(edited(API_KEY, digest="other", content="secret"))
    assert one.kind == "edited" and one.lines == () and "secret" not in str(replace(one, subject="", remedy=""))


def test_what_an_earlier_inventory_said_is_no_edit() -> None:
    def change(facts: NodeFacts) -> NodeFacts:
        files = {**record(facts).files, NCCL_ENV: FileRecord(digest="old", mode=0o644, stage="network")}
        changed = edited(NCCL_ENV, digest="old", content="old\n")(facts)
        return replace(changed, record=Known(record(facts).model_copy(update={"files": files})))

    assert only(change).kind == "outdated"


@pytest.mark.parametrize(("change", "words"), [({"mode": 0o644}, "0644"), ({"uid": 1000}, "1000:0"), ({"gid": 5}, "0:5")])
def test_modes_and_owners(change: dict[str, int], words: str) -> None:
    one = only(edited(NETPLAN, **change))
    assert one.kind == "mode" and words in one.found and "0600, owner 0:0" in one.expected


def test_a_removed_file() -> None:
    one = only(with_file(NETPLAN, None))
    assert (one.kind, one.subject, one.found) == ("missing", NETPLAN, "removed since sparkctl wrote it")


def test_leftovers_of_an_earlier_inventory_and_of_nobody() -> None:
    key = "/etc/sparkctl/api.key"
    wanted = {name: replace(d, rendering=replace(d.rendering, secrets=())) for name, d in desired().items()}
    ours = drift(CLUSTER.name, wanted, healthy(), {})
    assert [(d.kind, d.subject) for d in ours] == [("left over", key)] * 2
    assert {(d.found, d.remedy) for d in ours} == {("a file of an earlier inventory", UP)}

    def forgotten(facts: NodeFacts) -> NodeFacts:
        files = {path: old for path, old in record(facts).files.items() if path != key}
        return replace(facts, record=Known(record(facts).model_copy(update={"files": files})))

    facts = {name: forgotten(f) for name, f in healthy().items()}
    assert all("no record" in d.found and "rm" in d.remedy for d in drift(CLUSTER.name, wanted, facts, {}))


@pytest.mark.parametrize(
    ("digest", "now", "words"), [("left", None, "removed"), ("absent", "back", "written again"), ("left", "other", "edited")]
)
def test_a_file_that_was_taken_over(digest: str, now: str | None, words: str) -> None:
    path = "/etc/netplan/40-cx7.yaml"

    def change(facts: NodeFacts, present: str | None = now) -> NodeFacts:
        aside = FileRecord(digest=digest, mode=0o600, stage="network", baseline="x", aside=True)
        files = {**record(facts).files, path: aside}
        listed = {path: FileState(0o600, 0, 0, present)} if present else {}
        return replace(facts, record=Known(record(facts).model_copy(update={"files": files})), netplan_files=Known(listed))

    one = only(change)
    assert (one.subject, one.kind) == (path, "edited") and words in one.found
    assert found(lambda facts: change(facts, None if digest == "absent" else digest)) == []
    unread = only(lambda facts: replace(change(facts), netplan_files=Unknown("planted")))
    assert (unread.kind, unread.subject) == ("unreadable", "netplan files")


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"mtu": 1500}, "mtu", "1500"),
        ({"addresses": (str(ATTACHED.address), "10.9.9.9/24")}, "stray address", "10.9.9.9/24"),
        ({"carrier": False}, "link", "no carrier"),
    ],
)
def test_netdevs(change: dict[str, Any], kind: str, words: str) -> None:
    one = only(netdev(**change))
    assert (one.kind, one.subject) == (kind, DEV) and words in one.found


def test_the_remedy_of_a_link_is_for_its_cable_only_where_it_is_up() -> None:
    assert only(netdev(carrier=False)).remedy == f"reseat the cable in {ATTACHED.half.port} and its other end"
    assert only(netdev(up=False, carrier=False)).remedy == UP


def test_a_wrong_address_is_named_and_so_is_the_one_that_is_missing() -> None:
    wrong = [(d.kind, d.found) for d in found(netdev(addresses=("10.9.9.9/24",)))]
    assert wrong == [("address", "10.9.9.9/24"), ("stray address", "10.9.9.9/24")]
    assert only(netdev(addresses=())).found == "none"


def test_a_netdev_without_its_address_is_not_also_blamed_for_its_route() -> None:
    facts = netdev(addresses=())(routed(*CONNECTED["spark-2"][1:], DEFAULT)(healthy()["spark-2"]))
    assert only(lambda _: facts).kind == "address"
    down = netdev(up=False, carrier=False)(routed(*CONNECTED["spark-2"][1:], DEFAULT)(healthy()["spark-2"]))
    assert only(lambda _: down).kind == "link"


def test_a_netdev_that_is_down_or_gone() -> None:
    assert only(netdev(up=False, carrier=False)).found == "down"
    assert only(netdev(up=False, carrier=False, addresses=())).kind == "link", "the address went with the link"
    known = healthy()["spark-2"].netdevs
    assert isinstance(known, Known)
    rest = {name: state for name, state in known.value.items() if name != DEV}
    assert only(lambda facts: replace(facts, netdevs=Known(rest))).kind == "netdev"


def test_a_netdev_of_earlier_cables() -> None:
    def change(facts: NodeFacts) -> NodeFacts:
        names = (*record(facts).netdevs, "enp1s0f0np0")
        return replace(facts, record=Known(record(facts).model_copy(update={"netdevs": names})))

    assert (only(change).kind, only(change).subject) == ("left over", "enp1s0f0np0")


@pytest.mark.parametrize(
    ("route", "words"),
    [
        (f'{{"dst":"default","gateway":"10.0.0.1","dev":"{DEV}"}}', "default via 10.0.0.1"),
        (f'{{"dst":"10.77.0.0/16","dev":"{DEV}"}}', "10.77.0.0/16"),
        (f'{{"dst":"{NETWORK}","gateway":"10.20.0.99","dev":"{DEV}"}}', "via 10.20.0.99"),
        (f'{{"dst":"{NETWORK}","dev":"enP7s7"}}', "dev enP7s7"),
        (f'{{"dst":"{ATTACHED.address.ip}","dev":"enP7s7","table":"100"}}', "table 100"),
        (f'{{"dst":"10.77.0.0/16","nexthops":[{{"dev":"enP7s7"}},{{"dev":"{DEV}"}}]}}', DEV),
    ],
)
def test_stray_routes(route: str, words: str) -> None:
    one = only(routed(*CONNECTED["spark-2"], DEFAULT, *parse(f"[{route}]")))
    assert (one.kind, one.subject) == ("stray route", DEV) and words in one.found and "ip route del" in one.remedy


def test_a_missing_route() -> None:
    one = only(routed(*CONNECTED["spark-2"][1:], DEFAULT))
    assert (one.kind, one.subject) == ("route", DEV) and str(NETWORK) in one.expected


def test_routes_that_are_not_unicast_are_left_out() -> None:
    text = json.dumps([{"type": "local", "dst": "10.0.0.1", "dev": DEV}, {"type": "broadcast", "dst": "10.0.0.255", "dev": DEV},
                       {"dst": "10.5.0.0/24", "nhid": 7}])  # fmt: skip
    assert parse(text) == ()
    for broken in ("[1]", "{", '[{"dev":"x"}]', '[{"dst":"elsewhere","dev":"x"}]'):
        with pytest.raises((ValueError, KeyError, AttributeError)):
            parse(broken)


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"loaded": False}, "unit", "not known"),
        ({"enabled": False}, "unit", "disabled"),
        ({"active": "failed"}, "unit", "failed"),
        ({"restarts": 3}, "restarts", "3"),
    ],
)
def test_the_unit(change: dict[str, Any], kind: str, words: str) -> None:
    now = healthy()["spark-2"].unit
    assert isinstance(now, Known)
    one = only(lambda facts: replace(facts, unit=Known(replace(now.value, **change))))
    assert one.kind == kind and words in one.found


def test_an_engine_that_nobody_wants_and_that_runs() -> None:
    rendering = render(replace(CLUSTER, engine=None), FABRIC)
    wanted = {n: replace(d, rendering=rendering.nodes[n], image=None) for n, d in desired().items()}
    kept = {n: {file.path: f.files[file.path] for file in rendering.nodes[n].files} for n, f in healthy().items()}
    facts = {n: replace(f, image=Absent("no image"), files=kept[n]) for n, f in healthy().items()}
    assert [(d.node, d.kind, d.expected) for d in drift(CLUSTER.name, wanted, facts, {})] == [
        (n, "unit", "no engine") for n in facts
    ]
    idle = {n: replace(f, unit=Known(UnitState(True, "inactive", "dead", False, 0))) for n, f in facts.items()}
    assert drift(CLUSTER.name, wanted, idle, {}) == ()


def test_images() -> None:
    assert only(lambda facts: replace(facts, image=Absent("no"))).subject == desired()["spark-2"].image
    differs = only(lambda facts: replace(facts, image=Known("sha256:2")))
    assert differs.expected == "sha256:1, as on spark-1" and differs.found == "sha256:2"
    old = only(lambda facts: replace(facts, container=Known(ContainerState("running", "sha256:0"))))
    assert (old.subject, old.found) == ("container", "sha256:0")
    assert found(lambda facts: replace(facts, container=Known(ContainerState("running", "sha256:1")))) == []
    head = healthy() | {"spark-1": replace(healthy()["spark-1"], image=Absent("no"))}
    (missing,) = drift(CLUSTER.name, desired(), head | {"spark-2": replace(head["spark-2"], image=Known("sha256:2"))}, {})
    assert (missing.node, missing.found) == ("spark-1", "not there")


def test_a_container_is_not_judged_by_an_image_that_could_not_be_read() -> None:
    running = Known(ContainerState("running", "sha256:0"))
    assert only(lambda facts: replace(facts, image=Unknown("planted"), container=running)).kind == "unreadable"


def test_a_foreign_file() -> None:
    stanza = ForeignStanza("ethernets", DEV, (DEV,), (), "is its name", "dhcp4")
    file = ForeignFile("/etc/netplan/40-cx7.yaml", "d", 0o600, 0, 0, (stanza,), "somebody", True, "", "absent")
    one = only(lambda facts: replace(facts, foreign=Known((file,))))
    assert one.kind == "foreign" and "dhcp4" in one.found and "--take-over" in one.remedy
    stuck = replace(file, movable=False, why_not="bind it")
    assert only(lambda facts: replace(facts, foreign=Known((stuck,)))).remedy == "bind it"
    assert one.found == f"a file of somebody: {DEV} is its name: dhcp4"
    silent = replace(file, who="", stanzas=(replace(stanza, says=""),))
    assert only(lambda facts: replace(facts, foreign=Known((silent,)))).found == f"a file: {DEV} is its name"


def test_a_node_without_record_is_one_line() -> None:
    fresh = {n: replace(node, record=None, files={}, addresses={}, mtu=1500) for n, node in settled().items()}
    facts = healthy() | {"spark-2": fresh["spark-2"].facts()}
    assert [(d.node, d.kind) for d in drift(CLUSTER.name, desired(), facts, {})] == [("spark-2", "no record")]
    bare = facts | {"spark-2": replace(facts["spark-2"], image=Absent("no"))}
    assert [(d.node, d.kind) for d in drift(CLUSTER.name, desired(), bare, {})] == [("spark-2", "no record")]
    mine = facts | {"spark-2": with_file(NETPLAN, FileState(0o600, 0, 0, "mine"))(facts["spark-2"])}
    said = [(d.kind, d.subject, d.found) for d in drift(CLUSTER.name, desired(), mine, {})][1:]
    assert said == [("left over", NETPLAN, "a file that is on no record")]


def test_another_cluster_and_an_interrupted_run() -> None:
    other = only(lambda facts: replace(facts, record=Known(Record(cluster="other"))))
    assert (other.kind, other.found) == ("other cluster", "other")
    run = only(lambda facts: replace(facts, run=Known(RunState("armed", (), None))))
    assert run.kind == "interrupted" and "recover" in run.remedy


@pytest.mark.parametrize(
    "fact", ["netdevs", "record", "run", "foreign", "owners", "netplan_files", "unit", "image", "routes", "container"]
)
def test_what_cannot_be_read_is_said(fact: str) -> None:
    drifts = found(lambda facts: replace(facts, **{fact: Unknown("planted")}))
    assert [(d.kind, d.found) for d in drifts] == [("unreadable", "planted")]


def test_a_file_that_cannot_be_read_is_said() -> None:
    drifts = found(lambda facts: replace(facts, files={**facts.files, NETPLAN: Unknown("planted")}))
    assert [(d.kind, d.subject) for d in drifts] == [("unreadable", NETPLAN)]


def test_a_silent_node_is_never_without_drift() -> None:
    facts = {"spark-1": healthy()["spark-1"]}
    (one,) = drift(CLUSTER.name, desired(), facts, {"spark-2": "no route to host"})
    assert (one.node, one.kind, one.found) == ("spark-2", "unreadable", "no route to host")
    assert "no drift" not in printed([one])


def printed(drifts: list[Drift]) -> str:
    stream = StringIO()
    print_drift(drifts, 2, Console(file=stream, width=80, highlight=False))
    return stream.getvalue()


def test_what_people_and_programs_get() -> None:
    assert "no drift: 2 nodes" in printed([])
    drifts = [*found(edited(NCCL_ENV, digest="other", content="[red]x\n")), *found(netdev(mtu=1500))]
    text = printed(drifts)
    assert "+[red]x" in text and "2 differences on 1 node" in text and "do:" in text
    assert [d["kind"] for d in as_values(drifts)] == ["edited", "mtu"]
    json.dumps(as_values(drifts))


def test_routes_are_asked_for_only_by_diff() -> None:
    asked = questions(CLUSTER, FABRIC)["spark-1"]
    names = [probe.name for probe in asked.probes()]
    assert "routes" not in names and "routes" in [p.name for p in replace(asked, routes=True).probes()]
