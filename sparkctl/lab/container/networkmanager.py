"""What lies above the node image when it is asked for: NetworkManager, as DGX OS has it."""

from __future__ import annotations

from pathlib import Path

from sparkctl.lab import image
from sparkctl.lab.build import Say, built, run

_SECONDS = 600.0

# In a mount namespace of its own, and written in memory first: overlayfs takes no upper layer that is on an overlay,
# as the cache of a user in a container is. The image is only lent.
_ABOVE = """set -eu
tmp=$(mktemp -d)
mount -t tmpfs tmpfs "$tmp"
mkdir "$tmp/upper" "$tmp/work" "$tmp/root"
mount -t overlay -o "lowerdir=$1,upperdir=$tmp/upper,workdir=$tmp/work" overlay "$tmp/root"
mount -t proc proc "$tmp/root/proc"
cat /etc/resolv.conf >"$tmp/root/etc/resolv.conf"
chroot "$tmp/root" /bin/sh -c "$3"
: >"$tmp/root/etc/resolv.conf"
umount "$tmp/root/proc" "$tmp/root"
cp -a "$tmp/upper/." "$2/"
umount "$tmp"
rmdir "$tmp"
"""


def recipe() -> str:
    """Everything that the layer depends on: it fits the image that it was made on and no other."""
    return "\n".join(["layer with NetworkManager", image.recipe(), _ABOVE, image.asset("networkmanager.sh")])


def desktop(root: Path, say: Say) -> Path:
    """The layer above the image `root`, built when it is not there yet (6 seconds, 20 MB)."""

    def build(folder: Path, log: Path) -> None:
        inside = image.asset("networkmanager.sh")
        words = ["/bin/sh", "-c", _ABOVE, "sh", str(root), str(folder), inside]
        run(["unshare", "--mount", "--propagation", "private", *words], log, _SECONDS)

    return built("networkmanager", recipe(), build, "layer of the image with NetworkManager", say)
