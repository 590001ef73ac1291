"""The record of a node: what sparkctl manages there, what was there before, and what a dead run left behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

from sparkctl.fabric.ports import NETDEVS
from sparkctl.facts.base import LONGEST, Probe, number
from sparkctl.inventory.names import ONLY, is_owner, may_change
from sparkctl.inventory.words import visible

ROOT = "/var/lib/sparkctl"
PROBE = Probe("record", ("read_file", f"{ROOT}/record.json"))
RUN_PROBE = Probe("run", ("run_state",))
LOCK_PROBE = Probe("lock", ("read_file", f"{ROOT}/lock"))
JOURNAL_PROBE = Probe("journal", ("read_file", f"{ROOT}/journal"))


class Frozen(BaseModel):
    """A value that is strict about what it is read from; its validator is built when one is first needed."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


def _shown(text: str) -> str:
    """A name, of one line that hides nothing; ValueError for any other text."""
    if visible(text) != text or len(text) > LONGEST:
        raise ValueError("not a name")
    return text


Shown = Annotated[str, AfterValidator(_shown)]


class FileRecord(Frozen):
    """One managed path: what sparkctl made of it (digest `absent`: nothing) and the baseline to restore.

    `baseline` None: the path was not there. `aside`: a file of somebody else, without its fabric stanzas.
    """

    digest: str
    mode: int
    stage: str
    baseline: str | None = None
    baseline_digest: str | None = None
    aside: bool = False


class Record(Frozen):
    """All that teardown needs; version 1. `run`: the run that wrote it."""

    version: Literal[1] = 1
    cluster: Shown
    files: dict[str, FileRecord] = {}
    netdevs: tuple[str, ...] = ()
    unit: str | None = None
    run: Shown | None = None

    @model_validator(mode="after")
    def _ours(self) -> Record:
        """A record that names anything else was not written by sparkctl, and teardown would obey it."""
        for path, file in self.files.items():
            if not may_change(path, file.mode, file.baseline or "x") or (is_owner(path) and not file.aside):
                raise ValueError(f"{path} is not a file of sparkctl")
        if not set(self.netdevs) <= set(NETDEVS) or self.unit not in (None, ONLY.unit):
            raise ValueError("a netdev or unit that is none of sparkctl")
        return self


class RunHeader(Frozen):
    """What a run says of itself on every node it changes; `fingerprint`: the node's before the run."""

    version: Literal[1] = 1
    run: Shown
    action: Shown
    cluster: Shown
    owner: Shown
    nodes: tuple[Shown, ...]
    fingerprint: Shown


class Entry(Frozen):
    """One line of the journal."""

    version: Literal[1]
    run: Shown
    state: Literal[
        "intended", "armed", "started", "done", "confirmed", "finished", "reverting", "reverted", "revert-failed"
    ]
    step: Shown


@dataclass(frozen=True)
class RunState:
    """A run that has not ended on this node: its state, the stages it began, its header (None: it has none yet)."""

    state: str
    stages: tuple[str, ...]
    header: RunHeader | None


def parse(text: str) -> Record:
    """The record; ValueError (pydantic's ValidationError is one) where it is corrupt or of another version."""
    return Record.model_validate_json(text)


def parse_run(text: str) -> RunState:
    """`state stage...`, then the header; ValueError where the header is corrupt or of another version."""
    first, _, header = text.partition("\n")
    state, *stages = first.split()
    return RunState(state, tuple(stages), RunHeader.model_validate_json(header) if header.strip() else None)


def parse_journal(text: str) -> tuple[Entry, ...]:
    """The entries; ValueError says which line is cut off, corrupt or of another version."""
    if not text.endswith("\n"):
        raise ValueError(f"line {text.count(chr(10)) + 1} is cut off" if text else "it is empty")
    return tuple(_entry(number, line) for number, line in enumerate(text.splitlines(), 1))


def _entry(number: int, line: str) -> Entry:
    try:
        return Entry.model_validate_json(line)
    except ValueError:
        raise ValueError(f"line {number} is not an entry of version 1") from None


def parse_lock(text: str) -> str:
    """The run that holds the lock, of `boot until run since owner`: the lease ends at a second of that boot."""
    _, until, run, _, _ = text.split(maxsplit=4)
    number(until)
    return run
