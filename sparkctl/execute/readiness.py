"""Proof that the engine serves: waits for the first real token while every rank's unit is watched."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sparkctl.commands import canary
from sparkctl.commands.canary import Answer, Watch
from sparkctl.errors import SparkctlError
from sparkctl.facts.base import parsed
from sparkctl.outcome import LONGEST, Fact, Known, Ok, Result, Unknown
from sparkctl.report.events import Ended, LogLine, Phase
from sparkctl.ssh.fleet import Fleet, problem

SLICE_SECONDS = 10.0
"""One look; short, so that the checkpoint is extended and an interruption seen between two looks."""

TITLE = "wait for a token"


@dataclass
class Look:
    """What one node said during one look."""

    ready: Answer | None = None
    failed: str = ""
    waiting: str = ""
    cursor: str = ""


def read_look(stdout: str) -> Look:
    """The JSON lines of the canary program; anything else is ignored."""
    look = Look()
    for fields in map(_object, stdout.split("\n")):
        if "ready" in fields:
            ready = parsed(Known(fields["ready"]), canary.answer)
            look.ready, look.waiting = (ready.value, "") if isinstance(ready, Known) else (None, ready.reason)
        elif "failed" in fields:
            last = fields.get("last")
            said = [fields["failed"], *(last if isinstance(last, list) else ())]
            look.failed = "; ".join(map(str, said))[: 4 * LONGEST]
        elif "waiting" in fields:
            look.waiting, look.cursor = str(fields["waiting"])[:LONGEST], str(fields.get("cursor", ""))[:LONGEST]
    return look


def _object(line: str) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


async def ask_once(fleet: Fleet, head: str, watch: Watch) -> Fact[Answer]:
    """One completion, now."""
    results = await fleet.each("ask for a token", {head: canary.command(watch, 0)})
    return _fact(results[head])


def _fact(result: Result) -> Fact[Answer]:
    if not isinstance(result, Ok):
        return Unknown(problem(result))
    look = read_look(result.stdout)
    return Known(look.ready) if look.ready else Unknown(look.failed or look.waiting or "no answer")


class NotReady(SparkctlError):
    """A rank died, or no token came in time."""


@dataclass
class Wait:
    """Waits for the first token of a gang; `pause` runs between two looks and may end the wait by raising."""

    fleet: Fleet
    head: str
    watches: Mapping[str, Watch]
    pause: Callable[[], Awaitable[None]]

    def __post_init__(self) -> None:
        self.cursors = dict.fromkeys(self.watches, "")

    async def token(self, seconds: float) -> Answer:
        """The first answer; NotReady after `seconds`, or as soon as a rank is dead."""
        begun = time.monotonic()
        self.fleet.observer(Phase(TITLE, (self.head,), seconds))
        while True:
            look = await self._look()
            took = time.monotonic() - begun
            if look.ready is not None:
                self.fleet.observer(Ended(TITLE, self.head, took))
                return look.ready
            if took >= seconds:
                raise NotReady(f"{self.head}: no token within {seconds:.0f} s: {look.waiting}")
            await self.pause()

    async def _look(self) -> Look:
        """All ranks are watched until the head answers, one is dead, or the slice is over."""
        tasks = {asyncio.create_task(self._watched(node)): node for node in self.watches}
        head, pending = Look(waiting="the head said nothing"), set(tasks)
        try:
            while pending and head.ready is None:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    head = self._taken(tasks[task], task.result()) or head
        finally:
            for task in pending:
                task.cancel()
        return head

    def _taken(self, node: str, look: Look) -> Look | None:
        if look.failed:
            raise NotReady(f"{node}: {look.failed}")
        self.cursors[node] = look.cursor or self.cursors[node]
        return look if node == self.head else None

    async def _watched(self, node: str) -> Look:
        command = canary.command(self.watches[node], SLICE_SECONDS, self.cursors[node], logs=True)
        result = await self.fleet.gates[node].run(command, lambda line: self._log(node, line))
        return read_look(result.stdout) if isinstance(result, Ok) else Look(waiting=problem(result))

    def _log(self, node: str, line: str) -> None:
        text = _object(line).get("log")
        if text:
            self.fleet.observer(LogLine(node, str(text)))
