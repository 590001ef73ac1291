"""What a rule is, and the registry of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from sparkctl.fabric.model import Fabric
from sparkctl.inventory.model import Cluster, EngineIntent, LinkEnd, Path
from sparkctl.outcome import Finding, Named, Remedy, Severity

MOST = 100  # findings of one rule: nobody reads more, and a generated file may give millions
# In their order; an error in the names, the cables or the pool ends a study, as what follows would mean nothing.
Layer = Literal["file", "intent", "shape", "room", "fabric"]


class Hit(NamedTuple):
    """One violation; `severity` overrides the rule's own."""

    path: Path
    message: str
    remedy: str
    severity: Severity | None = None


def write(value: str, words: str = "") -> Remedy:
    """To write `value` at the place of the hit; in other words than these, where they are given."""
    return Remedy(words or f"write {value}", Named("inventory", value))


def rename(name: str) -> Remedy:
    """To give the key at the place of the hit another name."""
    return Remedy(f"did you mean `{name}`?", Named("rename", name))


def remove(words: str = "remove it") -> Remedy:
    """To take out what is at the place of the hit."""
    return Remedy(words, Named("inventory"))


IntentCheck: TypeAlias = Callable[[Cluster], Iterator[Hit]]
EngineCheck: TypeAlias = Callable[[Cluster, EngineIntent], Iterator[Hit]]
FabricCheck: TypeAlias = Callable[[Cluster, Fabric], Iterator[Hit]]


@dataclass(frozen=True)
class Rule:
    """One reason to refuse or to warn; `check` None means that parsing itself enforces it."""

    id: str
    severity: Severity
    title: str
    source: str
    layer: Layer
    check: Callable[[Cluster, Fabric | None], Iterable[Hit]] | None

    def judge(self, cluster: Cluster, fabric: Fabric | None) -> Iterator[Finding]:
        """The findings of this rule, at most MOST of them and one that says that there are more."""
        for count, hit in enumerate(self.check(cluster, fabric) if self.check is not None else ()):
            if count == MOST:
                said = f"{self.id} has more findings than the {MOST} that are shown"
                yield cluster.source.finding(self.id, hit.severity or self.severity, (), said, "fix these first")
                return
            yield cluster.source.finding(self.id, hit.severity or self.severity, hit.path, hit.message, hit.remedy)


_REGISTRY: dict[str, Rule] = {}


def declare(id: str, severity: Severity, title: str, source: str) -> None:
    """A rule that parse and judge enforce while they read the file."""
    _register(Rule(id, severity, title, source, "file", None), _REGISTRY)


def rule(
    id: str, severity: Severity, title: str, source: str, layer: Layer = "intent"
) -> Callable[[IntentCheck], IntentCheck]:
    """Register a rule about what is written."""

    def add(check: IntentCheck) -> IntentCheck:
        _register(Rule(id, severity, title, source, layer, lambda cluster, _: check(cluster)), _REGISTRY)
        return check

    return add


def engine_rule(
    id: str, severity: Severity, title: str, source: str, book: dict[str, Rule] = _REGISTRY
) -> Callable[[EngineCheck], EngineCheck]:
    """Register a rule about the engine section, where there is one; `book`: of an engine with rules of its own."""

    def add(check: EngineCheck) -> EngineCheck:
        def judged(cluster: Cluster, _: Fabric | None) -> Iterable[Hit]:
            return check(cluster, cluster.engine) if cluster.engine is not None else ()

        _register(Rule(id, severity, title, source, "intent", judged), book)
        return check

    return add


def fabric_rule(id: str, severity: Severity, title: str, source: str) -> Callable[[FabricCheck], FabricCheck]:
    """Register a rule about the expanded fabric."""

    def add(check: FabricCheck) -> FabricCheck:
        def judged(cluster: Cluster, fabric: Fabric | None) -> Iterable[Hit]:
            return check(cluster, fabric) if fabric is not None else ()

        _register(Rule(id, severity, title, source, "fabric", judged), _REGISTRY)
        return check

    return add


def shared() -> tuple[Rule, ...]:
    """Every rule that is no engine's own, by id."""
    return tuple(_REGISTRY[id] for id in sorted(_REGISTRY))


def _register(rule: Rule, book: dict[str, Rule]) -> None:
    if rule.id in book:
        raise ValueError(f"rule {rule.id} is registered twice")
    book[rule.id] = rule


def cable_ends(cluster: Cluster) -> Iterator[tuple[Path, LinkEnd]]:
    """Every cable end with its place in the file, in the order of the cables."""
    for link in cluster.links:
        yield end_path(cluster, link.index, "a"), link.a
        yield end_path(cluster, link.index, "b"), link.b


def end_path(cluster: Cluster, index: int, side: Literal["a", "b"]) -> Path:
    """Where one end of a cable stands in the file: a pair has items, a mapping has keys."""
    written = ("links", index, side)
    return written if written in cluster.source.places else ("links", index, "ab".index(side))


def arg_path(cluster: Cluster, flag: str) -> Path:
    """Where an engine argument stands in the file: with or without its dashes."""
    dashed = ("engine", "args", f"--{flag}")
    return dashed if dashed in cluster.source.places else ("engine", "args", flag)
