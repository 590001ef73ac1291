"""What a cluster command costs on emulated nodes: wall time against the bare tools, connections and round trips.

python benchmarks/cluster.py [--json] [--only network|ssh|engine]      needs root; exit 1 when a limit is broken
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
SPARKCTL = str(Path(sys.executable).with_name("sparkctl"))
DUAL = ROOT / "inventories" / "dual.yaml"
ROUNDS = 3
PATIENCE = 600  # seconds: bounds every command and every wait

# The same network on any number of nodes: one switch, no engine.
SWITCHED = """\
apiVersion: sparkctl/v1
kind: Cluster
metadata: {{name: bench-{count}}}
nodes:
{nodes}
links:
{links}
switches: [{{name: sw1, l2mtu: 9216}}]
fabric: {{topology: switch}}
"""
ASK = """\
import json, sys, time, urllib.request
url, end = "http://" + sys.argv[1], time.monotonic() + float(sys.argv[2])
key = open("/etc/sparkctl/api.key").read().strip()
def ask(path, body=None):
    headers = {"Content-Type": "application/json", "Authorization": "Bearer " + key}
    request = urllib.request.Request(url + path, body and json.dumps(body).encode(), headers)
    return json.load(urllib.request.urlopen(request, timeout=60))
while time.monotonic() < end:
    try:
        model = ask("/v1/models")["data"][0]["id"]
        ask("/v1/completions", {"model": model, "prompt": "a", "max_tokens": 1})["choices"][0]
        sys.exit(0)
    except OSError:
        time.sleep(0.2)
sys.exit(1)
"""


@dataclass(frozen=True)
class Figure:
    """One measured number; `limit` None means it is only told."""

    name: str
    value: float
    unit: str = ""
    limit: float | None = None

    @property
    def ok(self) -> bool:
        """Within the limit."""
        return self.limit is None or self.value <= self.limit


def sparkctl(*words: str | Path) -> str:
    """Standard output of a command that must succeed."""
    command = [SPARKCTL, *map(str, words)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    if ran.returncode:
        sys.exit(f"{' '.join(command)}: exit {ran.returncode}\n{(ran.stdout + ran.stderr)[-3000:]}")
    return ran.stdout


def timed(*words: str | Path) -> float:
    """Wall time of a whole command."""
    begin = time.perf_counter()
    sparkctl(*words)
    return time.perf_counter() - begin


def on_node(inventory: Path, node: str, *words: str) -> str:
    """Standard output of a command on an emulated node."""
    return sparkctl("lab", "ssh", inventory, node, "--", shlex.join(words))


@contextmanager
def lab(inventory: Path) -> Iterator[Path]:
    """The emulated nodes of `inventory`; taken down whatever happens."""
    sparkctl("lab", "up", inventory)
    try:
        yield inventory
    finally:
        sparkctl("lab", "down", inventory)


def switched(folder: Path, count: int) -> Path:
    """An inventory of `count` nodes on a switch."""
    nodes = "\n".join(f"  - {{name: spark-{i}, address: 192.0.2.{10 + i}}}" for i in range(1, count + 1))
    links = "\n".join(f"  - [spark-{i}:p1, sw1:port-{i}]" for i in range(1, count + 1))
    path = folder / f"bench-{count}.yaml"
    path.write_text(SWITCHED.format(count=count, nodes=nodes, links=links))
    return path


def bare_apply(inventory: Path) -> float:
    """Seconds that `netplan apply` takes on one node, without SSH."""
    clock = "import subprocess, time; t = time.perf_counter(); subprocess.run(['netplan', 'apply'], check=True); "
    script = clock + "print(time.perf_counter() - t)"
    return median(float(on_node(inventory, "spark-1", "sudo", "python3", "-c", script)) for _ in range(ROUNDS))


def network_up(inventory: Path) -> float:
    """Seconds of `cluster up` for the network, from nothing; the median of several rounds."""
    rounds = []
    for _ in range(ROUNDS):
        rounds.append(timed("cluster", "up", inventory, "--lab", "--yes", "--only", "network"))
        sparkctl("cluster", "down", inventory, "--lab", "--yes")
    return median(rounds)


def network(folder: Path) -> list[Figure]:
    """Two and four nodes, over the bare `netplan apply` of one."""
    with lab(switched(folder, 2)) as two:
        bare, small = bare_apply(two), network_up(two)
    with lab(switched(folder, 4)) as four:
        large = network_up(four)
    return [
        Figure("netplan apply on one node", bare, "s"),
        Figure("network part of up, 2 nodes", small, "s"),
        Figure("network part of up, 4 nodes", large, "s"),
        Figure("2 nodes over netplan apply", small / bare, "x"),
        Figure("4 nodes over netplan apply", large / bare, "x"),
        Figure("4 nodes over 2 nodes", large / small, "x", limit=1.3),
    ]


def ssh(folder: Path) -> list[Figure]:
    """Connections of the busiest node and round trips on the critical path, for each command."""
    limits = {"plan": (1, 2), "up": (2, 10), "up again": (1, 2), "status": (1, 2), "down": (2, None)}
    figures: list[Figure] = []
    with lab(switched(folder, 2)) as inventory:
        for name, (connections, trips) in limits.items():
            verb = name.split()[0]
            yes = ("--yes",) if verb in ("up", "down") else ()
            counted = json.loads(sparkctl("cluster", verb, inventory, "--lab", "--json", *yes))["ssh"]
            nodes = [node for node in counted.values() if isinstance(node, dict)]
            figures.append(Figure(f"{name}: connections", max(n["connections"] for n in nodes), limit=connections))
            figures.append(Figure(f"{name}: round trips", counted["critical_path"], limit=trips))
    return figures


def by_hand(inventory: Path) -> float:
    """Seconds to the first token when a person starts the rendered command on both nodes, as root, in a shell."""
    cluster = json.loads(sparkctl("render", inventory, "--format", "json"))
    ranks = list(cluster["nodes"])
    for node in ranks:
        on_node(inventory, node, "sudo", "systemctl", "stop", "sparkctl-engine.service")
    begin = time.perf_counter()
    for node in reversed(ranks):
        start = ("systemd-run", "--unit=by-hand", "--property=KillMode=mixed", "/bin/sh", "/etc/sparkctl/engine.sh")
        on_node(inventory, node, "sudo", *start)
    on_node(inventory, ranks[0], "sudo", "python3", "-c", ASK, "127.0.0.1:8000", str(PATIENCE / 2))
    seconds = time.perf_counter() - begin
    for node in ranks:
        on_node(inventory, node, "sudo", "systemctl", "stop", "by-hand.service")
    return seconds


def engine(_folder: Path) -> list[Figure]:
    """`cluster up` to the first token over the same engine started by hand; the first round only warms the caches."""
    up = ("cluster", "up", DUAL, "--lab", "--yes")
    with lab(DUAL):
        sparkctl(*up)
        hand = by_hand(DUAL)
        sparkctl("cluster", "down", DUAL, "--lab", "--yes")
        ours = timed(*up)
        sparkctl("cluster", "down", DUAL, "--lab", "--yes")
    return [
        Figure("vLLM by hand to the first token", hand, "s"),
        Figure("cluster up to the first token", ours, "s"),
        Figure("cluster up over by hand", ours / hand, "x", limit=1.2),
    ]


PARTS = {"network": network, "ssh": ssh, "engine": engine}


def table(figures: list[Figure]) -> str:
    """For people."""
    rows = [f"{'':40}{'measured':>12}{'limit':>8}"]
    for f in figures:
        limit = "" if f.limit is None else f"{f.limit:g}"
        mark = "" if f.ok else "  over the limit"
        rows.append(f"{f.name:40}{f.value:>10.4g}{f.unit:>2}{limit:>8}{mark}")
    return "\n".join(rows)


def main() -> int:
    """Measure; 1 when a figure is over its limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.add_argument("--only", choices=PARTS, help="measure one part")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sparkctl-bench-") as folder:
        parts = [PARTS[options.only]] if options.only else PARTS.values()
        figures = [figure for part in parts for figure in part(Path(folder))]
    print(json.dumps({"version": 1, "figures": [asdict(f) for f in figures]}) if options.json else table(figures))
    return 0 if all(figure.ok for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
