"""`sparkctl inventory init`: some questions, each of which is an option too, to an inventory that can be used."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparkctl.cli.completion import TOPOLOGIES
from sparkctl.cli.options import asked
from sparkctl.cli.terminal import console, reported
from sparkctl.commands.shell import quote_word
from sparkctl.errors import InventoryError, Refused, UsageError
from sparkctl.inventory.starter import KEY, MODEL, MOST, USUAL, checked, possible, starter, usual
from sparkctl.inventory.words import counted, listed, visible
from sparkctl.report.door import emit, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sparkctl.outcome import Finding
    from sparkctl.ssh.login import Login

NO_MODEL = "none"
Target = Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it; - prints it.")]
Count = Annotated[int | None, asked("--nodes", "N", "How many Sparks.")]
Topology = Annotated[str | None, asked("--topology", "NAME", "How cabled: direct, mesh, ring or switch.", TOPOLOGIES)]
Hosts = Annotated[
    list[str] | None, asked("--ssh", "[USER@]HOST[:PORT]", "How SSH reaches a node; once per node, the head first.")
]
Model = Annotated[str | None, asked("--model", "MODEL", f"Name on the hub, or a folder on the nodes; or {NO_MODEL}.")]
Name = Annotated[str, typer.Option("--name", help="Name of the cluster.")]
AskSudo = Annotated[
    bool | None, typer.Option("--ask-sudo/--no-ask-sudo", help="sudo wants a password there.", show_default=False)
]
Expect = Annotated[list[str] | None, asked("--expect", "HOST=SHA256:...", "Pin the key without asking, if it is this.")]
Lab = Annotated[bool, typer.Option("--lab", help="For emulated nodes: no node is asked for anything.")]
GoOn = Annotated[
    bool | None, typer.Option("--go-on/--no-go-on", help="Then `cluster up`; with --lab, `lab up`.", show_default=False)
]


def init(
    ctx: typer.Context,
    file: Target = Path(USUAL),
    nodes: Count = None,
    topology: Topology = None,
    ssh: Hosts = None,
    model: Model = None,
    name: Name = "sparks",
    ask_sudo: AskSudo = None,
    expect: Expect = None,
    lab: Lab = False,
    go_on: GoOn = None,
) -> None:
    """Ask a few questions, look at the nodes, and write an inventory; a file that is there is never overwritten.

    Host keys are shown and pinned, the cables are found by listening on them. Nothing is changed on the nodes. Without
    a terminal nothing is asked: an option that is missing and has no default is named.

    Examples:

      sparkctl inventory init

      sparkctl inventory init --lab  # try it without a Spark

      sparkctl inventory init --ssh nvidia@spark-a --ssh nvidia@spark-b --model none  # the fabric alone
    """
    with reported():
        _fresh(file)
        count = _count(nodes or (len(ssh) if ssh else _answer("How many Sparks?", "2", "--nodes")))
        kinds = listed(possible(count), "or")
        chosen = checked(topology or _answer(f"Cabled how ({kinds})?", usual(count), "--topology"), count)
        hosts = ssh or ([] if lab else [_answer(f"SSH: user@host of {who}?", "", "--ssh") for who in _names(count)])
        served = model or _answer(f"Model, or {NO_MODEL}?", MODEL, "--model")
        served = "" if served == NO_MODEL else served
        if lab:
            places = [_place(host) for host in _matching(hosts, count)] if hosts else []
            text = starter(name, count, chosen, quote_word(str(file)), reached=places, model=served)
            errors = _errors(text, file)
            if errors:  # a name may be one that no inventory can have
                raise InventoryError(errors)
        else:
            text = _found(file, _matching(hosts, count), name, topology and chosen, served, ask_sudo, expect or [])
            errors = _errors(text, file)
        if str(file) == "-":
            emit(text, end="")
        else:
            _written(ctx, file, text, errors, lab)
    if errors:
        raise typer.Exit(InventoryError.exit_code)
    if str(file) != "-":
        _go_on(go_on, file, lab)


def _fresh(file: Path) -> None:
    from sparkctl.cli.places import there, writable

    if str(file) != "-":
        writable(file, fresh=True)
        if there(file):
            raise UsageError(f"{file} is there already, and is not overwritten", "name another file")


def _count(said: int | str) -> int:
    if not str(said).isdecimal() or not 2 <= int(said) <= MOST:
        raise UsageError(f"A cluster has 2 to {MOST} nodes, not {said}.", "use --nodes")
    return int(said)


def _names(count: int) -> list[str]:
    return ["the head", *(f"node {number}" for number in range(2, count + 1))]


def _answer(question: str, default: str, option: str) -> str:
    """From the terminal; without one the default, UsageError where there is none."""
    if not sys.stdin.isatty():
        if not default:
            raise UsageError(f"{option} is missing, and there is no terminal to ask on.", "give it, or --lab")
        return default
    try:
        return str(typer.prompt(visible(question), default=default or None, err=True))
    except typer.Abort:
        raise Refused("nothing was written") from None


def _agreed(question: str, default: bool) -> bool:
    try:
        return sys.stdin.isatty() and typer.confirm(visible(question), default=default, err=True)
    except typer.Abort:
        return False


def _matching(hosts: Sequence[str], count: int) -> Sequence[str]:
    if len(hosts) != count:
        said = f"--nodes {count}, and --ssh was given {counted(len(hosts), 'time')}"
        raise UsageError(said, "give --ssh once for each node")
    return hosts


def _place(host: str) -> str:
    """`address: ...` of a node, as the starter writes it."""
    from sparkctl.cli.discover import login_of

    login = login_of(host)
    user = f", user: {login.user}" if "user" not in login.unsaid else ""
    return f"address: {login.host}{user}" + (f", port: {login.port}" if login.port != 22 else "")


def _found(
    file: Path,
    hosts: Sequence[str],
    name: str,
    topology: str | None,
    model: str,
    ask_sudo: bool | None,
    expect: list[str],
) -> str:
    """What the nodes themselves say, once their host keys are pinned beside the file."""
    import asyncio

    from sparkctl.cli.discover import logins_of, tell
    from sparkctl.discovery.cabling import found
    from sparkctl.discovery.inventory_text import Access, draft
    from sparkctl.execute.listen import discover as listen
    from sparkctl.report.console import ConsoleObserver
    from sparkctl.study import controller_of

    pins = Path("known_hosts")
    asks = _agreed("Does sudo ask for a password on the nodes?", False) if ask_sudo is None else ask_sudo
    logins, _ = logins_of(hosts, file.parent / pins, None, asks)
    _pin(logins, expect)
    progress = console(stderr=True)
    seen = asyncio.run(listen(logins, ConsoleObserver(progress, verbose=False, quiet=False)))
    chosen = checked(topology, len(hosts)) if topology else None
    access = Access(str(pins), None, asks)
    made = draft(name, seen, found(seen), access, str(file), controller_of(file), chosen, model)
    tell(made, None, False)
    return made.text


def _pin(logins: Sequence[Login], expect: list[str]) -> None:
    import asyncio

    from sparkctl.cli.inventory import agreed, expected, show, silent
    from sparkctl.ssh.host_keys import look, pin, to_pin

    wanted, out = expected([login.node for login in logins], expect), console(stderr=True)
    standings = asyncio.run(look(logins))
    show(standings, out)
    silent(standings)
    chosen = to_pin(standings, wanted, ())
    if chosen:
        agreed(chosen, wanted, out, True)
        pin(chosen)


def _errors(text: str, file: Path) -> tuple[Finding, ...]:
    from sparkctl.study import controller_of, study_text

    return study_text(text.encode(), str(file), controller_of(file)).errors


def _written(ctx: typer.Context, file: Path, text: str, errors: Sequence[Finding], lab: bool) -> None:
    """The file, the key that its engine asks for, and what comes next."""
    from sparkctl.cli.discover import write
    from sparkctl.cli.model import verdict_of
    from sparkctl.cli.places import save, there
    from sparkctl.cli.typed import implied, remember

    out, wrote = console(stderr=True), [str(file)]
    write(file, text, force=False)
    key = file.parent / KEY
    if text.count(f"\n  api_key_file: {KEY}") and not there(key):
        save(key.parent, {key.name: f"{secrets.token_urlsafe(32)}\n"})
        wrote.append(f"{key} (0600)")
    say(out, f"wrote {listed(wrote)}", wrap=False)
    remember(ctx, file, implied(file))
    if errors:
        say(out, "settle the errors above; next:", " `sparkctl validate`")
        return
    said = verdict_of(file) if "\nengine:\n" in text else ""
    if said:
        say(out, said)
    say(out, "next:", " `sparkctl lab up`" if lab else " `sparkctl cluster up`")


def _go_on(wanted: bool | None, file: Path, lab: bool) -> None:
    """On to the next verb, where that is wished."""
    verb = ["lab", "up"] if lab else ["cluster", "up"]
    if _agreed(f"Go on with {' '.join(verb)}?", False) if wanted is None else wanted:
        from sparkctl.cli.main import app

        app([*verb, str(file)])
