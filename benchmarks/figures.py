"""One measured number and its limit, and how they are told to people and to programs."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

from bytecode import pinned


@dataclass(frozen=True)
class Figure:
    """One measured number; `limit` None means it is only told. `least`: the limit is a lower one."""

    name: str
    value: float
    unit: str = ""
    limit: float | None = None
    least: bool = False

    @property
    def ok(self) -> bool:
        """Within the limit."""
        if self.limit is None:
            return True
        return self.value >= self.limit if self.least else self.value <= self.limit


Part: TypeAlias = Callable[[Path], list[Figure]]


def table(figures: list[Figure]) -> str:
    """For people."""
    rows = [f"{'':50}{'measured':>12}{'limit':>10}"]
    for f in figures:
        limit = "" if f.limit is None else f"{'>=' if f.least else '<='} {f.limit:.3g}"
        mark = "" if f.ok else "  BROKEN"
        rows.append(f"{f.name:50}{f.value:>10.4g}{f.unit:>2}{limit:>10}{mark}")
    return "\n".join(rows)


def measured(parts: Mapping[str, Part], about: str | None) -> int:
    """The command line of a benchmark with `parts`; 1 when a figure breaks its limit."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.add_argument("--only", choices=parts, help="measure one part")
    options = parser.parse_args()
    pinned()
    # So that `timeout` and CI's end take the labs down as an error does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="sparkctl-bench-") as folder:
        chosen = [parts[options.only]] if options.only else parts.values()
        figures = [figure for part in chosen for figure in part(Path(folder))]
    told = [asdict(f) | {"ok": f.ok} for f in figures]
    print(json.dumps({"version": 1, "figures": told}) if options.json else table(figures))
    return 0 if all(figure.ok for figure in figures) else 1
