"""Opens the way to a cluster: study, overlay of the lab, password, signals; and closes it with a report."""

from __future__ import annotations

import asyncio
import getpass
import hashlib
import json
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import typer

from sparkctl.cli import terminal
from sparkctl.cli.asking import ask
from sparkctl.cli.desk import Desk
from sparkctl.errors import InventoryError, SparkctlError, UsageError
from sparkctl.execute.site import Interruption, Site
from sparkctl.fabric.topologies import expand, topology_of
from sparkctl.render import render
from sparkctl.report.console import ConsoleObserver
from sparkctl.report.door import emit, say, settle
from sparkctl.report.findings import print_findings
from sparkctl.ssh.connection import Login
from sparkctl.ssh.fleet import Fleet
from sparkctl.ssh.login import refuse_documentation
from sparkctl.ssh.passwords import Secrets
from sparkctl.study import study

if TYPE_CHECKING:

    from sparkctl.fabric.model import Fabric
    from sparkctl.inventory.model import Cluster, Node


def run(verb: str, desk: Desk, work: Callable[[Site], Awaitable[None]]) -> None:
    """Open the way to the cluster, do the work of `verb`, report, and end with the right exit code."""
    begun, code, site = time.monotonic(), 0, None
    terminal.steady()
    try:
        site = opened(desk)
        asyncio.run(_worked(site, desk, work))
    except typer.Exit as ending:
        code = ending.exit_code
    except SparkctlError as error:
        code = error.exit_code
        _ended(desk, error)
    except (KeyboardInterrupt, asyncio.CancelledError):
        code = 130
        _ended(desk, SparkctlError(f"interrupted; {_nodes(site)}"))
    except Exception as error:
        code = 1
        _ended(desk, SparkctlError(f"{type(error).__name__}: {error}\n{_nodes(site)}", bug=error))
    settle()
    _report(verb, desk, site, code, time.monotonic() - begun)
    raise typer.Exit(code)


def _ended(desk: Desk, error: SparkctlError) -> None:
    """What ended the command, for people and for a program; a bug with its traceback in a file."""
    if error.bug is not None:
        terminal.confess(error.bug)
    terminal.complain(error)
    desk.fields["error"] = {"message": error.message, "remedy": error.remedy}


def _nodes(site: Site | None) -> str:
    return Interruption.nodes if site is None else site.interruption.nodes


async def _worked(site: Site, desk: Desk, work: Callable[[Site], Awaitable[None]]) -> None:
    _obey_signals(site.interruption, desk)
    try:
        await work(site)
    finally:
        await site.fleet.close()


def _obey_signals(interruption: Interruption, desk: Desk) -> None:
    """Once: stop at the next barrier and undo. Twice: leave; the timers of the nodes protect them."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()

    def obey() -> None:
        if interruption.asked.is_set() or not interruption.running:
            if task is not None:
                task.cancel()
            return
        interruption.asked.set()
        said = "stopping after this step, then undoing everything; once more to leave at once"
        say(desk.progress, (said, "yellow"))

    def hung_up() -> None:
        """A terminal that closes sends this twice, from the kernel and from its shell, and means it once."""
        loop.add_signal_handler(signal.SIGHUP, lambda: None)
        if not interruption.asked.is_set():
            obey()

    loop.add_signal_handler(signal.SIGINT, obey)
    loop.add_signal_handler(signal.SIGTERM, obey)
    loop.add_signal_handler(signal.SIGHUP, hung_up)


def _report(verb: str, desk: Desk, site: Site | None, code: int, seconds: float) -> None:
    if site is not None and desk.verbose:
        say(desk.progress, (f"ssh: {json.dumps(site.fleet.counts())}; {seconds:.1f} s", "dim"))
    if not desk.json:
        return
    report: dict[str, Any] = {"version": 1, "command": verb, "exit_code": code, "seconds": round(seconds, 3)}
    if site is not None:
        report |= {"cluster": site.cluster.name, "overlays": list(site.overlays), "ssh": site.fleet.counts()}
    emit(json.dumps(report | desk.fields, indent=1, sort_keys=True))


def opened(desk: Desk) -> Site:
    """The cluster of the inventory, or its twin; InventoryError when it has errors."""
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
            say(desk.progress, ("lab:", "cyan"), f" {overlay}")
    observer = ConsoleObserver(desk.progress, verbose=desk.verbose, quiet=desk.quiet)
    logins = logins_of(cluster, lab=desk.lab)
    asyncio.run(refuse_documentation(logins))
    owner = f"{getpass.getuser()}@{socket.gethostname()}"
    return Site(
        cluster,
        fabric,
        render(cluster, fabric),
        Fleet.of(logins, observer),
        owner,
        hashlib.sha256("\n".join([found.digest, *overlays]).encode()).hexdigest(),
        overlays,
        "lab" if desk.lab else "real",
    )


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
