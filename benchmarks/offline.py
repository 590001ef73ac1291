"""What the offline half costs: validate and render of four nodes, of a thousand, and a hundred files at once.

python benchmarks/offline.py [--json] [--runs N]      exit 1 when a limit is broken
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from bytecode import pinned
from startup import PYTHON, ROOT, SPARKCTL, seconds

YARDSTICK = (PYTHON, "-c", "import typer, pydantic, yaml, jinja2, networkx")
BOTH = """\
import sys
from pathlib import Path
from sparkctl.render import render
from sparkctl.study import study
found = study(Path(sys.argv[1]))
assert found.cluster and found.fabric and not found.errors, found.errors
assert len(render(found.cluster, found.fabric).nodes) == int(sys.argv[2])
"""
HEADER = """\
apiVersion: sparkctl/v1
kind: Cluster
metadata: {name: big}
fabric: {topology: switch, subnet_pool: 10.0.0.0/8}
"""
PER_SWITCH = 250


@dataclass(frozen=True)
class Figure:
    """One measured number and its limit."""

    name: str
    value: float
    unit: str
    limit: float | None = None

    @property
    def ok(self) -> bool:
        """Within the limit."""
        return self.limit is None or self.value <= self.limit


def big(folder: Path, nodes: int) -> Path:
    """An inventory of `nodes` nodes on switches of 250, joined in a row."""
    count = -(-nodes // PER_SWITCH)
    lines = ["switches:", *(f"  - {{name: sw{s}, l2mtu: 9216}}" for s in range(count)), "nodes:"]
    lines += [f"  - {{name: n{i}, address: 100.64.{i // 250}.{i % 250 + 1}}}" for i in range(nodes)]
    lines += ["links:", *(f"  - [n{i}:p1, sw{i // PER_SWITCH}:port{i % PER_SWITCH}]" for i in range(nodes))]
    lines += [f"  - [sw{s}:up, sw{s + 1}:down]" for s in range(count - 1)]
    path = folder / f"big-{nodes}.yaml"
    path.write_text(HEADER + "\n".join(lines) + "\n")
    return path


def timed(command: tuple[str, ...], runs: int) -> float:
    """Median wall time of whole processes; one unmeasured round warms the files."""
    return median([seconds(command) for _ in range(runs + 1)][1:])


def validate_and_render(inventory: Path, nodes: int) -> tuple[str, ...]:
    """One process that does both."""
    return (PYTHON, "-c", BOTH, str(inventory), str(nodes))


def peak(command: tuple[str, ...]) -> float:
    """Peak memory of one process in MB."""
    script = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
    script += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    done = subprocess.run([PYTHON, "-c", script, *command], cwd=ROOT, capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[-1]) / 1024


def many(folder: Path, count: int) -> tuple[str, ...]:
    """`validate` of `count` copies of the smallest example."""
    text = (ROOT / "inventories" / "minimal.yaml").read_text()
    paths = [folder / f"small-{i}.yaml" for i in range(count)]
    for path in paths:
        path.write_text(text)
    return (SPARKCTL, "validate", *map(str, paths))


def figures(folder: Path, runs: int) -> list[Figure]:
    """Everything, in one run on one machine."""
    yardstick = timed(YARDSTICK, runs)
    four = timed(validate_and_render(ROOT / "inventories" / "quad-switch.yaml", 4), runs)
    thousand, two = validate_and_render(big(folder, 1000), 1000), validate_and_render(big(folder, 2000), 2000)
    first, second = timed(thousand, 3), timed(two, 3)
    one, hundred = timed(many(folder, 1), runs), timed(many(folder, 100), runs)
    return [
        Figure("validate and render of 4 nodes over the packages' import", four / yardstick, "x", 1.5),
        Figure("1,000 nodes", first, "s", 5.0),
        Figure("2,000 nodes over 1,000", second / first, "x", 2.3),
        Figure("peak memory of 2,000 nodes", peak(two), "MB", 300.0),
        Figure("100 files in one validate over one file", hundred / one, "x", 3.0),
    ]


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.add_argument("--runs", type=int, default=10)
    options = parser.parse_args()
    pinned()
    with tempfile.TemporaryDirectory(prefix="sparkctl-bench-") as folder:
        found = figures(Path(folder), options.runs)
    if options.json:
        print(json.dumps({"version": 1, "figures": [asdict(f) for f in found]}))
    else:
        for f in found:
            print(f"{f.name:60}{f.value:9.2f} {f.unit:3} limit {f.limit}{'' if f.ok else '  over the limit'}")
    return 0 if all(f.ok for f in found) else 1


if __name__ == "__main__":
    sys.exit(main())
