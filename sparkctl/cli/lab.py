"""`sparkctl lab`: emulated nodes, cabled as the inventory says."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Annotated, TypeVar, get_args

import typer

from sparkctl.cli.completion import NODE_NAMES
from sparkctl.cli.terminal import Json, console, reported
from sparkctl.cli.typed import InventoryPath, OnInventory
from sparkctl.inventory.words import quoted
from sparkctl.report.door import emit, say

if TYPE_CHECKING:
    from sparkctl.lab.spec import LabSpec
    from sparkctl.lab.state import BackendName, LabNode, LabState, Renderer

Name = TypeVar("Name", bound=str)
app = typer.Typer(help="Emulated nodes, cabled as the inventory says.", no_args_is_help=True)

BackendOption = Annotated[
    str,
    typer.Option(metavar="NAME", help="What the nodes are made of: container, vm (real kernels, RoCE in software)."),
]
RendererName = Annotated[
    str, typer.Option(metavar="NAME", help="What netplan gives netdevs to: networkd, NetworkManager.")
]
NodeName = Annotated[
    str,
    typer.Argument(
        metavar="NODE", help="A node of the inventory.", show_default=False, autocompletion=NODE_NAMES
    ),
]
Words = Annotated[list[str] | None, typer.Argument(metavar="[-- COMMAND...]", help="Run this instead of a shell.")]
FaultVerb = Annotated[
    str,
    typer.Argument(metavar="VERB", help="cut, mend (cable); swap, mtu (ports); kill, boot, isolate, join (node)."),
]
Subject = Annotated[
    str,
    typer.Argument(
        metavar="CABLE|PORTS|NODE",
        help='Index of a cable in `links`; "spark-1:p0 spark-2:p1" to swap, spark-1:p1=1500 for mtu; or a node.',
    ),
]


@app.command("up")
def up(
    inventory: InventoryPath,
    as_json: Json = False,
    backend: BackendOption = "container",
    renderer: RendererName = "networkd",
) -> None:
    """Boot one emulated node per node of the inventory, cabled as it says (containers: as root).

    Examples:

      sparkctl lab up

      sparkctl lab up --backend vm  # with RDMA

      sparkctl lab up --renderer NetworkManager  # as on DGX OS
    """
    with reported():
        from sparkctl.lab.life import up as lab_up
        from sparkctl.lab.state import BackendName, Renderer

        notes = console(stderr=True)
        chosen: Renderer = _one_of(get_args(Renderer), renderer, "renderer", "renderer of netplan")
        kind: BackendName = _one_of(get_args(BackendName), backend, "backend", "backend")
        state, booted = lab_up(_spec(inventory, chosen, kind), lambda line: say(notes, (line, "dim")))
        if as_json:
            emit(json.dumps(state.model_dump(mode="json"), indent=2))
            return
        _show(state, "" if booted else "the lab is up already")
        say(console(), "next:", " `sparkctl cluster up --lab`")


@app.command("down")
def down(inventory: InventoryPath, as_json: Json = False) -> None:
    """End the lab of the inventory; nothing of it is left (containers: as root)."""
    with reported():
        from sparkctl.lab.life import down as lab_down

        name = _name(inventory)
        was_there = lab_down(name)
        if as_json:
            emit(json.dumps({"version": 1, "cluster": name, "was_there": was_there}))
            return
        say(console(), f"lab {name}: {'gone' if was_there else 'there was none'}")


@app.command("list")
def list_labs(as_json: Json = False) -> None:
    """All labs of this user, and how their nodes are reached."""
    with reported():
        from sparkctl.lab.state import every

        states = every()
        if as_json:
            labs = [{**state.model_dump(mode="json"), "alive": state.alive} for state in states]
            emit(json.dumps({"version": 1, "labs": labs}, indent=2))
            return
        for state in states:
            _show(state, "")
        if not states:
            say(console(), "no lab runs")


@app.command("ssh", cls=OnInventory, context_settings={"allow_interspersed_args": False})
def ssh(inventory: InventoryPath, node: NodeName, command: Words = None) -> None:
    """A shell on an emulated node, or one command.

    Examples:

      sparkctl lab ssh spark-1

      sparkctl lab ssh spark-1 -- uptime
    """
    with reported():
        from sparkctl.lab.enter import enter, ssh_words

        state = _running(inventory)
        words = ssh_words(state.node(node), command or [])
        enter(state)
        os.execvp(words[0], words)


@app.command("fault", cls=OnInventory)
def fault(inventory: InventoryPath, verb: FaultVerb, subject: Subject) -> None:
    """Cut or mend a cable, take a node's power or give it back, isolate it (SSH dies without an error) or join it.

    Or exchange the plugs in two ports, or let a port of the cable or switch carry less than it should.

    Examples:

      sparkctl lab fault isolate spark-2

      sparkctl lab fault swap "spark-1:p0 spark-2:p1"

      sparkctl lab fault mtu spark-1:p1=1500
    """
    with reported():
        from sparkctl.lab.faults import possible
        from sparkctl.lab.life import fault as lab_fault

        possible(_spec(inventory), verb, subject)
        lab_fault(_running(inventory), verb, subject)
        say(console(), f"{verb} {subject}: done")


def _spec(inventory: InventoryPath, renderer: Renderer = "networkd", backend: BackendName = "container") -> LabSpec:
    """The lab of an inventory that has no errors."""
    from sparkctl.errors import InventoryError
    from sparkctl.lab.spec import specify
    from sparkctl.study import study

    studied = study(inventory)
    if studied.errors or studied.cluster is None or studied.fabric is None:
        raise InventoryError(studied.findings)
    return specify(studied.cluster, studied.fabric, renderer, backend)


def _running(inventory: InventoryPath) -> LabState:
    from sparkctl.lab.state import find

    return find(_name(inventory))


def _name(inventory: InventoryPath) -> str:
    """The name of its lab: also of an inventory that got errors meanwhile, or, by name, of one that is gone."""
    from sparkctl.errors import InventoryError
    from sparkctl.lab.state import every
    from sparkctl.study import study

    if not inventory.exists() and str(inventory) in {state.cluster for state in every()}:
        return str(inventory)
    studied = study(inventory)
    if studied.cluster is None:
        raise InventoryError(studied.findings)
    return studied.cluster.name


def _one_of(names: tuple[Name, ...], given: str, option: str, what: str) -> Name:
    from sparkctl.errors import UsageError

    for name in names:
        if name == given:
            return name
    raise UsageError(
        f"there is no {what} called {quoted(given)}", f"use {' or '.join(f'--{option} {name}' for name in names)}"
    )


def _show(state: LabState, note: str) -> None:
    out = console()
    word = "up" if state.alive and state.ready else "booting" if state.alive else "ended by itself"
    say(out, f"lab {state.cluster}: {note or word} ({state.backend}, {state.renderer}, {state.inventory})")
    for node in state.nodes:
        say(out, f"  {node.name}  {node.user}@{_place(node)}  {node.netdev}  booted in {node.seconds:.1f} s")


def _place(node: LabNode) -> str:
    return node.address if node.port == 22 else f"{node.address}:{node.port}"
