"""Facts and desired state to plans: order, reasons, risks, undo, refusals, and what a second look finds."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from sparkctl.errors import Refused
from sparkctl.execute.read_facts import questions
from sparkctl.facts.listeners import Listener
from sparkctl.facts.record import Record
from sparkctl.facts.snapshot import NodeFacts, snapshot
from sparkctl.outcome import Absent, Known, Unknown
from sparkctl.plan.changes import FileChange
from sparkctl.plan.compile import Run, archive, commit, prepare
from sparkctl.plan.diff import PLAIN, Desired, Wishes
from sparkctl.plan.plan import Plan
from sparkctl.plan.playbook import load
from sparkctl.plan.renumbering import going, notes
from sparkctl.plan.steps import left_behind, newcomers, plan_down, plan_up
from sparkctl.render import Rendering, render
from sparkctl.study import controller_of, study, study_text

INVENTORY = Path(__file__).parents[2] / "inventories" / "dual.yaml"
STUDY = study(INVENTORY)
assert STUDY.cluster is not None and STUDY.fabric is not None
CLUSTER, FABRIC = STUDY.cluster, STUDY.fabric
RENDERING: Rendering = render(CLUSTER, FABRIC)
ASKED = questions(CLUSTER, FABRIC, baseline=True)
KEY = b"secret-key-of-the-test\n"
CX7 = json.dumps(
    {"path": "/etc/netplan/40-cx7.yaml", "digest": "d", "mode": "0600", "uid": 0, "gid": 0, "stanzas": [], "who": "",
     "movable": True, "why_not": "", "after": "absent"}
)  # fmt: skip
RUN = Run("abcd1234", "me@here", 120)


@dataclass
class FakeNode:
    """A node as its answers describe it; starts empty, as delivered."""

    name: str
    mtu: int = 1500
    addresses: dict[str, str] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)
    files: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    record: Record | None = None
    run: str | None = None
    active: str = "inactive"
    enabled: bool = False
    image: str | None = "sha256:1"
    foreign: str = ""
    owners: str = ""
    missing: str = ""
    broken: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    refused: dict[str, str] = field(default_factory=dict)

    def links(self) -> str:
        return json.dumps([self._link(netdev) for netdev in (*(a.netdev for a in FABRIC.of(self.name)), *self.others)])

    def _link(self, netdev: str) -> dict[str, object]:
        shown = (self.addresses | self.others).get(netdev)
        info = [{"local": shown.split("/")[0], "prefixlen": 24, "scope": "global"}] if shown else []
        return {"ifname": netdev, "mtu": self.mtu, "flags": ["UP", "LOWER_UP"], "addr_info": info}

    def facts(self) -> NodeFacts:
        return snapshot(self.name, ASKED[self.name], self.said())

    def said(self) -> str:
        """What it answers to the questions of a plan."""
        unit = f"LoadState=loaded\nActiveState={self.active}\nSubState=x\nNRestarts=0\n"
        answers: dict[str, str | None] = {
            "system": "boot\n6.17\n1000\n1000\n1700000000\n",
            "links": self.links(),
            "record": self.record.model_dump_json() if self.record else None,
            "run": self.run,
            "lock": None,
            "rdma": "",
            "tools": self.missing,
            "foreign": self.foreign,
            "owners": self.owners,
            "netplan-files": "",
            "unit": unit + f"UnitFileState={'enabled' if self.enabled else 'disabled'}\n",
            "image": self.image,
            "container": None,
            "baseline": self._baseline(),
        }
        for path in (*ASKED[self.name].paths, *ASKED[self.name].secrets):
            answers[f"file:{path}"] = self._file(path)
        lines = [self._line(name, text) for name, text in answers.items()]
        return base64.b64encode("".join(lines).encode()).decode()

    def _baseline(self) -> str | None:
        """Every image that is on record, whole but for those of the paths `damaged`."""
        if self.record is None:
            return None
        kept = {path: f for path, f in self.record.files.items() if f.baseline}
        rows = [f"image {f.baseline} {'0' * 64 if path in self.damaged else f.baseline_digest}" for path, f in kept.items()]
        return "".join(f"{row}\n" for row in (*rows, *(f"refused {name} {why}" for name, why in self.refused.items())))

    def _file(self, path: str) -> str | None:
        if path not in self.files:
            return None
        mode, content = self.files[path]
        shown = base64.b64encode(content).decode() if path in ASKED[self.name].paths else ""
        return f"{mode:o} 0 0 {hashlib.sha256(content).hexdigest()}\n{shown}"

    def _line(self, name: str, text: str | None) -> str:
        if name in self.broken:
            return f"{name} 1 0\n\n"
        status, body = (44, "") if text is None else (0, text)
        return f"{name} {status} {len(body.encode())}\n{body}\n"


def pair() -> dict[str, FakeNode]:
    return {node.name: FakeNode(node.name) for node in CLUSTER.nodes}


def desired() -> dict[str, Desired]:
    digests = {"/etc/sparkctl/api.key": hashlib.sha256(KEY).hexdigest()}
    image = CLUSTER.engine.runtime.docker if CLUSTER.engine else None
    return {n.name: Desired(RENDERING.nodes[n.name], digests, FABRIC.of(n.name), image) for n in CLUSTER.nodes}


def planned(nodes: dict[str, FakeNode], only: str | None = None, wishes: Wishes = PLAIN) -> Plan:
    facts = {n: node.facts() for n, node in nodes.items()}
    return plan_up(CLUSTER.name, desired(), facts, load("up").only(only), wishes)


def settled() -> dict[str, FakeNode]:
    """Both nodes as a finished `up` leaves them."""
    nodes = pair()
    plan = planned(nodes)
    for name, node in nodes.items():
        node.mtu, node.active, node.enabled = 9000, "active", True
        node.addresses = {a.netdev: str(a.address) for a in FABRIC.of(name)}
        node.files = {f.path: (f.mode, f.content.encode()) for f in RENDERING.nodes[name].files}
        node.files |= {s.path: (s.mode, KEY) for s in RENDERING.nodes[name].secrets}
        node.record = plan.records[name]
    return nodes


def written_by_sparkctl(node: FakeNode, path: str) -> None:
    """The record says that what is there now is what sparkctl wrote."""
    assert node.record is not None
    digest = hashlib.sha256(node.files[path][1]).hexdigest()
    files = node.record.files | {path: node.record.files[path].model_copy(update={"digest": digest})}
    node.record = node.record.model_copy(update={"files": files})


def titles(plan: Plan) -> list[str]:
    return [step.title for step in plan.steps]


def test_first_up_changes_workers_before_the_head_and_network_before_engine() -> None:
    plan = planned(pair())
    assert titles(plan) == ["network, workers", "network, head", "engine, workers", "engine, head"]
    assert [tuple(s.changes) for s in plan.steps] == [("spark-2",), ("spark-1",), ("spark-2",), ("spark-1",)]
    assert plan.risk == "link-drop"


def test_a_settled_cluster_has_nothing_to_do() -> None:
    assert planned(settled()).empty


@pytest.mark.parametrize("field_", ["content", "mode"])
def test_one_changed_engine_file_restarts_the_whole_gang(field_: str) -> None:
    nodes = settled()
    path = "/etc/sparkctl/engine.env"
    mode, content = nodes["spark-2"].files[path]
    nodes["spark-2"].files[path] = (mode, content + b"X=1\n") if field_ == "content" else (0o600, content)
    written_by_sparkctl(nodes["spark-2"], path)
    plan = planned(nodes)
    assert titles(plan) == ["stop all ranks", "engine, workers", "engine, head"]
    assert set(plan.steps[0].changes) == {"spark-1", "spark-2"}
    assert [c.kind for c in plan.steps[1].changes["spark-2"]] == ["file", "unit"]


@pytest.mark.parametrize("kept", [True, False])
def test_addresses_that_are_kept_are_not_renumbered(kept: bool) -> None:
    """NVIDIA Sync's, with its MTU: with `addresses` none becomes another, without them each does."""
    there = {
        n: {a.netdev: f"10.100.24{'AB'.index(a.rail)}.{k}/24" for a in FABRIC.of(n)}
        for k, n in enumerate(ASKED, start=1)
    }
    text = INVENTORY.read_text()
    for name, (rail_a, rail_b) in ((n, there[n].values()) for n in there) if kept else ():
        text = text.replace(f"name: {name},", f"name: {name}, addresses: {{p1: {{A: {rail_a}, B: {rail_b}}}}},")
    found = study_text(text.encode(), str(INVENTORY), controller_of(INVENTORY))
    assert found.cluster is not None and found.fabric is not None and not found.errors
    files, fabric = render(found.cluster, found.fabric).nodes, found.fabric
    wanted = {n: replace(d, rendering=files[n], attachments=fabric.of(n)) for n, d in desired().items()}
    facts = {n: FakeNode(n, 9000, there[n]).facts() for n in ASKED}
    plan = plan_up(CLUSTER.name, wanted, facts, load("up"))
    targets = {n: plan.network(n)[0].netdevs for n in ASKED}
    assert all((t.after_address == there[n][t.netdev]) is kept for n in ASKED for t in targets[n])
    assert ("becomes" not in plan.network("spark-1")[0].summary) is kept
    assert going(plan) == ({} if kept else {n: tuple(a.partition("/")[0] for a in there[n].values()) for n in ASKED})
    assert kept or "10.100.240.1/24 becomes 10.20.0.11/24" in plan.network("spark-1")[0].summary
    assert all(f'"{a}"' in files[n].files[0].content for n in ASKED for a in there[n].values()) is kept


def test_addresses_that_go_are_ipv4_of_netdevs_that_get_another_and_of_no_old_cable() -> None:
    head, worker = settled().items()
    first, second = FABRIC.of(head[0])
    old = "enp1s0f0np0"
    moved = head[1].record.model_copy(update={"netdevs": (*head[1].record.netdevs, old)}) if head[1].record else None
    head[1].addresses[first.netdev], head[1].others, head[1].record = "10.77.0.1/24", {old: "10.78.0.1/24"}, moved
    assert going(planned(dict((head, worker)))) == {head[0]: ("10.77.0.1",)}
    head[1].addresses[first.netdev] = str(second.address)
    assert going(planned(dict((head, worker)))) == {}, "another netdev has it afterwards"
    head[1].addresses[first.netdev] = "fd00::1/64"
    assert going(planned(dict((head, worker)))) == {}


def test_a_plan_says_who_listens_at_addresses_that_go() -> None:
    gone = {"spark-1": ("10.1.0.1", "10.1.1.1"), "spark-2": ("10.1.0.2",), "spark-3": ("10.1.0.3",)}
    told = {
        "spark-1": Known((Listener("10.1.0.1", 2049, ""), Listener("10.1.1.1", 22, "sshd"))),
        "spark-2": Known(()),
        "spark-3": Unknown("the connection was lost"),
    }
    keep, *said = notes(gone, told)
    assert "`addresses` of a node keeps them" in keep
    assert said == [
        "spark-1: nobody reaches a program at 10.1.0.1:2049 and sshd at 10.1.1.1:22 afterwards",
        "spark-3: what listens at 10.1.0.3 is not known: the connection was lost",
    ]
    assert list(notes({}, {})) == []


def test_a_dead_rank_is_an_operation_on_the_gang() -> None:
    nodes = settled()
    nodes["spark-2"].active = "failed"
    plan = planned(nodes)
    assert titles(plan) == ["stop all ranks", "engine, workers", "engine, head"]


def test_a_network_change_stops_a_running_engine_first() -> None:
    nodes = settled()
    nodes["spark-1"].mtu = 1500
    assert titles(planned(nodes)) == ["stop all ranks", "network, head", "engine, workers", "engine, head"]


def test_only_network_leaves_the_engine_out() -> None:
    assert titles(planned(pair(), "network")) == ["network, workers", "network, head"]


def test_a_missing_image_is_fetched_and_said_to_stay() -> None:
    nodes = pair()
    nodes["spark-2"].image = None
    plan = planned(nodes)
    step = next(s for s in plan.steps if s.title == "fetch the image")
    assert set(step.changes) == {"spark-2"} and not step.changes["spark-2"][0].reversible


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"broken": ("links",)}, "netdevs"),
        ({"broken": ("record",)}, "record"),
        ({"broken": ("file:/etc/netplan/95-sparkctl.yaml",)}, "95-sparkctl.yaml"),
        ({"broken": ("unit",)}, "unit"),
        ({"missing": "docker\n"}, "docker"),
        ({"run": "armed\n"}, "interrupted run"),
        ({"foreign": CX7}, "/etc/netplan/40-cx7.yaml"),
        ({"record": Record(cluster="other")}, "'other'"),
    ],
)
def test_one_doubtful_node_means_no_plan_at_all(change: dict[str, object], words: str) -> None:
    nodes = pair()
    nodes["spark-2"] = FakeNode("spark-2", **change)  # type: ignore[arg-type]
    with pytest.raises(Refused) as caught:
        planned(nodes)
    assert "spark-2" in caught.value.message and words in caught.value.message
    assert "spark-1" not in caught.value.message


def test_unknown_is_never_absent() -> None:
    node = FakeNode("spark-1", broken=("file:/etc/sparkctl/engine.sh",))
    assert "/etc/sparkctl/engine.sh" in dict(node.facts().unknowns())


def test_a_plan_survives_being_saved() -> None:
    plan = planned(pair())
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_no_secret_in_a_plan_but_in_the_upload() -> None:
    plan = planned(pair())
    assert KEY.decode().strip() not in plan.model_dump_json()
    packed = archive(plan, RUN, "spark-1", {"/etc/sparkctl/api.key": KEY})
    command = prepare(plan, RUN, "spark-1", {"/etc/sparkctl/api.key": KEY})
    assert KEY in packed and command.stdin == packed
    assert KEY.decode().strip() not in command.script and KEY.decode().strip() not in repr(command)


def test_the_fingerprint_moves_with_whatever_a_plan_rests_on() -> None:
    before = FakeNode("spark-1").facts().fingerprint(("enp1s0f1np1",))
    moved = [
        FakeNode("spark-1", mtu=9000),
        FakeNode("spark-1", addresses={"enp1s0f1np1": "10.9.9.9/24"}),
        FakeNode("spark-1", files={"/etc/sparkctl/nccl.env": (0o644, b"x")}),
        FakeNode("spark-1", active="active"),
        FakeNode("spark-1", record=Record(cluster="dual")),
        FakeNode("spark-1", image=None),
    ]
    assert before not in [node.facts().fingerprint(("enp1s0f1np1",)) for node in moved]
    assert before == FakeNode("spark-1").facts().fingerprint(("enp1s0f1np1",))


def test_down_of_an_untouched_cluster_is_nothing() -> None:
    assert plan_down("dual", {n: node.facts() for n, node in pair().items()}).empty


def test_down_takes_away_the_engine_first_and_everything_that_up_brought() -> None:
    nodes = settled()
    plan = plan_down("dual", {n: node.facts() for n, node in nodes.items()})
    assert titles(plan) == ["stop all ranks", "engine files", "network, workers", "network, head"]
    assert {c.path for c in plan.files("spark-1")} == set(nodes["spark-1"].files)
    assert plan.records == {"spark-1": None, "spark-2": None}


def test_down_never_touches_a_later_edit() -> None:
    nodes = settled()
    path = "/etc/sparkctl/engine.sh"
    nodes["spark-1"].files[path] = (0o755, b"# mine\n")
    plan = plan_down("dual", {n: node.facts() for n, node in nodes.items()})
    assert path not in {c.path for c in plan.files("spark-1")}
    assert any(path in note and "left alone" in note for note in plan.notes)


def test_a_file_that_was_there_before_comes_back_at_the_end() -> None:
    nodes = pair()
    nodes["spark-1"].files["/etc/sparkctl/nccl.env"] = (0o600, b"# the user's own\n")
    record = planned(nodes).records["spark-1"]
    assert record is not None
    kept = record.files["/etc/sparkctl/nccl.env"]
    assert kept.baseline == f"etc_sparkctl_nccl.env.{kept.baseline_digest and kept.baseline_digest[:12]}"
    assert kept.baseline_digest == hashlib.sha256(b"# the user's own\n").hexdigest()
    after = settled()
    after["spark-1"].record = record
    change = next(
        c for c in plan_down("dual", {n: node.facts() for n, node in after.items()}).files("spark-1")
        if c.path == "/etc/sparkctl/nccl.env"
    )  # fmt: skip
    assert change.baseline == kept.baseline and change.after is not None
    assert change.after.digest == kept.baseline_digest


def with_baselines(*paths: str) -> dict[str, FakeNode]:
    """A pair at its goal; before sparkctl the first node had files at these paths."""
    nodes = pair()
    for path in paths:
        nodes["spark-1"].files[path] = (0o600, b"# the user's own\n")
    record = planned(nodes).records["spark-1"]
    nodes = settled()
    nodes["spark-1"].record = record
    return nodes


def image_name(node: FakeNode, path: str) -> str:
    assert node.record is not None and node.record.files[path].baseline is not None
    return node.record.files[path].baseline or ""


def torn_down(nodes: dict[str, FakeNode], *accepted: str) -> tuple[Plan, dict[str, dict[str, str]]]:
    facts = {n: node.facts() for n, node in nodes.items()}
    given_up = {"spark-1": accepted}
    return plan_down("dual", facts, accepted=given_up), left_behind(facts, given_up)


ENV, NETPLAN = "/etc/sparkctl/nccl.env", "/etc/netplan/95-sparkctl.yaml"


def test_a_damaged_before_image_stays_and_everything_else_goes_back() -> None:
    nodes = with_baselines(ENV)
    nodes["spark-1"].damaged = (ENV,)
    plan, left = torn_down(nodes)
    assert list(left) == ["spark-1"] and list(left["spark-1"]) == [ENV] and "damaged" in left["spark-1"][ENV]
    assert {c.path for c in plan.files("spark-1")} == set(nodes["spark-1"].files) - {ENV}
    assert {c.path for c in plan.files("spark-2")} == set(nodes["spark-2"].files) and plan.records["spark-2"] is None
    kept = plan.records["spark-1"]
    assert kept is not None and set(kept.files) == {ENV} and kept.netdevs == ()
    assert plan.network("spark-1") and any(ENV in note and "stays" in note for note in plan.notes)


def test_a_second_teardown_finds_nothing_more_to_do_and_still_names_what_is_left() -> None:
    nodes = with_baselines(NETPLAN)
    nodes["spark-1"].damaged = (NETPLAN,)
    plan, _ = torn_down(nodes)
    again = {"spark-1": nodes["spark-1"]}
    again["spark-1"].record = plan.records["spark-1"]
    again["spark-1"].files = {NETPLAN: nodes["spark-1"].files[NETPLAN]}
    facts = {"spark-1": replace(again["spark-1"].facts(), unit=Absent("no unit"))}
    second = plan_down("dual", facts)
    assert second.steps == () and second.records["spark-1"] == plan.records["spark-1"] and NETPLAN in left_behind(facts)["spark-1"]


def test_while_its_netplan_file_stays_the_network_of_a_node_stays_too() -> None:
    nodes = with_baselines(NETPLAN)
    nodes["spark-1"].refused = {image_name(nodes["spark-1"], NETPLAN): "Error in network definition"}
    plan, left = torn_down(nodes)
    assert "Error in network definition" in left["spark-1"][NETPLAN]
    assert not plan.network("spark-1") and plan.network("spark-2")
    kept = plan.records["spark-1"]
    assert kept is not None and set(kept.files) == {NETPLAN} and kept.netdevs


def test_where_netplan_takes_nothing_at_all_every_netplan_file_stays() -> None:
    nodes = settled()
    nodes["spark-2"].refused = {"-": "90-other.yaml:1: no mapping"}
    plan, left = torn_down(nodes)
    assert list(left) == ["spark-2"] and "90-other.yaml" in left["spark-2"][NETPLAN] and not plan.network("spark-2")


@pytest.mark.parametrize("path", [ENV, NETPLAN])
def test_a_loss_that_is_accepted_takes_the_file_away_and_keeps_what_there_is(path: str) -> None:
    nodes = with_baselines(path)
    nodes["spark-1"].damaged = (path,)
    plan, left = torn_down(nodes, path)
    (change,) = (c for c in plan.files("spark-1") if c.path == path)
    assert left == {} and change.after is None and plan.records["spark-1"] is None
    assert plan.spared["spark-1"] == {path: image_name(nodes["spark-1"], path)} and plan.network("spark-1")


def test_a_node_that_cannot_say_what_it_kept_is_not_torn_down() -> None:
    nodes = settled()
    nodes["spark-2"].broken = ("baseline",)
    with pytest.raises(Refused, match="spark-2: before-images"):
        plan_down("dual", {n: node.facts() for n, node in nodes.items()})


def test_a_second_run_keeps_the_first_baseline() -> None:
    nodes = settled()
    first = nodes["spark-1"].record
    assert first is not None
    path = "/etc/sparkctl/engine.env"
    kept = first.files[path].model_copy(update={"baseline": "etc_sparkctl_engine.env"})
    nodes["spark-1"].record = first.model_copy(update={"files": first.files | {path: kept}})
    nodes["spark-1"].files[path] = (0o644, b"changed\n")
    written_by_sparkctl(nodes["spark-1"], path)
    second = planned(nodes).records["spark-1"]
    assert second is not None and second.files[path].baseline == "etc_sparkctl_engine.env"


def test_up_leaves_a_later_edit_alone_and_says_so_unless_forced() -> None:
    nodes = settled()
    path = "/etc/sparkctl/nccl.env"
    nodes["spark-1"].files[path] = (0o644, b"# mine\n")
    plan = planned(nodes)
    assert plan.empty and any(path in note and "edited" in note for note in plan.notes)
    forced = planned(nodes, wishes=Wishes(force=frozenset({path})))
    (change,) = forced.files("spark-1")
    assert change.path == path and "edited by somebody else" in change.reason
    assert not forced.notes


def test_down_keeps_what_was_there_before_beside_a_later_edit() -> None:
    nodes = pair()
    path = "/etc/sparkctl/nccl.env"
    nodes["spark-1"].files[path] = (0o600, b"# the user's own\n")
    record = planned(nodes).records["spark-1"]
    nodes = settled()
    nodes["spark-1"].record = record
    nodes["spark-1"].files[path] = (0o644, b"# edited since\n")
    plan = plan_down("dual", {n: node.facts() for n, node in nodes.items()})
    assert path not in {c.path for c in plan.files("spark-1")}
    assert record is not None and plan.spared["spark-1"] == {path: record.files[path].baseline}
    assert any(f"{path}.before-sparkctl" in note for note in plan.notes)
    forced = plan_down("dual", {n: node.facts() for n, node in nodes.items()}, Wishes(force=frozenset({path})))
    assert path in {c.path for c in forced.files("spark-1")} and forced.spared["spark-1"] == {}


def test_reprovision_changes_the_new_node_only_and_restarts_the_gang() -> None:
    nodes = settled()
    nodes["spark-2"] = FakeNode("spark-2")
    facts = {n: node.facts() for n, node in nodes.items()}
    assert newcomers(facts) == {"spark-2"}
    plan = plan_up(CLUSTER.name, desired(), facts, load("up"), Wishes(only=frozenset({"spark-2"})))
    assert plan.action == "reprovision"
    kinds = {(node, change.kind) for step in plan.steps for node, found in step.changes.items() for change in found}
    assert kinds == {("spark-1", "unit"), ("spark-2", "unit"), ("spark-2", "file"), ("spark-2", "network")}


def test_reprovision_says_what_it_leaves_alone() -> None:
    nodes = settled()
    nodes["spark-2"], nodes["spark-1"].mtu = FakeNode("spark-2"), 1500
    facts = {n: node.facts() for n, node in nodes.items()}
    plan = plan_up(CLUSTER.name, desired(), facts, load("up"), Wishes(only=frozenset({"spark-2"})))
    assert not plan.network("spark-1")
    assert any(note.startswith("spark-1: differs from the inventory too") for note in plan.notes)


def test_reprovision_of_a_cluster_that_nobody_set_up_is_refused() -> None:
    with pytest.raises(Refused, match="no node of this cluster is set up"):
        newcomers({n: node.facts() for n, node in pair().items()})


def test_a_netdev_of_an_old_cable_goes_back_and_leaves_the_record() -> None:
    nodes = settled()
    record = nodes["spark-1"].record
    assert record is not None
    old = "enp1s0f0np0"
    nodes["spark-1"].record = record.model_copy(update={"netdevs": (*record.netdevs, old)})
    nodes["spark-1"].others = {old: "10.20.9.11/24"}
    plan = planned(nodes)
    (network,) = plan.network("spark-1")
    assert [t.netdev for t in network.netdevs if t.after_address is None] == [old]
    assert plan.records["spark-1"] is not None and old not in plan.records["spark-1"].netdevs
    script = commit(plan, RUN, next(s for s in plan.steps if network in s.changes.get("spark-1", ())), "spark-1").script
    assert f"undo_netdev {old} /var/lib/sparkctl/baseline/net.{old}" in script


def revert_of(plan: Plan, node: str) -> str:
    with tarfile.open(fileobj=io.BytesIO(archive(plan, RUN, node, {"/etc/sparkctl/api.key": KEY}))) as tar:
        member = tar.extractfile("revert.sh")
        assert member is not None
        return member.read().decode()


def test_the_undo_runs_backwards() -> None:
    script = revert_of(planned(pair()), "spark-1").split("bad=0")[-1]
    order = [
        script.index(words)
        for words in (
            "stop_unit",
            "undo_file /etc/netplan/95-sparkctl.yaml",
            "apply_netplan",
            "undo_netdev enp1s0f1np1",
            "undo_file /etc/systemd/system/sparkctl-engine.service",
            "undo_unit",
            "revert_ends",
        )
    ]
    assert order == sorted(order)


def test_before_images_and_timer_come_before_the_first_change() -> None:
    plan = planned(pair())
    script = prepare(plan, RUN, "spark-2", {"/etc/sparkctl/api.key": KEY}).script.split("hold abcd1234 120")[-1]
    assert script.index("begin") < script.index("save_file") < script.index("save_netdev") < script.index("arm 120")
    assert "put_file" not in script and "apply_netplan" not in script
    change = commit(plan, RUN, plan.steps[0], "spark-2").script.split("hold abcd1234 120")[-1]
    assert change.index("started network") < change.index("put_file /etc/netplan") < change.index("apply_netplan")


def test_a_change_carries_what_it_was() -> None:
    nodes = settled()
    nodes["spark-1"].files["/etc/sparkctl/nccl.env"] = (0o644, b"old\n")
    written_by_sparkctl(nodes["spark-1"], "/etc/sparkctl/nccl.env")
    change = next(c for c in planned(nodes).files("spark-1") if c.path == "/etc/sparkctl/nccl.env")
    assert isinstance(change, FileChange) and change.before is not None
    assert change.before.content == "old\n" and change.reason == "content differs"


@pytest.mark.parametrize("active", ["active", "failed", "inactive"])
def test_an_engine_that_nobody_wants_any_more_is_stopped_and_not_started(active: str) -> None:
    """Whatever it does now: a unit that is enabled would leave a link into nowhere when its file goes."""
    nodes = settled()
    for node in nodes.values():
        node.active = active
    bare = replace(CLUSTER, engine=None)
    rendering = render(bare, FABRIC)
    wanted = {n.name: Desired(rendering.nodes[n.name], {}, FABRIC.of(n.name), None) for n in bare.nodes}
    plan = plan_up(bare.name, wanted, {n: node.facts() for n, node in nodes.items()}, load("up"))
    assert titles(plan)[0] == "stop all ranks" and set(plan.steps[0].changes) == {"spark-1", "spark-2"}
    assert [change.action for node in plan.nodes for change in plan.units(node)] == ["stop", "stop"]
