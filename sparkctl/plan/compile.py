"""A plan to the commands of a run: what each node is sent in each phase, and the script that undoes it there."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sparkctl.commands import checkpoint, docker, files, lock, netplan, systemd
from sparkctl.commands.base import Command, Effect, Words, functions, lines, program, write
from sparkctl.commands.checkpoint import finish_script, revert_script
from sparkctl.facts.base import batch
from sparkctl.facts.record import RunHeader
from sparkctl.facts.snapshot import Questions
from sparkctl.plan.change import ABSENT, Change, FileChange, ImageChange, NetdevTarget, NetworkChange, UnitChange
from sparkctl.plan.plan import Plan, Step
from sparkctl.render.artifact import NETPLAN, NETPLAN_FOLDER


@dataclass(frozen=True)
class Run:
    """One execution of a plan: its id, and the seconds without a sign after which a node puts itself back."""

    id: str
    owner: str
    lease: int


def lock_and_read(run: Run, questions: Questions, mode: lock.Mode = "new") -> Command:
    """Take the lock and read the facts again, in one round trip."""
    script = program(lines([lock.lock(run.id, run.lease, run.owner, mode)]))
    reading = batch(questions.probes())
    return Command("lock", script + reading.script, Effect.WRITE)


def unlock(run: Run) -> Command:
    """Give the lock back on a node that nothing was changed on."""
    return write("unlock", [lock.unlock(run.id)])


def undo(run: Run) -> Command:
    """Put a node back: its own revert script if the run got that far, and the lock in any case."""
    return write("put everything back", [checkpoint.abandon(run.id)], timeout=checkpoint.REVERT_SECONDS)


def hold(run: Run) -> Command:
    """Extend the lease and the revert timer."""
    return write("extend the checkpoint", [lock.hold(run.id, run.lease)])


def keepalive(run: Run) -> Command:
    """The same, beside a step that takes long."""
    return write("keep the checkpoint", [lock.keepalive(run.id, run.lease)])


def prepare(plan: Plan, run: Run, node: str, secrets: Mapping[str, bytes]) -> Command:
    """Upload, keep the before-images, arm the checkpoint, then ask netplan: all that can fail early fails here."""
    steps = [lock.hold(run.id, run.lease), checkpoint.begin(), checkpoint.journal(run.id, "intended", plan.action)]
    steps += [files.save(c.path, i, c.before.digest if c.before else ABSENT) for i, c in enumerate(plan.files(node))]
    steps += [netplan.save_netdev(name) for name in _netdevs(plan, node)]
    steps += [_set_aside(c, c.aside, i) for i, c in enumerate(plan.files(node)) if c.aside]
    steps += [checkpoint.arm(run.lease), *_netplan_checks(plan, node)]
    return write("prepare", steps, stdin=archive(plan, run, node, secrets))


def _set_aside(change: FileChange, netdevs: tuple[str, ...], number: int) -> Words:
    planned = change.after.digest if change.after else ABSENT
    return files.set_aside(change.path, number, planned, NETPLAN, netdevs)


def _targets(plan: Plan, node: str) -> tuple[NetdevTarget, ...]:
    return tuple(target for change in plan.network(node) for target in change.netdevs)


def _netdevs(plan: Plan, node: str) -> tuple[str, ...]:
    return tuple(target.netdev for target in _targets(plan, node))


def _netplan_checks(plan: Plan, node: str) -> Iterator[Words]:
    changes = [(i, c) for i, c in enumerate(plan.files(node)) if c.path.startswith(NETPLAN_FOLDER)]
    if changes or plan.network(node):
        yield netplan.scratch()
        yield from (netplan.scratch_file(c.path, _blob(c, i)) for i, c in changes)
        yield netplan.check(_netdevs(plan, node))


def _blob(change: FileChange, number: int) -> str:
    if change.after is None:
        return ""
    return files.baseline(change.baseline) if change.baseline else files.after(number)


def archive(plan: Plan, run: Run, node: str, secrets: Mapping[str, bytes]) -> bytes:
    """The run's files as a tar: `after/N`, `revert.sh` and `record.json`; no clock and no operator in it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in _members(plan, run, node, secrets):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o600
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _members(plan: Plan, run: Run, node: str, secrets: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    yield "run.json", _header(plan, run, node).model_dump_json().encode() + b"\n"
    yield "record.json", _record(plan, run, node).encode() + b"\n"
    yield "revert.sh", revert_script(run.id, _undo(plan, node)).encode()
    yield "finish.sh", finish_script(run.id, _kept(plan, node), plan.records[node] is not None).encode()
    if any(change.aside for change in plan.files(node)):
        yield "foreign.py", functions("facts/foreign.py").encode()
    for number, change in enumerate(plan.files(node)):
        if change.after is not None and change.baseline is None and not change.aside:
            yield f"after/{number}", _content(change, secrets)
        elif change.aside:
            yield f"after/{number}", b""


def _header(plan: Plan, run: Run, node: str) -> RunHeader:
    return RunHeader(
        run=run.id,
        action=plan.action,
        cluster=plan.cluster,
        owner=run.owner,
        nodes=plan.changed_nodes,
        fingerprint=plan.fingerprints[node],
    )


def _record(plan: Plan, run: Run, node: str) -> str:
    record = plan.records[node]
    return record.model_copy(update={"run": run.id}).model_dump_json(indent=1) if record else "null"


def _kept(plan: Plan, node: str) -> Iterator[Words]:
    """Baselines of what this run touched for the first time, and of nothing that it gave back."""
    record = plan.records[node]
    for number, change in enumerate(plan.files(node)):
        kept = record.files.get(change.path) if record else None
        if kept is not None and kept.baseline is not None:
            yield files.keep(number, kept.baseline)
    yield from (files.spare(path, name) for path, name in plan.spared.get(node, {}).items())
    for target in _targets(plan, node) if record else ():
        back = target.after_address is None
        yield files.forget_netdev(target.netdev) if back else files.keep_netdev(target.netdev)


def _content(change: FileChange, secrets: Mapping[str, bytes]) -> bytes:
    if change.source is not None:
        return secrets[change.path]
    if change.after is None or change.after.content is None:
        raise ValueError(f"the plan has no content for {change.path}")
    return change.after.content.encode()


def commit(plan: Plan, run: Run, step: Step, node: str) -> Command:
    """Make the changes of `step` on `node`."""
    numbers = {change.path: i for i, change in enumerate(plan.files(node))}
    begin = [
        lock.hold(run.id, run.lease),
        checkpoint.started(step.stage),
        checkpoint.journal(run.id, "started", step.title),
    ]
    body = [words for change in step.changes[node] for words in _steps(change, numbers)]
    end = [checkpoint.journal(run.id, "done", step.title)]
    pulls = any(isinstance(change, ImageChange) for change in step.changes[node])
    timeout = docker.PULL_SECONDS if pulls else 2.0 * netplan.APPLY_SECONDS
    return write(step.title, [*begin, *body, *end], timeout=timeout)


def _steps(change: Change, numbers: Mapping[str, int]) -> Iterator[Words]:
    if isinstance(change, FileChange):
        yield _file_step(change, numbers[change.path])
    elif isinstance(change, NetworkChange):
        yield from _network_steps(change)
    elif isinstance(change, UnitChange):
        start = change.action == "start"
        yield systemd.start(change.unit) if start else systemd.stop(change.unit, change.container)
        yield from (systemd.ready(change.unit, port) for port in change.ready)
    else:
        yield docker.pull(change.image)


def _file_step(change: FileChange, number: int) -> Words:
    if change.after is None:
        return files.drop(change.path)
    if change.baseline is not None:
        return files.restore(change.path, change.baseline, change.after.digest)
    return files.put(change.path, change.after.mode, number)


def _network_steps(change: NetworkChange) -> Iterator[Words]:
    yield netplan.apply(target.netdev for target in change.netdevs)
    for target in change.netdevs:
        if target.after_mtu is None or target.after_address is None:
            yield netplan.undo_netdev(target.netdev, "baseline")
        else:
            yield netplan.await_netdev(target.netdev, target.after_mtu, target.after_address)


def _undo(plan: Plan, node: str) -> Iterator[tuple[str, Iterable[Words]]]:
    """The way back, last first: engine down, network as before, engine files and unit as before."""
    numbered = tuple(enumerate(plan.files(node)))[::-1]
    units = plan.units(node)[:1]
    yield "engine", [systemd.stop(unit.unit, unit.container) for unit in units]
    yield "network", [*_undo_files(numbered, "network"), *_undo_network(plan, node)]
    yield "engine", _undo_files(numbered, "engine")
    again = ((u.unit, port) for u in plan.units(node) if u.was_running for port in u.ready)
    yield (
        "engine",
        [
            *(systemd.undo(u.unit, u.container, u.was_enabled, u.was_running) for u in units),
            *(systemd.ready(unit, port, back=True) for unit, port in again),
        ],
    )


def _undo_files(numbered: Iterable[tuple[int, FileChange]], stage: str) -> list[Words]:
    return [files.undo(c.path, n, c.before.digest if c.before else ABSENT) for n, c in numbered if c.stage == stage]


def _undo_network(plan: Plan, node: str) -> Iterator[Words]:
    if plan.network(node):
        yield netplan.apply(_netdevs(plan, node))
        for name in _netdevs(plan, node):
            yield netplan.undo_netdev(name, "run/before")


def disarm(run: Run) -> Command:
    """Confirm the checkpoint: sent over a new connection."""
    return write("confirm", [lock.hold(run.id, run.lease), checkpoint.disarm(run.id)])


def conclude(plan: Plan, run: Run, node: str) -> Command:
    """Keep the baseline of what was touched for the first time, write the record, give the lock back."""
    recorded = plan.records[node] is not None
    return write("record", [checkpoint.conclude(run.id, run.id, run.lease, recorded)])
