"""What one node's root folder gets before it boots: its own identity, user, keys and management network."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from uuid import uuid4

from sparkctl.lab.order import IDENTITY, host_key
from sparkctl.lab.spec import LabSpec, NodeSpec

NETPLAN = "etc/netplan/50-lab.yaml"
# Ubuntu Desktop's, and so DGX OS's.
NETPLAN_DESKTOP = "etc/netplan/01-network-manager-all.yaml"
_IMPORT = "sparkctl-lab-image.service"
# Nobody on a node waits for the network, and on a busy machine it fails although the network is there (seen).
_WAITS = "etc/systemd/system/systemd-networkd-wait-online.service"

# The user of an inventory may be one that the image has already.
USER = """set -eu
id "$1" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$1"
for group in sudo docker; do
    if getent group "$group" >/dev/null; then usermod --append --groups "$group" "$1"; fi
done
home=$(getent passwd "$1" | cut -d: -f6)
install -d -m 700 -o "$1" -g "$(id -g "$1")" "$home" "$home/.ssh"
install -m 600 -o "$1" -g "$(id -g "$1")" /etc/ssh/lab_authorized "$home/.ssh/authorized_keys"
rm /etc/ssh/lab_authorized
"""

_NETPLAN_TEXT = """# The lab's management network; a Spark has one like it for its RJ45 jack.
network:
  version: 2
  renderer: {renderer}
  ethernets:
    {netdev}:
      dhcp4: false
      dhcp6: false
      accept-ra: false
      link-local: []
      addresses: [{address}/{prefix}]
"""


_DESKTOP_TEXT = """# Let NetworkManager manage all devices on this system
network:
  version: 2
  renderer: NetworkManager
"""


@dataclass(frozen=True)
class Keys:
    """What ssh needs on both sides: the public key of the lab, and the private host key of every node."""

    authorized: str
    host: dict[str, str]

    @classmethod
    def read(cls, folder: Path, spec: LabSpec) -> Keys:
        """The keys in the lab's folder."""
        host = {node.name: (folder / host_key(node.name)).read_text() for node in spec.nodes}
        return cls((folder / f"{IDENTITY}.pub").read_text(), host)


def furnish(root: Path, spec: LabSpec, node: NodeSpec, keys: Keys) -> None:
    """Write everything that makes `root` the node `node`."""
    _write(root / "etc/machine-id", uuid4().hex + "\n", 0o444)
    _write(root / "etc/hostname", node.name + "\n")
    _write(root / "etc/hosts", hosts(node))
    _write(root / NETPLAN, netplan(spec, node), 0o600)
    if spec.renderer == "NetworkManager":
        _write(root / NETPLAN_DESKTOP, _DESKTOP_TEXT, 0o600)
    _write(root / "etc/ssh/ssh_host_ed25519_key", keys.host[node.name], 0o600)
    _write(root / "etc/ssh/lab_authorized", keys.authorized, 0o600)
    _write(root / "etc/sudoers.d/90-lab", sudoers(node), 0o440)
    (root / _WAITS).symlink_to("/dev/null")
    if spec.engine:
        _write(root / "opt/sparkctl-lab/image", f"{spec.image}\n")
        wants = root / "etc/systemd/system/multi-user.target.wants"
        (wants / _IMPORT).symlink_to(f"/etc/systemd/system/{_IMPORT}")
    subprocess.run(["chroot", str(root), "/bin/sh", "-c", USER, "sh", node.user], check=True, capture_output=True)


def netplan(spec: LabSpec, node: NodeSpec) -> str:
    """The management network of `node`, as netplan reads it."""
    prefix = IPv4Network(spec.network).prefixlen
    return _NETPLAN_TEXT.format(netdev=node.netdev, address=node.address, prefix=prefix, renderer=spec.renderer)


def hosts(node: NodeSpec) -> str:
    """/etc/hosts of `node`."""
    return f"127.0.0.1 localhost\n127.0.1.1 {node.name}\n::1 localhost ip6-localhost\n"


def sudoers(node: NodeSpec) -> str:
    """Its user may do all, and is asked for nothing."""
    return f"{node.user} ALL=(ALL) NOPASSWD: ALL\n"


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.unlink(missing_ok=True)
    path.write_text(text)
    path.chmod(mode)
