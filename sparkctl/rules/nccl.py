"""How NCCL reads its variables: which names it has, what a list of interfaces or devices picks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from sparkctl.engines import ENGINES
from sparkctl.engines.base import CarriedNccl
from sparkctl.fabric.topologies import topology_of
from sparkctl.inventory.model import Cluster, Path
from sparkctl.resources import share

TABLE = "nccl-params"  # of the facts: name, type, default, first tag that has it, scope, place in NCCL's source
# What other libraries ask for the interface where ranks meet; none of them understands NCCL's `=` (facts C2 and C3).
BARE = ("GLOO_SOCKET_IFNAME", "TP_SOCKET_IFNAME", "UCX_NET_DEVICES", "OMPI_MCA_btl_tcp_if_include")


@dataclass(frozen=True)
class Setting:
    """A variable as the file sets it."""

    path: Path
    name: str
    value: str


def settings(cluster: Cluster) -> Iterator[Setting]:
    """NCCL's variables of `fabric.nccl`, then those of `engine.env`, which the engine reads last."""
    for name, value in cluster.fabric.nccl.items():
        yield Setting(("fabric", "nccl", name), name, value)
    for name, value in cluster.engine.env.items() if cluster.engine is not None else ():
        if name.startswith("NCCL_"):
            yield Setting(("engine", "env", name), name, value)


def effective(cluster: Cluster, name: str) -> Setting:
    """What the engine finds in the end; at `fabric.topology` when it is the topology's own. Empty when it is unset."""
    written = [setting for setting in settings(cluster) if setting.name == name]
    topology = topology_of(cluster)
    own = topology.nccl(cluster).get(name, "") if topology is not None else ""
    return written[-1] if written else Setting(("fabric", "topology"), name, own)


@cache
def names() -> dict[str, str]:
    """Every name that a release of NCCL knows, with the first that does; `-` when nobody knows which."""
    return parameters((share("facts") / f"{TABLE}.tsv").read_text(encoding="ascii"))


def parameters(table: str) -> dict[str, str]:
    """The same from the text of a table: `2.30.7` of `v2.30.7-1`, the later one of `>v2.30.7,<=v2.32.3`."""
    rows = (line.split("\t") for line in table.splitlines() if line and not line.startswith("#"))
    tags = {row[0]: re.findall(r"v(\d+(?:\.\d+)+)", row[3]) for row in rows}
    return {name: found[-1] if found else "-" for name, found in sorted(tags.items())}


def carried(cluster: Cluster) -> CarriedNccl | None:
    """The NCCL inside the engine, with the engine's release; None when it is not known."""
    intent = cluster.engine
    return ENGINES[intent.kind].carried_nccl(intent) if intent is not None and intent.kind in ENGINES else None


def is_older(version: str, least: str) -> bool:
    """Whether a version is below another; what is no version is not."""
    mine, other = (tuple(int(part) for part in re.findall(r"\d+", text)) for text in (version, least))
    return bool(mine and other) and mine < other


def picked(spec: str, known: Iterable[str]) -> tuple[str, ...]:
    """Those of `known` that a list picks: `^` excludes, `=` is exact, else an item is a beginning (facts B3)."""
    marks, items = _items(spec)
    return tuple(name for name in known if any(_takes(marks, item, name) for item in items) != ("^" in marks))


def unpicked(spec: str, known: Iterable[str]) -> list[str]:
    """The items of a list that are none of `known`, nor a beginning of one."""
    marks, items = _items(spec)
    names = tuple(known)
    return [item for item in items if not any(_takes(marks, item, name) for name in names)]


def _items(spec: str) -> tuple[str, list[str]]:
    found = re.fullmatch(r"([=^]*)(.*)", spec)
    marks, rest = found.groups() if found else ("", spec)
    return marks, [item.partition(":")[0] for item in rest.split(",") if item]


def _takes(marks: str, item: str, name: str) -> bool:
    return name == item if "=" in marks else name.startswith(item)
