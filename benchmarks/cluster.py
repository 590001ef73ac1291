"""What a cluster command costs on emulated nodes: connections and round trips, and the engine against the bare tools.

python benchmarks/cluster.py [--json] [--only ssh|engine]      needs root; exit 1 when a limit is broken
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from emulated import PATIENCE, lab, on_node, sparkctl, switched, timed
from figures import Figure, measured

ROOT = Path(__file__).resolve().parents[1]
DUAL = ROOT / "inventories" / "dual.yaml"
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


if __name__ == "__main__":
    sys.exit(measured({"ssh": ssh, "engine": engine}, __doc__))
