"""What a rank finds in its environment: every variable's value in the end, who says it, and whom that overrides."""

from __future__ import annotations

from dataclasses import dataclass

from sparkctl.engines import Rank, variables
from sparkctl.fabric.model import Fabric
from sparkctl.inventory.model import Cluster, Node
from sparkctl.render.nccl import fabric_layers


@dataclass(frozen=True)
class Said:
    """A value and who says it: `sparkctl`, or the key of the inventory."""

    source: str
    value: str


@dataclass(frozen=True)
class Effective:
    """One variable; `overridden`: what was said before, the first first."""

    name: str
    said: Said
    overridden: tuple[Said, ...] = ()

    def to_json(self) -> dict[str, object]:
        """As `render --explain --format json` shows it."""
        before = [{"value": said.value, "source": said.source} for said in self.overridden]
        return {"name": self.name, "value": self.said.value, "source": self.said.source, "overridden": before}


def effective(cluster: Cluster, fabric: Fabric, node: Node) -> tuple[Effective, ...]:
    """All variables of a node by name, in the order in which engine.sh reads them: nccl.env, then engine.env."""
    layers = [*fabric_layers(cluster, fabric, node)]
    if cluster.engine is not None:
        ours = variables(Rank(cluster, fabric, node, cluster.engine))
        layers.append(("sparkctl", {name: ours[name] for name in ours.keys() - cluster.engine.env.keys()}))
        layers.append(("engine.env", cluster.engine.env))
    said: dict[str, list[Said]] = {}
    for source, found in layers:
        for name, value in found.items():
            said.setdefault(name, []).append(Said(source, value))
    return tuple(Effective(name, values[-1], tuple(values[:-1])) for name, values in sorted(said.items()))
