"""The scripts for switches, replayed on a small RouterOS: they do what they say, twice is once, and the undo undoes."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path, PurePosixPath

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from sparkctl.cli.render import render as render_command
from sparkctl.errors import SparkctlError
from sparkctl.fabric.switches import ALIASES, CRS804, CRS812, SwitchModel, known, model_of
from sparkctl.inventory.resolve import Controller
from sparkctl.render import Rendering, render
from sparkctl.render.environment import routeros_words
from sparkctl.study import Study, study_text
from tests.routeros import BRIDGE, ETHERNET, MEMBERS, QOS, RouterOS, ScriptError, Tables, untouched

ROOT = Path(__file__).resolve().parents[2]
HEAD = "apiVersion: sparkctl/v1\nkind: Cluster\nmetadata: {name: c}\nssh: {user: nvidia}\n"
DESK = Controller("op", PurePosixPath("/home/op"), PurePosixPath("/inventories"))


def inventory(model: str, ports: list[str], more: str = "", fabric: str = "topology: switch") -> str:
    """One node per switch port."""
    nodes = "".join(f"  - {{name: n{k}, address: 192.0.2.{k + 11}}}\n" for k in range(len(ports)))
    links = "".join(f"  - {{a: n{k}:p1, b: sw:{port}}}\n" for k, port in enumerate(ports))
    switch = f"  - {{name: sw, model: {model}, l2mtu: 9216{more}}}\n"
    return f"{HEAD}nodes:\n{nodes}links:\n{links}switches:\n{switch}fabric: {{{fabric}}}\n"


QUARTERS = [f"qsfp56-dd-{cage}-{lane}" for cage in (1, 2) for lane in (1, 3, 5, 7)]
MIXED = ["qsfp56-1-1", "sfp56-3", "qsfp56-dd-1-5", "qsfp56-dd-2-1"]
ISL = (
    f"{HEAD}nodes: [{{name: n0, address: 192.0.2.11}}, {{name: n1, address: 192.0.2.12}}]\n"
    "links: [[n0:p1, 'sw:qsfp56-dd-1-1'], [n1:p1, 'x:qsfp56-2-1'], ['sw:qsfp56-dd-4-1', 'x:qsfp56-dd-1-1']]\n"
    "switches: [{name: sw, model: mikrotik-crs804-4ddq, l2mtu: 9216, qos: roce}, {name: x, model: mikrotik-crs812}]\n"
    "fabric: {topology: switch}\n"
)
CASES = {
    "quad-switch": (ROOT / "inventories/quad-switch.yaml").read_text(),
    "quad-crs812": (ROOT / "inventories/quad-crs812.yaml").read_text(),
    "qos": inventory("mikrotik-crs804-4ddq", ["qsfp56-dd-1-1", "qsfp56-dd-1-5"], ", qos: roce"),
    "quarters": inventory("mikrotik-crs804-4ddq", QUARTERS, ", qos: roce"),
    "mixed": inventory("mikrotik-crs812", MIXED, ", qos: roce"),
    "small-frames": inventory("mikrotik-crs812", ["qsfp56-1-1", "qsfp56-2-1"], "", "topology: switch, mtu: 1500"),
    "two-switches": ISL,
}
every_case = pytest.mark.parametrize("text", CASES.values(), ids=CASES)


def studied(text: str) -> Study:
    found = study_text(text.encode(), "inventory.yaml", DESK)
    assert found.errors == ()
    return found


def rendered(text: str) -> Rendering:
    found = studied(text)
    assert found.cluster is not None
    assert found.fabric is not None
    return render(found.cluster, found.fabric)


def scripts(text: str, switch: str = "") -> dict[str, str]:
    """The scripts of one switch by what follows its name: `` (set up), `-rollback`, `-verify`, `-qos`..."""
    switches = rendered(text).switches
    name = switch or next(iter(switches))
    return {f.path.removeprefix(name)[:-4]: f.content for f in switches[name].files if f.path.endswith(".rsc")}


def wiring(text: str) -> tuple[SwitchModel, dict[str, str]]:
    """The first switch's model, and what each of its cabled ports leads to."""
    cluster = studied(text).cluster
    assert cluster is not None
    model = model_of(cluster.switches[0].model)
    assert model is not None
    ends = [pair for link in cluster.links for pair in ((link.a, link.b), (link.b, link.a))]
    return model, {end.port: peer.owner for end, peer in ends if end.owner == cluster.switches[0].name}


def set_up(text: str, tables: Tables) -> RouterOS:
    """A switch after all of its scripts."""
    made = scripts(text)
    switch = RouterOS(tables).imported(made[""])
    return switch.imported(made["-qos"]) if "-qos" in made else switch


def rolled_back(text: str, switch: RouterOS) -> RouterOS:
    made = scripts(text)
    return (switch.imported(made["-qos-rollback"]) if "-qos" in made else switch).imported(made["-rollback"])


def ports_of(switch: RouterOS) -> dict[str, dict[str, str]]:
    return {row["default-name"]: row for row in switch.tables[ETHERNET]}


@every_case
def test_rollback_is_the_inverse(text: str) -> None:
    before = RouterOS(untouched(wiring(text)[0].ports)).state()
    switch = set_up(text, untouched(wiring(text)[0].ports))
    assert switch.state() != before
    assert rolled_back(text, switch).state() == before


@every_case
def test_a_second_import_changes_nothing(text: str) -> None:
    switch = set_up(text, untouched(wiring(text)[0].ports))
    once, files = deepcopy(switch.tables), list(switch.tables["/file"])
    again = set_up(text, switch.tables)
    assert again.tables == once
    assert again.tables["/file"] == files
    assert [entry for entry in again.log if entry[1] != "set"] == []
    undone = rolled_back(text, rolled_back(text, again))
    assert undone.state() == RouterOS(untouched(wiring(text)[0].ports)).state()


@every_case
def test_every_cabled_port_and_no_other_is_touched(text: str) -> None:
    model, peers = wiring(text)
    switch = set_up(text, untouched(model.ports))
    touched = {about for menu, _, about in switch.log if menu in (ETHERNET, MEMBERS, f"{QOS}/port")}
    assert touched == set(peers)


@every_case
def test_ports_of_nodes_are_forced_and_pass_full_frames(text: str) -> None:
    model, peers = wiring(text)
    cluster = studied(text).cluster
    assert cluster is not None
    nodes, mtu = {node.name for node in cluster.nodes}, str(cluster.fabric.mtu)
    ports = ports_of(set_up(text, untouched(model.ports)))
    for port, owner in peers.items():
        leg = model.leg(port, peers)
        assert leg is not None
        forced = leg.mode is not None and owner in nodes
        assert (ports[port]["mtu"], ports[port]["l2mtu"]) == (mtu, "9216")
        assert ports[port]["auto-negotiation"] == ("no" if forced else "yes")
        assert ports[port].get("speed") == (leg.mode if forced else None)


@every_case
def test_all_ports_are_in_one_bridge_in_hardware_whatever_was_there(text: str) -> None:
    model, peers = wiring(text)
    empty = untouched(model.ports)
    empty[MEMBERS], empty[BRIDGE] = [{"interface": next(iter(peers)), "bridge": "bridge", "hw": "no"}], []
    switch = set_up(text, empty)
    assert [row["name"] for row in switch.tables[BRIDGE]] == ["bridge"]
    members = {row["interface"]: (row["bridge"], row["hw"]) for row in switch.tables[MEMBERS]}
    assert members == dict.fromkeys(peers, ("bridge", "yes"))
    rolled_back(text, switch)
    assert [row["interface"] for row in switch.tables[MEMBERS]] == [next(iter(peers))]


@every_case
def test_verify_only_looks(text: str) -> None:
    switch = set_up(text, untouched(wiring(text)[0].ports))
    before, steps = deepcopy(switch.tables), len(switch.log)
    switch.imported(scripts(text)["-verify"])
    assert (switch.tables, len(switch.log)) == (before, steps)
    assert all(port in scripts(text)["-verify"] for port in wiring(text)[1])


@every_case
def test_renamed_ports_are_found(text: str) -> None:
    model, peers = wiring(text)
    tables = untouched(model.ports)
    for row in tables[ETHERNET]:
        row["name"] = f"my-{row['default-name']}"
    for menu, key in ((MEMBERS, "interface"), (f"{QOS}/port", "name")):
        for row in tables[menu]:
            row[key] = f"my-{row[key]}"
    before = RouterOS(deepcopy(tables)).state()
    switch = set_up(text, tables)
    assert {about for menu, _, about in switch.log if menu == f"{QOS}/port"} <= {f"my-{port}" for port in peers}
    assert rolled_back(text, switch).state() == before


@every_case
@pytest.mark.parametrize("harm", ["other bridge", "other switch"])
def test_what_cannot_work_is_refused_before_anything_changes(text: str, harm: str) -> None:
    model, peers = wiring(text)
    last = list(peers)[-1]
    tables = untouched(tuple(port for port in model.ports if harm != "other switch" or port != last))
    for row in tables[MEMBERS]:
        if harm == "other bridge" and row["interface"] == last:
            row["bridge"] = "bridge-mgmt"
    switch = RouterOS(tables)
    before = switch.state()
    with pytest.raises(ScriptError, match=last):
        switch.imported(scripts(text)[""])
    assert switch.state() == before


@pytest.mark.parametrize("version", ["7.22.1 (stable)", "7.19.6 (stable)"])
def test_an_older_routeros_refuses_pfc_before_anything_changes(version: str) -> None:
    switch = RouterOS(untouched(CRS804.ports, version))
    with pytest.raises(ScriptError, match=r"7\.23"):
        switch.imported(scripts(CASES["qos"])["-qos"])
    assert switch.log == []


def test_pfc_is_refused_where_somebody_else_has_classified() -> None:
    switch = RouterOS(untouched(CRS804.ports))
    switch.tables[f"{QOS}/profile"].append({"name": "roce", "dscp": "26", "traffic-class": "3"})
    with pytest.raises(ScriptError, match="DSCP 26"):
        switch.imported(scripts(CASES["qos"])["-qos"])
    assert switch.log == []


def test_pfc_covers_class_3_of_the_legs_of_nodes_alone() -> None:
    switch = set_up(CASES["two-switches"], untouched(CRS804.ports))
    paused = {
        row["name"]: row["egress-rate-queue3"] for row in switch.tables[f"{QOS}/port"] if row["pfc"] != "disabled"
    }
    assert paused == {"qsfp56-dd-1-1": "200Gbps"}
    assert [row["traffic-class"] for row in switch.tables[f"{QOS}/priority-flow-control"]] == ["3"]
    queues = switch.tables[f"{QOS}/tx-manager/queue"]
    assert [(row["tx-manager"], row["traffic-class"]) for row in queues if row["ecn"] == "yes"] == [("default", "3")]
    assert [row for row in queues if row["tx-manager"] == "offline"] == [
        row for row in untouched(())[f"{QOS}/tx-manager/queue"] if row["tx-manager"] == "offline"
    ]


def undone_by(script: str) -> bool:
    """Whether this rollback brings the first example's switch back."""
    switch = set_up(CASES["quad-switch"], untouched(CRS804.ports))
    try:
        return switch.imported(script).state() == RouterOS(untouched(CRS804.ports)).state()
    except ScriptError:
        return False


def test_the_replay_sees_a_missing_undo_and_a_misspelt_word() -> None:
    made = scripts(CASES["quad-switch"])
    lines = made["-rollback"].splitlines(keepends=True)
    steps = [number for number, line in enumerate(lines) if line.startswith("/interface/ethernet/set")]
    assert len(steps) == 8
    assert undone_by("".join(lines))
    assert not any(undone_by("".join(lines[:number] + lines[number + 1 :])) for number in steps)
    for word in ("speed=", "/bridge/port/add", "do=", "find where"):
        with pytest.raises((ScriptError, AssertionError)):
            RouterOS({**untouched(CRS804.ports), MEMBERS: []}).imported(made[""].replace(word, f"x{word}"))


@st.composite
def cablings(draw: st.DrawFn) -> str:
    """Nodes on a known switch, in an order of its own; the rules accept it."""
    model = draw(st.sampled_from([CRS804, CRS812]))
    ports: list[str] = []
    for cage in model.cages:
        masters = draw(st.sampled_from([cage.full, cage.half or cage.full]))
        ports += [cage.port(lane) for lane in draw(st.lists(st.sampled_from(masters), unique=True))]
    ports = draw(st.permutations([port for port in ports if model.leg(port, ports) is not None]))
    chosen = (list(ports) + [p for p in ("ether1", "ether2") if p not in ports])[:9]
    return inventory(model.id, chosen, draw(st.sampled_from(["", ", qos: roce"])))


@settings(max_examples=60, deadline=None)
@given(cablings())
def test_every_cabling_can_be_set_up_and_undone(text: str) -> None:
    model, peers = wiring(text)
    before = RouterOS(untouched(model.ports)).state()
    switch = set_up(text, untouched(model.ports))
    assert {about for menu, _, about in switch.log if menu in (ETHERNET, MEMBERS, f"{QOS}/port")} == set(peers)
    assert rolled_back(text, switch).state() == before


def test_the_order_of_cables_changes_no_script() -> None:
    lines = CASES["quarters"].splitlines(keepends=True)
    links = [line for line in lines if line.startswith("  - {a: n")]
    swapped = CASES["quarters"].replace("".join(links), "".join(reversed(links)))
    assert swapped != CASES["quarters"]
    assert scripts(swapped) == scripts(CASES["quarters"])


def test_lane_masters_depend_on_the_split_of_the_cage() -> None:
    def rates(*ports: str) -> list[int | None]:
        return [leg.gigabits if (leg := CRS804.leg(port, ports)) else None for port in ports]

    assert rates("qsfp56-dd-1-1", "qsfp56-dd-1-5") == [200, 200]
    assert rates("qsfp56-dd-1-1", "qsfp56-dd-1-3", "qsfp56-dd-2-1") == [100, 100, 200]
    assert rates("qsfp56-dd-1-1", "qsfp56-dd-1-2") == [200, None]
    assert CRS812.leg("qsfp56-1-2", ["qsfp56-1-2"]) is None
    assert CRS812.leg("qsfp56-3-1", []) is None
    assert (len(CRS804.ports), len(CRS812.ports)) == (4 * 8 + 2, 2 * 4 + 2 * 8 + 8 + 2)


def test_aliases_mean_the_long_names() -> None:
    assert set(known()) == {CRS804.id, CRS812.id, *ALIASES}
    assert [model_of(alias) for alias in ALIASES] == [CRS804, CRS812]
    assert model_of(None) is model_of("") is model_of("acme") is None


@pytest.mark.parametrize("switch", ["{name: sw, l2mtu: 9216}", "{name: sw, model: acme-1, l2mtu: 9216, qos: roce}"])
def test_without_a_known_model_nothing_is_rendered(switch: str) -> None:
    text = CASES["qos"].replace("{name: sw, model: mikrotik-crs804-4ddq, l2mtu: 9216, qos: roce}", switch)
    assert text != CASES["qos"]
    assert rendered(text).switches == {}


def test_frames_without_an_l2mtu_in_the_file_are_large_enough() -> None:
    for mtu, l2mtu in ((9000, "9216"), (9216, "9238")):
        text = CASES["qos"].replace(", l2mtu: 9216", "").replace("topology: switch", f"topology: switch, mtu: {mtu}")
        ports = ports_of(set_up(text, untouched(CRS804.ports)))
        assert ports["qsfp56-dd-1-1"]["l2mtu"] == l2mtu


@pytest.mark.parametrize("word", ["", "a b", 'a"', "$(x)", "[find]", "a;b", "a\n/user/add", "a\\b", "{x}", "-a", "é"])
def test_nothing_that_routeros_gives_a_meaning_gets_into_a_script(word: str) -> None:
    with pytest.raises(SparkctlError, match="RouterOS"):
        routeros_words(word)
    with pytest.raises(SparkctlError, match="RouterOS"):
        routeros_words(["fine", word])


def test_the_unit_of_the_nodes_names_their_own_netdevs() -> None:
    text = CASES["qos"].replace("n1:p1", "n1:p0")
    units = {f.path: f.content for f in rendered(text).switches["sw"].files if f.path.endswith(".service")}
    assert sorted(units) == ["hosts/n0/sparkctl-dcb.service", "hosts/n1/sparkctl-dcb.service"]
    starts = [line for line in units["hosts/n1/sparkctl-dcb.service"].splitlines() if line.startswith("ExecStart=")]
    assert starts == [
        "ExecStart=/usr/sbin/dcb app replace dev enp1s0f0np0 dscp-prio 26:3",
        "ExecStart=/usr/sbin/dcb pfc set dev enp1s0f0np0 prio-pfc 3:on",
        "ExecStart=/usr/sbin/dcb app replace dev enP2p1s0f0np0 dscp-prio 26:3",
        "ExecStart=/usr/sbin/dcb pfc set dev enP2p1s0f0np0 prio-pfc 3:on",
    ]
    assert all("sparkctl-dcb" not in f.path for node in rendered(text).nodes.values() for f in node.files)


def run(*words: str | Path) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(render_command)
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.stdout


def test_render_writes_prints_and_compares_switches_too(tmp_path: Path) -> None:
    quad = ROOT / "inventories/quad-switch.yaml"
    names = ["sw1.rsc", "sw1-rollback.rsc", "sw1-verify.rsc"]
    read = json.loads(run(quad, "--format", "json")[1])["switches"]
    assert list(read) == ["sw1"]
    assert list(read["sw1"]["files"]) == names
    assert run(quad, "--node", "sw1")[1].count("==> sw1:") == run(quad, "--node", "sw1")[1].count("==> ") == 3
    assert run(quad, "-o", tmp_path)[0] == 0
    assert sorted(path.name for path in (tmp_path / "sw1").iterdir()) == sorted(names)
    assert (tmp_path / "sw1/sw1.rsc").read_text() == read["sw1"]["files"]["sw1.rsc"]["content"]
    assert run(quad, "--check", tmp_path) == (0, "")
    (tmp_path / "sw1/sw1.rsc").write_text("")
    (tmp_path / "sw1/sw1-qos.rsc").write_text("")
    status, shown = run(quad, "--check", tmp_path)
    assert status == 10
    assert f"Only in {tmp_path}/sw1: sw1-qos.rsc" in shown
    assert shown.count("+++ ") == 1
    assert run(quad, "--check", tmp_path, "--node", "spark-1") == (0, "")
    assert run(quad, "--node", "sw9")[0] == 2
