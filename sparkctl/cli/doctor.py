"""`sparkctl doctor`: whether this machine, the controller, has what sparkctl needs; no node is asked."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from sparkctl.cli.terminal import NoColor, console, reported
from sparkctl.report.door import say

MARKS = {"ok": "green", "warn": "yellow", "fail": "bold red"}
Row = tuple[str, str, str, str]
"""What was looked at, ok, warn or fail, what was found, what to do."""


def doctor(no_color: NoColor = False) -> None:
    """Look at this machine: Python, ssh, the agent and keys to log in with, what labs need; exit 7 when one is missing.

    Examples:

      sparkctl doctor
    """
    with reported():
        from sparkctl.errors import ChecksFailed

        rows, out = [_python(), _ssh(), *_keys(), _inventory(), *_labs()], console(no_color=no_color)
        wide = max(len(row[0]) for row in rows)
        say(out, (f"{'WHAT':<{wide}}  STATE  FOUND", "bold"))
        for what, state, found, remedy in rows:
            say(out, f"{what:<{wide}}  ", (f"{state:<5}", MARKS[state]), f"  {found}", wrap=False)
            if remedy:
                say(out, (f"{'':<{wide}}  do:", "bold"), f"    {remedy}", wrap=False)
        failed = [row[0] for row in rows if row[1] == "fail"]
        if failed:
            raise ChecksFailed(f"Missing on this machine: {', '.join(failed)}.", "do what is marked above")


def _python() -> Row:
    return "Python", "ok", f"{platform.python_version()} on {platform.machine()}, {sys.executable}", ""


def _ssh() -> Row:
    found = shutil.which("ssh")
    remedy = "" if found else "sudo apt-get install openssh-client"
    return "ssh", "ok" if found else "warn", found or "not installed; only lab ssh needs it", remedy


def _keys() -> Iterator[Row]:
    """One way to log in is enough: the agent, or a key file of the usual names."""
    import asyncio

    from sparkctl.ssh.login import DEFAULT_FILES

    files = [f"~/.ssh/{name}" for name in DEFAULT_FILES if (Path.home() / ".ssh" / name).is_file()]
    held = asyncio.run(_agent())
    remedy = "ssh-keygen -t ed25519, then for each node: ssh-copy-id USER@HOST"
    state = "ok" if held or files else "fail"
    yield "SSH agent", "ok" if held else "warn", "no agent runs" if held is None else f"{held} keys", ""
    yield "SSH keys", state, ", ".join(files) or "no key file in ~/.ssh", "" if state == "ok" else remedy


async def _agent() -> int | None:
    """How many keys it holds; None: no agent answers."""
    from asyncssh import Error, connect_agent

    try:
        async with connect_agent(os.environ.get("SSH_AUTH_SOCK", "")) as agent:
            return len(await agent.get_keys())
    except (OSError, Error, ValueError):
        return None


def _inventory() -> Row:
    from sparkctl.cli.typed import DEFAULT, ENVIRONMENT

    named = os.environ.get(ENVIRONMENT)
    path = Path(named) if named else DEFAULT
    if path.is_file():
        return "inventory", "ok", f"{path}{f' (${ENVIRONMENT})' if named else ''}", ""
    return "inventory", "warn", f"{path} is not there, so commands name one", "`sparkctl inventory init`"


def _labs() -> Iterator[Row]:
    from sparkctl.lab.container.backend import NEEDED as CONTAINER
    from sparkctl.lab.packages import install, missing
    from sparkctl.lab.vm.backend import BUILDING
    from sparkctl.lab.vm.backend import NEEDED as MACHINE

    for backend, needed in (("container", CONTAINER), ("vm", {**MACHINE, **BUILDING})):
        packages = missing(needed)
        found = f"missing: {', '.join(packages)}" if packages else "all packages are installed"
        yield f"lab ({backend})", "warn" if packages else "ok", found, install(packages) if packages else ""
