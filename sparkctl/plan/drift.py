"""Drift of a running cluster against its inventory: what is not as it should be, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from sparkctl.commands.shell import hint
from sparkctl.facts.files import FileState
from sparkctl.facts.foreign import ForeignFile
from sparkctl.facts.record import FileRecord
from sparkctl.facts.snapshot import NodeFacts
from sparkctl.outcome import Absent, Fact, Known, Unknown
from sparkctl.plan.changes import ABSENT
from sparkctl.plan.changes.file import difference
from sparkctl.plan.diff import INTERRUPTED, Desired, managed, recorded
from sparkctl.render.artifact import ENGINE_UNIT, UNIT_NAME

Kind = Literal[
    "unreadable", "no record", "other cluster", "interrupted", "edited", "outdated", "missing", "mode", "left over",
    "foreign", "netdev", "link", "mtu", "address", "stray address", "route", "stray route", "unit", "restarts", "image",
]  # fmt: skip
UP = "`sparkctl cluster up` corrects it"
LOOK = "look at the node by hand, then run this again"


@dataclass(frozen=True)
class Drift:
    """One thing on one node that is not as expected; `lines`: the difference of an edited file, never of a secret."""

    node: str
    subject: str
    kind: Kind
    expected: str
    found: str
    remedy: str
    lines: tuple[str, ...] = ()


def drift(
    cluster: str, desired: Mapping[str, Desired], facts: Mapping[str, NodeFacts], silent: Mapping[str, str]
) -> tuple[Drift, ...]:
    """All drift, node by node. Empty only when every node was read and is as it should be."""
    found = [d for node in desired if node in facts for d in _node(cluster, node, desired[node], facts[node])]
    unread = (Drift(n, "the node", "unreadable", "an answer", why, LOOK) for n, why in silent.items())
    return (*found, *_images(desired, facts), *unread)


def _node(cluster: str, node: str, desired: Desired, facts: NodeFacts) -> Iterator[Drift]:
    if isinstance(facts.run, Known):
        yield Drift(node, "an earlier run", "interrupted", "none", facts.run.value.state, INTERRUPTED)
    if isinstance(facts.record, Known) and facts.record.value.cluster != cluster:
        other = facts.record.value.cluster
        yield Drift(node, "record", "other cluster", cluster, other, f"tear cluster {other} down there first")
        return
    yield from _unread(node, facts)
    yield from (_foreign(node, file) for file in facts.others)
    if isinstance(facts.record, Absent):
        remedy = f"`sparkctl cluster up`; if it was replaced: `sparkctl cluster reprovision --node {node}`"
        yield Drift(node, "record", "no record", f"a node of {cluster}", "nothing of sparkctl", remedy)
        yield from _leftovers(node, {}, facts)
        return
    yield from _files(node, desired, facts)
    yield from _network(node, desired, facts)
    yield from _engine(node, desired, facts)


def _unread(node: str, facts: NodeFacts) -> Iterator[Drift]:
    yield from (Drift(node, subject, "unreadable", "an answer", why, LOOK) for subject, why in facts.unknowns())
    for subject, fact in (("routes", facts.routes), ("container", facts.container)):
        if isinstance(fact, Unknown):
            yield Drift(node, subject, "unreadable", "an answer", fact.reason, LOOK)


def _foreign(node: str, file: ForeignFile) -> Drift:
    who = f" of {file.who}" if file.who else ""
    what = "; ".join(f"{s.id} {s.how}" + (f": {s.says}" if s.says else "") for s in file.stanzas)
    remedy = "`sparkctl cluster up --take-over` moves this aside" if file.movable else file.why_not
    return Drift(node, file.path, "foreign", "no other definition of the fabric", f"a file{who}: {what}", remedy)


# --- files ------------------------------------------------------------------------------------------------------


def _files(node: str, desired: Desired, facts: NodeFacts) -> Iterator[Drift]:
    for artifact in desired.rendering.files:
        yield from _file(node, facts, artifact.path, artifact.digest, artifact.mode, artifact.content)
    for secret in desired.rendering.secrets:
        yield from _file(node, facts, secret.path, desired.secrets[secret.path], secret.mode, None)
    wanted = {f.path: f.mode for f in desired.rendering.files} | {s.path: s.mode for s in desired.rendering.secrets}
    yield from _leftovers(node, wanted, facts)
    for path, old in recorded(facts).items():
        if old.aside:
            yield from _aside(node, path, old, facts)


def _file(node: str, facts: NodeFacts, path: str, digest: str, mode: int, content: str | None) -> Iterator[Drift]:
    fact, old = facts.file(path), recorded(facts).get(path)
    if isinstance(fact, Absent):
        yield Drift(node, path, "missing", "a file", "removed since sparkctl wrote it" if old else "not there yet", UP)
    elif isinstance(fact, Known) and fact.value.digest != digest:
        yield _changed(node, path, fact.value, old, content)
    elif isinstance(fact, Known) and _owner(fact.value) != (mode, 0, 0):
        yield Drift(node, path, "mode", _owner_words(mode, 0, 0), _owner_words(*_owner(fact.value)), UP)


def _changed(node: str, path: str, now: FileState, old: FileRecord | None, content: str | None) -> Drift:
    lines = _difference(content, now.content)
    if old is not None and old.digest == now.digest:
        found = "what an earlier inventory said"
        return Drift(node, path, "outdated", "what the inventory says", found, UP, lines)
    remedy = f"put the edit into the inventory; {hint('cluster', 'up', '--force-path', path)} overwrites it"
    found = "edited since sparkctl wrote it" if old else "written by somebody else"
    return Drift(node, path, "edited", "what the inventory says", found, remedy, lines)


def _difference(wanted: str | None, now: str | None) -> tuple[str, ...]:
    """Unified, from what the inventory says to what is on the node; of a secret there is nothing to show."""
    if wanted is None or now is None:
        return ()
    names = ("as the inventory says", "on the node")
    return difference(wanted, now, *names)


def _owner(state: FileState) -> tuple[int, int, int]:
    return state.mode, state.uid, state.gid


def _owner_words(mode: int, uid: int, gid: int) -> str:
    return f"mode {mode:04o}, owner {uid}:{gid}"


def _leftovers(node: str, wanted: Mapping[str, int], facts: NodeFacts) -> Iterator[Drift]:
    """Files at our paths that the inventory does not want; those that sparkctl wrote go by themselves."""
    for path, fact in facts.files.items():
        if path not in wanted and isinstance(fact, Known):
            ours = path in recorded(facts)
            found = "a file of an earlier inventory" if ours else "a file that is on no record"
            yield Drift(node, path, "left over", "no file", found, UP if ours else f"is it yours? sudo rm {path}")


def _aside(node: str, path: str, old: FileRecord, facts: NodeFacts) -> Iterator[Drift]:
    """A file of somebody else whose fabric stanzas were moved aside."""
    fact = facts.file(path)
    now = fact.value.digest if isinstance(fact, Known) else ABSENT
    if now != old.digest and not isinstance(fact, Unknown):
        found = "removed" if now == ABSENT else "written again" if old.digest == ABSENT else "edited"
        remedy = "it stays as it is: `sparkctl cluster down` then keeps the original beside it"
        yield Drift(node, path, "edited", "as sparkctl left it when it took it over", f"{found} since", remedy)


# --- network ----------------------------------------------------------------------------------------------------


def _network(node: str, desired: Desired, facts: NodeFacts) -> Iterator[Drift]:
    for attachment in desired.attachments:
        fact = facts.netdev(attachment.netdev)
        if isinstance(fact, Absent):
            yield Drift(node, attachment.netdev, "netdev", "there", "not there", fact.reason)
        elif isinstance(fact, Known):
            dev, netdev, address = attachment.netdev, fact.value, str(attachment.address)
            if not netdev.lit:
                remedy = f"reseat the cable in {attachment.half.port} and its other end" if netdev.up else UP
                yield Drift(node, dev, "link", "up, with carrier", "no carrier" if netdev.up else "down", remedy)
            if netdev.mtu != attachment.mtu:
                yield Drift(node, dev, "mtu", str(attachment.mtu), str(netdev.mtu), UP)
            if address not in netdev.addresses and netdev.lit:
                yield Drift(node, dev, "address", address, ", ".join(netdev.addresses) or "none", UP)
            for stray in (a for a in netdev.addresses if a != address):
                yield Drift(node, dev, "stray address", f"only {address}", stray, f"sudo ip addr del {stray} dev {dev}")
    yield from _old_netdevs(node, desired, facts)
    yield from _routes(node, desired, facts)


def _old_netdevs(node: str, desired: Desired, facts: NodeFacts) -> Iterator[Drift]:
    wanted = {attachment.netdev for attachment in desired.attachments}
    for name in (name for name in managed(facts) if name not in wanted):
        yield Drift(node, name, "left over", "as it was before sparkctl", "configured for an earlier inventory", UP)


def _routes(node: str, desired: Desired, facts: NodeFacts) -> Iterator[Drift]:
    routes = facts.routes.value if isinstance(facts.routes, Known) else ()
    networks = {a.netdev: a.address.network for a in desired.attachments}
    for route in routes:
        remedy = f"find out who adds it (`ip route`, NetworkManager, DHCP); sudo ip route del {route}"
        if route.netdev in networks:
            if route.destination != networks[route.netdev] or route.gateway:
                wanted = f"only {networks[route.netdev]}"
                yield Drift(node, route.netdev, "stray route", wanted, str(route), remedy)
        else:
            for dev, network in networks.items():
                if route.destination.subnet_of(network):
                    yield Drift(node, dev, "stray route", f"{network} leaves by {dev}", str(route), remedy)
    for attachment in desired.attachments if isinstance(facts.routes, Known) else ():
        fact, network = facts.netdev(attachment.netdev), attachment.address.network
        usable = isinstance(fact, Known) and fact.value.up and str(attachment.address) in fact.value.addresses
        if usable and not any((r.netdev, r.destination) == (attachment.netdev, network) for r in routes):
            yield Drift(node, attachment.netdev, "route", f"{network} dev {attachment.netdev}", "none", UP)


# --- engine -----------------------------------------------------------------------------------------------------


def _engine(node: str, desired: Desired, facts: NodeFacts) -> Iterator[Drift]:
    if not isinstance(facts.unit, Known):
        return
    unit = facts.unit.value
    if not any(file.path == ENGINE_UNIT for file in desired.rendering.files):
        if unit.running:
            yield Drift(node, UNIT_NAME, "unit", "no engine", f"{unit.active} ({unit.sub})", UP)
        return
    if not unit.loaded:
        yield Drift(node, UNIT_NAME, "unit", "loaded", "not known to systemd", UP)
        return
    if not unit.enabled:
        yield Drift(node, UNIT_NAME, "unit", "enabled", "disabled: gone after a reboot", UP)
    if unit.active != "active":
        remedy = f"journalctl -u {UNIT_NAME} on the node says why; {UP}"
        yield Drift(node, UNIT_NAME, "unit", "active", f"{unit.active} ({unit.sub})", remedy)
    if unit.restarts:
        remedy = f"journalctl -u {UNIT_NAME} on the node says why"
        yield Drift(node, UNIT_NAME, "restarts", "0 since it was started", str(unit.restarts), remedy)


def _images(desired: Mapping[str, Desired], facts: Mapping[str, NodeFacts]) -> Iterator[Drift]:
    """The image is there, is the head's, and is what the container runs."""
    using = {node: (image, facts[node]) for node in desired if node in facts and (image := desired[node].image)}
    ids = {node: _known(known.image) for node, (_, known) in using.items()}
    first, same = next(((name, id_) for name, id_ in ids.items() if id_), ("", ""))
    for node, (image, known) in using.items():
        if isinstance(known.image, Absent) and not isinstance(known.record, Absent):
            yield Drift(node, image, "image", "on the node", "not there", UP)
        elif ids[node] and ids[node] != same:
            remedy = f"docker pull {image} on every node, then `sparkctl cluster up`"
            yield Drift(node, image, "image", f"{same}, as on {first}", str(ids[node]), remedy)
        container = known.container
        if isinstance(container, Known) and ids[node] and container.value.image != ids[node]:
            remedy = "sudo systemctl stop sparkctl-engine on every node, then `sparkctl cluster up` starts all ranks"
            yield Drift(node, "container", "image", str(ids[node]), container.value.image, remedy)


def _known(fact: Fact[str]) -> str | None:
    return fact.value if isinstance(fact, Known) else None
