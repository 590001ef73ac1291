"""Checks that all nodes are alike: kernel, driver, firmware, release, image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sparkctl.checks.alike import Alike
from sparkctl.checks.base import View, check
from sparkctl.checks.hosts import NO_ENGINE, STAGE, known, said, short, skipped, surveyed, unread
from sparkctl.checks.kernel import struck
from sparkctl.facts.host import Gpu, Release
from sparkctl.inventory.words import listed
from sparkctl.outcome import Absent, Fact, Known, Unknown, Verdict

PULL = "docker pull NAME@sha256:... on every node, and write NAME@sha256:... into engine.runtime.docker"
APART = "the nodes keep images in different stores (Docker's own, containerd's), and not all were pulled"
NO_IMAGE = "the engine runs from a venv, not from an image"
_UPDATE = "sudo apt update && sudo apt full-upgrade on every node, then reboot each"
_NO_FIRMWARE = ("", "n/a", "unknown")  # what drivers of virtual netdevs say


@check("same-kernel", STAGE, survey=True)
def kernel(view: View) -> Iterator[Verdict]:
    """All nodes run one kernel (facts ff26); the one to have is never one that is known to be bad."""
    kernels = known(surveyed(view, lambda survey: survey.kernel))
    bad = frozenset(kernel.release for kernel in kernels.values() if struck(kernel))
    remedy = f"{_UPDATE}; `uname -r` then says the same everywhere{', and none of: ' * bool(bad) + listed(sorted(bad))}"
    facts = surveyed(view, lambda survey: said(survey.kernel, lambda it: it.release))
    yield from Alike("same-kernel", "kernel", remedy, bad).judge(facts)


@check("same-driver", STAGE, survey=True)
def driver(view: View) -> Iterator[Verdict]:
    """All nodes run one NVIDIA driver (facts ff26)."""
    remedy = f"{_UPDATE}; `nvidia-smi --query-gpu=driver_version --format=csv` then says the same everywhere"
    facts = surveyed(view, lambda survey: _driver(survey.gpus))
    yield from Alike("same-driver", "NVIDIA driver", remedy).judge(facts)


def _driver(gpus: Fact[tuple[Gpu, ...]]) -> Fact[str]:
    if not isinstance(gpus, Known):
        return gpus
    versions = sorted({gpu.driver for gpu in gpus.value})
    return Known(", ".join(versions)) if versions else Absent("no GPU: nvidia-smi lists none")


@check("same-release", STAGE, survey=True)
def release(view: View) -> Iterator[Verdict]:
    """All nodes run one release of the system (facts ff26)."""
    remedy = f"{_UPDATE}; `cat /etc/dgx-release` then says the same everywhere"
    facts = surveyed(view, lambda survey: said(survey.release, _release))
    yield from Alike("same-release", "release", remedy).judge(facts)


def _release(release: Release) -> str:
    system = f"{release.name} {release.version}".strip()
    return f"{system}, DGX OS {release.dgx}" if release.dgx else system


@check("same-firmware", STAGE, survey=True)
def firmware(view: View) -> Iterator[Verdict]:
    """The ConnectX-7 of all nodes run one firmware (facts ff26); the netdevs of the fabric say which."""
    remedy = "sudo fwupdmgr refresh && sudo fwupdmgr update on the node that differs, then shut it down and unplug it"
    facts = {n.name: _firmware(view, n.name) for n in view.cluster.nodes if n.name not in view.silent}
    gone = [node for node, fact in facts.items() if fact is None]
    yield from (skipped("same-firmware", node, "no netdev of the fabric is there: see rail-carrier") for node in gone)
    rest = {node: fact for node, fact in facts.items() if fact is not None}
    if rest:
        yield from Alike("same-firmware", "ConnectX-7 firmware", remedy).judge(rest)


def _firmware(view: View, node: str) -> Fact[str] | None:
    """None: the node has no netdev of the fabric, which is not a matter of firmware."""
    ethernet = view.facts[node].survey.ethernet
    if not isinstance(ethernet, Known):
        return ethernet
    ours = [ethernet.value[a.netdev] for a in view.fabric.of(node) if a.netdev in ethernet.value]
    # The version alone: behind it stands the board's id, and boards of several makers fit together.
    versions = {it.firmware.split()[0] for it in ours if it.firmware.strip().lower() not in _NO_FIRMWARE}
    if not ours:
        return Unknown(ethernet.unread[0]) if ethernet.unread else None
    drivers = sorted({it.driver for it in ours if it.driver})
    none = f"the driver {listed(drivers)} names no firmware" if drivers else "a virtual netdev has no firmware"
    return Known(", ".join(sorted(versions))) if versions else Absent(none)


@check("same-image", "engine")
def image(view: View) -> Iterator[Verdict]:
    """All ranks that have the engine's image have the same: a tag moves between two pulls (facts ff15)."""
    engine = view.cluster.engine
    if engine is None or engine.runtime.docker is None:
        yield skipped("same-image", "cluster", NO_ENGINE if engine is None else NO_IMAGE)
        return
    facts: dict[str, Fact[str]] = {node.name: view.facts[node.name].image for node in view.cluster.nodes}
    missing = [node for node, fact in facts.items() if isinstance(fact, Absent)]
    yield from (skipped("same-image", node, "the image is not there: see engine-image") for node in missing)
    rest = {node: fact for node, fact in facts.items() if node not in missing}
    groups = _groups(view, known(rest))
    if _apart(groups):
        yield from unread("same-image", "image", rest)
        yield Verdict("same-image", "unknown", "cluster", APART, remedy=PULL)
    elif rest:
        names = {node: Known(group.name) for group in groups for node in group.nodes}
        yield from Alike("same-image", "image", PULL).judge({node: names.get(node, it) for node, it in rest.items()})


@dataclass(frozen=True)
class _Group:
    """Nodes whose images are one: the same id, or pulled by the same digest."""

    nodes: tuple[str, ...]
    ids: frozenset[str]
    pulled: frozenset[str]

    @property
    def name(self) -> str:
        """The id; for images that Docker keeps in different stores what they have in common."""
        if len(self.ids) == 1:
            return short(*self.ids)
        return f"pulled as {short(min(self.pulled))} (each store of Docker has an id of its own for it)"


def _groups(view: View, ids: dict[str, str]) -> list[_Group]:
    """Nodes by their image; in containerd's store the id is itself the digest that the image was pulled by."""
    groups: list[_Group] = []
    for node, id in ids.items():
        fact = view.facts[node].pulled
        made = _Group((node,), frozenset({id}), frozenset(fact.value if isinstance(fact, Known) else ()))
        alike = [it for it in groups if (it.ids | it.pulled) & (made.ids | made.pulled)]
        for it in alike:
            made = _Group(it.nodes + made.nodes, it.ids | made.ids, it.pulled | made.pulled)
        groups = [it for it in groups if it not in alike] + [made]
    return groups


def _apart(groups: list[_Group]) -> bool:
    """Whether digests of manifests stand against ids of which no manifest is known: nothing can be compared."""
    return any(it.ids <= it.pulled for it in groups) and any(not it.pulled for it in groups)
