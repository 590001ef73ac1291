"""What an engine is: one pure object that turns an inventory's `engine` section into words, variables and probes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sparkctl.fabric.model import Fabric
from sparkctl.inventory.model import Cluster, EngineIntent, EngineKind, Node
from sparkctl.outcome import Finding


@dataclass(frozen=True)
class Rank:
    """One rank of the gang: the node it runs on, and all that it may know."""

    cluster: Cluster
    fabric: Fabric
    node: Node
    intent: EngineIntent

    @property
    def is_head(self) -> bool:
        """True for rank 0, the one that serves."""
        return self.node.rank == 0

    @property
    def user(self) -> str:
        """Whose engine it is: the login user that the inventory names, else root; never whoever runs sparkctl."""
        written = {("ssh", "user"), ("nodes", self.node.rank, "user")} & self.cluster.source.places.keys()
        return self.node.user if written else "root"

    @property
    def meeting_place(self) -> str:
        """The address at which the ranks find the head: its end of the fabric, or management on a mesh or ring."""
        return self.fabric.endpoints[self.cluster.head.name].address


@dataclass(frozen=True)
class EngineProbe:
    """How to ask the head whether it serves. Paths are of HTTP on `host`:`port`, as seen on the head itself."""

    host: str
    port: int
    model: str
    version_path: str
    completion_path: str
    completion: dict[str, object]


class Engine(Protocol):
    """One kind of engine; pure, and it never sees a transport."""

    @property
    def kind(self) -> EngineKind:
        """As in the inventory."""

    @property
    def owned(self) -> frozenset[str]:
        """Flags (without dashes, short forms too) that only sparkctl sets: a user's `args` must not name them."""

    def findings(self, cluster: Cluster, intent: EngineIntent) -> tuple[Finding, ...]:
        """What is wrong with the section that only this engine can know."""

    def words(self, rank: Rank) -> tuple[str, ...]:
        """Program and arguments of the rank. No two ranks differ but where the engine's own roles need it."""

    def environment(self, rank: Rank) -> dict[str, str]:
        """The engine's own variables, without those of the fabric (nccl.env) and without secrets."""

    def start_order(self, cluster: Cluster) -> tuple[tuple[str, ...], ...]:
        """Names of nodes in waves; a wave starts when the units of the one before it are up."""

    def rendezvous_port(self, intent: EngineIntent) -> int:
        """TCP port of the head where the ranks meet; must differ from the port that serves."""

    def probe(self, intent: EngineIntent) -> EngineProbe:
        """The canary: one real token, because a health page answers 200 with a dead worker (facts A10)."""
