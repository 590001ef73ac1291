"""The command `sparkctl`: every verb in one place, and the last line of defence against tracebacks."""

from __future__ import annotations

import gc
import os
import pwd
import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from sparkctl import __version__
from sparkctl.cli import terminal

VERBS = ("validate", "render", "explain", "schema", "topology", "cluster", "inventory", "model", "lab", "doctor")
"""Each is a file of this package: its function of that name, or its `app` where it has verbs of its own."""
OBJECTS = 300_000
"""More than a short command makes: what is imported stays, and looking for garbage in it was a tenth of `status`."""


class Verbs(TyperGroup):
    """Reads the file of a verb when that verb is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """In this order in the help."""
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """None: there is no such verb; then all are read, for the most alike is suggested."""
        for name in (cmd_name,) if cmd_name in VERBS else VERBS:
            if name not in self.commands:
                self.add_command(_read(name), name)
        return self.commands.get(cmd_name)


def _read(name: str) -> Any:
    module, holder = import_module(f"sparkctl.cli.{name}"), typer.Typer()
    if hasattr(module, "app"):
        holder.add_typer(module.app, name=name)
    else:
        holder.command(name)(getattr(module, name))
    return typer.main.get_group(holder).commands[name]


app = typer.Typer(
    name="sparkctl",
    cls=Verbs,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="One inventory file to a proven RoCE fabric and a served token on a cluster of DGX Sparks.",
    epilog="Start with: sparkctl inventory init",
)


def _version(wanted: bool) -> None:
    if wanted:
        from sparkctl.report.door import emit

        emit(f"sparkctl {__version__}")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """See the Typer object's help."""
    from sparkctl.cli.typed import remember

    remember(ctx)


def _named() -> None:
    """An id without a name, as in some containers: libraries ask the environment first, and fail without an answer."""
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        if not any(os.environ.get(name) for name in ("LOGNAME", "USER", "LNAME", "USERNAME")):
            os.environ["LOGNAME"] = str(os.getuid())
        os.environ["HOME"] = os.environ.get("HOME") or "/"


def main() -> None:
    """Run, and say a bug is a bug."""
    _named()
    gc.set_threshold(OBJECTS)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # it would read the metadata of every package there is
    terminal.opened()
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in terminal.FULL and error.filename is None:
            sys.exit(terminal.unwritten(error))
        terminal.confess(error)
        sys.exit(1)
    finally:
        gc.freeze()  # or Python would look through it all once more at its end
