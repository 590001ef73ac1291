"""One inventory file to its Cluster, its Fabric and every finding: the offline half of every command."""

from __future__ import annotations

import getpass
import hashlib
import stat
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from sparkctl.engines import kinds
from sparkctl.fabric.model import Fabric
from sparkctl.fabric.topologies import expand, topology_of
from sparkctl.inventory.compose import Unreadable
from sparkctl.inventory.judge import judge
from sparkctl.inventory.model import Cluster
from sparkctl.inventory.parse import SIZE, parse, unreadable
from sparkctl.inventory.resolve import Controller, resolve
from sparkctl.outcome import Finding
from sparkctl.rule import Layer
from sparkctl.rules import rules
from sparkctl.rules.ignore import without_ignored

# After these neither the shape of the cables nor an address means anything; MTU, PAR and the like do not end a study.
_STRUCTURAL = ("TOP", "ADR001", "ADR002", "ADR007", "INV006")


@dataclass(frozen=True)
class Study:
    """What an inventory means, as far as it could be read, and all that is wrong with it; `digest`: the file's."""

    cluster: Cluster | None
    fabric: Fabric | None
    findings: tuple[Finding, ...]
    digest: str = ""

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that forbid going on."""
        return tuple(finding for finding in self.findings if finding.severity == "error")


def study(path: Path) -> Study:
    """Read and judge the inventory at `path`; an unreadable file is a finding too. Never raises for bad input."""
    try:
        with path.open("rb") as file:
            content = file.read(SIZE + 1)
    except (OSError, ValueError) as error:
        no_path = "not a path that a file can have"
        said = f"cannot be read: {error.strerror or error}" if isinstance(error, OSError) else no_path
        reason = Unreadable((1, 1), said, "name a readable inventory file")
        return Study(None, None, (unreadable(str(path), reason),))
    return study_text(content, str(path), controller_of(path))


def study_text(content: bytes, path: str, controller: Controller) -> Study:
    """The pure part of `study`."""
    parsed = parse(content, path)
    if parsed.document is None:
        return Study(None, None, parsed.findings)
    raw, findings = judge(parsed, kinds())
    if raw is None or findings:
        return Study(None, None, _sorted(findings))
    found, complete = _judged(resolve(raw, parsed.source, controller))
    kept = _sorted(without_ignored(found.findings, content, path, complete=complete))
    return replace(found, findings=kept, digest=hashlib.sha256(content).hexdigest())


def controller_of(path: Path) -> Controller:
    """Who runs this, their home, and the folder of the inventory."""
    home = PurePosixPath(Path.home()) if _has_home() else PurePosixPath("/")
    return Controller(_user(), home, PurePosixPath(path.absolute().parent), _is_open)


def _is_open(path: str) -> bool:
    """Whether group or others may read a plain file; ssh refuses such a key, and a secret that is shared is none.

    Of devices and the like nobody should change the mode: what they are is said when they are read.
    """
    try:
        mode = Path(path).stat().st_mode
        return stat.S_ISREG(mode) and bool(mode & 0o044) and not Path(path).resolve().is_relative_to("/proc")
    except (OSError, ValueError):
        return False


def _judged(cluster: Cluster) -> tuple[Study, bool]:
    """The study of a cluster, and whether every rule has judged it."""
    fabric: Fabric | None = None
    findings: list[Finding] = []
    every = rules()
    layers: tuple[Layer, ...] = ("intent", "shape", "room", "fabric")
    for layer in layers:
        if layer == "fabric":
            topology = topology_of(cluster)
            fabric = expand(topology, cluster) if topology else None
        findings += [finding for rule in every if rule.layer == layer for finding in rule.judge(cluster, fabric)]
        if any(f.severity == "error" and f.id.startswith(_STRUCTURAL) for f in findings):
            return Study(cluster, fabric, tuple(findings)), False
    return Study(cluster, fabric, tuple(findings)), True


def _sorted(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: finding.sort_key))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an id without a name, as in some containers
        return ""


def _has_home() -> bool:
    try:
        return Path.home().is_absolute()
    except RuntimeError:
        return False
