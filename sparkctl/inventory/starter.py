"""A first inventory as text, with comments: cabled as a topology wants it, addresses still to be filled in."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sparkctl.errors import UsageError
from sparkctl.inventory.model import TopologyName
from sparkctl.inventory.words import listed, quoted, visible

USUAL, KEY, MODEL = "sparkctl.yaml", "secrets/api.key", "openai/gpt-oss-120b"
MOST = 64
"""More nodes than anybody has cabled; a longer list is written by a program of one's own."""
LEAST: dict[TopologyName, int] = {"direct": 2, "mesh": 3, "ring": 4, "switch": 2}
MOST_OF: dict[TopologyName, int] = {"direct": 2, "mesh": 3, "ring": MOST, "switch": MOST}
FULL_RATE = 8
"""Nodes that a MikroTik CRS804-4DDQ feeds at 200G: two legs on each of four cages (facts ff4.2)."""


def usual(nodes: int) -> TopologyName:
    """The topology that needs least hardware and is supported."""
    return "direct" if nodes == 2 else "mesh" if nodes == 3 else "switch"


def checked(topology: str, nodes: int) -> TopologyName:
    """The topology of that name; UsageError where there is none, or where so many nodes make none."""
    known = next((name for name in LEAST if name == topology), None)
    if known is None:
        raise UsageError(f"unknown topology {quoted(topology)}", f"choose {listed(LEAST, 'or')}")
    if known not in possible(nodes):
        few, many = LEAST[known], MOST_OF[known]
        said = f"exactly {few} nodes" if few == many else f"{few} to {many} nodes"
        ways = (f"--nodes {few}", *(f"--topology {name}" for name in possible(nodes)))
        raise UsageError(f"the topology `{known}` has {said}, not {nodes}", f"use {listed(ways, 'or')}")
    return known


def possible(nodes: int) -> tuple[TopologyName, ...]:
    """The topologies that so many nodes can make."""
    return tuple(name for name in LEAST if LEAST[name] <= nodes <= MOST_OF[name])


def documentation(nodes: int) -> tuple[str, ...]:
    """Addresses that no machine has (RFC 5737), to be filled in, and good enough for a lab."""
    return tuple(f"address: 192.0.2.{10 + n}" for n in range(1, nodes + 1))


def starter(
    name: str, nodes: int, topology: TopologyName, path: str, *, reached: Sequence[str] = (), model: str = ""
) -> str:
    """An inventory that lies at `path`, quoted; `reached`: `address: ...` of each node; no `model`: no engine."""
    places = reached or documentation(nodes)
    rows = "\n".join(f"  - {{name: spark-{n}, {place}}}" for n, place in enumerate(places, start=1))
    switches = _switches(nodes) if topology == "switch" else ""
    fill = "Check" if reached else "Fill in the addresses and check"
    return f"""\
# {nodes} DGX Sparks. {fill} the cables, then:
#
{_steps("" if path == USUAL else f" {visible(path)}")}
apiVersion: sparkctl/v1
kind: Cluster
metadata: {{name: {name}}}

ssh:
  # user: nvidia                          # left out: whoever runs sparkctl, or what ~/.ssh/config says
  # identity_file: ~/.ssh/id_ed25519      # left out: the SSH agent, then the usual keys
  known_hosts: known_hosts # pinned host keys, beside this file
  sudo: passwordless # or prompt: asked once, kept in memory only

nodes: # order is rank, the first is the head; `address` is where SSH answers, on the management network
{rows}

# One line per cable. p0 is the QSFP cage next to the RJ45 jack, p1 the outer one.
links:
{_links(nodes, topology)}
{switches}
fabric:
  topology: {topology}{_excuse(topology)}
  mtu: 9000
  subnet_pool: 10.20.0.0/16 # must not be in use anywhere in your network

{engine_section(nodes, topology, model)}"""


def _steps(path: str) -> str:
    """What to type next, with what it does."""
    steps = (
        ("validate", "", "is this file right? (no network)"),
        ("lab up", "", "rehearse it on emulated nodes (as root), with the addresses as they are:"),
        ("cluster up", " --lab", "on them"),
        ("inventory trust", "", "compare and pin the host keys of the nodes, once"),
        ("cluster up", "", "for real: shows the plan, then asks"),
    )
    return "\n".join(f"#   sparkctl {verb}{path}{option}  # {note}" for verb, option, note in steps)


def engine_section(nodes: int, topology: TopologyName, model: str = "") -> str:
    """The last part of an inventory; without a model it is all comments."""
    text = f"""\
engine:
  kind: vllm
  runtime: {{docker: "vllm/vllm-openai:v0.33.0"}}
  model: {json.dumps(model or MODEL)}
  parallel: {_layout(nodes, topology)}
  # The key stays in its own file, mode 0600; `sparkctl explain SEC003` says what it protects.
  api_key_file: {KEY} # sparkctl: ignore SEC003 (a network of our own; elsewhere a proxy stands in front)
"""
    if model:
        return text
    marked = "".join(f"# {line.partition(' # sparkctl:')[0]}\n" for line in text.splitlines())
    return f"# Left out: a fabric without an engine.\n{marked}"


def _links(nodes: int, topology: TopologyName) -> str:
    if topology == "direct":
        return "  - [spark-1:p1, spark-2:p1]"
    if topology == "switch":
        return "\n".join(f"  - {{a: spark-{n}:p1, b: sw1:{_port(n, nodes)}}}" for n in range(1, nodes + 1))
    return "\n".join(f"  - [spark-{n}:p0, spark-{n % nodes + 1}:p1]" for n in range(1, nodes + 1))


def _port(node: int, nodes: int) -> str:
    if nodes > FULL_RATE:
        return f"port-{node}"
    return f"qsfp56-dd-{(node + 1) // 2}-{1 if node % 2 else 5}"


def _switches(nodes: int) -> str:
    model = "" if nodes > FULL_RATE else "model: mikrotik-crs804-4ddq, "
    return f"""
switches: # scripts are rendered for a MikroTik; without a model, ports are named as you like and you configure it
  - {{name: sw1, {model}l2mtu: 9216}} # l2mtu: the largest frame that its ports pass; at least mtu + 22
"""


def _excuse(topology: TopologyName) -> str:
    return " # sparkctl: ignore TOP007 (experimental: prove it with cluster verify)" if topology == "ring" else ""


def _layout(nodes: int, topology: TopologyName) -> str:
    """Tensor parallelism wants a power of two; a pipeline takes any number."""
    whole = nodes & (nodes - 1) == 0
    return f"TP{nodes}" if topology == "ring" or whole else f"PP{nodes}"
