"""Run alone in a fresh network namespace: lay the ports of a Spark, load the real libnccl, let it choose an interface.

    python nccl_choice.py LIBNCCL NETDEV=ADDRESS/LEN...

NCCL says on stdout which one it took; the exit status is that of ncclGetUniqueId.
"""

import ctypes
import subprocess
import sys


def lay(netdev: str, address: str, number: int) -> None:
    """One end of a cable with carrier: NCCL only takes what is running."""
    subprocess.run(["ip", "link", "add", netdev, "type", "veth", "peer", "name", f"far{number}"], check=True)
    subprocess.run(["ip", "address", "add", address, "dev", netdev], check=True)
    for end in (netdev, f"far{number}"):
        subprocess.run(["ip", "link", "set", end, "up"], check=True)


def main() -> int:
    library, *netdevs = sys.argv[1:]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for number, pair in enumerate(netdevs):
        lay(*pair.split("="), number)
    return int(ctypes.CDLL(library).ncclGetUniqueId(ctypes.create_string_buffer(128)))


if __name__ == "__main__":
    sys.exit(main())
