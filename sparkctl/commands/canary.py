"""The canary: a program on the node that watches the engine's unit and asks the head for real tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from sparkctl.commands.base import Command, Effect
from sparkctl.commands.shell import quote
from sparkctl.resources import share

PAUSE = 0.5
"""Seconds between two requests for the first token."""
LOOK_EVERY = 4
"""Requests per look at log and unit: a look costs about 50 ms of a core that the loading engine needs."""
LINES = 4
"""Log lines per look: enough to see that it moves; `journalctl -u sparkctl-engine` has them all."""
MOST_SAID = 256 * 1024
"""Bytes of one look: at most LINES of 400 characters each every 2 s make 16 KB, six bytes a character at worst."""
DARK = 3.0
"""Seconds without a carrier that are a cut cable: as long as between the two looks at a link before a plan."""
PATIENCE = 30
"""Seconds for one completion; a hung collective answers never (facts A10), a first request compiles."""


@dataclass(frozen=True)
class Watch:
    """What to watch on one node; `probe` empty: a worker, which is not asked. `netdevs`: those of its cables."""

    unit: str
    probe: Mapping[str, object]
    key_file: str | None = None
    restarts: int = 0
    netdevs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """A real completion: its text, how many tokens, how long, and the version of the engine."""

    text: str
    tokens: int
    seconds: float
    version: str


@cache
def _program() -> bytes:
    return (share("templates") / "checks/canary.py").read_bytes()


def command(watch: Watch, seconds: float, cursor: str = "", logs: bool = False) -> Command:
    """Watch for at most `seconds` (0: ask once); `logs` passes the unit's new log lines on."""
    config = {
        **watch.probe,
        "serves": bool(watch.probe),
        "unit": watch.unit,
        "key_file": watch.key_file,
        "restarts": watch.restarts,
        "netdevs": watch.netdevs,
        "dark": DARK,
        "patience": PATIENCE,
        "slice": seconds,
        "pause": PAUSE,
        "look_every": LOOK_EVERY,
        "lines": LINES,
        "cursor": cursor,
        "logs": logs,
    }
    script = "exec " + quote(("python3", "-", json.dumps(config))) + "\n"
    return Command("ask for a token", script, Effect.LOAD, _program(), seconds + 2 * PATIENCE, MOST_SAID)


def answer(fields: Mapping[str, object]) -> Answer:
    """The `ready` object of the program."""
    return Answer(
        text=str(fields["text"]),
        tokens=int(str(fields["tokens"])[:20]),
        seconds=float(str(fields["seconds"])[:20]),
        version=str(fields["version"]),
    )
