"""Two nodes in memory that a run is played on: what they were told in which order, and a clock that only waiting moves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sparkctl.commands.base import Command, Effect
from sparkctl.outcome import Ok, Result
from sparkctl.plan.compile import Run
from sparkctl.report.events import Event
from sparkctl.ssh.fleet import Fleet
from sparkctl.ssh.transport import Counters, LineSink
from tests.scenario.transport import played
from tests.unit.test_plan import CLUSTER, FABRIC, RENDERING, FakeNode, pair
from tests.unit.test_receipt import Place

T = TypeVar("T")
HEAD, WORKER = "spark-1", "spark-2"
READ, UNDO, CONNECT, TOKEN = "read facts", "put everything back", "connect", "ask for a token"
Answer = Result | BaseException | FakeNode | Callable[[], Any]
"""What a node makes of a command: a result, an exception, facts; or something happens, and all is well."""


@dataclass
class Clock:
    """For `played`, in the place of a world."""

    now: float = 0.0

    def advance(self, seconds: float) -> None:
        """Somebody waited."""
        self.now += seconds


@dataclass
class Node:
    """Answers by the titles of commands, first those of a list in its order; facts for whatever is not listed."""

    name: str
    says: FakeNode
    told: list[str]
    ends: dict[str, list[Answer]] = field(default_factory=dict)
    takes: dict[str, float] = field(default_factory=dict)
    counters: Counters = field(default_factory=Counters)
    sent: list[Command] = field(default_factory=list)

    async def run(self, command: Command, on_line: LineSink | None = None) -> Result:
        """As Transport.run."""
        self.sent.append(command)
        await self._done(command.title)
        answer = self._answer(command.title)
        result: Result = Ok(answer.said()) if isinstance(answer, FakeNode) else answer
        if on_line and isinstance(result, Ok):
            for line in result.stdout.splitlines():
                on_line(line)
        return result

    async def renew(self) -> None:
        """As Transport.renew."""
        await self._done(CONNECT)
        self._answer(CONNECT)

    async def close(self) -> None:
        """Nothing is open."""

    async def _done(self, title: str) -> None:
        self.told.append(f"{self.name} {title}")
        try:
            await asyncio.sleep(self.takes.get(title, 0.0))
        except asyncio.CancelledError:
            self.told.append(f"{self.name} {title}: cancelled")
            raise

    def _answer(self, title: str) -> Any:
        listed = self.ends.get(title, [])
        answer: Any = (listed.pop(0) if len(listed) > 1 else listed[0]) if listed else self.says
        if isinstance(answer, BaseException):
            raise answer
        if callable(answer):
            answer()
            return self.says
        return answer


@dataclass
class Nodes:
    """Both. `ends`, `takes` (seconds): by node and title; the last answer of a list is the answer from then on."""

    says: Mapping[str, FakeNode] = field(default_factory=pair)
    ends: Mapping[tuple[str, str], list[Answer]] = field(default_factory=dict)
    takes: Mapping[tuple[str, str], float] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.by_name = {name: Node(name, node, self.told) for name, node in self.says.items()}
        for (name, title), answers in self.ends.items():
            self.by_name[name].ends[title] = list(answers)
        for (name, title), seconds in self.takes.items():
            self.by_name[name].takes[title] = seconds
        self.fleet = Fleet(self.by_name, self.events.append)

    def opened(self) -> AbstractContextManager[None]:
        """Their gates are open for the body, as in a run."""
        return self.fleet.allow(Effect.WRITE)

    def play(self, work: Callable[[], Awaitable[T]]) -> T | BaseException:
        """What becomes of it, in the nodes' time."""
        try:
            return played(self.clock, work)  # type: ignore[arg-type]
        except BaseException as error:
            return error

    def place(self) -> Place:
        """The cluster that they are, for verbs."""
        return Place(CLUSTER, FABRIC, RENDERING, self.fleet, "me@here")

    def since(self, words: str) -> list[str]:
        """What was told after the first of these words."""
        return self.told[self.told.index(words) + 1 :]


RUN = Run("abcd1234", "me@here", 120)


def both(title: str) -> list[str]:
    """What both are told at the same time."""
    return [f"{HEAD} {title}", f"{WORKER} {title}"]

