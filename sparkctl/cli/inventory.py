"""`sparkctl inventory`: start one, or find one, and pin the host keys of its nodes."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparkctl.cli.completion import NODE_NAMES
from sparkctl.cli.discover import discover
from sparkctl.cli.init import init
from sparkctl.cli.options import Nodes, asked
from sparkctl.cli.terminal import Json, NoColor, console, reported
from sparkctl.cli.typed import InventoryPath
from sparkctl.errors import InventoryError, Refused, UsageError
from sparkctl.inventory.words import visible
from sparkctl.report.door import emit, say

if TYPE_CHECKING:
    from rich.console import Console

    from sparkctl.inventory.model import Cluster
    from sparkctl.ssh.host_keys import Standing

app = typer.Typer(help="Start or find an inventory, and pin the host keys of its nodes.", no_args_is_help=True)
app.command("init")(init)
app.command("discover")(discover)

Expect = Annotated[list[str] | None, asked("--expect", "NODE=SHA256:...", "Pin without asking, if it is this key.")]
Replace = Annotated[list[str] | None, asked("--replace", "NODE", "Its key may have changed; shows both.", NODE_NAMES)]
WORDS = {
    "pinned": ("pinned already", "green"),
    "new": ("not pinned yet", "yellow"),
    "changed": ("CHANGED", "bold red"),
    "revoked": ("REVOKED", "bold red"),
    "authority": ("vouched for by a pinned authority", "green"),
}


@app.command("trust")
def trust(
    inventory: InventoryPath,
    node: Nodes = None,
    expect: Expect = None,
    replace: Replace = None,
    as_json: Json = False,
    no_color: NoColor = False,
) -> None:
    """Show the host key of every node, and pin those that you have compared.

    Does not log in. Compare with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on each node's own console: if the
    fingerprints differ, another machine may be answering: stop. A key that differs from the pinned one stops it all.
    Without a terminal, use --expect.

    Examples:

      sparkctl inventory trust

      sparkctl inventory trust --node spark-2 --replace spark-2  # it was reinstalled

      sparkctl inventory trust --expect spark-1=SHA256:... --expect spark-2=SHA256:...  # automation
    """
    with reported():
        import asyncio

        from sparkctl.ssh.host_keys import look, pin, to_pin

        cluster = _cluster(inventory)
        known = [one.name for one in cluster.nodes]
        names = _named(known, node, "--node") or known
        wanted, replaced = expected(known, expect), _named(known, replace, "--replace")
        from sparkctl.cli.opening import logins_of

        logins = [login for login in logins_of(cluster) if login.node in names]
        out = console(stderr=as_json, no_color=no_color)
        standings = asyncio.run(look(logins))
        show(standings, out)
        pinned: tuple[Standing, ...] = ()
        try:
            chosen = to_pin(standings, wanted, replaced)
            if chosen:
                agreed(chosen, wanted, out, as_json)
                pin(chosen)
                pinned = chosen
                say(out, f"pinned: {', '.join(standing.node for standing in chosen)}")
        finally:
            if as_json:
                emit(json.dumps(_report(cluster, standings, pinned), indent=1))
        silent(standings)
        if not chosen:
            say(out, "every host key is pinned; nothing to do")


def _cluster(inventory: Path) -> Cluster:
    from sparkctl.study import study

    found = study(inventory)
    if found.cluster is None or found.errors:
        raise InventoryError(found.findings)
    return found.cluster


def _named(known: Sequence[str], names: list[str] | None, option: str) -> list[str]:
    for name in names or []:
        if name not in known:
            raise UsageError(f"{option} {name}: there is no such node", f"one of: {', '.join(known)}")
    return names or []


def expected(known: Sequence[str], pairs: list[str] | None) -> dict[str, str]:
    """Fingerprints by node, of NODE=SHA256:...; UsageError where that is none."""
    found = {}
    for pair in pairs or []:
        name, _, fingerprint = pair.rpartition("=SHA256:")
        if not name:
            raise UsageError(f"--expect {pair}: not NODE=SHA256:...", "as `ssh-keygen -lf` shows it on the node")
        _named(known, [name], "--expect")
        found[name] = f"SHA256:{fingerprint}"
    return found


def show(standings: Sequence[Standing], out: Console) -> None:
    """A line per node: where, its key, and what the pinned files say of it."""
    wide = max(len(standing.node) for standing in standings)
    for standing in standings:
        if standing.route is not None and standing.key is not None:
            place = f"{standing.route.host}" + (f":{standing.route.port}" if standing.route.port != 22 else "")
            say(out, f"{standing.node:<{wide}}  {place}  {standing.shown}  ", WORDS[standing.state], wrap=False)
        elif standing.problem is not None:
            say(out, f"{standing.node:<{wide}}  ", ("no key:", "bold red"), f" {standing.problem.message}")


def agreed(chosen: Sequence[Standing], expected: Mapping[str, str], out: Console, as_json: bool) -> None:
    """A person has seen every key, or has said what it is; Refused otherwise."""
    from sparkctl.ssh.connect import CONSOLE
    from sparkctl.ssh.host_keys import pinned_lines, target

    for standing in chosen:
        if standing.state == "changed":
            say(out, f"{standing.node}: its key replaces\n{pinned_lines(standing)}", wrap=False)
    files = ", ".join(sorted({str(target(standing)) for standing in chosen}))
    unseen = [standing.node for standing in chosen if standing.node not in expected]
    if not unseen:
        return
    if not sys.stdin.isatty():
        missing = " ".join(f"--expect {name}=SHA256:..." for name in unseen)
        raise UsageError("nothing is pinned that nobody has seen, and there is no terminal to ask on", missing)
    say(out, "compare: on each node's own console, ", (CONSOLE, "bold"), " must show the same", wrap=False)
    question = f"are they the same? then {len(chosen)} will be pinned in {files}"
    try:
        agreed = typer.confirm(visible(question), err=as_json)
    except typer.Abort:
        agreed = False
    if not agreed:
        raise Refused("not confirmed; nothing was pinned", "compare the fingerprints, then run it again")


def silent(standings: Sequence[Standing]) -> None:
    """AccessRefused where a node showed no key."""
    from sparkctl.errors import AccessRefused

    problems = [standing.problem for standing in standings if standing.problem is not None]
    if problems:
        lines = "\n  ".join(problem.message for problem in problems)
        raise AccessRefused(f"nothing was pinned for:\n  {lines}", "is the node switched on? then run it again")


def _report(cluster: Cluster, standings: Sequence[Standing], pinned: Sequence[Standing]) -> dict[str, object]:
    names = {standing.node for standing in pinned}
    nodes = {
        standing.node: {
            "address": standing.route.host if standing.route else None,
            "port": standing.route.port if standing.route else None,
            "type": standing.key.get_algorithm() if standing.key else None,
            "fingerprint": standing.fingerprint or None,
            "state": standing.state,
            "pinned_now": standing.node in names,
            "problem": standing.problem.message if standing.problem else None,
        }
        for standing in standings
    }
    return {"version": 1, "command": "inventory trust", "cluster": cluster.name, "nodes": nodes}
