"""One virtual node while it runs: its QEMU, the wires that go into it, and what it says of its boot."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path

from sparkctl.lab.namespaces import die_with_parent
from sparkctl.lab.order import LOOPBACK, Accelerator
from sparkctl.lab.spec import LabSpec, NodeFailed, NodeSpec, address_of
from sparkctl.lab.vm.image import INITRD, KERNEL

QEMU = "qemu-system-x86_64"
# The wire to the management network, and the way in from this machine: two ends of one hub, as seen by QEMU.
MANAGEMENT, WAY_IN = "mgmt", "way-in"
# A node at rest uses 150 MB; an RDMA test with buffers of 8 MiB on both rails, 250 MB.
_MEGABYTES = 768
# Of translated code, in megabytes; without a bound QEMU takes up to 1 GiB more of them (seen).
_TRANSLATED = 256
_QMP_SECONDS = 30.0
# A node reaches nothing of the outside.
_ALONE = "restrict=on,ipv6=off"
# Frames that wait in a wire; the kernel's default has room for a dozen jumbo frames.
_WIRE_BYTES = 4 << 20
KINDS = ("qcow2", "tar", "log", "ready")
"""Of a node: what it wrote above the image's disk, what makes the image this node, its console, its first word."""
_KERNEL_WORDS = "console=ttyS0 net.ifnames=1 mitigations=off quiet"


@dataclass(frozen=True)
class Parts:
    """What a node is made of: the lab, the image, how QEMU computes, and the port of this machine that leads in."""

    spec: LabSpec
    image: Path
    folder: Path
    accelerator: Accelerator
    port: int

    def file(self, node: NodeSpec, kind: str) -> Path:
        """One of KINDS."""
        return self.folder / f"{node.name}.{kind}"


def words(node: NodeSpec, parts: Parts, wires: dict[str, int], control: int) -> list[str]:
    """QEMU for `node`; `wires` are its netdevs and the descriptors of their wires."""
    disk, identity, console, word = (parts.file(node, kind) for kind in KINDS)
    line = [QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-name", node.name]
    kvm = parts.accelerator == "kvm"
    line += ["-machine", "pc", "-accel", "kvm" if kvm else f"tcg,thread=multi,tb-size={_TRANSLATED}"]
    line += ["-cpu", "host" if kvm else "max"]
    line += ["-smp", "1", "-m", str(_MEGABYTES), "-action", "reboot=shutdown"]
    line += ["-kernel", str(parts.image / KERNEL), "-initrd", str(parts.image / INITRD), "-append", _KERNEL_WORDS]
    line += ["-drive", f"file={_quoted(disk)},if=virtio,format=qcow2"]
    line += ["-drive", f"file={_quoted(identity)},if=virtio,format=raw,readonly=on"]
    line += ["-chardev", f"file,id=console,path={_quoted(console)},append=on", "-serial", "chardev:console"]
    line += ["-serial", f"file:{word}", "-device", "virtio-rng-pci"]
    line += ["-chardev", f"socket,id=qmp,fd={control}", "-mon", "chardev=qmp,mode=control"]
    for netdev, descriptor in wires.items():
        line += _nic(node, parts, netdev, descriptor)
    return line


def _quoted(path: Path) -> str:
    return str(path).replace(",", ",,")


def _nic(node: NodeSpec, parts: Parts, netdev: str, descriptor: int) -> list[str]:
    mac = address_of(parts.spec.cluster, node.name, netdev)
    wire = ["-netdev", f"socket,id={netdev},fd={descriptor}"]
    if netdev != node.netdev:
        return [*wire, "-device", f"virtio-net-pci,netdev={netdev},mac={mac},romfile="]
    network = IPv4Network(parts.spec.network)
    way_in = f"hostfwd=tcp:{LOOPBACK}:{parts.port}-{node.address}:22"
    wire = ["-netdev", f"socket,id={MANAGEMENT},fd={descriptor}"]
    wire += ["-netdev", f"user,id={WAY_IN},{_ALONE},net={network},host={network[1]},dns={network[2]},{way_in}"]
    for end in (MANAGEMENT, WAY_IN):
        wire += ["-netdev", f"hubport,id=hub-{end},hubid=0,netdev={end}"]
    return [*wire, "-netdev", "hubport,id=hub,hubid=0", "-device", f"virtio-net-pci,netdev=hub,mac={mac},romfile="]


@dataclass
class Running:
    """A node's QEMU; `ends` are our ends of its wires, by netdev."""

    node: NodeSpec
    parts: Parts
    program: subprocess.Popen[bytes]
    ends: dict[str, socket.socket]
    control: socket.socket
    events: list[dict[str, object]] = field(default_factory=list)
    _unread: bytes = b""

    def ask(self, command: str, **arguments: object) -> None:
        """One QMP command; NodeFailed when QEMU refuses it or says nothing."""
        try:
            self.control.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
            while True:
                answer = self._line()
                if "return" in answer:
                    return
                if "error" in answer:
                    raise NodeFailed(f"{self.node.name}: {command}: {answer['error']}")
                self.events.append(answer)
        except OSError as error:
            raise NodeFailed(f"{self.node.name}: QEMU does not answer: {error}") from None

    def _line(self) -> dict[str, object]:
        while b"\n" not in self._unread:
            more = self.control.recv(65536)
            if not more:
                raise ConnectionResetError("it ended")
            self._unread += more
        line, _, self._unread = self._unread.partition(b"\n")
        answer = json.loads(line)
        return answer if isinstance(answer, dict) else {}

    def rebooted(self) -> bool:
        """Whether the node asked to be booted again; call it when QEMU has ended."""
        try:
            while True:
                self.events.append(self._line())
        except (OSError, ValueError):
            shutdowns = [event.get("data") for event in self.events if event.get("event") == "SHUTDOWN"]
            return any(isinstance(told, dict) and told.get("reason") == "guest-reset" for told in shutdowns)

    def booted(self) -> str | None:
        """What systemd said of the boot: running, or another word with the failed units; None while it has not."""
        try:
            said = self.parts.file(self.node, "ready").read_text(errors="replace").split("\n")
        except OSError:
            return None
        lines = [line.strip() for line in said]
        return " ".join(lines[: lines.index(".")]).strip() if "." in lines else None

    def close(self) -> None:
        """Let go of all that led into it."""
        for end in (*self.ends.values(), self.control):
            end.close()


def start(node: NodeSpec, parts: Parts, lock: int) -> Running:
    """Power for `node`: its QEMU ends with this program, and holds `lock` until then."""
    parts.file(node, "ready").unlink(missing_ok=True)
    netdevs = [node.netdev, *(wire.netdev for wire in parts.spec.of(node.name))]
    pairs = {netdev: _wire() for netdev in netdevs}
    ours, theirs = socket.socketpair()
    inside = {netdev: pair[1].fileno() for netdev, pair in pairs.items()}
    line = words(node, parts, inside, theirs.fileno())
    try:
        program = _program(line, parts.file(node, "log"), (*inside.values(), theirs.fileno(), lock))
    finally:
        for their in (theirs, *(pair[1] for pair in pairs.values())):
            their.close()
    ours.settimeout(_QMP_SECONDS)
    running = Running(node, parts, program, {netdev: pair[0] for netdev, pair in pairs.items()}, ours)
    running.ask("qmp_capabilities")
    return running


def _wire() -> tuple[socket.socket, socket.socket]:
    """Both ends of a wire: one datagram is one frame, and nothing is lost between them."""
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    for end in pair:
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _WIRE_BYTES)
    return pair


def _program(line: Sequence[str], out: Path, keep: tuple[int, ...]) -> subprocess.Popen[bytes]:
    with out.open("ab") as told:
        return subprocess.Popen(
            line,
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=told,
            pass_fds=keep,
            preexec_fn=die_with_parent,
            env={"PATH": os.environ["PATH"]},
        )
