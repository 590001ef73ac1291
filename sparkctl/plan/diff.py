"""One node's desired state against its facts: the differences, and the reasons why none may be made."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass

from sparkctl.fabric.model import Attachment
from sparkctl.facts.baseline import ALL, Baseline
from sparkctl.facts.files import SPECIAL, FileState
from sparkctl.facts.foreign import ForeignFile, ForeignStanza
from sparkctl.facts.links import Netdev
from sparkctl.facts.owners import NEXT_BOOT, comes
from sparkctl.facts.record import FileRecord
from sparkctl.facts.snapshot import OWNERS, NodeFacts
from sparkctl.inventory.names import BESIDE, NETPLAN_FOLDER, PROFILES, is_owner
from sparkctl.inventory.words import quoted
from sparkctl.outcome import Absent, Fact, Known, Unknown
from sparkctl.plan.changes import ABSENT, FileChange, FileImage, ImageChange, NetdevTarget, NetworkChange, Stage
from sparkctl.render.artifact import ENGINE_ENV, NCCL_ENV, NodeRendering

INTERRUPTED = "`sparkctl cluster recover` finishes it or puts the node back"


@dataclass(frozen=True)
class Wishes:
    """What a person asked for besides the inventory.

    `take_over`: move foreign fabric stanzas aside. `force`: paths whose later edit does not win. `only`: nodes whose
    files and network are changed (None: all).
    """

    take_over: bool = False
    force: frozenset[str] = frozenset()
    only: frozenset[str] | None = None


PLAIN = Wishes()
MADE_AGAIN = ("kernel", "dhcp", "ra", "redirect")
"""Protocols of routes (ip-route(8)) that come again by themselves; templates/checkpoint/network.sh has the same."""
VARIABLES = (NCCL_ENV, ENGINE_ENV)
"""What an engine reads at its start, in this order, and not later."""
SPARED = ".before-sparkctl"
"""Suffix of what teardown cannot put back, because the file was edited since; netplan reads only *.yaml."""


def beside(path: str) -> str:
    """Where that is laid; NetworkManager reads every file of its folder but hidden ones."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/{'.' if path.startswith(PROFILES) else ''}{name}{SPARED}"


@dataclass(frozen=True)
class Desired:
    """What one node should be: files, secrets by path with their digest, netdevs, the engine's image."""

    rendering: NodeRendering
    secrets: Mapping[str, str]
    attachments: tuple[Attachment, ...]
    image: str | None


def obstacles(
    cluster: str, facts: NodeFacts, attachments: tuple[Attachment, ...], wishes: Wishes = PLAIN
) -> Iterator[str]:
    """Why nothing may be planned for this node; none when all is well."""
    # Teardown takes nothing over, so no owner is in its way.
    yield from (f"{subject}: {reason}" for subject, reason in facts.unknowns() if attachments or subject != OWNERS)
    if isinstance(facts.baseline, Unknown):
        yield f"before-images: {facts.baseline.reason}"
    if isinstance(facts.run, Known):
        yield f"an interrupted run is on this node (state {facts.run.value.state}): {INTERRUPTED}"
    if isinstance(facts.record, Known) and facts.record.value.cluster != cluster:
        yield f"the node belongs to cluster {quoted(facts.record.value.cluster)}; tear that down first"
    if isinstance(facts.missing_tools, Known) and facts.missing_tools.value:
        yield f"missing on the node: {', '.join(facts.missing_tools.value)}"
    yield from (in_the_way(file) for file in facts.others if attachments and not (wishes.take_over and file.movable))
    yield from _no_plain_files(facts, wishes) if attachments else ()


def _no_plain_files(facts: NodeFacts, wishes: Wishes) -> Iterator[str]:
    """What stands where sparkctl would write; on a path that it wrote before, a later edit, which wins."""
    for path, fact in facts.files.items():
        special = isinstance(fact, Known) and fact.value.digest == SPECIAL
        if special and (path not in recorded(facts) or path in wishes.force):
            who = "it or its folder is a link, or is somebody else's"
            yield f"{path} is not a plain file of root's ({who}): move it away"


def image_of(fact: Fact[FileState]) -> FileImage | None:
    """A fact as a change carries it."""
    if not isinstance(fact, Known):
        return None
    state = fact.value
    return FileImage(digest=state.digest, mode=state.mode, uid=state.uid, gid=state.gid, content=state.content)


def file_changes(desired: Desired, facts: NodeFacts, wishes: Wishes = PLAIN) -> Iterator[FileChange]:
    """Files to write, then files of an earlier run that nobody wants any more. A later edit by somebody else wins."""
    for artifact in desired.rendering.files:
        after = FileImage(digest=artifact.digest, mode=artifact.mode, content=artifact.content)
        yield from _written(artifact.path, artifact.stage, facts, after, wishes)
    for secret in desired.rendering.secrets:
        after = FileImage(digest=desired.secrets[secret.path], mode=secret.mode)
        yield from _written(secret.path, secret.stage, facts, after, wishes, source=secret.source)
    wanted = {f.path for f in desired.rendering.files} | {s.path for s in desired.rendering.secrets}
    for path, old in recorded(facts).items():
        if path not in wanted and not old.aside:
            yield from given_back(path, old, facts, wishes)


def _written(
    path: str, stage: Stage, facts: NodeFacts, after: FileImage, wishes: Wishes, source: str | None = None
) -> Iterator[FileChange]:
    before = image_of(facts.file(path))
    edited = _edited(path, facts)
    if before is None:
        reason = "removed by somebody else" if path in recorded(facts) else "not on the node"
    elif before.digest != after.digest:
        if edited and path not in wishes.force:
            return
        reason = "edited by somebody else (--force-path)" if edited else "content differs"
    elif (before.mode, before.uid, before.gid) != (after.mode, 0, 0):
        reason = f"mode {before.mode:04o}, owner {before.uid}:{before.gid}"
    else:
        return
    yield FileChange(stage=stage, path=path, before=before, after=after, reason=reason, source=source)


def in_the_way(file: ForeignFile) -> str:
    """Why a foreign file stops a plan, and what to do."""
    who = f" ({file.who})" if file.who else ""
    what = "; ".join(map(_stanza_words, file.stanzas)) or "what sparkctl's file does"
    whole = bool(file.stanzas) and file.stanzas[0].kind in NEXT_BOOT
    verb, moved = ("has", "it") if whole else ("defines", "these stanzas")
    cure = f"--take-over moves {moved} aside until teardown" if file.movable else file.why_not
    return f"{file.path}{who} also {verb} {what}. {comes(file)} {cure}"


def _stanza_words(stanza: ForeignStanza) -> str:
    same = stanza.netdevs == (stanza.id,)
    name = stanza.id if same else f"{', '.join(stanza.netdevs)} (as {stanza.id}: {stanza.how})"
    return f"{name}: {stanza.says}" if stanza.says else name


def set_aside(desired: Desired, facts: NodeFacts, wishes: Wishes) -> Iterator[FileChange]:
    """Foreign stanzas that go aside; the rest of their files is kept to the byte."""
    netdevs = tuple(a.netdev for a in desired.attachments)
    for file in facts.others if wishes.take_over else ():
        before = FileImage(digest=file.digest, mode=file.mode, uid=file.uid, gid=file.gid)
        mode = file.mode & 0o777
        after = None if file.after == ABSENT else before.model_copy(update={"digest": file.after, "mode": mode})
        verb = "has" if is_owner(file.path) else "defines"
        reason = f"it also {verb} " + ", ".join(dict.fromkeys(n for s in file.stanzas for n in s.netdevs))
        yield FileChange(stage="network", path=file.path, before=before, after=after, reason=reason, aside=netdevs)


def recorded(facts: NodeFacts) -> Mapping[str, FileRecord]:
    """The files on the node's record."""
    return facts.record.value.files if isinstance(facts.record, Known) else {}


def managed(facts: NodeFacts) -> tuple[str, ...]:
    """The netdevs on the node's record."""
    return facts.record.value.netdevs if isinstance(facts.record, Known) else ()


def same_variables(changes: tuple[FileChange, ...], facts: NodeFacts) -> bool:
    """Whether the files of VARIABLES (none but these change) say together what they said when the engine read them.

    False where that is not certain: a file that is not there, or is not as sparkctl wrote it before it started it.
    """
    before = {path: image_of(facts.file(path)) for path in VARIABLES}
    after = before | {change.path: change.after for change in changes}
    certain = all(path in recorded(facts) and not _edited(path, facts) for path in VARIABLES)
    said, says = (_variables(images.values()) for images in (before, after))
    return certain and said is not None and said == says


def _variables(images: Iterable[FileImage | None]) -> tuple[dict[str, str], list[tuple[int, int, int]]] | None:
    """What an engine reads, and from whose files, where all of it is known: the later file wins."""
    known = [(image, image.content) for image in images if image and image.content is not None]
    if len(known) != len(VARIABLES):
        return None
    lines = [line for _, text in known for line in text.splitlines() if "=" in line and not line.startswith("#")]
    said = {name: value for name, _, value in (line.partition("=") for line in lines)}
    return said, [(image.mode, image.uid, image.gid) for image, _ in known]


def _digest(path: str, facts: NodeFacts) -> str:
    now = image_of(facts.file(path))
    return now.digest if now else ABSENT


def _edited(path: str, facts: NodeFacts) -> bool:
    old = recorded(facts).get(path)
    return old is not None and old.digest != _digest(path, facts)


def given_back(
    path: str, old: FileRecord, facts: NodeFacts, wishes: Wishes = PLAIN, lost: Container[str] = ()
) -> Iterator[FileChange]:
    """Put `path` back to its baseline, unless somebody edited it since: a later edit wins. `lost`: it only goes."""
    if path in lost:
        old = old.model_copy(update={"baseline": None})
    before = image_of(facts.file(path))
    nothing = (before is None or is_owner(path)) and old.baseline is None
    if nothing or (_edited(path, facts) and path not in wishes.force):
        return
    stage: Stage = "engine" if old.stage == "engine" else "network"
    after = FileImage(digest=old.baseline_digest or "", mode=old.mode) if old.baseline else None
    there = f"it was {'' if old.baseline else 'not '}there before sparkctl"
    reason = "what was there before sparkctl is lost" if path in lost else there
    yield FileChange(stage=stage, path=path, before=before, after=after, reason=reason, baseline=old.baseline)


def losses(facts: NodeFacts) -> Iterator[tuple[str, str]]:
    """(path, why) of what was there before sparkctl and cannot be put back as it was; edited files are not put back."""
    kept = facts.baseline.value if isinstance(facts.baseline, Known) else Baseline({}, {}, {})
    for path, old in recorded(facts).items():
        netplan = path.startswith(NETPLAN_FOLDER)
        if netplan and ALL in kept.refused:
            yield path, f"netplan refuses the node's other files: {kept.refused[ALL]}"
        elif old.baseline is None or _edited(path, facts):
            continue
        elif old.baseline not in kept.images:
            yield path, "its before-image is gone"
        elif kept.images[old.baseline] != old.baseline_digest:
            yield path, "its before-image is damaged (its digest differs)"
        elif old.baseline in kept.refused:
            yield path, f"netplan refuses what was there before sparkctl: {kept.refused[old.baseline]}"


def edits(facts: NodeFacts) -> tuple[str, ...]:
    """Recorded paths that somebody edited or removed since sparkctl wrote them."""
    return tuple(path for path in recorded(facts) if _edited(path, facts))


def netdev_targets(desired: Desired, facts: NodeFacts) -> Iterator[NetdevTarget]:
    """Every netdev of the fabric, as it is and as it should be; those that the node does not have are left out."""
    for attachment in desired.attachments:
        yield from netdev_target(attachment.netdev, facts, attachment.mtu, str(attachment.address))


def netdev_target(
    name: str, facts: NodeFacts, mtu: int | None = None, address: str | None = None
) -> Iterator[NetdevTarget]:
    """None where the node has no such netdev; without MTU and address it goes back to what it was before sparkctl."""
    now = facts.netdev(name)
    if isinstance(now, Known):
        yield NetdevTarget(
            netdev=name,
            before_mtu=now.value.mtu,
            before_addresses=now.value.addresses,
            after_mtu=mtu,
            after_address=address,
        )


def _right(target: NetdevTarget, now: Netdev) -> bool:
    return (now.mtu, now.addresses, now.up) == (target.after_mtu, (target.after_address,), True)


def network_change(desired: Desired, facts: NodeFacts, files: tuple[FileChange, ...]) -> NetworkChange | None:
    """Make the kernel agree where a netdev or a netplan file is not as it should be; netdevs of old cables go back."""
    targets = tuple(netdev_targets(desired, facts))
    wanted = {attachment.netdev for attachment in desired.attachments}
    back = tuple(t for name in managed(facts) if name not in wanted for t in netdev_target(name, facts))
    there = facts.netdevs.value if isinstance(facts.netdevs, Known) else {}
    wrong = any(not _right(target, there[target.netdev]) for target in targets)
    if not (wrong or back or any(change.path.startswith(tuple(BESIDE)) for change in files)):
        return None
    reason = "the kernel is not as the inventory says" if wrong or back else "a file of the network changes"
    return NetworkChange(netdevs=(*targets, *back), reason=reason)


def routes_that_go(network: NetworkChange, facts: NodeFacts) -> Iterator[str]:
    """Routes of its netdevs that neither the kernel nor a renderer makes: they go with the old addresses."""
    for route in facts.routes.value if isinstance(facts.routes, Known) else ():
        if route.netdev in network.names and route.protocol not in MADE_AGAIN:
            yield str(route)


def image_change(desired: Desired, facts: NodeFacts) -> ImageChange | None:
    """Fetch the engine's image where the node has none."""
    if desired.image is None or not isinstance(facts.image, Absent):
        return None
    return ImageChange(image=desired.image, reason="not on the node")
