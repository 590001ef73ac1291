"""Asks a person for a secret on the terminal, without echo, while the connections to the nodes stay alive."""

from __future__ import annotations

import asyncio
import os
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sparkctl.inventory.words import visible
from sparkctl.report.door import undisturbed

LONGEST = 4096
"""Bytes of one line that a terminal hands over (N_TTY_BUF_SIZE of Linux)."""


async def ask(question: str) -> str | None:
    """The answer, without its newline; None without a terminal to ask on. An interruption restores the echo."""
    try:
        terminal = os.open(os.ttyname(sys.stdin.fileno()), os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    try:
        with undisturbed(), _silent(terminal):
            os.write(terminal, visible(question).encode())
            return await _line(terminal)
    except (OSError, termios.error):
        return None
    finally:
        os.close(terminal)


@contextmanager
def _silent(terminal: int) -> Iterator[None]:
    before = termios.tcgetattr(terminal)
    quiet = [*before]
    quiet[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSAFLUSH, quiet)  # what was typed before the question is no answer
    try:
        yield
    finally:
        with suppress(OSError, termios.error):  # a terminal that was closed needs no echo
            termios.tcsetattr(terminal, termios.TCSAFLUSH, before)
            os.write(terminal, b"\n")


async def _line(terminal: int) -> str | None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(terminal, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(terminal)
    content = os.read(terminal, LONGEST)
    return content.decode(errors="replace").rstrip("\r\n") if content else None
