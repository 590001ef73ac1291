"""The disk that all virtual nodes begin with, and the kernel and initrd that QEMU boots them with."""

from __future__ import annotations

import shutil
from pathlib import Path

from sparkctl.lab.build import BuildFailed, Say, built, place, run
from sparkctl.lab.image import ASSETS, SUITE, asset

# systemd machine; netplan; ssh; what sparkctl asks nodes with; RDMA and its tools; what the initrd is made of.
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "udev", "kmod", "netplan.io", "openssh-server", "sudo", "lldpd"),
    *("iproute2", "iputils-ping", "iputils-arping", "ethtool", "rsync", "jq", "python3", "python3-yaml", "pciutils"),
    *("rdma-core", "perftest", "ibverbs-utils", "rdmacm-utils", "nftables", "iptables", "ca-certificates"),
    "busybox-static",
)
DISK, KERNEL, INITRD = "disk.ext4", "vmlinuz", "initrd"
# The file has holes: only what is written takes room.
_SIZE = "4G"
# Asset -> its place on the node and its mode.
_FILES = {
    "vm/initrd-init": ("opt/sparkctl-lab/initrd-init", 0o755),
    "vm/rdma.sh": ("opt/sparkctl-lab/rdma.sh", 0o755),
    "vm/rdma.rules": ("etc/udev/rules.d/90-sparkctl-lab.rules", 0o644),
    "vm/rdma@.service": ("etc/systemd/system/sparkctl-lab-rdma@.service", 0o644),
    "vm/ready.service": ("etc/systemd/system/sparkctl-lab-ready.service", 0o644),
}
_SCRIPT = "vm/image.sh"
_SECONDS = 1200.0


def recipe() -> str:
    """Everything that the image depends on."""
    return "\n".join(["vm image", SUITE, _SIZE, *PACKAGES, *map(asset, (_SCRIPT, *_FILES))])


def ready() -> bool:
    """Whether it is there already."""
    return place("vm", recipe()).is_dir()


def image(say: Say) -> Path:
    """The folder with disk, kernel and initrd, built when it is not there yet (two minutes, 450 MB; as root)."""
    return built("vm", recipe(), _build, "image of the vm nodes (debootstrap)", say)


def _build(folder: Path, log: Path) -> None:
    root = folder / "root"
    run(["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(root)], log, _SECONDS)
    (root / "opt/sparkctl-lab").mkdir(parents=True)
    for name, (path, mode) in _FILES.items():
        shutil.copyfile(ASSETS / name, root / path)
        (root / path).chmod(mode)
    shutil.copyfile("/etc/resolv.conf", root / "etc/resolv.conf")
    run(["chroot", str(root), "/bin/sh", "-c", asset(_SCRIPT)], log, _SECONDS)
    for name in (KERNEL, INITRD):
        shutil.move(root / "boot" / name, folder / name)
        (folder / name).chmod(0o644)
    run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", str(root), str(folder / DISK), _SIZE], log, _SECONDS)
    shutil.rmtree(root)
    if not (folder / DISK).stat().st_blocks:
        raise BuildFailed("the disk of the vm nodes is empty", f"see {log}")
