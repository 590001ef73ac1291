"""The checkpoint of a run on a node: begin, arm, disarm, finish, and the revert script that timer and undo share."""

from __future__ import annotations

from collections.abc import Iterable

from sparkctl.commands.base import Words, lines, program
from sparkctl.commands.shell import quote

REVERT_SECONDS = 180
"""Bound on the revert of one node: a netplan apply (60 s), an engine's stop (60 s) and room."""


def begin() -> Words:
    """Unpack the run's files from stdin."""
    return ("begin",)


def arm(seconds: int) -> Words:
    """Start the timer that puts the node back."""
    return ("arm", str(seconds))


def started(stage: str) -> Words:
    """Remember that `stage` was begun, so that the revert undoes it."""
    return ("started", stage)


def journal(run: str, state: str, step: str) -> Words:
    """Write one line of the journal and flush it."""
    return ("journal", run, state, step)


def disarm(run: str) -> Words:
    """Confirm: stop the timer. The before-images stay until `finish`."""
    return ("disarm", run)


def conclude(run: str, lock: str, lease: int, recorded: bool) -> Words:
    """Finish a confirmed run with the script it left on the node; `lock`: who holds the lock now."""
    return ("conclude", run, lock, str(lease), "recorded" if recorded else "forgotten")


def abandon(run: str) -> Words:
    """Put the node back with the script the run left on it, and give the lock of `run` back."""
    return ("abandon", run)


def finish_script(run: str, keep: Iterable[Words], recorded: bool) -> str:
    """The node's own way to the end of a confirmed run: baselines, record, nothing of the run left."""
    return program(lines([*keep, ("finish" if recorded else "forget", run)]))


def revert_script(run: str, stages: Iterable[tuple[str, Iterable[Words]]]) -> str:
    """The node's own way back: per stage (last first) the steps that undo it, run only where the stage was begun.

    A step that fails is counted and the rest goes on.
    """
    text = f'revert_begins {quote([run])} "${{1:-controller}}"\nbad=0\n'
    for stage, steps in stages:
        body = "".join(f"  {quote(step)} || bad=$((bad + 1))\n" for step in steps)
        text += f'if [ -f "$R/started.{quote([stage])}" ]; then\n  :\n{body}fi\n'
    return program(text + f'revert_ends {quote([run])} "$bad"\n')
