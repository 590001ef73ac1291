"""What the truth tests share: inventories of every kind that renders, and the real tools, which must be there."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path, PurePosixPath

import pytest

from sparkctl.inventory.resolve import Controller
from sparkctl.render import NodeRendering, Rendering, render
from sparkctl.study import study, study_text
from tests.made import some

SEED = int(os.environ.get("SPARKCTL_TRUTH_SEED") or random.randrange(1 << 32))
ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "netplan": "netplan.io",
    "systemd-analyze": "systemd",
    "shellcheck": "shellcheck",
    "ip": "iproute2",
    "unshare": "util-linux",
    "dot": "graphviz",
}
Run = Callable[..., subprocess.CompletedProcess[str]]

HEAD = "apiVersion: sparkctl/v1\nkind: Cluster\nmetadata: {name: c}\nssh: {user: nvidia}\n"
TWO = "nodes: [{name: a, address: 192.0.2.11}, {name: b, address: 192.0.2.12}]\nlinks: [[a:p1, b:p1]]\n"
FOUR = (
    "nodes: [{name: a, address: 192.0.2.11}, {name: b, address: 192.0.2.12},"
    " {name: c1, address: 192.0.2.13}, {name: d, address: 192.0.2.14}]\n"
    "links: [[a:p0, sw:q1], [b:p0, sw:q2], [c1:p0, sw:q3], [d:p0, sw:q4]]\nswitches: [{name: sw, l2mtu: 9216}]\n"
)
CIRCLE = (
    "nodes: [{name: a, address: 192.0.2.11}, {name: b, address: 192.0.2.12}, {name: c1, address: 192.0.2.13}]\n"
    "links: [[a:p0, b:p1], [b:p0, c1:p1], [c1:p0, a:p1]]\n"
)
IMAGE = "engine:\n  kind: vllm\n  runtime: {docker: 'vllm/vllm-openai:v0.33.0'}\n  model: /models/tiny\n"
VENV = "engine:\n  kind: vllm\n  runtime: {venv: /opt/vllm}\n  model: /models/tiny\n"
MORE = (
    "  served_model_name: tiny\n  api_key_file: k\n  max_model_len: 256\n  gpu_memory_utilization: 0.8\n"
    "  args: {max-num-seqs: 8, enforce-eager: true, async-scheduling: false, hf-overrides: {rope_theta: 1}}\n"
)
# Values that a shell or an env file would trip over, were they not quoted. Validation refuses most of them.
ODD = {
    "served_model_name": "it's 100% $HOME",
    "volumes": {"/srv/a b": "/models:ro"},
    "env": {"ODD": """a "b" $(id) `id` \\ 'c' # d""", "JSON": '{"a": ["b"]}', "LAST": " x "},
}
VARIANTS = {
    "network": HEAD + TWO + "fabric: {topology: direct}\n",
    "rail-a": HEAD + TWO + "fabric: {topology: direct, rails: A, mtu: 1500}\n",
    "tcp": HEAD + TWO + "fabric: {topology: direct, transport: tcp}\n" + VENV + "  parallel: PP2\n",
    "nccl": HEAD + TWO + "fabric: {topology: direct, nccl: {NCCL_DEBUG: WARN, NCCL_ALGO: ^tree}}\n",
    "mesh-tcp-rail-a": HEAD
    + CIRCLE
    + "fabric: {topology: mesh, transport: tcp, rails: A}\n"
    + VENV
    + "  parallel: PP3\n",
    "mesh-merged": HEAD + CIRCLE + "fabric: {topology: mesh, nccl: {NCCL_IB_MERGE_NICS: 1}}\n",
    "ports-differ": HEAD + TWO.replace("b:p1]", "b:p0]") + "fabric: {topology: direct}\n" + IMAGE + "  parallel: TP2\n",
    "switch": HEAD + FOUR + "fabric: {topology: switch}\n" + IMAGE + "  parallel: TP4\n",
    "switch-tp2pp2": HEAD + FOUR + "fabric: {topology: switch}\n" + VENV + "  parallel: TP2PP2\n",
    "switch-tp2dp2": HEAD + FOUR + "fabric: {topology: switch}\n" + IMAGE + "  parallel: TP2DP2\n",
    "odd-image": HEAD + TWO + "fabric: {topology: direct}\n" + IMAGE + "  parallel: TP2\n" + MORE,
    "odd-venv": HEAD + TWO + "fabric: {topology: direct}\n" + VENV + "  parallel: TP2\n" + MORE,
}


@cache
def renderings() -> dict[str, Rendering]:
    """Every example inventory, and every variant, rendered."""
    made = {f"made-{number}": content for number, content in enumerate(some(5, SEED))}
    examples = {path.stem: study(path) for path in sorted((ROOT / "inventories").glob("*.yaml"))}
    place = Controller("op", PurePosixPath("/home/op"), PurePosixPath("/inventories"))
    variants = {name: study_text(text.encode(), name, place) for name, text in {**VARIANTS, **made}.items()}
    rendered = {}
    for name, found in {**examples, **variants}.items():
        assert found.errors == (), f"{name}: {found.errors}"
        assert found.cluster is not None
        assert found.fabric is not None
        cluster = found.cluster
        if name.startswith("odd") and cluster.engine is not None:
            cluster = replace(cluster, engine=replace(cluster.engine, **ODD))
        rendered[name] = render(cluster, found.fabric)
    return rendered


def whole_gangs() -> dict[str, list[NodeRendering]]:
    """All nodes of every rendering that has an engine."""
    return {name: [*r.nodes.values()] for name, r in renderings().items() if next(iter(r.nodes.values())).engine}


def all_nodes() -> dict[str, NodeRendering]:
    """Every node of every rendering."""
    return {f"{name}-{node}": entry for name, each in renderings().items() for node, entry in each.nodes.items()}


def by_level(nodes: Mapping[str, NodeRendering]) -> list[object]:
    """`make test` judges the first node of every rendering."""
    first = {id(next(iter(each.nodes.values()))) for each in renderings().values()}
    return [pytest.param(node, id=name, marks=() if id(node) in first else pytest.mark.more) for name, node in nodes.items()]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What makes the same inventories again."""
    terminalreporter.write_line(f"inventories for the real tools made with SPARKCTL_TRUTH_SEED={SEED}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`node` is every node of every rendering; `engine_node` is each that runs an engine."""
    if "node" in metafunc.fixturenames:
        metafunc.parametrize("node", by_level(all_nodes()))
    if "engine_node" in metafunc.fixturenames:
        engines = {name: node for name, node in all_nodes().items() if node.engine}
        metafunc.parametrize("engine_node", by_level(engines))
    if "gang" in metafunc.fixturenames:
        metafunc.parametrize("gang", whole_gangs().values(), ids=whole_gangs())


@pytest.fixture(scope="session")
def gangs() -> list[list[NodeRendering]]:
    """All nodes of every rendering that has an engine."""
    return list(whole_gangs().values())


@pytest.fixture
def head() -> NodeRendering:
    """The head of the first example."""
    return renderings()["dual"].nodes["spark-1"]


@pytest.fixture(scope="session")
def real() -> Run:
    """Run a real tool; one that is missing is an error that names its package, never a skip."""

    def run(words: Sequence[str], **options: object) -> subprocess.CompletedProcess[str]:
        if shutil.which(words[0]) is None:
            pytest.fail(f"{words[0]} is missing: apt-get install {PACKAGES.get(words[0], words[0])}")
        given = {"capture_output": True, "text": True, "timeout": 120, **options}
        return subprocess.run(list(words), check=False, **given)  # type: ignore[call-overload,no-any-return]

    return run


@pytest.fixture
def rooted(tmp_path: Path) -> Callable[[NodeRendering], Path]:
    """The node's files below a folder, with their modes, as on the node."""

    def write(node: NodeRendering) -> Path:
        for file in node.files:
            path = tmp_path / "root" / file.path.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.content.encode())
            path.chmod(file.mode)
        return tmp_path / "root"

    return write
