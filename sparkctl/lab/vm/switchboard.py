"""The wires between virtual nodes: frames that come out of one go into the others on its bridge. No netdevs."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

# Ethernet's header, and what a VLAN tag adds to it.
_HEADER, _TAG, _TAGGED = 14, 4, b"\x81\x00"
# What no switch hands on, LLDP among it. Source: IEEE 802.1Q, 8.6.3: 01-80-C2-00-00-00 to -0F.
_LINK_LOCAL = bytes.fromhex("0180c20000")
# The gateway that QEMU plays has an address of its own making: each node has its own, and no other is to see it.
# Source: slirp, special_ethaddr: 52:55 and the address of the gateway.
_GATEWAY = b"\x52\x55"
_LARGEST = 65536
_BURST = 64
# Frames kept for an end that reads slowly: a switch's buffer of some megabytes.
_KEPT = 1024
# Switches in a row; two cables between the same two switches are a loop, and nothing goes round for ever.
_HOPS = 4


@dataclass(eq=False)
class Socket:
    """One end on a bridge: a node's wire, or, without a socket, an end of a cable between switches."""

    name: str
    mtu: int
    wire: socket.socket | None = None
    beyond: Socket | None = None
    lit: bool = True
    bridge: Forwarder | None = None
    waiting: deque[bytes] = field(default_factory=deque)

    def takes(self, size: int, tagged: bool) -> bool:
        """Whether a frame of `size` bytes fits."""
        return size <= self.mtu + _HEADER + (_TAG if tagged else 0)


@dataclass(eq=False)
class Forwarder:
    """A cable, or one rail of a switch, or the management network; `known` is where senders were last seen."""

    name: str
    is_cable: bool
    ends: list[Socket] = field(default_factory=list)
    known: dict[bytes, Socket] = field(default_factory=dict)

    def targets(self, origin: Socket, frame: memoryview) -> list[Socket]:
        """The ends that a frame goes to, as a cable or a learning switch sends it."""
        if self.is_cable:
            return [end for end in self.ends if end is not origin]
        to, sender = bytes(frame[:6]), bytes(frame[6:12])
        if (to[:5] == _LINK_LOCAL and to[5] < 16) or sender[:2] == _GATEWAY:
            return []
        self.known[sender] = origin
        only = self.known.get(to)
        if only is not None and not to[0] & 1:
            return [] if only is origin else [only]
        return [end for end in self.ends if end is not origin]


class Switchboard:
    """All bridges of a lab."""

    def __init__(self) -> None:
        self.bridges: dict[str, Forwarder] = {}
        self.ends: dict[str, Socket] = {}
        self._buffer = memoryview(bytearray(_LARGEST))

    def bridge(self, name: str, is_cable: bool) -> None:
        """One more bridge."""
        self.bridges[name] = Forwarder(name, is_cable)

    def plug(self, end: Socket, bridge: str) -> Socket:
        """Put an end on a bridge: a new one, or one that was on another."""
        self.unplug(end.name)
        end.bridge = self.bridges[bridge]
        end.bridge.ends.append(end)
        self.ends[end.name] = end
        return end

    def trunk(self, names: tuple[str, str], bridges: tuple[str, str], mtus: tuple[int, int]) -> None:
        """A cable between two switches."""
        one, two = (Socket(name, mtu) for name, mtu in zip(names, mtus, strict=True))
        one.beyond, two.beyond = two, one
        for end, bridge in zip((one, two), bridges, strict=True):
            self.plug(end, bridge)

    def unplug(self, name: str) -> None:
        """Take an end off its bridge, which forgets what it saw: the senders may come back elsewhere."""
        end = self.ends.pop(name, None)
        if end is not None and end.bridge is not None:
            end.bridge.ends.remove(end)
            end.waiting.clear()
            for bridge in self.bridges.values():
                bridge.known.clear()

    def pump(self, end: Socket) -> Iterator[Socket]:
        """Carry what has arrived at `end`; the ends that cannot take all of it now: call `drain` when they can."""
        for _ in range(_BURST):
            try:
                size = end.wire.recv_into(self._buffer) if end.wire else 0
            except OSError:  # nothing more, or its node has just ended
                return
            if size < _HEADER:
                return
            yield from self._carry(end, self._buffer[:size], _HOPS)

    def _carry(self, origin: Socket, frame: memoryview, hops: int) -> Iterator[Socket]:
        tagged = frame[12:14] == _TAGGED
        if origin.bridge is None or not hops or not origin.takes(len(frame), tagged):
            return
        for end in origin.bridge.targets(origin, frame):
            if not end.takes(len(frame), tagged):
                continue
            if end.beyond is not None:
                if end.lit:
                    yield from self._carry(end.beyond, frame, hops - 1)
            elif not _sent(end, frame):
                yield end

    def drain(self, end: Socket) -> bool:
        """Send what waits at `end`; whether nothing waits any more."""
        while end.waiting and end.wire is not None:
            try:
                end.wire.send(end.waiting[0])
            except BlockingIOError:
                return False
            except OSError:
                end.waiting.clear()
                return True
            end.waiting.popleft()
        return True


def _sent(end: Socket, frame: memoryview) -> bool:
    """Whether a frame went out or was lost, as in a switch whose buffer is full; otherwise it waits."""
    if not end.waiting and end.wire is not None:
        try:
            end.wire.send(frame)
        except BlockingIOError:
            pass
        except OSError:  # its node has just ended
            return True
        else:
            return True
    if len(end.waiting) < _KEPT:
        end.waiting.append(bytes(frame))
    return False
