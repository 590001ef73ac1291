"""What can be known or judged: facts, findings of rules, verdicts of checks, results of commands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, Literal, NamedTuple, TypeAlias, TypeVar

T = TypeVar("T", covariant=True)

Severity = Literal["error", "warning", "info"]
State = Literal["pass", "warn", "fail", "skipped", "unknown"]


@dataclass(frozen=True, slots=True)
class Known(Generic[T]):
    """A fact that was read. `unread`: why each row of it that is not in `value` could not be."""

    value: T
    unread: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Absent:
    """The thing asked about is certainly not there."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """It could not be read: never to be taken for Absent."""

    reason: str


Fact: TypeAlias = Known[T] | Absent | Unknown


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a text file; line and column count from 1."""

    path: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Finding:
    """An offline judgement of the inventory by rule `id`; `where` is a path such as `links[0]`."""

    id: str
    severity: Severity
    where: str
    location: Location
    message: str
    remedy: str

    @property
    def sort_key(self) -> tuple[str, int, int, str, str]:
        """Order of reports: by place in the file, then by rule."""
        return (self.location.path, self.location.line, self.location.column, self.id, self.message)


class Named(NamedTuple):
    """What a remedy names: `of` what, the `value` that it is to have; empty: it goes.

    inventory: of a place in the file; rename: of a key there, the other name. kernel: of a node, a word of its command
    line. mtu: of `NODE NETDEV`. l2mtu: of a switch's port, the least. plug: of a port, the one that its plug goes to.
    cable: of a port, the one to which a new cable goes. command, reboot: of a node.
    """

    kind: Literal["inventory", "rename", "kernel", "mtu", "l2mtu", "plug", "cable", "command", "reboot"]
    value: str = ""
    of: str = ""
    """Empty until it is known where the remedy is given."""


class Remedy(str):
    """What to do, in words, with the values that they name."""

    values: tuple[Named, ...]

    def __new__(cls, words: str, *values: Named) -> Remedy:
        """`words` as they are shown."""
        made = super().__new__(cls, words)
        made.values = values
        return made

    @classmethod
    def again(cls, words: str, said: str, here: str) -> Remedy:
        """`words` in the place of those of `said`, of which the values are of `here` where they do not say of what."""
        return cls(words, *(value._replace(of=value.of or here) for value in values_of(said)))


def values_of(remedy: str) -> tuple[Named, ...]:
    """The values that a remedy names; none where it is words alone."""
    return remedy.values if isinstance(remedy, Remedy) else ()


class RailEnd(NamedTuple):
    """One end of a rail."""

    node: str
    port: str
    rail: str

    def __str__(self) -> str:
        return f"{self.node}:{self.port}:{self.rail}"


class Cause(NamedTuple):
    """What explains a verdict: the failure of another check, and where it is when that is one place."""

    check: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.check}, {self.where}" if self.where else self.check


@dataclass(frozen=True, slots=True)
class Verdict:
    """An online judgement by check `id` of one thing (`where`, in words: a node, a rail, the cluster).

    `ends`: the ends of rails that it is about; none: not about any rail. `nodes`: else the nodes that it is about.
    `cause`: why it is skipped, where another check's failure explains what this one found. `missing`: what no file can
    put there: a netdev, or the carrier of one that is up.
    """

    id: str
    state: State
    where: str
    message: str
    measured: str = ""
    expected: str = ""
    remedy: str = ""
    ends: tuple[RailEnd, ...] = ()
    nodes: tuple[str, ...] = ()
    cause: Cause | None = None
    missing: Literal["", "netdev", "carrier"] = ""

    @property
    def said(self) -> str:
        """What it is in words, then the figure and what it should be: `slow (12 Gb/s; expected at least 90 Gb/s)`."""
        figure = "" if self.measured in self.message else self.measured
        figures = "; ".join(filter(None, (figure, self.expected and f"expected {self.expected}")))
        return f"{self.message} ({figures})" if self.message and figures else self.message or figures


LONGEST = 500
"""Characters of a node's own words in one message."""


@dataclass(frozen=True, slots=True)
class Ok:
    """A command ended with status 0."""

    stdout: str
    stderr: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """A command ran to its end and failed: whatever it did is done."""

    status: int
    stdout: str
    stderr: str

    @property
    def reason(self) -> str:
        """The last words of the command, in one line."""
        said = "; ".join(filter(None, map(str.strip, (self.stderr.strip() or self.stdout).splitlines())))
        return said[-LONGEST:] if said else f"exit status {self.status}"


@dataclass(frozen=True, slots=True)
class Lost:
    """The outcome is unknown (timed out, connection lost): it may have had its effect, now or later."""

    reason: str


Result: TypeAlias = Ok | Failed | Lost
