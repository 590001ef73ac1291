"""One node's desired state against its facts: the differences, and the reasons why none may be made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sparkctl.fabric.model import Attachment
from sparkctl.facts.files import FileState
from sparkctl.facts.record import FileRecord, Record
from sparkctl.facts.snapshot import NodeFacts
from sparkctl.outcome import Absent, Fact, Known
from sparkctl.plan.change import FileChange, FileImage, ImageChange, NetdevTarget, NetworkChange, Stage
from sparkctl.render.artifact import NETPLAN, NodeRendering

INTERRUPTED = (
    "its own timer puts it back; where that is gone (a reboot, a confirmed run), do it by hand: "
    "sudo sh /var/lib/sparkctl/run/revert.sh controller"
)


@dataclass(frozen=True)
class Desired:
    """What one node should be: files, secrets by path with their digest, netdevs, the engine's image."""

    rendering: NodeRendering
    secrets: Mapping[str, str]
    attachments: tuple[Attachment, ...]
    image: str | None


def obstacles(cluster: str, facts: NodeFacts, attachments: tuple[Attachment, ...]) -> Iterator[str]:
    """Why nothing may be planned for this node; none when all is well."""
    yield from facts.unknowns()
    if isinstance(facts.run, Known):
        yield f"an interrupted run is on this node (state {facts.run.value}): {INTERRUPTED}"
    if isinstance(facts.record, Known) and facts.record.value.cluster != cluster:
        yield f"the node belongs to cluster {facts.record.value.cluster!r}; tear that down first"
    if isinstance(facts.missing_tools, Known) and facts.missing_tools.value:
        yield f"missing on the node: {', '.join(facts.missing_tools.value)}"
    if isinstance(facts.foreign, Known):
        yield from (f"{path} also names a fabric netdev: netplan would join both" for path in facts.foreign.value)
    absent = (fact for a in attachments if isinstance(fact := facts.netdev(a.netdev), Absent))
    yield from (fact.reason for fact in absent)


def image_of(fact: Fact[FileState]) -> FileImage | None:
    """A fact as a change carries it."""
    if not isinstance(fact, Known):
        return None
    state = fact.value
    return FileImage(digest=state.digest, mode=state.mode, uid=state.uid, gid=state.gid, content=state.content)


def file_changes(desired: Desired, facts: NodeFacts) -> Iterator[FileChange]:
    """Files to write, then files of an earlier run that nobody wants any more."""
    for artifact in desired.rendering.files:
        after = FileImage(digest=artifact.digest, mode=artifact.mode, content=artifact.content)
        yield from _written(artifact.path, artifact.stage, facts, after)
    for secret in desired.rendering.secrets:
        after = FileImage(digest=desired.secrets[secret.path], mode=secret.mode)
        yield from _written(secret.path, secret.stage, facts, after, source=secret.source)
    wanted = {f.path for f in desired.rendering.files} | {s.path for s in desired.rendering.secrets}
    yield from (c for path, old in _recorded(facts).items() if path not in wanted for c in given_back(path, old, facts))


def _written(
    path: str, stage: Stage, facts: NodeFacts, after: FileImage, source: str | None = None
) -> Iterator[FileChange]:
    before = image_of(facts.file(path))
    if before is None:
        reason = "not on the node"
    elif before.digest != after.digest:
        reason = "changed by somebody else" if _edited(path, before, facts) else "content differs"
    elif (before.mode, before.uid, before.gid) != (after.mode, 0, 0):
        reason = f"mode {before.mode:04o}, owner {before.uid}:{before.gid}"
    else:
        return
    yield FileChange(stage=stage, path=path, before=before, after=after, reason=reason, source=source)


def _recorded(facts: NodeFacts) -> Mapping[str, FileRecord]:
    return facts.record.value.files if isinstance(facts.record, Known) else {}


def _edited(path: str, now: FileImage, facts: NodeFacts) -> bool:
    old = _recorded(facts).get(path)
    return old is not None and old.digest != now.digest


def given_back(path: str, old: FileRecord, facts: NodeFacts) -> Iterator[FileChange]:
    """Put `path` back to its baseline, unless somebody edited it since: a later edit wins."""
    before = image_of(facts.file(path))
    if before is None or before.digest != old.digest:
        return
    stage: Stage = "engine" if old.stage == "engine" else "network"
    after = FileImage(digest="baseline", mode=old.mode) if old.baseline else None
    reason = "as it was before sparkctl" if old.baseline else "was not there before sparkctl"
    yield FileChange(stage=stage, path=path, before=before, after=after, reason=reason, baseline=old.baseline)


def kept_edits(facts: NodeFacts, record: Record) -> tuple[str, ...]:
    """Recorded paths that somebody edited or removed since sparkctl wrote them."""
    states = {path: image_of(facts.file(path)) for path in record.files}
    return tuple(p for p, now in states.items() if now is None or now.digest != record.files[p].digest)


def netdev_targets(desired: Desired, facts: NodeFacts) -> Iterator[NetdevTarget]:
    """Netdevs whose MTU, address or link state is not as it should be."""
    for attachment in desired.attachments:
        now = facts.netdev(attachment.netdev)
        if not isinstance(now, Known):
            continue
        right = now.value.mtu == attachment.mtu and now.value.addresses == (str(attachment.address),) and now.value.up
        if not right:
            yield NetdevTarget(
                netdev=attachment.netdev,
                before_mtu=now.value.mtu,
                before_addresses=now.value.addresses,
                after_mtu=attachment.mtu,
                after_address=str(attachment.address),
            )


def network_change(desired: Desired, facts: NodeFacts, files: tuple[FileChange, ...]) -> NetworkChange | None:
    """`netplan apply` where the kernel or the netplan file is not as it should be."""
    targets = tuple(netdev_targets(desired, facts))
    touched = any(change.path == NETPLAN for change in files)
    if not targets and not touched:
        return None
    reason = "the kernel is not as the inventory says" if targets else "the netplan file changes"
    return NetworkChange(netdevs=targets, reason=reason)


def image_change(desired: Desired, facts: NodeFacts) -> ImageChange | None:
    """Fetch the engine's image where the node has none."""
    if desired.image is None or not isinstance(facts.image, Absent):
        return None
    return ImageChange(image=desired.image, reason="not on the node")
