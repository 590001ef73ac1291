"""The life of a lab: what it needs, up, down, and the faults that can be put into it while it runs."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from sparkctl.errors import Refused
from sparkctl.inventory.words import counted
from sparkctl.lab import limits
from sparkctl.lab.access import write_keys
from sparkctl.lab.backend import BACKENDS
from sparkctl.lab.build import Say, locked
from sparkctl.lab.container import cgroups
from sparkctl.lab.order import Order
from sparkctl.lab.spec import LabSpec
from sparkctl.lab.state import LabState, find, folder, labs, load, started


class LabFailed(Refused):
    """The lab did not come up; nothing of it is left but its logs."""


def up(spec: LabSpec, say: Say) -> tuple[LabState, bool]:
    """The running lab of `spec`, and whether it was booted just now."""
    home = folder(spec.cluster)
    with locked(labs() / f"{spec.cluster}.lock"):
        state = load(spec.cluster)
        if state is not None and state.alive and state.ready:
            _same(home, spec)
            return state, False
        backend = BACKENDS[spec.backend]
        backend.require(spec)
        _clear(home, state)
        limits.require(spec, backend.needs)
        return _boot(backend.order(spec, home, say), say), True


def _same(home: Path, spec: LabSpec) -> None:
    order = Order.model_validate_json((home / "order.json").read_bytes())
    runs, anew = f"the lab of cluster {spec.cluster} runs,", "`sparkctl lab down`, then"
    for option, what in (("backend", "its backend is"), ("renderer", "its nodes have")):
        has, wanted = getattr(order.spec, option), getattr(spec, option)
        if has != wanted:
            said = f"{runs} and {what} {has}, not {wanted}"
            raise Refused(said, f"{anew} `sparkctl lab up --{option} {wanted}`")
    if order.spec.model_copy(update={"inventory": spec.inventory}) != spec:
        said = f"{runs} and {spec.inventory} is not what it was started from"
        raise Refused(said, f"{anew} `sparkctl lab up`")


def _boot(order: Order, say: Say) -> LabState:
    spec, home = order.spec, Path(order.folder)
    home.mkdir(parents=True, mode=0o700)
    write_keys(home, spec, order.ports)
    (home / "order.json").write_text(order.model_dump_json(indent=2))
    say(f"booting {counted(len(spec.nodes), 'node')} ...")
    begun = time.monotonic()
    _supervise(home, spec)
    say(f"booted {counted(len(spec.nodes), 'node')}: {time.monotonic() - begun:.1f} s")
    return find(spec.cluster)


def _supervise(home: Path, spec: LabSpec) -> None:
    """Start the supervisor in a session of its own and wait for its word."""
    backend = BACKENDS[spec.backend]
    reader, writer = os.pipe()
    with os.fdopen(reader) as answers, (home / "supervisor.log").open("wb") as log:
        words = [sys.executable, "-m", backend.supervisor, str(home), str(writer)]
        subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(writer,), start_new_session=True
        )
        os.close(writer)
        try:
            readable, _, _ = select.select([answers], [], [], backend.boot_seconds)
        except KeyboardInterrupt:
            _stop(home)
            raise
        answer = json.loads(answers.readline() or "{}") if readable else {"error": "it took too long"}
    if "ready" not in answer:
        _stop(home)
        reason = answer.get("error", "its supervisor ended")
        raise LabFailed(f"the lab did not boot: {reason}", answer.get("remedy") or f"see {home}/supervisor.log")


def down(cluster: str) -> bool:
    """End the lab of `cluster` and remove all that is left of it; answers whether there was anything."""
    home = folder(cluster)
    with locked(labs() / f"{cluster}.lock"):
        there = home.exists()
        state = load(cluster) if there else None
        BACKENDS[state.backend if state else "container"].require_end()
        _clear(home, state)
        return there


def _clear(home: Path, state: LabState | None) -> None:
    if state is not None:
        _kill(state)
    if not all(backend.gone(home) for backend in BACKENDS.values()):
        raise Refused("programs of the lab still run", f"try again; see who holds {home}/alive with fuser")
    left = _sweep(home)
    if left:
        raise Refused(f"programs of the lab are still in {left[0]}", "try again; see who they are in its cgroup.procs")
    shutil.rmtree(home, ignore_errors=True)


def _stop(home: Path) -> None:
    state = load(home.name)
    if state is not None:
        _kill(state)
    _sweep(home)


def _sweep(home: Path) -> tuple[Path, ...]:
    """Remove the lab's cgroups, also those of a lab whose keeper was killed."""
    try:
        order = Order.model_validate_json((home / "order.json").read_bytes())
    except (OSError, ValueError):
        return ()
    return cgroups.remove(map(Path, order.cgroups))


def _kill(state: LabState, seconds: float = 20.0) -> None:
    """Kill the supervisor, and with it everything, and wait until all of it is gone."""
    try:
        descriptor = os.pidfd_open(state.supervisor.pid)
    except ProcessLookupError:
        return
    try:
        # Only now is it certain that the pid is not another program's: the descriptor holds on to this one.
        if started(state.supervisor.pid) == state.supervisor.started:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            select.select([descriptor], [], [], seconds)
    finally:
        os.close(descriptor)


def fault(state: LabState, verb: str, subject: str) -> None:
    """Ask the running lab for a fault of a cable, a port or a node: cut, mend; swap, mtu; kill, boot, isolate, join."""
    backend = BACKENDS[state.backend]
    backend.enter(state)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
        control.settimeout(backend.fault_seconds)
        try:
            backend.connect(control, folder(state.cluster))
            control.sendall(f"{verb} {subject}\n".encode())
            problem = control.recv(65536).decode().strip()
        except OSError as error:
            raise Refused(f"the lab does not answer: {error}", "`sparkctl lab down`, then `sparkctl lab up`") from None
    if problem:
        raise Refused(f"{verb} {subject}: {problem}", "`sparkctl lab list`")
