"""Says what a test run left behind: records processes, namespaces, links, mounts, cgroups and labs; compares after.

leftovers.py record FILE               before the suites
leftovers.py compare FILE [SECONDS]    after them; exit 1 names what is still new when SECONDS have passed
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

PROC = Path("/proc")
NAMESPACES = ("net", "pid")  # not mnt: system services come and go with one of their own
# What a lab or a contract test starts; an editor or a shell that the person opens meanwhile is nobody's business.
OURS = (
    "systemd-nspawn",
    "sparkctl.lab",
    "sparkctl lab",
    "sshd",
    "dockerd",
    "containerd",
    "vllm",
    "unshare",
    "debootstrap",
    "qemu-system",
)
PATIENCE = "10"  # seconds for the last processes of a lab to be reaped
Things = dict[str, list[str]]


def commands() -> dict[int, str]:
    """The command line of every process but this one and those that started it."""
    family = ancestors()
    found = {}
    for folder in PROC.glob("[0-9]*"):
        text = read(folder / "cmdline").replace("\0", " ").strip()
        if text and int(folder.name) not in family:
            found[int(folder.name)] = text[:200]
    return found


def ancestors() -> set[int]:
    """This process, its parent, and so on up to init."""
    found, pid = set(), "self"
    while pid != "0" and (status := read(PROC / pid / "status")):
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        found.add(int(fields["Pid"]))
        pid = fields["PPid"].strip()
    return found


def namespaces() -> list[str]:
    """Every namespace that a process lives in."""
    links = (folder / "ns" / kind for folder in PROC.glob("[0-9]*") for kind in NAMESPACES)
    named = [f"named net:{path.name}" for path in Path("/run/netns").glob("*")]
    return sorted({target(link) for link in links} - {""}) + named


def network_links() -> list[str]:
    """Interfaces of this network namespace: bridges and veth ends of a lab would show up here."""
    shown = subprocess.run(["ip", "-j", "link"], capture_output=True, text=True, check=True).stdout
    return sorted(link["ifname"] for link in json.loads(shown))


def mounts() -> list[str]:
    """Mount points of this mount namespace."""
    return sorted({line.split()[1] for line in read(PROC / "self/mounts").splitlines()})


def cgroups() -> list[str]:
    """The cgroups of labs, in every hierarchy."""
    return sorted(folder for folder, _, _ in os.walk("/sys/fs/cgroup") if Path(folder).name.startswith("sparkctl-lab-"))


def labs() -> list[str]:
    """The folders of labs that this user has."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    return sorted(str(path) for path in Path(state, "sparkctl/labs").glob("*") if path.is_dir())


def snapshot() -> Things:
    """All that a lab could leave; processes only of the kinds that we start."""
    ours = {pid: text for pid, text in commands().items() if any(word in text for word in OURS)}
    return {
        "process": [f"{pid} {text}" for pid, text in sorted(ours.items())],
        "namespace": namespaces(),
        "link": network_links(),
        "mount": mounts(),
        "cgroup": cgroups(),
        "lab": labs(),
    }


def added(before: Things, after: Things) -> list[str]:
    """What is there now and was not before, one line each."""
    return [f"{kind}: {thing}" for kind, things in after.items() for thing in things if thing not in before[kind]]


def settled(before: Things, patience: float) -> list[str]:
    """What is still new after `patience` seconds."""
    deadline = time.monotonic() + patience
    while (new := added(before, snapshot())) and time.monotonic() < deadline:
        time.sleep(0.5)
    return new


def read(path: Path) -> str:
    """A file of /proc; empty when its process has gone."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def target(link: Path) -> str:
    """Where a link of /proc points; empty when its process has gone."""
    try:
        return str(link.readlink())
    except OSError:
        return ""


def main(verb: str = "", file: str = "", patience: str = PATIENCE) -> int:
    """Record or compare."""
    if verb == "record" and file:
        Path(file).write_text(json.dumps(snapshot(), indent=1))
        return 0
    if verb == "compare" and file:
        new = settled(json.loads(Path(file).read_text()), float(patience))
        print("\n".join(f"left behind: {thing}" for thing in new) or "nothing left behind")
        return 1 if new else 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
