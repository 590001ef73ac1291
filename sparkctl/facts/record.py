"""The record of a node: what sparkctl manages there and what was there before. The node is the record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from sparkctl.facts.base import Probe

ROOT = "/var/lib/sparkctl"
PROBE = Probe("record", ("read_file", f"{ROOT}/record.json"))
RUN_PROBE = Probe("run", ("read_file", f"{ROOT}/run/state"))
LOCK_PROBE = Probe("lock", ("read_file", f"{ROOT}/lock"))


class FileRecord(BaseModel):
    """One managed path: what sparkctl wrote, and the baseline to restore (None: the path was not there)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    digest: str
    mode: int
    stage: str
    baseline: str | None = None


class Record(BaseModel):
    """All that teardown needs; version 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    version: Literal[1] = 1
    cluster: str
    files: dict[str, FileRecord] = {}
    netdevs: tuple[str, ...] = ()
    unit: str | None = None


@dataclass(frozen=True)
class LockState:
    """Who holds the lock: boot id and second (of that boot) at which the lease ends, run, since, owner."""

    boot_id: str
    until: int
    run: str
    since: str
    owner: str


def parse(text: str) -> Record:
    """The record; ValueError (pydantic's ValidationError is one) where it is corrupt or of another version."""
    return Record.model_validate_json(text)


def parse_lock(text: str) -> LockState:
    """`boot until run since owner`, one line."""
    boot_id, until, run, since, owner = text.split(maxsplit=4)
    return LockState(boot_id, int(until), run, since, owner.strip())
