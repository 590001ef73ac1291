"""What a run tells while it goes on. The core never prints: whoever wants to know observes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Phase:
    """All nodes begin a phase, which is over after `seconds` at the latest (0: nobody knows)."""

    title: str
    nodes: tuple[str, ...]
    seconds: float = 0.0


@dataclass(frozen=True)
class Ended:
    """One node ended a phase after `seconds`; `problem` is empty when it went well."""

    title: str
    node: str
    seconds: float
    problem: str = ""


@dataclass(frozen=True)
class LogLine:
    """A line of the engine's own log."""

    node: str
    text: str


@dataclass(frozen=True)
class Note:
    """Something that people should read."""

    text: str


Event: TypeAlias = Phase | Ended | LogLine | Note
Observer: TypeAlias = Callable[[Event], None]


def unfailing(observer: Observer) -> Observer:
    """The same observer, whose own failure stops nothing: who watches an undo must not end it."""

    def told(event: Event) -> None:
        with suppress(Exception):
            observer(event)

    return told


def silent(event: Event) -> None:
    """An observer that ignores everything."""
