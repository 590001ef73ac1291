"""What one node's root folder gets before it boots: its own identity, user, keys and management network."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from uuid import uuid4

from sparkctl.lab.order import IDENTITY, host_key
from sparkctl.lab.spec import LabSpec, NodeSpec

Files = dict[str, tuple[str, int]]
PLAIN, _SECRET = 0o644, 0o600
# Ubuntu Desktop's, and so DGX OS's.
_NETPLAN_DESKTOP = "etc/netplan/01-network-manager-all.yaml"
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


def files(spec: LabSpec, node: NodeSpec, keys: Keys) -> Files:
    """Path -> text and mode, of everything that `node` has of its own, whatever it is made of."""
    prefix = IPv4Network(spec.network).prefixlen
    netplan = _NETPLAN_TEXT.format(netdev=node.netdev, address=node.address, prefix=prefix, renderer=spec.renderer)
    return {
        "etc/machine-id": (uuid4().hex + "\n", 0o444),
        "etc/hostname": (node.name + "\n", PLAIN),
        "etc/hosts": (f"127.0.0.1 localhost\n127.0.1.1 {node.name}\n::1 localhost ip6-localhost\n", PLAIN),
        "etc/netplan/50-lab.yaml": (netplan, _SECRET),
        "etc/ssh/ssh_host_ed25519_key": (keys.host[node.name], _SECRET),
        "etc/ssh/lab_authorized": (keys.authorized, _SECRET),
        "etc/sudoers.d/90-lab": (f"{node.user} ALL=(ALL) NOPASSWD: ALL\n", 0o440),
    }


def furnish(root: Path, spec: LabSpec, node: NodeSpec, keys: Keys) -> None:
    """Write everything that makes `root` the node `node`."""
    own = files(spec, node, keys)
    own |= {_NETPLAN_DESKTOP: (_DESKTOP_TEXT, _SECRET)} if spec.renderer == "NetworkManager" else {}
    own |= {"opt/sparkctl-lab/image": (f"{spec.image}\n", PLAIN)} if spec.engine else {}
    for name, (text, mode) in own.items():
        path = root / name
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(mode)
    (root / _WAITS).symlink_to("/dev/null")
    if spec.engine:
        wants = root / "etc/systemd/system/multi-user.target.wants"
        (wants / _IMPORT).symlink_to(f"/etc/systemd/system/{_IMPORT}")
    subprocess.run(["chroot", str(root), "/bin/sh", "-c", USER, "sh", node.user], check=True, capture_output=True)
