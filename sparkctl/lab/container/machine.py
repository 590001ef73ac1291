"""One emulated node while it runs: its root folder, its systemd-nspawn, and when it is up."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sparkctl.lab.container.network import netns
from sparkctl.lab.spec import NodeFailed, NodeSpec

# Sizes of the tmpfs below a node's root folder; memory is used only for what is written.
_UPPER = "1G"
_BOOT_SECONDS = 60.0


@dataclass(frozen=True)
class Machine:
    """Where one node lives, all of it inside the supervisor's own mounts."""

    node: NodeSpec
    base: Path
    log: Path

    @property
    def root(self) -> Path:
        """The root folder as the node sees it."""
        return self.base / "root"

    def lay(self, below: Sequence[str]) -> None:
        """A fresh root folder: the image and its layers below (the highest first), an empty one in memory above."""
        self.base.mkdir(parents=True)
        run("mount", "-t", "tmpfs", "-o", f"size={_UPPER},mode=0755", "tmpfs", str(self.base))
        upper, work = self.base / "upper", self.base / "work"
        for folder in (upper, work, self.root):
            folder.mkdir()
        options = f"lowerdir={':'.join(below)},upperdir={upper},workdir={work}"
        run("mount", "-t", "overlay", "-o", options, "overlay", str(self.root))

    def words(self, engine: tuple[str, str] | None) -> list[str]:
        """The program that runs the node: in its network namespace, with the engine's folder read-only."""
        bind = [f"--bind-ro={engine[0]}:{engine[1]}"] if engine else []
        return [
            "nsenter",
            f"--net=/run/netns/{netns(self.node)}",
            "systemd-nspawn",
            "--quiet",
            "--boot",
            "--register=no",
            "--keep-unit",
            "--capability=all",
            "--system-call-filter=add_key keyctl bpf",
            "--resolv-conf=off",
            "--timezone=off",
            "--link-journal=no",
            "--console=pipe",
            f"--machine={netns(self.node)}",
            f"--hostname={self.node.name}",
            f"--directory={self.root}",
            *bind,
        ]

    def start(self, engine: tuple[str, str] | None, cgroups: list[Path]) -> int:
        """Start it in its cgroups; answers the pid of nspawn."""
        enrol = "".join(f"echo 0 > {shlex.quote(str(path))}; " for path in cgroups)
        script = f'{enrol}exec "$@"'
        # With `network` instead of `yes`, `netplan apply` fails: udevadm cannot write to /sys.
        environment = {"PATH": os.environ["PATH"], "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "yes"}
        words = ["/bin/sh", "-c", script, "sh", *self.words(engine)]
        # Not subprocess: it would collect the exit status by itself, and the supervisor has to see it.
        return os.posix_spawn(words[0], words, environment, file_actions=self._streams(), setsid=True)

    def _streams(self) -> list[tuple[int, int, str, int, int] | tuple[int, int, int]]:
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        return [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(self.log), append, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]

    def wait(self, pid: int) -> float:
        """Seconds until systemd says that the node runs; NodeFailed when it does not, or not well."""
        begun = time.monotonic()
        while time.monotonic() - begun < _BOOT_SECONDS:
            answer = self._systemctl(pid, "is-system-running", "--wait")
            if answer == "running":
                return time.monotonic() - begun
            if answer in ("degraded", "maintenance"):
                broken = self._systemctl(pid, "list-units", "--failed", "--plain", "--no-legend")
                raise NodeFailed(f"{self.node.name} booted with failed units: {broken}", f"see {self.log}")
            if not Path(f"/proc/{pid}").exists():
                break
            time.sleep(0.05)
        raise NodeFailed(f"{self.node.name} did not boot", f"see {self.log}")

    def _systemctl(self, pid: int, *words: str) -> str:
        """What systemctl in the node says; empty while there is nobody to ask."""
        init = init_of(pid)
        if init is None:
            return ""
        inside = ["nsenter", f"--target={init}", "--mount", "--uts", "--ipc", "--pid", "--", "/bin/systemctl", *words]
        asked = subprocess.run(inside, capture_output=True, text=True, check=False, timeout=_BOOT_SECONDS)
        return asked.stdout.strip()


def init_of(nspawn: int) -> int | None:
    """The pid of a node's own first program; None while it has not begun."""
    try:
        children = Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text().split()
        return next((int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text() == "systemd\n"), None)
    except OSError:
        return None


def run(*words: str) -> None:
    """Run a program; CalledProcessError when it fails."""
    subprocess.run(words, check=True, capture_output=True, text=True)
