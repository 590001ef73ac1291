"""What is written to what is meant: every default, path, layout and cable form."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from sparkctl.fabric import ports
from sparkctl.inventory import resolve
from sparkctl.inventory.model import Cluster, EngineIntent, FabricIntent, LinkEnd, Parallel, Runtime, SshAccess
from sparkctl.inventory.resolve import Controller
from sparkctl.study import study, study_text

DESK = Controller("nvidia", PurePosixPath("/home/nvidia"), PurePosixPath("/cluster"))
MINIMAL = """
apiVersion: sparkctl/v1
kind: Cluster
metadata: {name: dual}
nodes: [{name: a, address: 192.0.2.1}, {name: b, address: 192.0.2.2}]
links: [[a:p1, b:p1]]
fabric: {topology: direct}
"""
ENGINE = "engine: {kind: vllm, runtime: {venv: /opt/vllm}, model: m, parallel: TP2}\n"


def meant(text: str) -> Cluster:
    found = study_text(text.encode(), "x.yaml", DESK)
    assert found.errors == ()
    assert found.cluster is not None
    return found.cluster


def engine(text: str) -> EngineIntent:
    intent = meant(text).engine
    assert intent is not None
    return intent


def test_defaults_of_a_minimal_file() -> None:
    cluster = meant(MINIMAL)
    assert cluster.ssh == SshAccess("nvidia", None, None, "passwordless")
    assert cluster.fabric == FabricIntent("direct", 9000, "10.20.0.0/16", "roce", "both", {})
    assert [(n.name, n.rank, n.port, n.user, n.management) for n in cluster.nodes] == [
        ("a", 0, 22, "nvidia", "enP7s7"),
        ("b", 1, 22, "nvidia", "enP7s7"),
    ]
    assert (cluster.switches, cluster.engine, cluster.head.name, cluster.node("b").rank) == ((), None, "a", 1)


def test_defaults_of_an_engine() -> None:
    assert engine(MINIMAL + ENGINE) == EngineIntent(
        kind="vllm",
        runtime=Runtime(venv="/opt/vllm"),
        model="m",
        parallel=Parallel(2),
        port=8000,
        gpu_memory_utilization=0.80,
    )


def test_the_management_netdev_is_that_of_the_port_map() -> None:
    assert resolve.MANAGEMENT == ports.MANAGEMENT


@pytest.mark.parametrize(
    ("written", "meaning"),
    [
        ("known_hosts", "/cluster/known_hosts"),
        ("~/.ssh/kh", "/home/nvidia/.ssh/kh"),
        ("/etc/kh", "/etc/kh"),
        ("../kh", "/cluster/../kh"),
    ],
)
def test_paths_are_absolute(written: str, meaning: str) -> None:
    text = (
        MINIMAL
        + ENGINE.replace("TP2", f"TP2, api_key_file: {written}")
        + f"ssh: {{identity_file: {written}, known_hosts: {written}}}"
    )
    cluster = meant(text)
    assert cluster.engine is not None
    assert (cluster.ssh.identity_file, cluster.ssh.known_hosts, cluster.engine.api_key_file) == (meaning,) * 3


def test_a_relative_file_name_gives_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.yaml").write_text(MINIMAL + "ssh: {known_hosts: kh}")
    monkeypatch.chdir(tmp_path)
    cluster = study(Path("x.yaml")).cluster
    assert cluster is not None
    assert cluster.ssh.known_hosts == str(tmp_path / "kh")
    assert cluster.source.path == "x.yaml"


def test_a_node_may_have_its_own_access() -> None:
    own = "{name: b, address: 192.0.2.2, port: 2222, user: bob, management: {interface: eth0}}"
    node = meant(MINIMAL.replace("{name: b, address: 192.0.2.2}", own)).node("b")
    assert (node.port, node.user, node.management) == (2222, "bob", "eth0")


@pytest.mark.parametrize(
    ("written", "layout"),
    [
        ("TP2", (2, 1, 1)),
        ("PP2", (1, 2, 1)),
        ("DP2", (1, 1, 2)),
        ("TP1PP2DP1", (1, 2, 1)),
        ("{tensor: 2}", (2, 1, 1)),
        ("{pipeline: 2}", (1, 2, 1)),
    ],
)
def test_layouts(written: str, layout: tuple[int, int, int]) -> None:
    parallel = engine(MINIMAL + ENGINE.replace("TP2", written)).parallel
    assert (parallel.tensor, parallel.pipeline, parallel.data) == layout


@pytest.mark.parametrize(
    "written", ["tp2", "TP", "TP0", "PP2TP1", "TP2 ", '""', "TP-2", "TP2x", "2", "[TP2]", "{}x", "TP99999"]
)
def test_what_is_no_layout(written: str) -> None:
    found = study_text(
        (MINIMAL + ENGINE.replace("TP2", f"'{written}'" if written != "2" else "2")).encode(), "x.yaml", DESK
    )
    assert [(f.id, f.where) for f in found.errors] == [("INV004", "engine.parallel")]


def test_links_as_a_pair_and_as_a_mapping_are_the_same() -> None:
    pair = meant(MINIMAL).links
    assert pair == meant(MINIMAL.replace("[a:p1, b:p1]", "{a: a:p1, b: b:p1}")).links
    assert (pair[0].a, pair[0].b, pair[0].index) == (LinkEnd("a", "p1"), LinkEnd("b", "p1"), 0)


@pytest.mark.parametrize(
    "written",
    ["[a:p1]", "[a:p1, b:p1, a:p0]", "a:p1", "{a: a:p1}", "[a, b]", "[1, 2]", "{a: a:p1, b: b:p1, c: x}", "~"],
)
def test_what_is_no_link(written: str) -> None:
    found = study_text(MINIMAL.replace("[a:p1, b:p1]", written).encode(), "x.yaml", DESK).errors
    assert found
    assert {f.id for f in found} <= {"INV003", "INV004"}
    assert all(f.where.startswith("links[0]") for f in found)


def test_numbers_in_environments_are_text_and_flags_lose_their_dashes() -> None:
    extra = "TP2, env: {A: 1, B: x}, args: {--seed: 1, max-num-seqs: 16, x: null}"
    intent = engine(MINIMAL.replace("direct}", "direct, nccl: {NCCL_IB_TC: 106}}") + ENGINE.replace("TP2", extra))
    assert intent.env == {"A": "1", "B": "x"}
    assert intent.args == {"seed": 1, "max-num-seqs": 16, "x": None}


@pytest.mark.parametrize(
    "args",
    ["{--seed: 1, seed: 2}", "{max-x: 1, max_x: 2}", "{x: []}", "{x: [[1]]}", "{x: [-1]}", "{x: [a, '']}", "{x: [~]}"],
)
def test_arguments_that_no_program_could_get(args: str) -> None:
    found = study_text((MINIMAL + ENGINE.replace("TP2", f"TP2, args: {args}")).encode(), "x.yaml", DESK).errors
    assert [f.id for f in found] == ["INV004"]
    assert found[0].where.startswith("engine.args")


@pytest.mark.parametrize("runtime", ["{}", "{docker: a:1, venv: /opt}", "{docker: ~}"])
def test_a_runtime_is_one_thing(runtime: str) -> None:
    found = study_text((MINIMAL + ENGINE.replace("{venv: /opt/vllm}", runtime)).encode(), "x.yaml", DESK).errors
    assert [(f.id, f.where, f.message) for f in found] == [
        ("INV004", "engine.runtime", "`engine.runtime`: expected exactly one of docker and venv")
    ]


def test_a_key_in_the_wrong_section_is_shown_its_place() -> None:
    found = study_text((MINIMAL + "mtu: 9000\n").encode(), "x.yaml", DESK).errors
    assert [(f.id, f.remedy) for f in found] == [("INV003", "did you mean `fabric.mtu`?")]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("topology: direct", "topology: direkt", "expected direct, mesh, ring or switch, got the text 'direkt'"),
        ("topology: direct", "topology: direct, mtu: '9000'", "expected an integer, got the text '9000'"),
        ("topology: direct", "topology: direct, mtu: true", "expected an integer, got a boolean true"),
        ("topology: direct", "topology: direct, mtu: 9000.5", "expected an integer, got the number 9000.5"),
        ("topology: direct", "topology: direct, nccl: {A: true}", "expected text, got a boolean true"),
        ("name: a,", "name: 1,", "expected text, got the number 1"),
        ("name: a,", "name: '',", "expected text, got an empty one"),
        ("name: a,", "name: a, port: 0,", "expected a number of at least 1, got 0"),
        ("name: a,", "name: a, port: 65536,", "expected a number of at most 65535, got 65536"),
        ("[{name: a, address: 192.0.2.1}, {name: b, address: 192.0.2.2}]", "[]", "expected at least 1 item, got 0"),
        ("[[a:p1, b:p1]]", "[[a:p1]]", "expected exactly 2 items, got 1"),
        ("{name: dual}", "dual", "expected a mapping, got the text 'dual'"),
        ("name: b, address: 192.0.2.2", "name: b", "`address` is missing"),
    ],
)
def test_messages_are_plain(old: str, new: str, message: str) -> None:
    found = study_text(MINIMAL.replace(old, new).encode(), "x.yaml", DESK).errors
    assert message in [f.message.rpartition("`: ")[2] for f in found]
