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
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from sparkctl.errors import Refused
from sparkctl.lab import engine, image, limits
from sparkctl.lab.access import write_keys
from sparkctl.lab.build import Say, locked, timed
from sparkctl.lab.container import cgroups, networkmanager
from sparkctl.lab.container.supervisor import CONTROL
from sparkctl.lab.enter import enter
from sparkctl.lab.order import Order
from sparkctl.lab.spec import LabSpec
from sparkctl.lab.state import LabState, find, folder, group, labs, load, started
from sparkctl.lab.vm import life as vm

# A supervisor gives up before its patience ends; a virtual node takes 25 s of a core to boot without KVM.
_BOOT_SECONDS = {"container": 150.0, "vm": 900.0}
_FAULT_SECONDS = {"container": 90.0, "vm": 240.0}
_SUPERVISORS = {"container": "sparkctl.lab.container.supervisor", "vm": "sparkctl.lab.vm.supervisor"}
_SYS_RESOURCE = 24  # linux/capability.h
# Program -> the Debian package that has it.
_NEEDED = {
    "chroot": "coreutils",
    "debootstrap": "debootstrap",
    "ip": "iproute2",
    "mount": "mount",
    "nsenter": "util-linux",
    "ssh": "openssh-client",
    "systemd-nspawn": "systemd-container",
    "unshare": "util-linux",
}


class LabFailed(Refused):
    """The lab did not come up; nothing of it is left but its logs."""


def require() -> None:
    """Refused when this machine cannot run a lab of containers, with what to do about it."""
    if sys.platform != "linux":
        raise Refused("the lab needs Linux: its nodes are namespaces", "run it on a Linux machine or in a Linux VM")
    if os.geteuid() != 0:
        raise Refused("the lab needs root: it makes namespaces, mounts and netdevs of its own", "run it with sudo")
    missing = sorted({package for program, package in _NEEDED.items() if shutil.which(program) is None})
    if missing:
        raise Refused(f"the lab needs the packages {', '.join(missing)}", f"apt-get install {' '.join(missing)}")


def up(spec: LabSpec, say: Say) -> tuple[LabState, bool]:
    """The running lab of `spec`, and whether it was booted just now."""
    home = folder(spec.cluster)
    with locked(labs() / f"{spec.cluster}.lock"):
        state = load(spec.cluster)
        if state is not None and state.alive and state.ready:
            _same(home, spec)
            return state, False
        vm.require(spec) if spec.backend == "vm" else require()
        _clear(home, state)
        limits.require(spec)
        return _boot(vm.order(spec, home, say) if spec.backend == "vm" else _order(spec, home, say), say), True


def _same(home: Path, spec: LabSpec) -> None:
    order = Order.model_validate_json((home / "order.json").read_bytes())
    if order.spec.backend != spec.backend:
        raise Refused(
            f"the lab of cluster {spec.cluster} runs, and its backend is {order.spec.backend}, not {spec.backend}",
            f"sparkctl lab down {spec.inventory}, then sparkctl lab up {spec.inventory} --backend {spec.backend}",
        )
    if order.spec.renderer != spec.renderer:
        raise Refused(
            f"the lab of cluster {spec.cluster} runs, and its nodes have {order.spec.renderer}, not {spec.renderer}",
            f"sparkctl lab down {spec.inventory}, then sparkctl lab up {spec.inventory} --renderer {spec.renderer}",
        )
    if order.spec.model_copy(update={"inventory": spec.inventory}) != spec:
        raise Refused(
            f"the lab of cluster {spec.cluster} runs, but {order.spec.inventory} was not as {spec.inventory} is now",
            f"sparkctl lab down {spec.inventory}, then sparkctl lab up {spec.inventory}",
        )


def _parts(spec: LabSpec, say: Say) -> tuple[Path, Path | None]:
    """The image and, for an inventory with an engine, the engine: built at the same time where they are missing."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        root = pool.submit(timed, "image of the nodes (debootstrap)", image.ready(), image.image, say)
        if not spec.engine:
            return root.result(), None
        stage = "engine (vLLM for the CPU, about 2 GB)"
        built = pool.submit(timed, stage, engine.ready(), lambda: engine.engine(root.result), say)
        return _both(root, built)


def _layers(spec: LabSpec, root: Path, say: Say) -> tuple[Path, ...]:
    if spec.renderer == "networkd":
        return ()
    stage = "layer of the image with NetworkManager"
    return (timed(stage, networkmanager.ready(), lambda: networkmanager.desktop(root), say),)


def _both(root: Future[Path], built: Future[Path]) -> tuple[Path, Path]:
    return root.result(), built.result()


def _order(spec: LabSpec, home: Path, say: Say) -> Order:
    """Everything that the supervisor of containers needs to know; what it needs is built where it is missing."""
    root, built = _parts(spec, say)
    layers = _layers(spec, root, say)
    return Order(
        spec=spec,
        folder=str(home),
        image=str(root),
        layers=tuple(map(str, layers)),
        engine=str(built) if built else None,
        cgroups=tuple(map(str, cgroups.homes(group(home)))),
        limited=not may_raise_limits(Path("/proc/self/status").read_text()),
    )


def _boot(order: Order, say: Say) -> LabState:
    spec, home = order.spec, Path(order.folder)
    home.mkdir(parents=True, mode=0o700)
    write_keys(home, spec, order.ports)
    (home / "order.json").write_text(order.model_dump_json(indent=2))
    say(f"booting {len(spec.nodes)} nodes ...")
    begun = time.monotonic()
    _supervise(home, spec)
    say(f"booted {len(spec.nodes)} nodes: {time.monotonic() - begun:.1f} s")
    return find(spec.cluster)


def may_raise_limits(status: str) -> bool:
    """Whether a program with this /proc/PID/status has CAP_SYS_RESOURCE; some containers and sandboxes take it away."""
    effective = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective.split()[1], 16) >> _SYS_RESOURCE & 1)


def _supervise(home: Path, spec: LabSpec) -> None:
    """Start the supervisor in a session of its own and wait for its word."""
    reader, writer = os.pipe()
    with os.fdopen(reader) as answers, (home / "supervisor.log").open("wb") as log:
        words = [sys.executable, "-m", _SUPERVISORS[spec.backend], str(home), str(writer)]
        subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(writer,), start_new_session=True
        )
        os.close(writer)
        try:
            readable, _, _ = select.select([answers], [], [], _BOOT_SECONDS[spec.backend])
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
        if state is None or state.backend == "container":
            require()
        _clear(home, state)
        return there


def _clear(home: Path, state: LabState | None) -> None:
    if state is not None:
        _kill(state)
    if not vm.gone(home):
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
    enter(state)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
        control.settimeout(_FAULT_SECONDS[state.backend])
        try:
            vm.connect(control, folder(state.cluster)) if state.backend == "vm" else control.connect(CONTROL)
            control.sendall(f"{verb} {subject}\n".encode())
            problem = control.recv(65536).decode().strip()
        except OSError as error:
            raise Refused(f"the lab does not answer: {error}", "sparkctl lab down INVENTORY, then up again") from None
    if problem:
        raise Refused(f"{verb} {subject}: {problem}", "sparkctl lab list")
