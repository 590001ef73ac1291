"""The root folder that all container nodes share: a minimal Debian with what a Spark has and sparkctl needs."""

from __future__ import annotations

from pathlib import Path

from sparkctl.lab.build import Say, built, run

SUITE = "bookworm"
# systemd machine; netplan; ssh; what sparkctl asks nodes with; Docker and what it needs; libraries of the CPU engine.
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "udev", "kmod", "netplan.io", "openssh-server", "sudo", "lldpd"),
    *("iproute2", "iputils-ping", "iputils-arping", "ethtool", "rsync", "jq", "python3", "python3-yaml"),
    *("docker.io", "iptables", "ca-certificates", "libnuma1"),
)
ASSETS = Path(__file__).resolve().parent / "assets"
# What nodes run besides Debian.
PROGRAMS = ("cgroups.sh", "runc-within-limits")
_SECONDS = 1200.0


def recipe() -> str:
    """Everything that the image depends on."""
    scripts = map(asset, ("image.sh", *PROGRAMS))
    return "\n".join(["container image", SUITE, *PACKAGES, *scripts])


def asset(name: str) -> str:
    """The text of a file that goes into the image or the engine."""
    return (ASSETS / name).read_text()


def image(say: Say) -> Path:
    """The image, built when it is not there yet (a minute and a half, 600 MB)."""
    return built("image", recipe(), _build, "image of the nodes (debootstrap)", say)


def _build(folder: Path, log: Path) -> None:
    include = f"--include={','.join(PACKAGES)}"
    run(["debootstrap", "--variant=minbase", include, SUITE, str(folder)], log, _SECONDS)
    lab = folder / "opt/sparkctl-lab"
    lab.mkdir(parents=True)
    for name in PROGRAMS:
        (lab / name).write_text(asset(name))
        (lab / name).chmod(0o755)
    run(["chroot", str(folder), "/bin/sh", "-c", asset("image.sh")], log, _SECONDS)
