"""`sparkctl inventory`: start one, or find one, and pin the host keys of its nodes."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparkctl.cli.discover import discover
from sparkctl.cli.options import Nodes, asked
from sparkctl.cli.terminal import InventoryPath, Json, NoColor, console, reported
from sparkctl.errors import InventoryError, Refused, UsageError
from sparkctl.inventory.words import visible
from sparkctl.report.door import emit, say

if TYPE_CHECKING:
    from rich.console import Console

    from sparkctl.inventory.model import Cluster
    from sparkctl.ssh.host_keys import Standing

app = typer.Typer(help="Start or find an inventory, and pin the host keys of its nodes.", no_args_is_help=True)
app.command("discover")(discover)

Expect = Annotated[list[str] | None, asked("--expect", "NODE=SHA256:...", "Pin without asking, if it is this key.")]
Replace = Annotated[list[str] | None, asked("--replace", "NODE", "Its key may have changed; shows both.")]
Target = Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Left out: print it.", show_default=False)]
Count = Annotated[int, typer.Option("--nodes", metavar="N", help="How many nodes.")]
Topology = Annotated[
    str | None, typer.Option("--topology", help="direct, mesh, ring or switch.", show_default="by the number of nodes")
]
Name = Annotated[str, typer.Option("--name", help="Name of the cluster.")]
WORDS = {
    "pinned": ("pinned already", "green"),
    "new": ("not pinned yet", "yellow"),
    "changed": ("CHANGED", "bold red"),
    "revoked": ("REVOKED", "bold red"),
    "authority": ("vouched for by a pinned authority", "green"),
}


@app.command("init")
def init(file: Target = None, nodes: Count = 2, topology: Topology = None, name: Name = "sparks") -> None:
    """Write a commented inventory to start from; a file that is there is never overwritten."""
    with reported():
        from sparkctl.inventory.starter import checked, starter, usual

        chosen = checked(topology or usual(nodes), nodes)
        text = starter(name, nodes, chosen, str(file or "sparks.yaml"))
        _judge(text, file)
        if file is None:
            emit(text, end="")
            return
        _create(file, text)
        say(console(stderr=True), f"wrote {file}; next: fill in the addresses, then sparkctl validate {file}")


def _judge(text: str, file: Path | None) -> None:
    """A name may be one that no inventory can have; then nothing is written."""
    from sparkctl.study import controller_of, study_text

    shown = file or Path("sparks.yaml")
    found = study_text(text.encode(), str(shown), controller_of(shown))
    if found.errors:
        raise InventoryError(found.errors)


def _create(file: Path, text: str) -> None:
    try:
        with file.open("x") as fresh:
            fresh.write(text)
    except FileExistsError:
        raise UsageError(f"{file} is there already, and is not overwritten", "name another file") from None
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}", "name another file") from None


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

      sparkctl inventory trust dual.yaml

      sparkctl inventory trust dual.yaml --node spark-2 --replace spark-2      it was reinstalled

      sparkctl inventory trust dual.yaml --expect spark-1=SHA256:... --expect spark-2=SHA256:...      automation
    """
    with reported():
        import asyncio

        from sparkctl.ssh.host_keys import look, pin, to_pin

        cluster = _cluster(inventory)
        names = _named(cluster, node, "--node") or [known.name for known in cluster.nodes]
        expected, replaced = _expected(cluster, expect), _named(cluster, replace, "--replace")
        from sparkctl.cli.opening import logins_of

        logins = [login for login in logins_of(cluster) if login.node in names]
        out = console(stderr=as_json, no_color=no_color)
        standings = asyncio.run(look(logins))
        _show(standings, out)
        pinned: tuple[Standing, ...] = ()
        try:
            chosen = to_pin(standings, expected, replaced)
            if chosen:
                _agreed(chosen, expected, out, as_json)
                pin(chosen)
                pinned = chosen
                say(out, f"pinned: {', '.join(standing.node for standing in chosen)}")
        finally:
            if as_json:
                emit(json.dumps(_report(cluster, standings, pinned), indent=1))
        _silent(standings)
        if not chosen:
            say(out, "every host key is pinned; nothing to do")


def _cluster(inventory: Path) -> Cluster:
    from sparkctl.study import study

    found = study(inventory)
    if found.cluster is None or found.errors:
        raise InventoryError(found.findings)
    return found.cluster


def _named(cluster: Cluster, names: list[str] | None, option: str) -> list[str]:
    known = [node.name for node in cluster.nodes]
    for name in names or []:
        if name not in known:
            raise UsageError(f"{option} {name}: there is no such node", f"one of: {', '.join(known)}")
    return names or []


def _expected(cluster: Cluster, pairs: list[str] | None) -> dict[str, str]:
    expected = {}
    for pair in pairs or []:
        name, _, fingerprint = pair.partition("=")
        if not fingerprint.startswith("SHA256:"):
            raise UsageError(f"--expect {pair}: not NODE=SHA256:...", "as `ssh-keygen -lf` shows it on the node")
        _named(cluster, [name], "--expect")
        expected[name] = fingerprint
    return expected


def _show(standings: Sequence[Standing], out: Console) -> None:
    wide = max(len(standing.node) for standing in standings)
    for standing in standings:
        if standing.route is not None and standing.key is not None:
            place = f"{standing.route.host}" + (f":{standing.route.port}" if standing.route.port != 22 else "")
            say(out, f"{standing.node:<{wide}}  {place}  {standing.shown}  ", WORDS[standing.state], wrap=False)
        elif standing.problem is not None:
            say(out, f"{standing.node:<{wide}}  ", ("no key:", "bold red"), f" {standing.problem.message}")


def _agreed(chosen: Sequence[Standing], expected: Mapping[str, str], out: Console, as_json: bool) -> None:
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


def _silent(standings: Sequence[Standing]) -> None:
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
