"""Real sshd processes on loopback, for tests: each with a host key, authorised keys and a folder of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
LogLevel VERBOSE
{more}
"""


def make_key(path: Path, passphrase: str = "", kind: str = "ed25519") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", path], check=True, timeout=60)
    return path


def public(path: Path) -> str:
    """Kind and blob."""
    return " ".join(Path(f"{path}.pub").read_text().split()[:2])


def fingerprint(path: Path) -> str:
    """What ssh-keygen says, without the comment."""
    shown = subprocess.run(["ssh-keygen", "-lf", f"{path}.pub"], capture_output=True, text=True, check=True, timeout=20)
    bits, digest, *_, kind = shown.stdout.split()
    return f"{bits} {digest} {kind}"


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def wait_for(port: int) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("sshd did not start")


@dataclass
class Sshd:
    """A running sshd."""

    port: int
    folder: Path

    @property
    def host(self) -> Path:
        return self.folder / "host"

    @property
    def line(self) -> str:
        """What pins it."""
        return f"[127.0.0.1]:{self.port} {public(self.host)}\n"

    def authorise(self, *keys: Path) -> None:
        (self.folder / "authorized").write_text("".join(f"{public(key)}\n" for key in keys))

    def log(self) -> str:
        return (self.folder / "log").read_text()


@contextmanager
def running(folder: Path, more: str = "", kind: str = "ed25519") -> Iterator[Sshd]:
    """An sshd until the end of the body."""
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    assert sshd, "sshd is missing: apt-get install openssh-server"
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    make_key(folder / "host", kind=kind)
    (folder / "authorized").touch()
    (folder / "config").write_text(CONFIG.format(port=port, folder=folder, more=more))
    Path("/run/sshd").mkdir(exist_ok=True)
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([sshd, "-D", "-e", "-f", str(folder / "config")], stderr=log)
    try:
        wait_for(port)
        yield Sshd(port, folder)
    finally:
        server.terminate()
        server.wait(10)
