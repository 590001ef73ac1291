"""A longer way to emulated nodes: what passes between controller and nodes arrives later. Needs no netem in the kernel.

python benchmarks/delayed.py SECONDS WIRE...   inside the lab's network; ends, and mends the wires, when stdin is closed

Each WIRE (the outer end of a node's management cable) is put on a bridge of its own, and every frame goes from there
to the management bridge and back through this program, SECONDS late each way.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from sparkctl.lab.spec import MANAGEMENT_BRIDGE

TUNSETIFF = 0x400454CA  # linux/if_tun.h
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000  # linux/if_tun.h
FRAME = 65536


@dataclass
class Way:
    """One direction of one wire: frames that came in at `source` and leave at `target` when they are due."""

    source: int
    target: int
    late: float
    frames: deque[tuple[float, bytes]] = field(default_factory=deque)

    def take(self) -> None:
        """Read what has come."""
        self.frames.append((time.monotonic() + self.late, os.read(self.source, FRAME)))

    def give(self) -> None:
        """Write what is due."""
        now = time.monotonic()
        while self.frames and self.frames[0][0] <= now:
            os.write(self.target, self.frames.popleft()[1])


def tap(name: str, bridge: str) -> int:
    """A new netdev on `bridge` whose frames this program reads and writes."""
    file = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(file, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    ip(f"link set {name} master {bridge} up")
    return file


def ip(*lines: str) -> None:
    """Run the lines by `ip -batch`."""
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True, timeout=10)


@contextmanager
def detour(wire: str, late: float) -> Iterator[tuple[Way, Way]]:
    """Both directions of `wire`, which goes back to its own place at the end."""
    ip(f"link add far-{wire} type bridge stp_state 0 forward_delay 0 mcast_snooping 0", f"link set far-{wire} up")
    near, far = tap(f"tn-{wire}", MANAGEMENT_BRIDGE), tap(f"tf-{wire}", f"far-{wire}")
    ip(f"link set {wire} master far-{wire}")
    try:
        yield Way(near, far, late), Way(far, near, late)
    finally:
        ip(f"link set {wire} master {MANAGEMENT_BRIDGE}", f"link del far-{wire}")
        os.close(near)
        os.close(far)


def carried(ways: list[Way]) -> None:
    """Carry frames until stdin is closed."""
    sources = {way.source: way for way in ways}
    while True:
        due = min((way.frames[0][0] for way in ways if way.frames), default=None)
        patience = None if due is None else max(0.0, due - time.monotonic())
        ready, _, _ = select.select([*sources, sys.stdin.fileno()], [], [], patience)
        for file in ready:
            if file not in sources:
                return
            sources[file].take()
        for way in ways:
            way.give()


def main(late: float, wires: list[str]) -> None:
    """Make the detours, say so, carry."""
    with ExitStack() as stack:
        ways = [way for wire in wires for way in stack.enter_context(detour(wire, late))]
        print("ready", flush=True)
        carried(ways)


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2:])
