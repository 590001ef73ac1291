"""A first inventory as text, with comments: cabled as a topology wants it, addresses still to be filled in."""

from __future__ import annotations

from sparkctl.errors import UsageError
from sparkctl.inventory.model import TopologyName
from sparkctl.inventory.words import listed, quoted, visible

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
    if not LEAST[known] <= nodes <= MOST_OF[known]:
        said = f"{topology} has {LEAST[known]} to {MOST_OF[known]} nodes, not {nodes}"
        raise UsageError(said, "give another number of nodes, or another --topology")
    return known


def starter(name: str, nodes: int, topology: TopologyName, path: str) -> str:
    """The text of an inventory; `path` is where its comments say that it lies."""
    listed = "\n".join(f"  - {{name: spark-{n}, address: 192.0.2.{10 + n}}}" for n in range(1, nodes + 1))
    switches = _switches(nodes) if topology == "switch" else ""
    path = visible(path)
    return f"""\
# {nodes} DGX Sparks. Fill in the addresses and check the cables, then:
#
#   sparkctl validate {path}                      is this file right? (no network)
#   sparkctl inventory trust {path}               compare and pin the host keys of the nodes, once
#   sparkctl cluster up {path} --lab --yes        rehearse it on emulated nodes
#   sparkctl cluster up {path}                    for real: shows the plan, then asks
apiVersion: sparkctl/v1
kind: Cluster
metadata: {{name: {name}}}

ssh:
  # user: nvidia                          # left out: whoever runs sparkctl, or what ~/.ssh/config says
  # identity_file: ~/.ssh/id_ed25519      # left out: the SSH agent, then the usual keys
  known_hosts: known_hosts # pinned host keys, beside this file
  sudo: passwordless # or prompt: asked once, kept in memory only

nodes: # order is rank, the first is the head; `address` is where SSH answers, on the management network
{listed}

# One line per cable. p0 is the QSFP cage next to the RJ45 jack, p1 the outer one.
links:
{_links(nodes, topology)}
{switches}
fabric:
  topology: {topology}{_excuse(topology)}
  mtu: 9000
  subnet_pool: 10.20.0.0/16 # must not be in use anywhere in your network

# Left out: a fabric without an engine.
# engine:
#   kind: vllm
#   runtime: {{docker: "vllm/vllm-openai:v0.33.0"}}
#   model: openai/gpt-oss-120b
#   parallel: {_layout(nodes, topology)}
#   api_key_file: secrets/api.key           # the key stays in its own file, mode 0600
"""


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
