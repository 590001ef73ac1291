"""What makes the image one node: an archive that its initrd unpacks before systemd starts."""

from __future__ import annotations

import io
import shlex
import tarfile
from uuid import uuid4

from sparkctl.lab.furnish import NETPLAN, USER, Keys, hosts, netplan, sudoers
from sparkctl.lab.spec import LabSpec, NodeSpec, address_of

_LINK = "[Match]\nMACAddress={mac}\n[Link]\nName={netdev}\n"
_SECRET, _PLAIN = 0o600, 0o644
Files = dict[str, tuple[str, int]]


def files(spec: LabSpec, node: NodeSpec, keys: Keys) -> Files:
    """Path -> text and mode, of everything that `node` has of its own."""
    netdevs = [node.netdev, *(wire.netdev for wire in spec.of(node.name))]
    return {
        "etc/machine-id": (uuid4().hex + "\n", 0o444),
        "etc/hostname": (node.name + "\n", _PLAIN),
        "etc/hosts": (hosts(node), _PLAIN),
        NETPLAN: (netplan(spec, node), _SECRET),
        "etc/ssh/ssh_host_ed25519_key": (keys.host[node.name], _SECRET),
        "etc/ssh/lab_authorized": (keys.authorized, _SECRET),
        "etc/sudoers.d/90-lab": (sudoers(node), 0o440),
        "opt/sparkctl-lab/furnish": (f"set -- {shlex.quote(node.user)}\n{USER}", _PLAIN),
        **{f"etc/systemd/network/10-lab-{netdev}.link": _named(spec, node, netdev) for netdev in netdevs},
    }


def _named(spec: LabSpec, node: NodeSpec, netdev: str) -> tuple[str, int]:
    return _LINK.format(mac=address_of(spec.cluster, node.name, netdev), netdev=netdev), _PLAIN


def archive(every: Files) -> bytes:
    """The files as a tar, all root's."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path, (text, mode) in every.items():
            content = text.encode()
            entry = tarfile.TarInfo(path)
            entry.mode, entry.size = mode, len(content)
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
