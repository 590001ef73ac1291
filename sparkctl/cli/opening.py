"""Opens a session with a cluster: study, overlay of the lab, password, signals; and closes it with a report."""

from __future__ import annotations

import asyncio
import getpass
import json
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from sparkctl.checks import words
from sparkctl.cli import terminal
from sparkctl.cli.asking import ask
from sparkctl.errors import ChecksFailed, InventoryError, SparkctlError, UsageError
from sparkctl.execute.session import Session
from sparkctl.fabric.topologies import expand, topology_of
from sparkctl.outcome import Verdict
from sparkctl.render import render
from sparkctl.report.console import ConsoleObserver
from sparkctl.report.findings import print_findings
from sparkctl.report.verdicts import as_values, print_verdicts, wrong
from sparkctl.ssh.connection import Login
from sparkctl.ssh.fleet import Fleet
from sparkctl.ssh.passwords import Secrets
from sparkctl.study import study

if TYPE_CHECKING:
    from rich.console import Console

    from sparkctl.fabric.model import Fabric
    from sparkctl.inventory.model import Cluster, Node


@dataclass
class Desk:
    """Options that every cluster command has, and what it will report."""

    inventory: Path
    lab: bool = False
    json: bool = False
    no_color: bool = False
    quiet: bool = False
    verbose: bool = False
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def people(self) -> Console:
        """Where people read: stdout, or stderr when stdout is for a program."""
        return terminal.console(stderr=self.json, no_color=self.no_color)

    @property
    def progress(self) -> Console:
        """Where progress goes: always stderr."""
        return terminal.console(stderr=True, no_color=self.no_color)

    def show(self, verdicts: tuple[Verdict, ...]) -> None:
        """Print and keep the verdicts; ChecksFailed when something is not right."""
        self.fields["verdicts"] = as_values(verdicts)
        print_verdicts(verdicts, self.people, every=self.verbose)
        bad = wrong(verdicts)
        if bad:
            raise ChecksFailed(f"{len(bad)} checks failed; the first: {words(bad[0])}", "see `do:` above")


def run(verb: str, desk: Desk, work: Callable[[Session, Desk], Awaitable[None]]) -> None:
    """Open a session, do the work of `verb`, report, and end with the right exit code."""
    begun, code, session = time.monotonic(), 0, None
    terminal.steady()
    try:
        session = opened(desk)
        asyncio.run(_worked(session, desk, work))
    except typer.Exit as ending:
        code = ending.exit_code
    except SparkctlError as error:
        code = error.exit_code
        terminal.complain(error)
        desk.fields["error"] = {"message": error.message, "remedy": error.remedy}
    except (KeyboardInterrupt, asyncio.CancelledError):
        code = 130
        busy = session is not None and session.running
        left = "left at once: the nodes' own timers put back whatever was not confirmed"
        message = left if busy else "interrupted; nothing was changed"
        desk.progress.print(f"[bold red]{message}[/]")
        desk.fields["error"] = {"message": message, "remedy": ""}
    _report(verb, desk, session, code, time.monotonic() - begun)
    raise typer.Exit(code)


async def _worked(session: Session, desk: Desk, work: Callable[[Session, Desk], Awaitable[None]]) -> None:
    _obey_signals(session, desk)
    try:
        await work(session, desk)
    finally:
        await session.fleet.close()


def _obey_signals(session: Session, desk: Desk) -> None:
    """Once: stop at the next barrier and undo. Twice: leave; the timers of the nodes protect them."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()

    def obey() -> None:
        if session.stop.is_set() or not session.running:
            if task is not None:
                task.cancel()
            return
        session.stop.set()
        desk.progress.print("[yellow]stopping at the next barrier, then undoing; once more to leave at once[/]")

    def hung_up() -> None:
        """A terminal that closes sends this twice, from the kernel and from its shell, and means it once."""
        loop.add_signal_handler(signal.SIGHUP, lambda: None)
        if not session.stop.is_set():
            obey()

    loop.add_signal_handler(signal.SIGINT, obey)
    loop.add_signal_handler(signal.SIGTERM, obey)
    loop.add_signal_handler(signal.SIGHUP, hung_up)


def _report(verb: str, desk: Desk, session: Session | None, code: int, seconds: float) -> None:
    if session is not None and desk.verbose:
        desk.progress.print(f"[dim]ssh: {json.dumps(session.fleet.counts())}; {seconds:.1f} s[/]")
    if not desk.json:
        return
    report: dict[str, Any] = {"version": 1, "command": verb, "exit_code": code, "seconds": round(seconds, 3)}
    if session is not None:
        report |= {"cluster": session.cluster.name, "overlays": list(session.overlays), "ssh": session.fleet.counts()}
    typer.echo(json.dumps(report | desk.fields, indent=1, sort_keys=True))


def opened(desk: Desk) -> Session:
    """A session with the cluster of the inventory, or with its twin; InventoryError when it has errors."""
    found = study(desk.inventory)
    if found.cluster is None or found.fabric is None or found.errors:
        raise InventoryError(found.findings)
    if found.findings and not desk.quiet:
        print_findings(found.findings, desk.progress)
    cluster, fabric = found.cluster, found.fabric
    overlays: tuple[str, ...] = ()
    if desk.lab:
        cluster, overlays = _twin(cluster)
        fabric = _expanded(cluster)
        for overlay in () if desk.quiet else overlays:
            desk.progress.print(f"[cyan]lab:[/] {overlay}")
    observer = ConsoleObserver(desk.progress, verbose=desk.verbose, quiet=desk.quiet)
    logins = logins_of(cluster, lab=desk.lab)
    owner = f"{getpass.getuser()}@{socket.gethostname()}"
    session = Session(cluster, fabric, render(cluster, fabric), Fleet.of(logins, observer), owner, overlays)
    session.expect = "lab" if desk.lab else "real"
    return session


def _twin(cluster: Cluster) -> tuple[Cluster, tuple[str, ...]]:
    from sparkctl.lab.enter import enter
    from sparkctl.lab.overlay import overlay
    from sparkctl.lab.state import find

    state = find(cluster.name)
    enter(state)
    return overlay(cluster, state)


def _expanded(cluster: Cluster) -> Fabric:
    topology = topology_of(cluster)
    if topology is None:
        raise UsageError(f"topology {cluster.fabric.topology} is not supported", "see `sparkctl explain`")
    return expand(topology, cluster)


def logins_of(cluster: Cluster, *, lab: bool = False) -> list[Login]:
    """How to reach every node; secrets are asked for when first needed, and a lab ignores the user's own settings."""
    secrets = Secrets(ask)
    return [_login(cluster, node, secrets, lab) for node in cluster.nodes]


def _login(cluster: Cluster, node: Node, secrets: Secrets, lab: bool) -> Login:
    ssh, written = cluster.ssh, cluster.source.places
    login = Login(node.name, node.address, node.port, node.user, ssh.known_hosts, ssh.identity_file, own_config=not lab)
    port = () if ("nodes", node.rank, "port") in written else ("port",)
    user = () if ("nodes", node.rank, "user") in written or ("ssh", "user") in written else ("user",)
    return replace(login, unsaid=frozenset((*port, *user)), sudo_asks=ssh.sudo == "prompt", secrets=secrets)
