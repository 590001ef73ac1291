"""From what nodes heard to an inventory: every shipped one comes back from its own hellos and LLDP."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from sparkctl.cli.discover import login_of, write
from sparkctl.cli.main import app
from sparkctl.discovery.cabling import Found, Seen, found, names_of
from sparkctl.discovery.inventory_text import Access, Draft, draft
from sparkctl.errors import UsageError
from sparkctl.fabric.ports import HALVES, NETDEVS
from sparkctl.facts.links import Netdev
from sparkctl.facts.neighbours import Hello, Lldp
from sparkctl.inventory.model import Cluster, TopologyName
from sparkctl.inventory.resolve import Controller
from sparkctl.outcome import Absent, Known, Unknown
from sparkctl.study import study_text
from tests.unit.healthy import SHIPPED, healthy

DESK = Controller("me", PurePosixPath("/home/me"), PurePosixPath("/home/me"), lambda path: False)
Change = Callable[[Seen], Seen]


def nodes(inventory: str) -> list[Seen]:
    """The nodes of a shipped inventory, as `discover` would see them when all is up."""
    view = healthy(inventory)
    return [
        Seen(
            node.name,
            node.name,
            node.address,
            22,
            "nvidia",
            view.facts[node.name].netdevs,
            view.facts[node.name].survey.hellos,
            view.facts[node.name].survey.lldp,
        )
        for node in view.cluster.nodes
    ]


def drafted(seen: list[Seen]) -> tuple[Found, Draft, Cluster]:
    heard = found(seen)
    made = draft("sparks", seen, heard, Access(), "sparks.yaml", DESK)
    cluster = study_text(made.text.encode(), "sparks.yaml", DESK).cluster
    assert cluster is not None, made.text
    return heard, made, cluster


def cables(cluster: Cluster) -> set[frozenset[str]]:
    return {frozenset((f"{link.a.owner}:{link.a.port}", f"{link.b.owner}:{link.b.port}")) for link in cluster.links}


def changed(inventory: str, change: Change, *names: str) -> list[Seen]:
    return [change(one) if not names or one.name in names else one for one in nodes(inventory)]


def no_lldp(one: Seen) -> Seen:
    return replace(one, lldp=Absent("lldp: the tool is not installed"))


@pytest.mark.parametrize("inventory", SHIPPED)
def test_an_inventory_comes_back_from_what_its_nodes_hear(inventory: str) -> None:
    written = healthy(inventory).cluster
    _, made, cluster = drafted(nodes(inventory))
    assert cables(cluster) == cables(written)
    assert [(n.name, n.address) for n in cluster.nodes] == [(n.name, n.address) for n in written.nodes]
    assert cluster.fabric.topology == written.fabric.topology
    assert cluster.fabric.mtu == written.fabric.mtu
    assert cluster.fabric.subnet_pool == written.fabric.subnet_pool
    assert made.settled, made.findings


@pytest.mark.parametrize("inventory", SHIPPED)
def test_it_comes_back_from_hellos_alone_but_for_the_names_of_the_switch(inventory: str) -> None:
    written = healthy(inventory).cluster
    heard, made, cluster = drafted(changed(inventory, no_lldp))
    assert made.settled, made.findings
    assert any("LLDP" in point for point in made.check)
    if len(written.nodes) == 2 and written.switches:
        assert cluster.fabric.topology == "direct", "two ports and a mute switch look like a cable, and it says so"
        assert any("a switch without LLDP would look like this cable" in point for point in made.check)
    elif written.switches:
        assert {end for pair in cables(cluster) for end in pair if "spark" in end} == {
            end for pair in cables(written) for end in pair if end.split(":")[0] in {n.name for n in written.nodes}
        }
        assert not heard.switches[0].told
        assert any("made-up names" in point for point in made.check)
    else:
        assert cables(cluster) == cables(written)


@pytest.mark.parametrize("inventory", ["mesh-3", "dual"])
def test_it_comes_back_from_lldp_alone(inventory: str) -> None:
    _, _, cluster = drafted(changed(inventory, lambda one: replace(one, hellos=Known(()))))
    assert cables(cluster) == cables(healthy(inventory).cluster)


def test_the_model_of_a_switch_is_told_by_its_ports_or_its_name() -> None:
    heard, _, _ = drafted(nodes("quad-crs812"))
    assert heard.switches[0].model in (None, "mikrotik-crs812-8ds-2dq-2ddq")

    def by(system: str, prefix: str = "") -> Change:
        return lambda one: (
            replace(one, lldp=Known(tuple(Lldp(e.netdev, system, prefix + e.port) for e in one.lldp.value)))
            if isinstance(one.lldp, Known)
            else one
        )

    heard, made, cluster = drafted(changed("quad-switch", by("MikroTik CRS804", "bridge/")))
    assert heard.switches[0].model == "mikrotik-crs804-4ddq"
    assert {link.b.port for link in cluster.links} == {link.b.port for link in healthy("quad-switch").cluster.links}
    assert cluster.switches[0].name == "mikrotik-crs804"
    heard, made, _ = drafted(changed("quad-switch", by("x\x1b[31m: &bad", "#\n")))
    assert not heard.switches[0].told
    assert made.settled
    assert made.text.replace("\n", "").isprintable()


def test_a_port_that_is_down_or_gone_is_named() -> None:
    def down(one: Seen) -> Seen:
        dead = {name: Netdev(name, 1500, False, False, ()) for name in NETDEVS if "f1" in name}
        return replace(one, netdevs=Known(dead), hellos=Known(()), lldp=Known(()))

    heard, made, _ = drafted(changed("dual", down))
    assert "down" in heard.idle["spark-1", "p1"] and "ip link set enP2p1s0f1np1 up" in heard.idle["spark-1", "p1"]
    assert heard.idle["spark-1", "p0"] == "no netdev: no cable, or the port is asleep"
    assert not made.settled, "two nodes without a cable are no fabric"
    assert "spark-1:p1 and spark-2:p1: down, so nothing could be heard there" in made.check
    assert "no cable was found on spark-1 and spark-2" in made.check


def test_a_cable_to_a_stranger_is_named() -> None:
    def deaf(one: Seen) -> Seen:
        return replace(one, hellos=Known(()), lldp=Known(()))

    heard, _, _ = drafted(changed("dual", deaf))
    assert heard.idle["spark-1", "p1"].startswith("carrier, but none of these nodes was heard")
    assert heard.idle["spark-1", "p0"].startswith("no carrier")


def test_lldp_that_names_another_port_is_a_disagreement_and_hello_wins() -> None:
    def stale(one: Seen) -> Seen:
        return replace(one, lldp=Known((Lldp("enp1s0f1np1", "spark-2", "enp1s0f0np0"),)))

    _, made, cluster = drafted(changed("dual", stale, "spark-1"))
    assert cables(cluster) == {frozenset(("spark-1:p1", "spark-2:p1"))}
    assert "spark-1:p1 heard spark-2:p1, and LLDP says spark-2:p0: was a cable moved?" in made.check


def test_one_rail_alone_is_a_doubt() -> None:
    def half(one: Seen) -> Seen:
        return replace(one, hellos=Known(tuple(h for h in one.hellos.value if h.netdev == h.sender == "enp1s0f1np1")))  # type: ignore[union-attr]

    _, made, _ = drafted(changed("dual", half))
    assert "spark-1:p1 to spark-2:p1 was heard on one rail only: is the other netdev up?" in made.check


def test_a_node_that_could_not_listen_is_named() -> None:
    unknown = Unknown("unreadable answer: enp1s0f1np1: Operation not permitted")
    _, made, cluster = drafted(changed("dual", lambda one: replace(one, hellos=unknown), "spark-1"))
    assert any(point.startswith("spark-1 could not call or listen") for point in made.check)
    assert cables(cluster) == {frozenset(("spark-1:p1", "spark-2:p1"))}, "the other end heard it"


def test_ports_on_one_wire_that_do_not_all_hear_one_another_are_no_plain_switch() -> None:
    def cut(one: Seen) -> Seen:
        left = tuple(h for h in one.hellos.value if {one.name, h.node} != {"spark-1", "spark-4"})  # type: ignore[union-attr]
        return replace(one, hellos=Known(left))

    _, made, _ = drafted(changed("quad-switch", cut))
    assert any("not heard by one another: spark-1:p1 and spark-4:p1" in point for point in made.check)


def test_a_chain_is_written_and_the_rules_say_what_is_missing() -> None:
    def cut(one: Seen) -> Seen:
        gone = {"spark-1": "f1", "spark-3": "f0"}[one.name]
        kept = tuple(h for h in one.hellos.value if gone not in h.netdev)  # type: ignore[union-attr]
        return replace(one, hellos=Known(kept), lldp=Known(()))

    _, made, cluster = drafted(changed("mesh-3", cut, "spark-1", "spark-3"))
    assert cluster.fabric.topology == "mesh"
    assert len(cluster.links) == 2
    assert "TOP004" in {finding.id for finding in made.findings}


def moves(inventory: str, asked: TopologyName, *changes: Change) -> tuple[list[str], Draft]:
    """What a person is told to move so that the cables of a shipped inventory make another topology."""
    seen = nodes(inventory)
    for change in changes:
        seen = [change(one) for one in seen]
    made = draft("sparks", seen, found(seen), Access(), "sparks.yaml", DESK, asked)
    lead = f"for topology {asked}, "
    return [point.removeprefix(lead) for point in made.check if point.startswith(lead)], made


def without_cable(*ends: tuple[str, str]) -> Change:
    """Ports that are dark and heard by nobody."""

    def cut(one: Seen) -> Seen:
        assert isinstance(one.netdevs, Known) and isinstance(one.hellos, Known)
        mine = {half.netdev for half in HALVES if (one.name, half.port) in ends}
        theirs = {(node, half.netdev) for node, port in ends for half in HALVES if half.port == port}
        dark = {n: replace(d, carrier=d.carrier and n not in mine) for n, d in one.netdevs.value.items()}
        kept = tuple(h for h in one.hellos.value if h.netdev not in mine and (h.node, h.sender) not in theirs)
        return replace(one, netdevs=Known(dark), hellos=Known(kept), lldp=Known(()))

    return cut


@pytest.mark.parametrize(
    ("inventory", "asked"), [("dual", "direct"), ("mesh-3", "mesh"), ("ring-4", "ring"), ("quad-switch", "switch")]
)
def test_what_is_cabled_as_asked_needs_no_move(inventory: str, asked: TopologyName) -> None:
    said, made = moves(inventory, asked)
    assert said == [] and made.settled and made.topology == asked


def test_a_chain_is_closed_by_one_more_cable() -> None:
    said, made = moves("ring-4", "ring", without_cable(("spark-4", "p0"), ("spark-1", "p1")))
    assert said == ["lay a cable from spark-4:p0 to spark-1:p1: none is left over for it"]
    assert not made.settled and made.topology == "ring"


def test_a_ring_in_another_order_needs_no_move_where_the_nodes_are_named_in_that_order() -> None:
    seen = nodes("ring-4")
    seen = [seen[0], seen[2], seen[1], seen[3]]
    made = draft("sparks", seen, found(seen), Access(), "sparks.yaml", DESK, "ring")
    assert any(
        "or list `nodes` in the order spark-1, spark-2, spark-3 and spark-4: then no cable ends move" in point
        for point in made.check
    )


def test_a_cable_to_a_stranger_is_one_that_can_be_used() -> None:
    def deaf(one: Seen) -> Seen:
        return replace(one, hellos=Known(()), lldp=Known(()))

    said, _ = moves("dual", "direct", deaf)
    assert said == ["follow the cable in spark-1:p1: its other end belongs into spark-2:p1"]


def test_two_nodes_that_a_cable_joins_are_led_to_the_switch() -> None:
    said, made = moves("mesh-3", "switch")
    assert said == ["no switch was found: connect a port of each node to one, and discover again"]
    said, made = moves("quad-switch", "ring")
    assert len(said) == 4 and all(s.startswith("move the cable end from") for s in said), said
    assert not made.settled


def test_a_node_beside_the_switch_gets_a_free_port_of_full_rate() -> None:
    said, _ = moves("quad-switch", "switch", without_cable(("spark-4", "p1")), told)
    assert said == ["lay a cable from spark-4:p1 to mikrotik-crs804:qsfp56-dd-2-5: none is left over for it"]
    said, _ = moves("quad-switch", "switch", without_cable(("spark-4", "p1")))
    assert said == ["lay a cable from spark-4:p1 to sw1:free-port-1: none is left over for it"], "of no model known"


def told(one: Seen) -> Seen:
    """LLDP of a switch that says its model, at all nodes but the last."""
    entries = nodes("quad-switch")[int(one.name[-1]) - 1].lldp
    assert isinstance(entries, Known)
    said = [Lldp(entry.netdev, "MikroTik CRS804", entry.port) for entry in entries.value]
    return replace(one, lldp=Known(tuple(said) if one.name != "spark-4" else ()))


def test_a_topology_that_so_many_nodes_cannot_make_is_refused() -> None:
    run = CliRunner().invoke(app, ["inventory", "discover", "--topology", "mesh", "a", "b"])
    assert run.exit_code == 2 and "has exactly 3 nodes, not 2" in run.output
    run = CliRunner().invoke(app, ["inventory", "discover", "--topology", "star", "a", "b"])
    assert run.exit_code == 2 and "unknown topology 'star'" in run.output


def test_addresses_of_another_plan_are_a_doubt_and_a_free_pool_is_chosen() -> None:
    def moved(one: Seen) -> Seen:
        assert isinstance(one.netdevs, Known)
        other = {
            n: replace(d, addresses=("10.20.7.5/30",)) if d.carrier and n in NETDEVS else d
            for n, d in one.netdevs.value.items()
        }
        return replace(one, netdevs=Known(other))

    _, made, cluster = drafted(changed("dual", moved))
    assert cluster.fabric.subnet_pool == "10.30.0.0/16"
    assert any("10.20.7.5/30" in point for point in made.check)


def test_a_fresh_machine_gets_the_usual_mtu_and_pool() -> None:
    def fresh(one: Seen) -> Seen:
        assert isinstance(one.netdevs, Known)
        plain = {n: replace(d, mtu=1500, addresses=()) if n in NETDEVS else d for n, d in one.netdevs.value.items()}
        return replace(one, netdevs=Known(plain))

    _, made, cluster = drafted(changed("dual", fresh))
    assert (cluster.fabric.mtu, cluster.fabric.subnet_pool) == (9000, "10.20.0.0/16")
    assert "now 1500 on the cabled netdevs" in made.text
    assert made.settled


@pytest.mark.parametrize(
    ("hostnames", "names"),
    [
        (["alpha", "beta.lan"], ("alpha", "beta")),
        (["spark", "spark"], ("spark-1", "spark-2")),
        (["", "b"], ("spark-1", "spark-2")),
        (["a\x1b", "b"], ("spark-1", "spark-2")),
        (["on", "null"], ("on", "null")),
    ],
)
def test_names(hostnames: list[str], names: tuple[str, ...]) -> None:
    assert names_of(hostnames) == names


def test_a_name_that_yaml_takes_for_something_else_is_quoted() -> None:
    called = {"spark-1": "on", "spark-2": "null"}

    def renamed(one: Seen) -> Seen:
        hellos = tuple(Hello(h.netdev, called[h.node], h.sender) for h in one.hellos.value)  # type: ignore[union-attr]
        return replace(one, name=called[one.name], hostname=called[one.name], hellos=Known(hellos), lldp=Known(()))

    _, made, cluster = drafted(changed("dual", renamed))
    assert [node.name for node in cluster.nodes] == ["on", "null"]
    assert made.settled


WORD = st.one_of(st.sampled_from(["a", "b", *NETDEVS, "sw", "", "enP7s7"]), st.text(max_size=12))


@given(st.lists(st.tuples(WORD, WORD, WORD), max_size=12), st.lists(st.tuples(WORD, WORD, WORD), max_size=12))
def test_whatever_is_heard_makes_a_text_that_is_yaml(
    hellos: list[tuple[str, str, str]], lldp: list[tuple[str, str, str]]
) -> None:
    netdevs = Known({half.netdev: Netdev(half.netdev, 9000, True, True, ("no address",)) for half in HALVES})
    seen = [
        Seen(
            name,
            name,
            address,
            22,
            "me",
            netdevs,
            Known(tuple(Hello(*h) for h in hellos)),
            Known(tuple(Lldp(*x) for x in lldp)),
        )
        for name, address in (("a", "192.0.2.1"), ("b", "192.0.2.2"))
    ]
    _, made, cluster = drafted(seen)
    assert [node.name for node in cluster.nodes] == ["a", "b"]
    assert made.text.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("target", "user", "host", "port"),
    [
        ("spark@192.0.2.11", "spark", "192.0.2.11", 22),
        ("spark@192.0.2.11:2222", "spark", "192.0.2.11", 2222),
        ("spark@[2001:db8::1]:22", "spark", "2001:db8::1", 22),
        ("a@spark-1.lan", "a", "spark-1.lan", 22),
    ],
)
def test_a_target(target: str, user: str, host: str, port: int) -> None:
    login = login_of(target)
    assert (login.user, login.host, login.port) == (user, host, port)


def test_what_a_target_leaves_out_is_left_to_ssh() -> None:
    assert login_of("spark-1").unsaid == {"user", "port"}


@pytest.mark.parametrize(
    "target", ["", "a@", "a b", "h:0", "h:99999", "h:port", "a@b@c", "2001:db8::1", "-oProxyCommand=x", "-x@h"]
)
def test_no_target(target: str) -> None:
    with pytest.raises(UsageError):
        login_of(target)


def test_a_file_is_written_once_and_overwritten_only_by_force(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    write(path, "one", False)
    with pytest.raises(UsageError):
        write(path, "two", False)
    assert path.read_text() == "one"
    write(path, "three", True)
    assert path.read_text() == "three"
    assert [left.name for left in tmp_path.iterdir()] == ["x.yaml"]
    with pytest.raises(UsageError):
        write(tmp_path / "no/x.yaml", "", False)


def test_json_has_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    from sparkctl.cli.discover import _report

    seen = nodes("quad-switch")
    heard, made, _ = drafted(seen)
    said = json.loads(json.dumps(_report("sparks", None, seen, heard, made)))
    assert said["switches"]["sw1"]["ports"]["spark-1:p1"] == "qsfp56-dd-1-1"
    assert said["findings"] == [] and said["text"] == made.text


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("x" * 300, f"cannot be read: {os.strerror(errno.ENAMETOOLONG)}"),
        ("/nonexistent/x.yaml", "name a file in a folder that is there"),
        ("/", "cannot be written"),
        (__file__, "is there already"),
    ],
)
def test_a_place_that_cannot_be_written_is_said_before_a_node_is_asked(output: str, said: str) -> None:
    result = CliRunner().invoke(app, ["inventory", "discover", "a@192.0.2.1", "a@192.0.2.2", "-o", output])
    assert result.exit_code == 2 and said in " ".join(result.stderr.split())


# --- clusters of other tools ------------------------------------------------------------------------------------

TOOLS = {
    "NVIDIA Sync": {"A": ("10.100.240.1/24", "10.100.240.2/24"), "B": ("10.100.241.1/24", "10.100.241.2/24")},
    "playbook": {"A": ("192.168.100.10/24", "192.168.100.11/24"), "B": ("192.168.200.12/24", "192.168.200.13/24")},
    "sparkrun": {"A": ("192.168.11.13/24", "192.168.11.14/24"), "B": ("192.168.12.13/24", "192.168.12.14/24")},
    "spark-vllm-docker": {
        "A": ("192.168.177.11/24", "192.168.177.12/24"),
        "B": ("192.168.178.11/24", "192.168.178.12/24"),
    },
    "pairs": {"A": ("10.0.0.0/31", "10.0.0.1/31"), "B": ("10.0.0.3/31", "10.0.0.2/31")},
    "one rail": {"A": ("10.9.8.7/28", "10.9.8.1/28"), "B": ("", "")},
}


def addressed(addresses: dict[str, tuple[str, ...]], **others: str) -> list[Seen]:
    """The two nodes of dual.yaml with these addresses by rail, and others by netdev on the first."""

    def given(one: Seen) -> Seen:
        assert isinstance(one.netdevs, Known)
        rank = int(one.name[-1]) - 1
        wanted = {half.netdev: addresses[half.rail][rank] for half in HALVES if half.port == "p1"}
        wanted |= others if rank == 0 else {}
        shown = {
            n: tuple(wanted.get(n, "").split()) if n in (*NETDEVS, *others) else d.addresses
            for n, d in one.netdevs.value.items()
        }
        return replace(one, netdevs=Known({n: replace(d, addresses=shown[n]) for n, d in one.netdevs.value.items()}))

    return changed("dual", given)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_cluster_of_another_tool_keeps_its_addresses(tool: str) -> None:
    seen = addressed(TOOLS[tool])
    _, made, cluster = drafted(seen)
    assert made.settled and not made.check, (made.findings, made.check)
    fabric = study_text(made.text.encode(), "sparks.yaml", DESK).fabric
    assert fabric is not None
    planned = {(a.node, a.netdev): (str(a.address),) for a in fabric.attachments if TOOLS[tool][a.rail][0]}
    in_use = {
        (one.name, n): d.addresses for one in seen for n, d in one.netdevs.value.items() if n in NETDEVS and d.addresses
    }  # type: ignore[union-attr]
    assert planned == in_use
    assert "`addresses` are in use and stay" in made.text
    assert [len(node.addresses) for node in cluster.nodes] == [len(in_use) // 2] * 2


@pytest.mark.parametrize(
    ("addresses", "kept", "says"),
    [
        (
            {"A": ("10.1.0.1/24", "10.2.0.2/24"), "B": ("10.3.0.1/24", "10.3.0.2/24")},
            "B",
            "10.1.0.1/24 and 10.2.0.2/24",
        ),
        ({"A": ("10.1.0.1/24", "10.1.0.1/24"), "B": ("10.3.0.1/24", "10.3.0.2/24")}, "B", "10.1.0.1/24"),
        (
            {"A": ("10.1.0.1/24", "10.1.0.2/24"), "B": ("10.1.0.3/24", "10.1.0.4/24")},
            "A",
            "10.1.0.3/24 and 10.1.0.4/24",
        ),
        ({"A": ("10.1.0.1/24", ""), "B": ("10.3.0.1/24", "10.3.0.2/24")}, "B", "10.1.0.1/24"),
        ({"A": ("10.1.0.1/24 10.5.0.1/24", "10.5.0.2/24"), "B": ("10.3.0.1/24", "10.3.0.2/24")}, "AB", "10.1.0.1/24"),
        ({"A": ("169.254.1.1/16", "169.254.1.2/16"), "B": ("10.3.0.1/24", "10.3.0.2/24")}, "B", "169.254.1.1/16"),
        ({"A": ("192.0.2.1/24", "192.0.2.2/24"), "B": ("10.3.0.1/24", "10.3.0.2/24")}, "B", "192.0.2.1/24"),
    ],
)
def test_what_no_rail_can_keep_is_said(addresses: dict[str, tuple[str, ...]], kept: str, says: str) -> None:
    _, made, cluster = drafted(addressed(addresses))
    assert made.settled, made.findings
    assert {rail for node in cluster.nodes for _, rail in node.addresses} == set(kept)
    assert [point for point in made.check if "would replace" in point and says in point], made.check


def test_an_address_on_a_port_without_a_cable_is_left_alone() -> None:
    _, made, cluster = drafted(addressed(TOOLS["NVIDIA Sync"], enp1s0f0np0="10.7.7.7/24"))
    assert made.settled and len(cluster.nodes[0].addresses) == 2
    assert made.check == ("addresses on ports without a cable are left alone: 10.7.7.7/24",)


IN_USE = st.sampled_from(
    [
        "",
        "10.1.0.1/24",
        "10.1.0.2/24",
        "10.1.1.2/25",
        "10.1.0.0/24",
        "0.0.0.0/0",
        "192.0.2.9/24",
        "127.0.0.1/8",
        "::1/128",
        "x",
    ]
)


@given(st.tuples(*[st.lists(IN_USE, max_size=2).map(" ".join)] * 4))
def test_whatever_is_in_use_the_inventory_is_valid(found_there: tuple[str, ...]) -> None:
    _, made, _ = drafted(addressed({"A": found_there[:2], "B": found_there[2:]}))
    assert made.settled, made.findings
