"""A cluster of scenario nodes: what it is before, what it is at the goal, and one verb of sparkctl run on it."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from sparkctl.errors import Refused
from sparkctl.execute.apply import apply
from sparkctl.execute.plan_verbs import plan_down, plan_reprovision, plan_up
from sparkctl.execute.recover import found as dead_run
from sparkctl.execute.recover import recover as end_it
from sparkctl.execute.site import Site
from sparkctl.facts import knock
from sparkctl.plan.playbook import Playbook, load
from sparkctl.render import render
from sparkctl.ssh.fleet import Fleet
from sparkctl.study import study
from tests.scenario.transport import Event, Fault, Killed, ScenarioTransport, Wire, played
from tests.scenario.world import World

NODES = "".join(f"  - {{name: spark-{i}, address: 192.0.2.{10 + i}}}\n" for i in range(1, 5))
HEAD = "apiVersion: sparkctl/v1\nkind: Cluster\nmetadata: {name: NAME}\nssh: {user: root}\nnodes:\n"
SWITCHED = "".join(f"  - {{a: spark-{i}:p1, b: sw1:port-{i}}}\n" for i in range(1, 5))
CABLES = {
    "direct": (2, "  - [spark-1:p1, spark-2:p1]\n", ""),
    "mesh": (3, "  - [spark-1:p0, spark-2:p1]\n  - [spark-2:p0, spark-3:p1]\n  - [spark-3:p0, spark-1:p1]\n", ""),
    "switch": (4, SWITCHED, "switches: [{name: sw1, address: 198.51.100.2, l2mtu: 9216}]\n"),
}
ENGINE = """engine:
  kind: vllm
  runtime: {docker: "vllm/vllm-openai:v0.33.0"}
  model: /models/tiny
  parallel: TP2
  args: {host: 127.0.0.1}
"""
KEY = "planted-api-key-2f9c\n"
BASE = """set -e
mkdir -p /etc/netplan /etc/systemd/system/multi-user.target.wants
printf 'network:\\n  version: 2\\n  ethernets:\\n    enP7s7: {addresses: [ADDRESS/24]}\\n' >/etc/netplan/01-management.yaml
chmod 0600 /etc/netplan/01-management.yaml
printf '[Unit]\\nDescription=sshd\\n[Service]\\nType=simple\\nExecStart=/usr/sbin/sshd\\n[Install]\\nWantedBy=multi-user.target\\n' >/etc/systemd/system/ssh.service
ln -s /etc/systemd/system/ssh.service /etc/systemd/system/multi-user.target.wants/ssh.service
echo vllm/vllm-openai:v0.33.0 >/var/lib/docker/images
"""
BY_HAND = """set -e
ip link set dev enp1s0f1np1 mtu 1600 up
ip addr add 10.99.0.1/24 dev enp1s0f1np1
"""
"""The head's port has a history: somebody set it by hand. The others' ports are as a boot leaves them."""


def inventory(topology: str, engine: bool) -> str:
    """An inventory without RDMA, which nothing here can play."""
    count, links, switches = CABLES[topology]
    nodes = "".join(NODES.splitlines(keepends=True)[:count])
    fabric = f"fabric: {{topology: {topology}, transport: tcp, mtu: 9000}}\n"
    return HEAD.replace("NAME", topology) + nodes + f"links:\n{links}{switches}{fabric}" + (ENGINE if engine else "")


@dataclass
class Outcome:
    """How a run ended and what it sent."""

    error: BaseException | None
    events: list[Event]
    wire: Wire
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """`ok`, or the exception's name."""
        return type(self.error).__name__ if self.error else "ok"


Verb = Callable[[Site], Awaitable[None]]


@dataclass
class Rig:
    """One cluster. States are by node name."""

    world: World
    path: Path
    base: dict[str, str] = field(default_factory=dict)
    controllers: int = 0

    def __post_init__(self) -> None:
        found = study(self.path)
        assert found.cluster is not None and found.fabric is not None and not found.errors, found.errors
        self.cluster, self.fabric = found.cluster, found.fabric
        self.rendering = render(found.cluster, found.fabric)
        self.names = tuple(node.name for node in found.cluster.nodes)

    def furnish(self) -> None:
        """Nodes as their owner had them before sparkctl came."""
        for node in self.cluster.nodes:
            said = self.world.run(node.name, BASE.replace("ADDRESS", node.address))
            assert said.status == 0, said
            self.world.boot(node.name)
        said = self.world.run(self.names[0], BY_HAND)
        assert said.status == 0, said
        self.base = self.world.states()
        self.world.reset(self.base)

    def site(self, wire: Wire, notes: list[str] | None = None) -> Site:
        """The cluster as a new controller meets it."""
        fleet = Fleet({name: ScenarioTransport(wire, name) for name in self.names}, lambda event: (notes or []).append(str(event)))
        return Site(self.cluster, self.fabric, self.rendering, fleet, "me@here")

    def run(self, verb: Verb, fault: Fault | None = None, wire: Wire | None = None) -> Outcome:
        """Run one verb to its end, or until the controller is killed."""
        wire = wire or Wire(self.world, fault)
        notes: list[str] = []
        error: BaseException | None = None
        self.controllers += 1
        with dice(self.controllers), patch.object(knock, "SECONDS", 0):  # no cable leads to another node here
            try:
                played(self.world, lambda: verb(self.site(wire, notes)))
            except (Exception, Killed) as raised:
                error = raised
        return Outcome(error, wire.events, wire, notes)


@contextmanager
def dice(controller: int) -> Iterator[None]:
    """The first controller of a cell always throws the same, so that a node in the same state is seen to be."""
    real = secrets.token_hex
    secrets.token_hex = lambda nbytes=None: f"{controller:02x}" * (nbytes or 32)
    try:
        yield
    finally:
        secrets.token_hex = real


BOOKS = {name: load(name) for name in ("up", "down")}


async def up(site: Site, book: Playbook = BOOKS["up"]) -> None:
    """As `sparkctl cluster up --yes`."""
    planned = await plan_up(site, book)
    planned.refuse_blocked()
    if not planned.plan.empty:
        await apply(site, planned)


async def down(site: Site) -> None:
    """As `sparkctl cluster down --yes`."""
    planned = await plan_down(site, BOOKS["down"])
    if planned.silent:
        raise Refused(f"{planned.silent} would be left for another time")
    if not planned.plan.empty:
        await apply(site, planned)


async def reprovision(site: Site) -> None:
    """As `sparkctl cluster reprovision --yes`."""
    planned = await plan_reprovision(site, BOOKS["up"])
    planned.refuse_blocked()
    if not planned.plan.empty:
        await apply(site, planned)


async def recover(site: Site) -> None:
    """As `sparkctl cluster recover --yes`."""
    found, silent = await dead_run(site)
    if found is not None:
        await end_it(site, found, silent, break_lock=False)
    if silent:
        raise Refused(f"{silent} is left for another time")
