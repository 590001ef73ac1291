"""The lab's own keys: one for the user, one per node with the file of known hosts, and one for the engine's API."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path

from sparkctl.lab.order import API_KEY, IDENTITY, KNOWN_HOSTS, dialled, host_key
from sparkctl.lab.spec import LabSpec
from sparkctl.ssh import asyncssh
from sparkctl.ssh.known_hosts import entry


def write_keys(folder: Path, spec: LabSpec, ports: Sequence[int] = ()) -> None:
    """Make all keys of the lab in its folder; virtual nodes are known by their ports."""
    login = asyncssh.generate_private_key("ssh-ed25519", comment="sparkctl-lab")
    _secret(folder / IDENTITY, login.export_private_key())
    (folder / f"{IDENTITY}.pub").write_bytes(login.export_public_key())
    lines = []
    for node, (address, port) in zip(spec.nodes, dialled(spec, ports), strict=True):
        key = asyncssh.generate_private_key("ssh-ed25519", comment=node.name)
        _secret(folder / host_key(node.name), key.export_private_key())
        lines.append(f"{entry(address, port)} {key.export_public_key().decode()}")
    (folder / KNOWN_HOSTS).write_text("".join(lines))
    _secret(folder / API_KEY, f"lab-{secrets.token_hex(16)}\n".encode())


def _secret(path: Path, content: bytes) -> None:
    path.touch(0o600, exist_ok=False)
    path.write_bytes(content)
