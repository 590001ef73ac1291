"""What was typed: the inventory or where it comes from, and how this program was called, for the hints of messages."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand

from sparkctl.cli.terminal import complain
from sparkctl.commands.shell import quote
from sparkctl.errors import UsageError
from sparkctl.inventory.starter import USUAL
from sparkctl.report.hints import Typed, typed

ENVIRONMENT, DEFAULT = "SPARKCTL_INVENTORY", Path(USUAL)
SECURE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where Debian's and Ubuntu's sudo looks for programs; no venv is in it."""
Given = TypeVar("Given", Path, list[Path])


def remembered(ctx: typer.Context, param: Any, given: Given) -> Given:
    """The inventory that a verb works on, for the hints of its messages; UsageError's exit code where there is none."""
    if ctx.resilient_parsing:  # a shell that completes
        return given
    first, source = given[0] if isinstance(given, list) else given, ctx.get_parameter_source(param.name)
    whence = {"DEFAULT": "folder", "ENVIRONMENT": "environment"}.get(source.name if source else "", "")
    if whence == "folder" and not first.exists():
        remedy = f"name one, or set {ENVIRONMENT}; `sparkctl inventory init` makes {DEFAULT}"
        complain(UsageError(f"No inventory was named, and there is no {DEFAULT} in this folder.", remedy))
        raise typer.Exit(UsageError.exit_code)
    remember(ctx, first, whence)
    return given


def implied(inventory: Path) -> str:
    """Whence a verb has this inventory when it is not named: the folder, or nowhere."""
    return "folder" if inventory == DEFAULT and ENVIRONMENT not in os.environ else ""


def remember(ctx: typer.Context, inventory: Path | None = None, whence: str = "") -> None:
    """Hints of this command are about `inventory`, until it ends."""
    program, root = called()
    named = "" if inventory is None else str(inventory)
    token = typed.set(Typed(program, root, named, whence, again=quote(sys.argv[1:])))  # type: ignore[arg-type]
    ctx.call_on_close(lambda: typed.reset(token))


def called() -> tuple[str, str]:
    """The program as it can be typed again: by this user, and as root where labs need another user than this one."""
    me = Path(sys.argv[0])
    typed = me.name == "sparkctl" and me.is_file()  # not by `python -m`
    me = me if typed else Path(sys.executable).with_name("sparkctl")
    program = "sparkctl" if not typed or _finds(me, os.environ.get("PATH", "")) else quote([str(me)])
    if os.geteuid() == 0 and "SUDO_UID" not in os.environ:
        return program, ""
    return program, f"sudo {'sparkctl' if _finds(me, SECURE_PATH) else quote([str(me.absolute())])}"


def _finds(me: Path, path: str) -> bool:
    found = shutil.which("sparkctl", path=path)
    return found is not None and me.is_file() and Path(found).samefile(me)


class OnInventory(TyperCommand):
    """A command with words after its inventory: where that is left out, the first word is another one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As of its base, with the inventory that is not named put before the rest."""
        from sparkctl.lab.state import every

        usual, first = Path(os.environ.get(ENVIRONMENT) or DEFAULT), Path(args[0] if args else "--")
        named = first.suffix in (".yaml", ".yml") or first.exists() or str(first) in {lab.cluster for lab in every()}
        if usual.exists() and not named and not str(first).startswith("-"):
            args = [str(usual), *args]
        return super().parse_args(ctx, args)


InventoryPath = Annotated[
    Path,
    typer.Argument(
        metavar="INVENTORY",
        help=f"The inventory file; left out: ${ENVIRONMENT}, or ./{DEFAULT}.",
        show_default=False,
        show_envvar=False,
        envvar=ENVIRONMENT,
        default_factory=lambda: DEFAULT,
        callback=remembered,
    ),
]
Inventories = Annotated[
    list[Path],
    typer.Argument(
        metavar="INVENTORY...",
        help=f"Files, or folders of *.yaml and *.yml; left out: ${ENVIRONMENT}, or ./{DEFAULT}.",
        show_default=False,
        show_envvar=False,
        envvar=ENVIRONMENT,
        default_factory=lambda: [DEFAULT],
        callback=remembered,
    ),
]
