"""What one `verify` found, as one value that every format is made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sparkctl.checks.thresholds import Thresholds, sources
from sparkctl.fabric.model import Fabric
from sparkctl.inventory.model import Cluster
from sparkctl.loadtest.results import Load
from sparkctl.outcome import Verdict
from sparkctl.report import compare, measures
from sparkctl.report import verdicts as told


@dataclass(frozen=True)
class Proof:
    """`taken`: when, in words; `version`: of sparkctl; `since`: what changed, where an older report was given."""

    cluster: Cluster
    fabric: Fabric
    verdicts: tuple[Verdict, ...]
    thresholds: Thresholds
    expect: str
    taken: str
    version: str
    overlays: tuple[str, ...] = ()
    load: Load | None = None
    since: compare.Comparison | None = None


@dataclass(frozen=True)
class Limit:
    """A threshold in use, with its default and where that comes from."""

    name: str
    value: float
    default: float
    unit: str
    source: str

    @property
    def overridden(self) -> bool:
        """Whether the user gave another value."""
        return self.value != self.default


def limits(thresholds: Thresholds) -> tuple[Limit, ...]:
    """All thresholds as they were used."""
    return tuple(Limit(name, getattr(thresholds, name), *rest) for name, rest in sources().items())


def as_values(proof: Proof) -> dict[str, object]:
    """What `--json` says besides what every command does."""
    differ = {
        one.name: {"value": one.value, "default": one.default} for one in limits(proof.thresholds) if one.overridden
    }
    fields: dict[str, object] = {
        "taken": proof.taken,
        "sparkctl": proof.version,
        "expect": proof.expect,
        "thresholds": differ,
        "load": measures.as_values(proof.load),
        "verdicts": told.as_values(proof.verdicts),
    }
    return fields if proof.since is None else fields | {"compared": asdict(proof.since)}


def document(proof: Proof) -> dict[str, object]:
    """A report that stands alone: what `--save` keeps and `--compare` reads."""
    named = {"version": 1, "command": "verify", "cluster": proof.cluster.name, "overlays": list(proof.overlays)}
    return named | as_values(proof)


def only(verdicts: Sequence[Verdict], ids: Sequence[str]) -> tuple[Verdict, ...]:
    """Those of some checks; of all where none is named."""
    return tuple(v for v in verdicts if not ids or v.id in ids)
