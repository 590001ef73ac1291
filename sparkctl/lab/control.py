"""What the supervisors of both backends say: to whoever waits for the boot, and to whoever asks for a fault."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import TextIO, TypeVar

from sparkctl.errors import SparkctlError

T = TypeVar("T")


def tell(report: TextIO, answer: dict[str, object]) -> bool:
    """Say how it went, also to the log; False when nobody waits any more: a lab that nobody knows of must not stay."""
    print(json.dumps(answer), file=sys.stderr, flush=True)  # noqa: T201  (this is the log)
    try:
        report.write(json.dumps(answer) + "\n")
        report.flush()
    except BrokenPipeError:
        return False
    return True


def reported(pipe: int, boot: Callable[[], T]) -> T | None:
    """The lab that `boot` makes, told to whoever waits at `pipe`; None when it did not boot or nobody waits."""
    with os.fdopen(pipe, "w") as report:
        try:
            lab = boot()
        except (SparkctlError, OSError, subprocess.SubprocessError, KeyError) as error:
            tell(report, {"error": reason(error), "remedy": getattr(error, "remedy", "")})
            return None
        return lab if tell(report, {"ready": True}) else None


def answer(connection: socket.socket, carry_out: Callable[[str, str], str]) -> None:
    """One line asked, one line answered; empty when all went well."""
    connection.settimeout(5.0)
    try:
        verb, _, subject = connection.recv(4096).decode().strip().partition(" ")
        problem = carry_out(verb, subject)
    except (OSError, subprocess.SubprocessError, SparkctlError, ValueError, KeyError) as error:
        problem = reason(error)
    try:
        connection.sendall(f"{problem}\n".encode())
    except OSError:
        return


def reason(error: BaseException) -> str:
    """One line for people; of a program that failed, its own last words."""
    said = getattr(error, "stderr", None)
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    lines = (text or str(error)).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
