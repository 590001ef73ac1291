"""Run alone in a fresh network namespace: lay the ports of a Spark, load the real libnccl, let it choose an interface.

    python nccl_choice.py LIBNCCL NETDEV=ADDRESS/LEN...

NCCL says on stdout which one it took; the exit status is that of ncclGetUniqueId.
"""

import ctypes
import subprocess
import sys
import time
from collections.abc import Iterable


def lay(netdev: str, address: str, number: int) -> None:
    """One end of a cable with carrier: NCCL only takes what is running."""
    subprocess.run(["ip", "link", "add", netdev, "type", "veth", "peer", "name", f"far{number}"], check=True)
    subprocess.run(["ip", "address", "add", address, "dev", netdev], check=True)
    for end in (netdev, f"far{number}"):
        subprocess.run(["ip", "link", "set", end, "up"], check=True)


def await_running(netdevs: Iterable[str]) -> None:
    """The kernel says it a moment after the carrier is there, a second where the machine is busy."""
    until = time.monotonic() + 10
    for netdev in netdevs:
        while b" state UP " not in subprocess.run(["ip", "-o", "link", "show", netdev], check=True, capture_output=True).stdout:
            assert time.monotonic() < until, f"{netdev} has no carrier"
            time.sleep(0.02)


def main() -> int:
    library, *netdevs = sys.argv[1:]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for number, pair in enumerate(netdevs):
        lay(*pair.split("="), number)
    await_running(pair.split("=")[0] for pair in netdevs)
    return int(ctypes.CDLL(library).ncclGetUniqueId(ctypes.create_string_buffer(128)))


if __name__ == "__main__":
    sys.exit(main())
