"""All nodes at once: one round on the critical path, however many nodes take part."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from sparkctl.commands.base import Command, Effect
from sparkctl.errors import AccessRefused, Unreachable
from sparkctl.inventory.words import counted
from sparkctl.outcome import Failed, Lost, Ok, Result
from sparkctl.report.events import Ended, Note, Observer, Phase, silent
from sparkctl.ssh.connection import Login, SshTransport
from sparkctl.ssh.transport import Gate, LineSink, Transport


@dataclass
class Fleet:
    """The nodes of a cluster in rank order, each behind its gate; gates are READ until `allow` opens them."""

    transports: Mapping[str, Transport]
    observer: Observer = silent
    rounds: int = 0
    gates: dict[str, Gate] = field(init=False)
    lost: set[str] = field(default_factory=set)
    """Nodes whose latest command has no known end."""
    moments: dict[str, tuple[float, float]] = field(default_factory=dict)
    """When each node got its latest command and had ended it, by this machine's clock."""

    def __post_init__(self) -> None:
        self.gates = {node: Gate(transport) for node, transport in self.transports.items()}

    @classmethod
    def of(cls, logins: Iterable[Login], observer: Observer = silent) -> Fleet:
        """A fleet of SSH transports; nothing is connected yet."""
        return cls({x.node: SshTransport(x, lambda text: observer(Note(text))) for x in logins}, observer)

    @contextmanager
    def allow(self, effect: Effect) -> Iterator[None]:
        """Open every gate up to `effect` for the body."""
        before = {node: gate.ceiling for node, gate in self.gates.items()}
        for gate in self.gates.values():
            gate.ceiling = max(gate.ceiling, effect)
        try:
            yield
        finally:
            for node, gate in self.gates.items():
                gate.ceiling = before[node]

    async def each(
        self, title: str, commands: Mapping[str, Command], on_line: Callable[[str, str], None] | None = None
    ) -> dict[str, Result]:
        """Run one command per node, all at once; every node ends, whatever the others do. A refusal is Lost."""
        self.rounds += 1
        self.observer(_begun(title, commands))
        asked = (self._forgiving(title, n, c, on_line) for n, c in commands.items())
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        raise_refusals(outcomes)
        return {n: _result(o) for n, o in zip(commands, outcomes, strict=True)}

    async def ask(self, title: str, commands: Mapping[str, Command], *, patient: bool = False) -> dict[str, Result]:
        """As `each`, before anything was changed: a node that does not let us in is an AccessRefused.

        `patient`: a node that does not answer at all is Lost.
        """
        self.rounds += 1
        self.observer(_begun(title, commands))
        asked = (self._one(title, n, c, None) for n, c in commands.items())
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        raise_refusals(o for o in outcomes if not (patient and isinstance(o, Unreachable)))
        return {n: _result(o) for n, o in zip(commands, outcomes, strict=True)}

    async def _forgiving(
        self, title: str, node: str, command: Command, on_line: Callable[[str, str], None] | None
    ) -> Result:
        try:
            return await self._one(title, node, command, on_line)
        except AccessRefused as error:
            self.lost.add(node)
            self.observer(Ended(title, node, 0.0, error.message))
            return Lost(error.message)

    async def _one(self, title: str, node: str, command: Command, on_line: Callable[[str, str], None] | None) -> Result:
        sink: LineSink | None = (lambda line: on_line(node, line)) if on_line else None
        begun, asked = time.monotonic(), time.time()
        result = await self.gates[node].run(command, sink)
        (self.lost.add if isinstance(result, Lost) else self.lost.discard)(node)
        self.moments[node] = (max(asked, self.transports[node].counters.given), time.time())
        self.observer(Ended(title, node, time.monotonic() - begun, problem(result)))
        return result

    async def connect(self, nodes: Iterable[str] | None = None) -> None:
        """Open new connections to `nodes` (all); AccessRefused with every refusal there was."""
        chosen = tuple(nodes or self.gates)
        outcomes = await asyncio.gather(*(self.gates[n].renew() for n in chosen), return_exceptions=True)
        raise_refusals(outcomes)

    async def close(self) -> None:
        """Drop every connection."""
        await asyncio.gather(*(gate.close() for gate in self.gates.values()))

    def counts(self) -> dict[str, object]:
        """Connections and round trips per node, and the rounds on the critical path."""
        nodes: dict[str, object] = {
            node: {"connections": t.counters.connections, "round_trips": t.counters.round_trips}
            for node, t in self.transports.items()
        }
        return nodes | {"critical_path": self.rounds}


def _begun(title: str, commands: Mapping[str, Command]) -> Phase:
    return Phase(title, tuple(commands), max((command.timeout for command in commands.values()), default=0.0))


def _result(outcome: Result | BaseException) -> Result:
    return Lost(str(outcome)) if isinstance(outcome, BaseException) else outcome


def raise_refusals(outcomes: Iterable[object]) -> None:
    """One AccessRefused for all refusals among `outcomes`; any other exception as it is."""
    refusals = list[AccessRefused]()
    for outcome in outcomes:
        if isinstance(outcome, AccessRefused):
            refusals.append(outcome)
        elif isinstance(outcome, BaseException):
            raise outcome
    if len(refusals) == 1:
        raise refusals[0]
    if refusals:
        lines = "".join(f"\n  {r.message}\n    do: {r.remedy}" for r in refusals)
        raise AccessRefused(
            f"{counted(len(refusals), 'node')} cannot be used:{lines}",
            "nothing was changed; fix this and run the command again",
        )


def problem(result: Result) -> str:
    """Why `result` is not a success; empty when it is."""
    if isinstance(result, Ok):
        return ""
    return result.reason if isinstance(result, Failed) else f"unknown outcome: {result.reason}"
