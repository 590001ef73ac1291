"""The one program that a lab is: everything else lives in its namespaces, and ends with it.

`python -m sparkctl.lab.container.supervisor STATE_FOLDER PIPE` forks once. The parent, the keeper, stays outside and
removes the cgroups afterwards; the child is the first program of new pid, mount, IPC and network namespaces. Kill it,
and the kernel kills all programs of the lab, and with the last of them go its mounts, netdevs and bridges. Kill the
keeper, and the kernel kills the child.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from sparkctl.engines.base import LAB_FOLDER
from sparkctl.errors import Refused, SparkctlError
from sparkctl.lab.container import cgroups, network
from sparkctl.lab.container.machine import Machine, init_of, run
from sparkctl.lab.control import answer, reported
from sparkctl.lab.faults import carry_out
from sparkctl.lab.furnish import Keys, furnish
from sparkctl.lab.namespaces import NEW_IPC, NEW_MOUNTS, NEW_NETWORK, NEW_PIDS, die_with_parent, unshare
from sparkctl.lab.order import Order
from sparkctl.lab.spec import LabSpec, NodeSpec
from sparkctl.lab.state import Supervisor, save, started

# An abstract name: it lives in the lab's network namespace, so only root can reach it, and it leaves no file.
CONTROL = "\0sparkctl-lab"
_BASE = Path("/run/sparkctl-lab")
# systemd-nspawn ends with this status when its node asked to be booted again. Source: systemd-nspawn(1).
_REBOOT = 133
_REAP_AT_ONCE = 1000


class NetworkFailed(Refused):
    """The kernel did not accept a part of the lab's network."""


@dataclass
class ContainerLab:
    """The running lab: its nodes by name, who runs, which cables are cut, and which nodes nobody can reach."""

    spec: LabSpec
    keys: Keys
    order: Order
    folder: Path
    running: dict[str, int] = field(default_factory=dict)
    cut: set[int] = field(default_factory=set)
    isolated: set[str] = field(default_factory=set)

    def machine(self, node: NodeSpec) -> Machine:
        """Where `node` lives."""
        return Machine(node, _BASE / network.netns(node), self.folder / f"{node.name}.log")

    def prepare(self, node: NodeSpec) -> None:
        """A fresh root folder for `node`."""
        machine = self.machine(node)
        machine.lay((*self.order.layers, self.order.image))
        furnish(machine.root, self.spec, node, self.keys)

    def start(self, node: NodeSpec) -> float:
        """Boot `node`; seconds until it ran."""
        engine = (self.order.engine, LAB_FOLDER) if self.order.engine else None
        homes = [cgroups.make(Path(home), network.netns(node)) for home in self.order.cgroups]
        pid = self.machine(node).start(engine, homes)
        self.running[node.name] = pid
        return self.machine(node).wait(pid)

    def plug(self, node: NodeSpec) -> None:
        """The netdevs of `node`; where its management wire was dark, it still is."""
        _ip(network.plug(self.spec, node))
        if node.name in self.isolated:
            _ip(network.reach(node, False))

    def light(self) -> None:
        """As RunningLab.light."""
        _ip(network.light(self.spec, self.running.keys(), self.cut))

    def replug(self) -> None:
        """As RunningLab.replug."""
        _ip(network.replug(self.spec, self.running.keys()))
        self.light()

    def reach(self, node: NodeSpec, on: bool) -> None:
        """As RunningLab.reach."""
        _ip(network.reach(node, on))

    def kill(self, node: NodeSpec) -> None:
        """As RunningLab.kill."""
        pid = self.running[node.name]
        os.kill(init_of(pid) or pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self.forget(node)

    def boot(self, node: NodeSpec) -> None:
        """As RunningLab.boot; a node that booted badly is plugged in all the same."""
        self.plug(node)
        try:
            self.start(node)
        finally:
            self.light()

    def forget(self, node: NodeSpec) -> None:
        """Take the wires of a node that has ended."""
        del self.running[node.name]
        _ip(network.unplug(self.spec, node))
        self.light()


def main() -> int:
    """Fork: the keeper waits and clears away, its child is the lab."""
    folder, pipe = Path(sys.argv[1]), int(sys.argv[2])
    order = Order.model_validate_json((folder / "order.json").read_bytes())
    unshare(NEW_PIDS | NEW_MOUNTS | NEW_NETWORK | NEW_IPC)
    child = os.fork()
    if child == 0:
        die_with_parent()
        os._exit(_supervise(order, folder, pipe))
    os.close(pipe)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: os.kill(child, signal.SIGKILL))
    os.waitpid(child, 0)
    left = cgroups.remove(Path(home) for home in order.cgroups)
    return len(left)


def _supervise(order: Order, folder: Path, pipe: int) -> int:
    """Boot all nodes, say so, and then obey until the end. The pipe ends with this program: nobody waits in vain."""
    # /proc is still the one of the outside, so this is the pid that they know.
    host_pid = int(Path("/proc/self").readlink().name)
    os.set_inheritable(pipe, False)
    lab = reported(pipe, lambda: _boot(order, folder, host_pid))
    return 1 if lab is None else _obey(lab)


def _boot(order: Order, folder: Path, host_pid: int) -> ContainerLab:
    state = order.state(Supervisor(pid=host_pid, started=started(host_pid) or 0))
    save(state)
    _own_mounts()
    for home in order.cgroups:
        cgroups.make(Path(home), "supervisor").write_text("0")
    lab = ContainerLab(order.spec, Keys.read(folder, order.spec), order, folder)
    _quiet()
    _ip(network.frame(order.spec) + [line for node in order.spec.nodes for line in network.plug(order.spec, node)])
    _ip(network.light(order.spec, [node.name for node in order.spec.nodes], ()))
    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(lab.prepare, order.spec.nodes))
        seconds = list(pool.map(lab.start, order.spec.nodes))
    save(state.booted(seconds))
    return lab


def _own_mounts() -> None:
    """Nothing that is mounted from here on is seen outside, and /run is empty."""
    run("mount", "--make-rprivate", "/")
    run("mount", "-t", "proc", "-o", "nosuid,nodev,noexec", "proc", "/proc")
    run("mount", "-t", "tmpfs", "-o", "mode=0755,size=64M", "tmpfs", "/run")
    _BASE.mkdir()


def _quiet() -> None:
    """The lab's own side of the wires speaks no IPv6."""
    for scope in ("all", "default"):
        path = Path(f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6")
        if path.exists():
            path.write_text("1")


def _obey(lab: ContainerLab) -> int:
    """Boot nodes that ask for it, notice those that died, and carry out what is asked on the control socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
        control.bind(CONTROL)
        control.listen()
        control.settimeout(0.2)
        while True:
            _reap(lab)
            try:
                connection, _ = control.accept()
            except TimeoutError:
                continue
            with connection:
                answer(connection, partial(carry_out, lab))


def _reap(lab: ContainerLab) -> None:
    """Collect everything that ended: this is the first program of its pid namespace."""
    for _ in range(_REAP_AT_ONCE):
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        name = next((name for name, running in lab.running.items() if running == pid), None)
        if name is not None:
            _ended(lab, lab.spec.node(name), os.waitstatus_to_exitcode(status))
        if pid == 0:
            return


def _ended(lab: ContainerLab, node: NodeSpec, status: int) -> None:
    """A node that was rebooted comes again, as it was on disk; any other stays dark until somebody boots it."""
    lab.forget(node)
    if status == _REBOOT:
        lab.plug(node)
        try:
            lab.start(node)
        except SparkctlError as error:
            print(f"{node.name}: {error}", file=sys.stderr, flush=True)  # noqa: T201  (this is the log)
        lab.light()


def _ip(lines: Sequence[str]) -> None:
    text = "\n".join(lines) + "\n"
    batch = subprocess.run(["ip", "-batch", "-"], input=text, capture_output=True, text=True, check=False)
    if batch.returncode != 0:
        reason, _, place = batch.stderr.strip().rpartition("\nCommand failed -:")
        failed = lines[int(place) - 1] if place.isdigit() else "-batch"
        raise NetworkFailed(f"ip {failed}: {reason or place}")


if __name__ == "__main__":
    sys.exit(main())
