"""`sparkctl inventory discover`: a running cluster, read by SSH alone, to an inventory that a person checks."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparkctl.cli.options import Quiet, Verbose, asked
from sparkctl.cli.terminal import Json, NoColor, console, reported
from sparkctl.commands.shell import hint
from sparkctl.errors import UsageError
from sparkctl.inventory.words import counted, quoted
from sparkctl.report.door import emit, say

if TYPE_CHECKING:
    from sparkctl.discovery.cabling import Found, Seen
    from sparkctl.discovery.inventory_text import Access, Draft
    from sparkctl.inventory.model import Cluster
    from sparkctl.ssh.login import Login

Targets = Annotated[
    list[str] | None,
    typer.Argument(metavar="[USER@]HOST[:PORT]...", help="The nodes in the order of their ranks.", show_default=False),
]
Output = Annotated[Path | None, asked("--output -o", "FILE", "Left out: print it.")]
Name = Annotated[str, typer.Option("--name", help="Name of the cluster.")]
KnownHosts = Annotated[
    Path | None, typer.Option("--known-hosts", metavar="FILE", help="Pinned host keys.", show_default="~/.ssh's")
]
Identity = Annotated[
    Path | None, typer.Option("--identity", "-i", metavar="FILE", help="Private key.", show_default="as ssh has it")
]
AskSudo = Annotated[bool, typer.Option("--ask-sudo", help="sudo wants a password on the nodes.")]
Overwrite = Annotated[bool, typer.Option("--force", help="Write over a file that is there.")]
LabOf = Annotated[Path | None, asked("--lab", "INVENTORY", "The emulated nodes of this inventory.")]
Topology = Annotated[
    str | None,
    typer.Option("--topology", help="Say what to move for direct, mesh, ring or switch.", show_default=False),
]
_TARGET = re.compile(
    r"(?:(?P<user>[A-Za-z_][^@\s]*)@)?(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9_][^@:\s/]*))(?::(?P<port>[0-9]{1,5}))?"
)
MOST = 64
"""As many as `inventory init` writes."""


def discover(
    targets: Targets = None,
    output: Output = None,
    name: Name = "sparks",
    topology: Topology = None,
    known_hosts: KnownHosts = None,
    identity: Identity = None,
    ask_sudo: AskSudo = False,
    force: Overwrite = False,
    lab: LabOf = None,
    as_json: Json = False,
    no_color: NoColor = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Read a running cluster by SSH and write its inventory, cables included. Changes nothing on the nodes.

    All nodes call on their fabric ports by raw Ethernet and listen, and say what LLDP has told them. Ports that are
    down cannot be heard. Ends with 3 when a person has to settle something before the inventory is valid.

    Examples:

      sparkctl inventory discover nvidia@192.0.2.11 nvidia@192.0.2.12 -o sparks.yaml

      sparkctl inventory discover --topology ring spark-a spark-b spark-c spark-d  # which plugs to move for a ring

      sparkctl inventory discover --lab sparkctl.yaml  # what emulated nodes are cabled like
    """
    with reported():
        import asyncio

        from sparkctl.cli.places import there, writable
        from sparkctl.discovery.cabling import found
        from sparkctl.discovery.inventory_text import draft
        from sparkctl.execute.listen import discover as listen
        from sparkctl.inventory.starter import checked
        from sparkctl.report.console import ConsoleObserver
        from sparkctl.study import controller_of

        if output is not None:
            writable(output, fresh=True)
            if there(output) and not force:
                raise UsageError(f"{output} is there already, and is not overwritten", "name another file, or --force")
        twin = _cluster(lab) if lab else None
        asked = checked(topology, len(twin.nodes if twin else targets or ())) if topology else None
        logins, access = _lab(twin) if twin else logins_of(targets or [], known_hosts, identity, ask_sudo)
        progress = console(stderr=True, no_color=no_color)
        seen = asyncio.run(listen(logins, ConsoleObserver(progress, verbose=verbose, quiet=quiet)))
        seen = _as_written(seen, twin) if twin else seen
        heard, place = found(seen), output or Path(f"{name}.yaml")
        made = draft(name, seen, heard, access, str(place), controller_of(place), asked)
        if output is not None:
            write(output, made.text, force)
        if as_json:
            emit(json.dumps(_report(name, output, seen, heard, made), indent=1))
        elif output is None:
            emit(made.text, end="")
        tell(made, output, no_color)
        if not made.settled:
            raise typer.Exit(3)


def logins_of(
    targets: Sequence[str], known_hosts: Path | None, identity: Path | None, ask_sudo: bool
) -> tuple[list[Login], Access]:
    """How to reach nodes that no inventory names yet, and what the inventory is to say of it."""
    from sparkctl.cli.asking import ask
    from sparkctl.discovery.inventory_text import Access
    from sparkctl.ssh.passwords import Secrets

    if not 2 <= len(targets) <= MOST:
        raise UsageError(
            f"{counted(len(targets), 'node')}: a cluster has 2 to {MOST}", "name them: [USER@]HOST[:PORT]..."
        )
    twice = {target for target in targets if targets.count(target) > 1}
    if twice:
        raise UsageError(f"{sorted(twice)[0]} is named twice", "name every node once")
    pins, key, asks = _absolute(known_hosts), _absolute(identity), Secrets(ask)
    common = {"known_hosts": pins, "identity_file": key, "sudo_asks": ask_sudo, "secrets": asks}
    logins = [replace(login_of(target), **common) for target in targets]  # type: ignore[arg-type]
    return logins, Access(pins, key, ask_sudo)


def _absolute(path: Path | None) -> str | None:
    return str(path.expanduser().absolute()) if path is not None else None


def login_of(target: str) -> Login:
    """`[USER@]HOST[:PORT]`; UsageError where it is not one."""
    from getpass import getuser

    from sparkctl.ssh.login import Login

    said = _TARGET.fullmatch(target)
    if said is None or int(said["port"] or 22) not in range(1, 65536):
        raise UsageError(f"{quoted(target)} is not [USER@]HOST[:PORT]", "such as nvidia@spark-a.lan")
    unsaid = frozenset(name for name in ("user", "port") if said[name] is None)
    host, port, user = said["six"] or said["host"], int(said["port"] or 22), said["user"] or getuser()
    return Login(target, host, port, user, None, None, unsaid=unsaid)


def _cluster(inventory: Path) -> Cluster:
    from sparkctl.study import study

    cluster = study(inventory).cluster
    if cluster is None:
        raise UsageError(f"{inventory} cannot be read", f"{hint('validate', str(inventory))} tells why")
    return cluster


def _lab(cluster: Cluster) -> tuple[list[Login], Access]:
    """The emulated nodes, in the order of their inventory; what is written is how the real ones are reached."""
    from sparkctl.discovery.inventory_text import Access
    from sparkctl.lab.enter import enter
    from sparkctl.lab.state import find
    from sparkctl.ssh.login import Login

    state = find(cluster.name)
    enter(state)
    nodes = [state.node(node.name) for node in cluster.nodes]
    logins = [Login(n.name, n.address, n.port, n.user, n.known_hosts, n.identity_file, own_config=False) for n in nodes]
    return logins, Access(cluster.ssh.known_hosts, cluster.ssh.identity_file, cluster.ssh.sudo == "prompt")


def _as_written(seen: Sequence[Seen], cluster: Cluster) -> tuple[Seen, ...]:
    pairs = zip(seen, cluster.nodes, strict=True)
    return tuple(replace(one, address=node.address, port=node.port, user=node.user) for one, node in pairs)


def write(path: Path, text: str, force: bool) -> None:
    """As a whole or not at all; a file that came to be there meanwhile is not written over either."""
    try:
        descriptor, fresh = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                os.fchmod(file.fileno(), 0o644)
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            if force:
                Path(fresh).replace(path)
            else:
                os.link(fresh, path)
        finally:
            Path(fresh).unlink(missing_ok=True)
    except FileExistsError:
        raise UsageError(f"{path} is there already, and is not overwritten", "name another file, or --force") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", "name another file") from None


def tell(made: Draft, output: Path | None, no_color: bool) -> None:
    """What a person must check, what the rules say, and what comes next."""
    from sparkctl.inventory.words import visible
    from sparkctl.report.findings import print_findings

    out = console(stderr=True, no_color=no_color)
    for point in made.check:
        say(out, ("check:", "yellow"), f" {visible(point)}", wrap=False)
    if made.findings:
        print_findings(made.findings, out)
    if output is not None:
        what = "next: read it, then" if made.settled else "settle the errors above, then"
        say(out, f"wrote {output}; {what} {hint('validate', str(output))}", wrap=False)


def _report(name: str, output: Path | None, seen: Sequence[Seen], heard: Found, made: Draft) -> dict[str, object]:
    cables = [{"a": ":".join(cable.a), "b": ":".join(cable.b), "how": cable.how} for cable in heard.cables]
    switches = {
        switch.name: {
            "model": switch.model,
            "how": switch.how,
            "ports": {":".join(p): n for p, n in switch.ports.items()},
        }
        for switch in heard.switches
    }
    return {
        "version": 1,
        "command": "inventory discover",
        "cluster": name,
        "file": str(output) if output else None,
        "text": made.text,
        "topology": made.topology,
        "nodes": {one.name: {"address": one.address, "hostname": one.hostname} for one in seen},
        "cables": cables,
        "switches": switches,
        "idle": {":".join(port): looks for port, looks in heard.idle.items()},
        "check": list(made.check),
        "findings": [
            {"id": f.id, "severity": f.severity, "where": f.where, "message": f.message} for f in made.findings
        ],
    }
