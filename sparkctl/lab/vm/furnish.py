"""What makes the image one node: an archive that its initrd unpacks before systemd starts."""

from __future__ import annotations

import io
import shlex
import tarfile

from sparkctl.lab import furnish
from sparkctl.lab.furnish import PLAIN, USER, Files, Keys
from sparkctl.lab.spec import LabSpec, NodeSpec, address_of

_LINK = "[Match]\nMACAddress={mac}\n[Link]\nName={netdev}\n"


def files(spec: LabSpec, node: NodeSpec, keys: Keys) -> Files:
    """Path -> text and mode, of everything that `node` has of its own."""
    netdevs = [node.netdev, *(wire.netdev for wire in spec.of(node.name))]
    return {
        **furnish.files(spec, node, keys),
        "opt/sparkctl-lab/furnish": (f"set -- {shlex.quote(node.user)}\n{USER}", PLAIN),
        **{f"etc/systemd/network/10-lab-{netdev}.link": _named(spec, node, netdev) for netdev in netdevs},
    }


def _named(spec: LabSpec, node: NodeSpec, netdev: str) -> tuple[str, int]:
    return _LINK.format(mac=address_of(spec.cluster, node.name, netdev), netdev=netdev), PLAIN


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
