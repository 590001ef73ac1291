"""Inventories made by hypothesis: every topology, layout and runtime, always such that validation passes."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

Tree = dict[str, Any]
POOLS = ("10.20.0.0/16", "172.16.128.0/17", "192.168.64.0/18", "10.0.0.0/8")
PORTS = st.sampled_from(("p0", "p1"))
NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
SETTINGS: dict[str, tuple[str | int, ...]] = {
    "NCCL_DEBUG": ("INFO", "WARN"),
    "NCCL_IB_QPS_PER_CONNECTION": (1, 2, 4),
    "NCCL_CROSS_NIC": (0, 1),
    "NCCL_IB_TC": (106,),
}
FLAGS: dict[str, tuple[Any, ...]] = {
    "max-num-seqs": (1, 64),
    "enforce-eager": (True,),
    "enable-prefix-caching": (True, False),
    "seed": (0, 7),
    "host": ("127.0.0.1", "0.0.0.0"),
}
SILENCED = " # sparkctl: ignore TOP007 (made by a test)"


@st.composite
def trees(draw: st.DrawFn, topology: str | None = None, most: int = 9) -> Tree:
    """An inventory as plain values."""
    chosen = topology or draw(st.sampled_from(("direct", "mesh", "ring", "switch")))
    count = {"direct": 2, "mesh": 3}.get(chosen) or draw(st.integers(4 if chosen == "ring" else 2, max(4, most)))
    names = draw(st.lists(NAMES, min_size=count, max_size=count, unique=True))
    tree: Tree = {
        "apiVersion": "sparkctl/v1",
        "kind": "Cluster",
        "metadata": {"name": draw(NAMES)},
        "ssh": {"user": draw(st.sampled_from(("nvidia", "op")))},
        "nodes": [{"name": f"n-{name}", "address": f"192.0.2.{11 + i}"} for i, name in enumerate(names)],
        "fabric": draw(fabrics(chosen)),
    }
    tree |= draw(cables(chosen, [node["name"] for node in tree["nodes"]]))
    fitting = layouts(chosen, count)
    if fitting and draw(st.booleans()):
        tree["engine"] = draw(engines(fitting))
    if draw(st.booleans()):
        tree["nodes"] = draw(keeping(tree))
    return tree


@st.composite
def keeping(draw: st.DrawFn, tree: Tree) -> list[Tree]:
    """The nodes with `addresses`, on all ends of some rails."""
    kept: dict[str, Tree] = {node["name"]: {} for node in tree["nodes"]}
    cabled = [[end.split(":") for end in link if end.split(":")[0] in kept] for link in tree["links"]]
    groups = [[end for ends in cabled for end in ends]] if tree["fabric"]["topology"] == "switch" else cabled
    length = draw(st.sampled_from((24, 25)))
    for k, ends in enumerate(groups):
        for r, rail in enumerate("AB" if tree["fabric"]["rails"] == "both" else "A"):
            hosts = st.lists(st.integers(1, 126), min_size=len(ends), max_size=len(ends), unique=True)
            for (node, port), host in zip(ends, draw(hosts), strict=True) if draw(st.booleans()) else ():
                kept[node].setdefault(port, {})[rail] = f"10.{200 + r}.{k}.{host}/{length}"
    return [{**node, "addresses": kept[node["name"]]} if kept[node["name"]] else node for node in tree["nodes"]]


@st.composite
def fabrics(draw: st.DrawFn, topology: str) -> Tree:
    """The section `fabric`."""
    return {
        "topology": topology,
        "mtu": draw(st.sampled_from((9000, 1500, 4200))),
        "subnet_pool": draw(st.sampled_from(POOLS)),
        "transport": draw(st.sampled_from(("roce", "tcp"))),
        "rails": draw(st.sampled_from(("both", "A"))),
        "nccl": draw(choices(SETTINGS)),
    }


@st.composite
def choices(draw: st.DrawFn, known: dict[str, tuple[Any, ...]]) -> Tree:
    """Some of the names, each with one of its values."""
    names = draw(st.lists(st.sampled_from(sorted(known)), unique=True, max_size=3))
    return {name: draw(st.sampled_from(known[name])) for name in names}


@st.composite
def cables(draw: st.DrawFn, topology: str, nodes: list[str]) -> Tree:
    """The sections `links` and, on a switch, `switches`; cables in any order, their ends too."""
    if topology == "direct":
        links = [[f"{nodes[0]}:{draw(PORTS)}", f"{nodes[1]}:{draw(PORTS)}"]]
    elif topology == "switch":
        return draw(switched(nodes))
    else:
        links = [[f"{nodes[i]}:p0", f"{nodes[(i + 1) % len(nodes)]}:p1"] for i in range(len(nodes))]
    return {"links": [draw(st.permutations(link)) for link in draw(st.permutations(links))]}


@st.composite
def switched(draw: st.DrawFn, nodes: list[str]) -> Tree:
    """Up to three switches in a row, every node on one of them by one cable."""
    count = draw(st.integers(1, min(3, len(nodes))))
    links = [[f"sw{k}:up", f"sw{k + 1}:down"] for k in range(count - 1)]
    for i, node in enumerate(nodes):
        home = i if i < count else draw(st.integers(0, count - 1))
        links.append([f"{node}:{draw(PORTS)}", f"sw{home}:port-{i}"])
    return {
        "links": [draw(st.permutations(link)) for link in draw(st.permutations(links))],
        "switches": [{"name": f"sw{k}", "l2mtu": 9216, "address": f"198.51.100.{k + 1}"} for k in range(count)],
    }


def layouts(topology: str, nodes: int) -> list[str]:
    """Those that the topology carries and whose tensor size divides 8 heads, as those of the truth tests' model."""
    half, power = nodes // 2, nodes & (nodes - 1) == 0
    found = [f"TP{nodes}"] if power and topology != "mesh" else []
    found += [f"PP{nodes}"] if topology != "ring" else []
    return found + ([f"TP{half}PP2", f"TP{half}DP2"] if power and nodes > 2 and topology == "switch" else [])


@st.composite
def engines(draw: st.DrawFn, layouts: list[str]) -> Tree:
    """The section `engine`, with one of these layouts."""
    engine: Tree = {
        "kind": "vllm",
        "runtime": draw(st.sampled_from(({"docker": "vllm/vllm-openai:v0.33.0"}, {"venv": "/opt/vllm"}))),
        "model": draw(st.sampled_from(("example/model", "/models/tiny"))),
        "parallel": draw(st.sampled_from(layouts)),
        "port": draw(st.integers(8000, 9000)),
        "env": draw(st.dictionaries(st.sampled_from(("A", "B_2")), st.text("ab %$'\"\\", max_size=6), max_size=2)),
        "volumes": draw(st.sampled_from(({}, {"/srv/models": "/models:ro", "/srv/cache": "/cache"}))),
        "args": draw(choices(FLAGS)),
    }
    return engine | draw(st.sampled_from(({}, {"api_key_file": "k", "max_model_len": 4096})))


def text(tree: Tree) -> str:
    """The inventory as a file: JSON is YAML, and a comment silences what every ring is warned of."""
    written = json.dumps(tree, indent=1)
    return written.replace('"topology": "ring",', f'"topology": "ring",{SILENCED}')


def some(count: int, chosen: int) -> list[str]:
    """The first `count` different inventories that a seed gives, as files."""
    found: list[str] = []

    @seed(chosen)
    @settings(max_examples=3 * count, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(trees(most=5))
    def collect(tree: Tree) -> None:
        found.append(text(tree))

    collect()
    return list(dict.fromkeys(found))[-count:]
