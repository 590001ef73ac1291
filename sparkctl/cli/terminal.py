"""What every verb shares: the two consoles, common options, and errors as messages for people."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from sparkctl.errors import InventoryError, SparkctlError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

Json = Annotated[bool, typer.Option("--json", help="Machine-readable output on stdout.")]
NoColor = Annotated[bool, typer.Option("--no-color", help="Plain text, even on a terminal.")]


def console(*, stderr: bool = False, no_color: bool = False) -> Console:
    """A rich console: colour only on a terminal, never wrapping what is piped."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    piped = not stream.isatty()
    width = 200 if piped else None
    return Console(stderr=stderr, no_color=no_color or None, width=width, highlight=False, soft_wrap=piped)


class _Stream(io.FileIO):
    """stdout or stderr that swallows what nobody can read any more: a closed terminal, a pipe without a reader."""

    def write(self, content: Any, /) -> int:
        """Never fails: what must go on, such as an undo, does not depend on being watched."""
        try:
            return super().write(content)
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return memoryview(content).nbytes


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def opened() -> None:
    """Whoever closed stdout or stderr wants to hear nothing there; Python has no stream then."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115


def unwritten(error: OSError) -> int:
    """Say that stdout is full, and let nobody try once more; the exit code."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    complain(UsageError(f"the output cannot be written: {error.strerror}", "make room there, or send it elsewhere"))
    return UsageError.exit_code


def steady() -> None:
    """From here on, to the end of the program, stdout and stderr outlive their terminal or pipe."""
    sys.stdout, sys.stderr = _steadied(sys.stdout), _steadied(sys.stderr)


def _steadied(stream: TextIO) -> TextIO:
    try:
        stream.flush()
        number, eager = stream.fileno(), stream.isatty() or stream is sys.stderr
    except (OSError, ValueError):  # not a file, as in a test; or closed by now
        return stream
    raw = io.BufferedWriter(_Stream(number, "wb", closefd=False))
    return io.TextIOWrapper(raw, stream.encoding, "backslashreplace", line_buffering=eager)


def _errors() -> Console:
    """Where errors go, which come from before and after any command knows its options, too."""
    return console(stderr=True, no_color="--no-color" in sys.argv)


def complain(error: SparkctlError) -> None:
    """Say what went wrong and what to do, on stderr."""
    from sparkctl.report.door import say

    out = _errors()
    if isinstance(error, InventoryError):
        from sparkctl.report.findings import print_findings

        print_findings(error.findings, out)
        return
    say(out, ("error:", "bold red"), f" {error.message}")
    if error.remedy:
        say(out, ("  do:", "bold"), f" {error.remedy}")


@contextmanager
def reported() -> Iterator[None]:
    """Turn a SparkctlError into a message and its exit code."""
    try:
        yield
    except SparkctlError as error:
        complain(error)
        raise typer.Exit(error.exit_code) from None


def confess(error: BaseException) -> None:
    """A bug: where it happened, in two lines, and where the rest is."""
    import tempfile
    import traceback

    from sparkctl.report.door import lines, say

    story, out = lines("".join(traceback.format_exception(error))), _errors()
    say(out, ("this is a bug in sparkctl:", "bold red"), f" {type(error).__name__}: {error}")
    try:
        with tempfile.NamedTemporaryFile("w", prefix="sparkctl-bug-", suffix=".txt", delete=False) as file:
            file.write(story)
        say(out, ("  do:", "bold"), f" report it with {file.name}")
    except OSError:  # nowhere to write
        say(out, ("  do:", "bold"), f" report it with this:\n{story}")
