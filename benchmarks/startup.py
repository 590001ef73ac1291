"""How long sparkctl takes to start, over what its packages cost by themselves: whole processes, medians, one run.

python benchmarks/startup.py [--json] [--runs N]      exit 1 when a ratio is over its limit
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from bytecode import pinned

ROOT = Path(__file__).resolve().parents[1]
PYTHON = sys.executable
SPARKCTL = str(Path(sys.executable).with_name("sparkctl"))


@dataclass(frozen=True)
class Comparison:
    """A command, the command that it is held against, and how many times as long it may take."""

    name: str
    ours: tuple[str, ...]
    base: tuple[str, ...]
    limit: float


@dataclass(frozen=True)
class Measured:
    """Medians in seconds."""

    name: str
    seconds: float
    base_seconds: float
    ratio: float
    limit: float

    @property
    def ok(self) -> bool:
        """Within the limit."""
        return self.ratio <= self.limit


ONE_COMMAND = """
import typer
app = typer.Typer()
@app.command()
def hello(name: str) -> None:
    "Say hello."
app()
"""
COMPARISONS = (
    Comparison("sparkctl --help", (SPARKCTL, "--help"), (PYTHON, "-c", ONE_COMMAND, "--help"), 1.5),
    Comparison(
        "sparkctl validate inventories/dual.yaml",
        (SPARKCTL, "validate", "inventories/dual.yaml"),
        (PYTHON, "-c", "import typer, pydantic, yaml, jinja2, networkx"),
        1.65,
    ),
)


def seconds(command: tuple[str, ...]) -> float:
    """Wall time of one process, from before it exists until it has gone."""
    begin = time.perf_counter()
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True, timeout=60)
    return time.perf_counter() - begin


def measure(comparison: Comparison, runs: int) -> Measured:
    """Both commands in turn, so that a busy moment of the machine hits both; one unmeasured round warms the files."""
    pairs = [(seconds(comparison.ours), seconds(comparison.base)) for _ in range(runs + 1)][1:]
    ours, base = (median(column) for column in zip(*pairs, strict=True))
    return Measured(comparison.name, round(ours, 4), round(base, 4), round(ours / base, 3), comparison.limit)


def table(results: list[Measured]) -> str:
    """For people."""
    rows = [f"{'':42}{'seconds':>9}{'base':>9}{'ratio':>8}{'limit':>8}"]
    for r in results:
        mark = "" if r.ok else "  over the limit"
        rows.append(f"{r.name:42}{r.seconds:9.3f}{r.base_seconds:9.3f}{r.ratio:8.2f}{r.limit:8.1f}{mark}")
    return "\n".join(rows)


def main() -> int:
    """Measure all comparisons; 1 when one is over its limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.add_argument("--runs", type=int, default=10, help="measured rounds (default 10)")
    options = parser.parse_args()
    pinned()
    results = [measure(comparison, options.runs) for comparison in COMPARISONS]
    print(json.dumps({"version": 1, "results": [asdict(r) for r in results]}) if options.json else table(results))
    return 0 if all(r.ok for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
