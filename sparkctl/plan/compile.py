"""A plan to the commands of a run: what each node is sent in each phase, and the script that undoes it there."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sparkctl.commands import checkpoint, files, lock, netplan
from sparkctl.commands.base import Command, Effect, Words, lines, program, write
from sparkctl.commands.checkpoint import finish_script, revert_script
from sparkctl.facts.base import batch
from sparkctl.facts.record import RunHeader
from sparkctl.facts.snapshot import Questions
from sparkctl.inventory.names import NETPLAN_FOLDER
from sparkctl.plan.changes import Stage, Undoing
from sparkctl.plan.plan import Plan, Step


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
    changes = tuple(plan.numbered(node))
    steps = [lock.hold(run.id, run.lease), checkpoint.begin(), checkpoint.journal(run.id, "intended", plan.action)]
    steps += [words for number, change in changes for words in change.saves(number)]
    steps += [words for number, change in changes for words in change.drafts(number)]
    steps += [checkpoint.arm(run.lease), *_netplan_checks(plan, node)]
    return write("prepare", steps, stdin=archive(plan, run, node, secrets))


def _netplan_checks(plan: Plan, node: str) -> Iterator[Words]:
    changes = [(i, c) for i, c in enumerate(plan.files(node)) if c.path.startswith(NETPLAN_FOLDER)]
    networks = plan.network(node)
    if changes or networks:
        yield netplan.scratch()
        yield from (netplan.scratch_file(change.path, change.blob(number)) for number, change in changes)
        yield netplan.check(name for change in networks for name in change.names)


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
    more = (member for number, change in plan.numbered(node) for member in change.members(number, secrets))
    yield from dict(more).items()  # a program that several need comes once


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
    for number, change in plan.numbered(node):
        yield from change.keeps(number, plan.records[node])
    yield from (files.spare(path, name) for path, name in plan.spared.get(node, {}).items())


def commit(plan: Plan, run: Run, step: Step, node: str) -> Command:
    """Make the changes of `step` on `node`."""
    numbers = {id(change): number for number, change in plan.numbered(node)}
    changes = step.changes[node]
    begin = [
        lock.hold(run.id, run.lease),
        checkpoint.started(step.stage),
        checkpoint.journal(run.id, "started", step.title),
    ]
    body = [words for change in changes for words in change.steps(numbers[id(change)])]
    end = [checkpoint.journal(run.id, "done", step.title)]
    return write(step.title, [*begin, *body, *end], timeout=max(change.seconds for change in changes))


UNDO: tuple[tuple[Stage, tuple[Undoing, ...]], ...] = (
    ("engine", (Undoing.STOP,)),
    ("network", (Undoing.NETWORK_FILES, Undoing.NETWORK)),
    ("engine", (Undoing.ENGINE_FILES,)),
    ("engine", (Undoing.START, Undoing.READY)),
)
"""The parts of the way back in their order, and the stage that must have begun for each."""


def _undo(plan: Plan, node: str) -> Iterator[tuple[str, Iterable[Words]]]:
    """The way back, last first; what two changes undo alike is done once."""
    changes = tuple(plan.numbered(node))[::-1]
    found = [step for number, change in changes for step in change.undo(number)]
    for stage, parts in UNDO:
        yield stage, dict.fromkeys(words for part in parts for at, words in found if at is part)


def disarm(run: Run) -> Command:
    """Confirm the checkpoint: sent over a new connection."""
    return write("confirm", [lock.hold(run.id, run.lease), checkpoint.disarm(run.id)])


def conclude(plan: Plan, run: Run, node: str) -> Command:
    """Keep the baseline of what was touched for the first time, write the record, give the lock back."""
    recorded = plan.records[node] is not None
    return write("record", [checkpoint.conclude(run.id, run.id, run.lease, recorded)])
