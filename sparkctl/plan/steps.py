"""Facts of all nodes to one Plan: the steps of `up` and of `down`, in their order, with the records they leave."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sparkctl.errors import Refused
from sparkctl.fabric.ports import NETDEVS
from sparkctl.facts.record import FileRecord, Record
from sparkctl.facts.snapshot import NodeFacts
from sparkctl.inventory.names import NETPLAN
from sparkctl.inventory.words import counted
from sparkctl.outcome import Absent, Known
from sparkctl.plan.changes import ABSENT, Change, FileChange, FileImage, ImageChange, NetworkChange, Stage, UnitChange
from sparkctl.plan.diff import (
    PLAIN,
    VARIABLES,
    Desired,
    Wishes,
    beside,
    edits,
    file_changes,
    given_back,
    image_change,
    losses,
    managed,
    netdev_target,
    network_change,
    obstacles,
    recorded,
    routes_that_go,
    same_variables,
    set_aside,
)
from sparkctl.plan.plan import Plan, Step
from sparkctl.plan.playbook import Playbook
from sparkctl.render.artifact import CONTAINER, ENGINE_ENV, ENGINE_UNIT, NCCL_ENV, UNIT_NAME

Left: TypeAlias = dict[str, dict[str, str]]
"""By node and path, why a teardown leaves it as it is."""


@dataclass(frozen=True)
class NodeDiff:
    """Everything that one node has to change, not yet in order."""

    files: tuple[FileChange, ...]
    network: NetworkChange | None
    image: ImageChange | None

    def of(self, stage: Stage) -> tuple[FileChange, ...]:
        """The file changes of one stage."""
        return tuple(c for c in self.files if c.stage == stage)

    def touches_engine(self, facts: NodeFacts) -> bool:
        """Whether an engine that runs would find something else at its next start than it has read."""
        if self.network or self.image or any(change.path not in VARIABLES for change in self.files):
            return True
        return bool(self.files) and not same_variables(self.files, facts)


def refuse(
    cluster: str, facts: Mapping[str, NodeFacts], desired: Mapping[str, Desired], wishes: Wishes = PLAIN
) -> None:
    """Raise Refused with every obstacle on every node; nothing has been changed."""
    none: tuple[()] = ()
    found = [
        f"{node}: {reason}"
        for node, known in facts.items()
        for reason in obstacles(cluster, known, desired[node].attachments if node in desired else none, wishes)
    ]
    if found:
        raise Refused("nothing was changed, because\n  " + "\n  ".join(found), "fix this and run the command again")


def plan_up(
    cluster: str,
    desired: Mapping[str, Desired],
    facts: Mapping[str, NodeFacts],
    playbook: Playbook,
    wishes: Wishes = PLAIN,
) -> Plan:
    """The plan that makes every node as desired; Refused when a node cannot be planned for.

    Without `facts` of a node it is what the others would do.
    """
    refuse(cluster, facts, desired, wishes)
    stages = {stage.stage for stage in playbook.stages}
    diffs = {node: _diff(desired[node], known, stages, wishes) for node, known in facts.items()}
    notes = [*_kept(facts, wishes, removed=False), *_left_alone(diffs, wishes), *_runs_on(diffs, facts)]
    if wishes.only is not None:
        diffs = {node: diff if node in wishes.only else NodeDiff((), None, None) for node, diff in diffs.items()}
    steps = tuple(_up_steps(desired, diffs, facts, _wants_engine(desired) and "engine" in stages))
    notes += _routes_gone(diffs, facts)
    records = {node: _record_after_up(cluster, diffs[node], facts[node], desired[node]) for node in diffs}
    action = "up" if wishes.only is None else "reprovision"
    return _plan(action, cluster, facts, records, steps, notes)


def newcomers(facts: Mapping[str, NodeFacts]) -> frozenset[str]:
    """Nodes without a record in a cluster where others have one; Refused when it is not one of the two."""
    new = frozenset(node for node, known in facts.items() if not isinstance(known.record, Known))
    if new == set(facts):
        raise Refused("no node of this cluster is set up yet", "`sparkctl cluster up`")
    return new


def _diff(desired: Desired, facts: NodeFacts, stages: set[Stage], wishes: Wishes) -> NodeDiff:
    every = (*file_changes(desired, facts, wishes), *set_aside(desired, facts, wishes))
    files = tuple(c for c in every if c.stage in stages or _goes_along(c, every, facts))
    network = network_change(desired, facts, files) if "network" in stages else None
    return NodeDiff(files, network, image_change(desired, facts) if "engine" in stages else None)


def _goes_along(change: FileChange, every: Iterable[FileChange], facts: NodeFacts) -> bool:
    """A running engine has read both files: a variable that leaves the one must be in the other when it restarts."""
    return change.path == ENGINE_ENV and _running(facts) and any(c.path == NCCL_ENV for c in every)


def _left_alone(diffs: Mapping[str, NodeDiff], wishes: Wishes) -> Iterator[str]:
    for node, diff in diffs.items():
        count = len(diff.files) + (diff.network is not None) + (diff.image is not None)
        if wishes.only is not None and node not in wishes.only and count:
            differs = f"{node}: differs from the inventory too ({counted(count, 'change')}), left alone"
            yield f"{differs}; `sparkctl cluster up` makes them"


def _runs_on(diffs: Mapping[str, NodeDiff], facts: Mapping[str, NodeFacts]) -> Iterator[str]:
    for node, diff in diffs.items():
        if diff.files and not diff.touches_engine(facts[node]) and _running(facts[node]):
            yield f"{node}: {' and '.join(VARIABLES)} say together what they said: no reason to restart the engine"


def _routes_gone(diffs: Mapping[str, NodeDiff], facts: Mapping[str, NodeFacts]) -> Iterator[str]:
    for node, diff in diffs.items():
        for route in routes_that_go(diff.network, facts[node]) if diff.network else ():
            yield f"{node}: the route {route} goes; teardown puts it back"


def _wants_engine(desired: Mapping[str, Desired]) -> bool:
    return any(f.path == ENGINE_UNIT for d in desired.values() for f in d.rendering.files)


def _up_steps(
    desired: Mapping[str, Desired], diffs: Mapping[str, NodeDiff], facts: Mapping[str, NodeFacts], engine: bool
) -> Iterator[Step]:
    changed = any(d.touches_engine(facts[node]) for node, d in diffs.items())
    running = {node: known for node, known in facts.items() if _running(known)}
    idle = engine and any(not _serving(known) for known in facts.values())
    restart = changed or idle
    why = "it is not running yet" if not running else "something that it uses changes" if changed else "a rank is down"
    gone = {node for node, diff in diffs.items() if any(c.path == ENGINE_UNIT and c.after is None for c in diff.files)}
    stopped = [node for node in facts if node in gone or (restart and node in running)]
    yield _step("engine", "stop all ranks", {n: (_unit("stop", facts[n], why),) for n in stopped})
    for title, wave in _waves(tuple(desired)):
        yield _step("network", f"network, {title}", {n: _network_changes(diffs[n]) for n in wave if n in diffs})
    yield _step("engine", "fetch the image", {n: (i,) for n, d in diffs.items() if (i := d.image)})
    for title, wave in _engine_waves(desired):
        wanted = {n for n in wave if n in facts and restart and n not in gone and (engine or n in running)}
        starts = {n: (_unit("start", facts[n], why, _ready(desired[n])),) for n in wanted}
        files = {n: diffs[n].of("engine") for n in wave if n in diffs}
        yield _step("engine", f"engine, {title}", {n: (*c, *starts.get(n, ())) for n, c in files.items()})


def _network_changes(diff: NodeDiff) -> tuple[Change, ...]:
    return (*diff.of("network"), *((diff.network,) if diff.network else ()))


def _waves(nodes: Sequence[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Workers before the head: when a worker fails, the head was never touched."""
    return (("workers", tuple(nodes[1:])), ("head", tuple(nodes[:1])))


def _engine_waves(desired: Mapping[str, Desired]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """In the engine's own order of starts; as the network where there is none, whose files go."""
    places = {node: it.rendering.engine.wave for node, it in desired.items() if it.rendering.engine}
    if not places:
        return _waves(tuple(desired))
    head, *workers = desired
    titles = {(head,): "head", tuple(workers): "workers"}
    waves = [tuple(n for n in desired if places[n] == wave) for wave in sorted(set(places.values()))]
    return tuple((titles.get(wave, ", ".join(wave)), wave) for wave in waves)


def _ready(desired: Desired) -> tuple[int, ...]:
    return desired.rendering.engine.ready if desired.rendering.engine else ()


def _step(stage: Stage, title: str, changes: Mapping[str, Sequence[Change]]) -> Step:
    return Step(stage=stage, title=title, changes={n: tuple(c) for n, c in changes.items() if c})


def _plan(
    action: str,
    cluster: str,
    facts: Mapping[str, NodeFacts],
    records: Mapping[str, Record | None],
    steps: Iterable[Step],
    notes: Iterable[str] = (),
) -> Plan:
    kept = tuple(step for step in steps if step.changes)
    prints = {node: known.fingerprint(NETDEVS) for node, known in facts.items()}
    return Plan.model_validate(
        {
            "action": action,
            "cluster": cluster,
            "nodes": tuple(facts),
            "fingerprints": prints,
            "records": dict(records),
            "steps": kept,
            "notes": tuple(notes),
        }
    )


def _running(facts: NodeFacts) -> bool:
    return isinstance(facts.unit, Known) and facts.unit.value.running


def _serving(facts: NodeFacts) -> bool:
    return isinstance(facts.unit, Known) and facts.unit.value.active == "active" and facts.unit.value.enabled


def _unit(action: str, facts: NodeFacts, reason: str, ready: tuple[int, ...] = ()) -> UnitChange:
    state = facts.unit.value if isinstance(facts.unit, Known) else None
    return UnitChange.model_validate(
        {
            "unit": UNIT_NAME,
            "container": CONTAINER,
            "action": action,
            "was_enabled": bool(state and state.enabled),
            "was_running": bool(state and state.running),
            "reason": reason,
            "ready": ready,
        }
    )


def _record_after_up(cluster: str, diff: NodeDiff, facts: NodeFacts, desired: Desired) -> Record:
    old = facts.record.value if isinstance(facts.record, Known) else Record(cluster=cluster)
    files = dict(old.files)
    for change in diff.files:
        if (change.after is None or change.baseline) and not change.aside:
            files.pop(change.path, None)
        else:
            files[change.path] = _file_record(change, old)
    netdevs = tuple(a.netdev for a in desired.attachments) if diff.network else old.netdevs
    unit = UNIT_NAME if ENGINE_UNIT in files else None
    return Record(cluster=cluster, files=files, netdevs=netdevs, unit=unit)


def _file_record(change: FileChange, old: Record) -> FileRecord:
    digest, mode = (change.after.digest, change.after.mode) if change.after else (ABSENT, 0)
    known = None if change.aside else old.files.get(change.path)
    baseline, was = (known.baseline, known.baseline_digest) if known else _baseline(change.path, change.before)
    return FileRecord(
        digest=digest, mode=mode, stage=change.stage, baseline=baseline, baseline_digest=was, aside=bool(change.aside)
    )


def _baseline(path: str, before: FileImage | None) -> tuple[str | None, str | None]:
    """Name, one of its own for each content (what was kept once is never replaced), and digest of a before-image."""
    if before is None:
        return None, None
    return f"{re.sub(r'[/ ()]', '_', path.strip('/'))}.{before.digest[:12]}", before.digest


def plan_down(
    cluster: str, facts: Mapping[str, NodeFacts], wishes: Wishes = PLAIN, accepted: Mapping[str, Container[str]] = {}
) -> Plan:
    """The plan that puts every node back to what its record says it was before sparkctl came.

    What cannot come back stays, and on record, unless its loss is `accepted` (paths of a node): then it only goes.
    """
    refuse(cluster, facts, {}, wishes)
    old = {node: f.record.value for node, f in facts.items() if isinstance(f.record, Known)}
    known = {node: facts[node] for node in old}
    left = {node: _left(f, accepted.get(node, ())) for node, f in known.items()}
    lost = {node: [p for p, _ in losses(f) if p not in left[node]] for node, f in known.items()}
    steps = tuple(_down_steps(known, wishes, left, lost))
    records = {node: _record_of(record, left[node]) for node, record in old.items()}
    notes = [*_kept(known, wishes, removed=True), *_lost_notes(lost), *_left_notes(left)]
    made = _plan("down", cluster, facts, records, steps, notes)
    spared = {node: _spared(f, wishes) | _names(f, lost[node]) for node, f in known.items()}
    return made.model_copy(update={"spared": spared})


def left_behind(facts: Mapping[str, NodeFacts], accepted: Mapping[str, Container[str]] = {}) -> Left:
    """Of the nodes where something is left."""
    found = {node: _left(known, accepted.get(node, ())) for node, known in facts.items()}
    return {node: left for node, left in found.items() if left}


def _left(facts: NodeFacts, accepted: Container[str]) -> dict[str, str]:
    return {path: why for path, why in losses(facts) if path not in accepted}


def _record_of(old: Record, left: Mapping[str, str]) -> Record | None:
    """What is on record after a teardown: what it left."""
    if not left:
        return None
    files = {path: old.files[path] for path in left}
    return Record(cluster=old.cluster, files=files, netdevs=old.netdevs if NETPLAN in left else ())


def _lost_notes(lost: Mapping[str, Iterable[str]]) -> Iterator[str]:
    pairs = ((node, path) for node, paths in lost.items() for path in paths)
    yield from (f"{node}: {path} does not come back; what is kept of it: {beside(path)}" for node, path in pairs)


def _left_notes(left: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    rows = ((node, path, why) for node, paths in left.items() for path, why in paths.items())
    yield from (f"{node}: {path} stays as it is: {why}" for node, path, why in rows)


def _names(facts: NodeFacts, paths: Iterable[str]) -> dict[str, str]:
    return {path: name for path in paths if (name := recorded(facts)[path].baseline) is not None}


def _spared(facts: NodeFacts, wishes: Wishes) -> dict[str, str]:
    return _names(facts, (path for path in edits(facts) if path not in wishes.force))


def _kept(facts: Mapping[str, NodeFacts], wishes: Wishes, *, removed: bool) -> Iterator[str]:
    """A note for each later edit that is left alone, with what becomes of the file that was there before sparkctl."""
    for node, known in facts.items():
        for path in edits(known):
            gone = isinstance(known.file(path), Absent)
            if path in wishes.force or (gone and not removed):
                continue
            spared = removed and recorded(known)[path].baseline is not None
            kept = f"; what was there before sparkctl is kept as {beside(path)}" if spared else ""
            yield f"{node}: {path} was {'removed' if gone else 'edited'} since sparkctl wrote it: left alone{kept}"


def _down_steps(
    facts: Mapping[str, NodeFacts],
    wishes: Wishes,
    left: Mapping[str, Container[str]],
    lost: Mapping[str, Container[str]],
) -> Iterator[Step]:
    reason = "the cluster is torn down"
    present = {n: f for n, f in facts.items() if isinstance(f.unit, Known) and f.unit.value.loaded}
    yield _step("engine", "stop all ranks", {n: (_unit("stop", f, reason),) for n, f in present.items()})
    files = {n: tuple(_given_back(f, wishes, left[n], lost[n])) for n, f in facts.items()}
    yield _step("engine", "engine files", {n: tuple(c for c in files[n] if c.stage == "engine") for n in facts})
    for title, wave in _waves(tuple(facts)):
        back = {n: () if NETPLAN in left[n] else _network_back(facts[n], reason) for n in wave}
        yield _step("network", f"network, {title}", {n: _network_down(files[n], back[n]) for n in wave})


def _network_down(files: tuple[FileChange, ...], back: Iterable[NetworkChange]) -> tuple[Change, ...]:
    return (*(c for c in files if c.stage == "network"), *back)


def _given_back(facts: NodeFacts, wishes: Wishes, left: Container[str], lost: Container[str]) -> Iterator[FileChange]:
    for path, old in recorded(facts).items():
        if path not in left:
            yield from given_back(path, old, facts, wishes, lost)


def _network_back(facts: NodeFacts, reason: str) -> Iterator[NetworkChange]:
    targets = tuple(t for name in managed(facts) for t in netdev_target(name, facts))
    if managed(facts):
        yield NetworkChange(netdevs=targets, reason=reason)
