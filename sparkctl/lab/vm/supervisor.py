"""The one program that a lab of virtual nodes is: it boots them, carries their frames, and obeys; no root.

`python -m sparkctl.lab.vm.supervisor STATE_FOLDER PIPE`. All QEMUs are its children and the kernel kills them when it
ends, however that ends. They and it hold the lock on `alive` in the folder: who gets it knows that all are gone.
"""

from __future__ import annotations

import fcntl
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from sparkctl.errors import SparkctlError
from sparkctl.lab.control import answer, reason, reported
from sparkctl.lab.faults import carry_out
from sparkctl.lab.furnish import Keys
from sparkctl.lab.order import Order
from sparkctl.lab.spec import MANAGEMENT_BRIDGE, NodeFailed, NodeSpec
from sparkctl.lab.state import Supervisor, save, started
from sparkctl.lab.vm import furnish
from sparkctl.lab.vm.image import DISK
from sparkctl.lab.vm.machine import MANAGEMENT, WAY_IN, Parts, Running, start
from sparkctl.lab.vm.switchboard import Socket, Switchboard

CONTROL = "control"
ALIVE = "alive"
_MANAGEMENT_MTU = 1500
_REAP_EVERY = 0.2  # seconds
# A node takes 15 to 25 s of a core to boot when the processor is emulated; several share the cores.
_BOOT_SECONDS, _EACH = 120.0, 40.0


class VmLab:
    """The running lab: `running` nodes by name, which cables are `cut`, and which nodes nobody can reach."""

    def __init__(self, order: Order, lock: int) -> None:
        self.order, self.spec, self.lock = order, order.spec, lock
        self.folder = Path(order.folder)
        self.running: dict[str, Running] = {}
        self.cut: set[int] = set()
        self.isolated: set[str] = set()
        self.board = Switchboard()
        self.selector = selectors.DefaultSelector()
        self._reaped = 0.0
        self.board.bridge(MANAGEMENT_BRIDGE, is_cable=False)
        for bridge in self.spec.bridges:
            self.board.bridge(bridge.name, is_cable=bridge.lldp)

    def parts(self, node: NodeSpec) -> Parts:
        """What `node` is made of."""
        port = self.order.ports[node.index]
        return Parts(self.spec, Path(self.order.image), self.folder, self.order.accelerator, port)

    def start(self, node: NodeSpec) -> Running:
        """Power for `node`; it has not booted yet."""
        running = start(node, self.parts(node), self.lock)
        self.running[node.name] = running
        self._plug(running)
        if node.name in self.isolated:
            self.reach(node, False)
        self.light()
        return running

    def _plug(self, running: Running) -> None:
        node = running.node
        bridges = {wire.netdev: (wire.outer, wire.outer_mtu, wire.bridge) for wire in self.spec.of(node.name)}
        bridges[node.netdev] = (f"m{node.index}", _MANAGEMENT_MTU, MANAGEMENT_BRIDGE)
        for netdev, wire in running.ends.items():
            name, mtu, bridge = bridges[netdev]
            end = self.board.plug(Socket(name, mtu, wire), bridge)
            self.selector.register(wire, selectors.EVENT_READ, partial(self._frames, end))

    def replug(self) -> None:
        """Every plug into the port that it belongs in, every port to the MTU that it carries."""
        for trunk in self.spec.trunks:
            self.board.trunk(trunk.ends, trunk.bridges, trunk.mtus)
        for wire in self.spec.wires:
            end = self.board.ends.get(wire.outer)
            if end is not None:
                end.mtu = wire.outer_mtu
                self.board.plug(end, wire.bridge)
        self.light()

    def light(self) -> None:
        """Set the carrier of every cable, as a node sees it: none when it is cut or its other end has no power."""
        for wire in self.spec.wires:
            running = self.running.get(wire.node)
            if running is not None:
                there = self.spec.other(wire)
                self._set_link(running, wire.netdev, wire.cable not in self.cut and there in {None, *self.running})
        for trunk in self.spec.trunks:
            for end in trunk.ends:
                self.board.ends[end].lit = trunk.cable not in self.cut

    def reach(self, node: NodeSpec, on: bool) -> None:
        """As RunningLab.reach; the way in, too."""
        for end in (MANAGEMENT, WAY_IN):
            self._set_link(self.running[node.name], end, on)

    def kill(self, node: NodeSpec) -> None:
        """As RunningLab.kill: what it had not written is lost."""
        running = self.running[node.name]
        running.program.kill()
        running.program.wait()
        self.forget(running)

    def boot(self, node: NodeSpec) -> None:
        """As RunningLab.boot."""
        boot(self, (node,))

    def _set_link(self, running: Running, name: str, on: bool) -> None:
        """Give a netdev carrier, or take it; on the ends of the hub: let frames through, or not.

        A node that has just ended has no links; the next look at the programs finds that out.
        """
        try:
            running.ask("set_link", name=name, up=on)
        except NodeFailed:
            if running.program.poll() is None:
                raise

    def forget(self, running: Running) -> None:
        """Take the wires of a node whose QEMU has ended."""
        for wire in running.ends.values():
            self.selector.unregister(wire)
        for name in (f"m{running.node.index}", *(wire.outer for wire in self.spec.of(running.node.name))):
            self.board.unplug(name)
        running.close()
        del self.running[running.node.name]
        self.light()

    def serve(self, enough: Callable[[], bool], seconds: float | None = None) -> bool:
        """Carry frames, obey, and boot nodes that ask for it, until `enough`; False when `seconds` passed first."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while not enough():
            if deadline is not None and time.monotonic() > deadline:
                return False
            for key, ready in self.selector.select(_REAP_EVERY):
                key.data(ready)
            self._reap()
        return True

    def _frames(self, end: Socket, ready: int) -> None:
        if self.board.ends.get(end.name) is not end:  # unplugged while this was on its way
            return
        if ready & selectors.EVENT_WRITE and self.board.drain(end) and end.wire is not None:
            self.selector.modify(end.wire, selectors.EVENT_READ, partial(self._frames, end))
        if ready & selectors.EVENT_READ:
            for late in self.board.pump(end):
                both = selectors.EVENT_READ | selectors.EVENT_WRITE
                self.selector.modify(late.wire or -1, both, partial(self._frames, late))

    def _reap(self) -> None:
        """Notice the nodes that ended; one that was rebooted comes again, any other stays dark until it is booted."""
        now = time.monotonic()
        if now < self._reaped + _REAP_EVERY:
            return
        self._reaped = now
        for running in list(self.running.values()):
            if running.program.poll() is not None:
                again = running.rebooted()
                self.forget(running)
                if again:
                    self._start_again(running.node)

    def _start_again(self, node: NodeSpec) -> None:
        try:
            self.start(node)
        except (SparkctlError, OSError) as error:
            print(f"{node.name}: {reason(error)}", file=sys.stderr, flush=True)  # noqa: T201  (this is the log)


def boot(lab: VmLab, nodes: tuple[NodeSpec, ...]) -> list[float]:
    """Power for all of them; the seconds that each took. NodeFailed when one did not boot, or not well."""
    begun = time.monotonic()
    seconds: dict[str, float] = {}
    for node in nodes:
        lab.start(node)

    def all_booted() -> bool:
        for node in nodes:
            running, console = lab.running.get(node.name), lab.parts(node).file(node, "log")
            if running is None:
                raise NodeFailed(f"{node.name} ended: {_last_line(console)}", f"see {console}")
            said = running.booted()
            if said not in (None, "running"):
                raise NodeFailed(f"{node.name} booted badly: {said}", f"see {console}")
            if said:
                seconds.setdefault(node.name, time.monotonic() - begun)
        return len(seconds) == len(nodes)

    if not lab.serve(all_booted, _BOOT_SECONDS + _EACH * len(nodes)):
        slow = ", ".join(node.name for node in nodes if node.name not in seconds)
        raise NodeFailed(f"{slow} did not boot in {time.monotonic() - begun:.0f} s", f"see the logs in {lab.folder}")
    return [seconds[node.name] for node in nodes]


def _last_line(console: Path) -> str:
    lines = console.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "QEMU said nothing"


def main() -> int:
    """Boot all nodes, say so, and then obey until the end. The pipe ends with this program: nobody waits in vain."""
    folder, pipe = Path(sys.argv[1]), int(sys.argv[2])
    os.set_inheritable(pipe, False)
    os.chdir(folder)
    lock = os.open(ALIVE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    order = Order.model_validate_json(Path("order.json").read_bytes())
    lab = reported(pipe, lambda: _booted(order, lock))
    if lab is not None:
        _obey(lab)
    return int(lab is None)


def _booted(order: Order, lock: int) -> VmLab:
    state = order.state(Supervisor(pid=os.getpid(), started=started(os.getpid()) or 0))
    save(state)
    lab = VmLab(order, lock)
    keys = Keys.read(lab.folder, order.spec)
    for node in order.spec.nodes:
        parts = lab.parts(node)
        parts.file(node, "tar").write_bytes(furnish.archive(furnish.files(order.spec, node, keys)))
        parts.file(node, "tar").chmod(0o600)
        disk = ["-F", "raw", "-b", f"{order.image}/{DISK}", str(parts.file(node, "qcow2"))]
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *disk], check=True, capture_output=True, text=True)
    lab.replug()
    seconds = boot(lab, order.spec.nodes)
    save(state.booted(seconds))
    return lab


def _obey(lab: VmLab) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
        control.bind(CONTROL)
        control.listen()
        lab.selector.register(control, selectors.EVENT_READ, lambda _: _answer(lab, control))
        lab.serve(lambda: False)


def _answer(lab: VmLab, control: socket.socket) -> None:
    connection, _ = control.accept()
    with connection:
        answer(connection, partial(carry_out, lab))


if __name__ == "__main__":
    sys.exit(main())
