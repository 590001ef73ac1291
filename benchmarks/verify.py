"""What `cluster verify` costs on emulated nodes: round trips, four nodes over two, tests under load on virtual ones.

python benchmarks/verify.py [--json] [--only reading|load]      needs root; exit 1 when a limit is broken
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

from emulated import alike, lab, packed, sparkctl, switched, timed
from figures import Figure, measured

TURNS = 5
MOST = 4
TRIPS = 3
"""Two round trips per node and one wave of pings; here the pings go with the facts."""


def looks(inventory: Path) -> tuple[float, int]:
    """Median wall time of a verify without load, and the round trips of the busiest node."""
    words = ("cluster", "verify", inventory, "--lab", "--json")
    counted = json.loads(sparkctl(*words))["ssh"]
    trips = max(node["round_trips"] for node in counted.values() if isinstance(node, dict))
    return statistics.median(timed(*words) for _ in range(TURNS)), trips


def reading(folder: Path) -> list[Figure]:
    """The same look at two and at four nodes that have equal shares of this machine's cores."""
    seconds: dict[int, float] = {}
    trips = 0
    for count in (2, MOST):
        with lab(switched(folder, count)) as inventory:
            sparkctl("cluster", "up", inventory, "--lab", "--yes")
            alike(inventory, MOST)
            seconds[count], trips = looks(inventory)
    return [
        Figure("verify: round trips of a node", trips, limit=TRIPS),
        Figure("verify of 2 nodes", seconds[2], "s"),
        Figure("verify of 4 nodes", seconds[MOST], "s"),
        Figure("4 nodes over 2", seconds[MOST] / seconds[2], limit=1.3),
    ]


def load(folder: Path) -> list[Figure]:
    """`verify --load --quick` on two and on four virtual nodes at a switch, each with real RoCE in software."""
    seconds: dict[int, float] = {}
    for count in (2, MOST):
        with lab(switched(folder, count), "--backend", "vm") as inventory:
            sparkctl("cluster", "up", inventory, "--lab", "--yes", "--playbook", _unloaded(folder))
            packed(inventory, MOST)
            seconds[count] = timed("cluster", "verify", inventory, "--lab", "--load", "--quick")
    return [
        Figure("verify --load --quick of 2 nodes", seconds[2], "s"),
        Figure("verify --load --quick of 4 nodes", seconds[MOST], "s"),
        Figure("4 nodes over 2, under load", seconds[MOST] / seconds[2], limit=2.2),
    ]


def _unloaded(folder: Path) -> Path:
    """A playbook that leaves the tests under load to verify."""
    path = folder / "up.yaml"
    stages = "stages: [{stage: network, load: none}]"
    path.write_text(f"apiVersion: sparkctl/v1\nkind: Playbook\nname: bare\n{stages}\n")
    return path


if __name__ == "__main__":
    sys.exit(measured({"reading": reading, "load": load}, __doc__))
