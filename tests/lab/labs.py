"""The labs of the tests: how one is booted, reached and looked into, and the one that a worker hands on from file to file."""

from __future__ import annotations

import difflib
import fcntl
import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TextIO

from sparkctl.lab import limits
from sparkctl.lab.state import LabState, find

ROOT = Path(__file__).parents[2]
INVENTORIES = ROOT / "inventories"
WITHOUT_ENGINE = r"\n(?:# Left out: a fabric without an engine\.|engine:)"
PATIENCE = 900.0  # seconds: the first `lab up` builds the image and the engine
# Left out: state that the machine's own services write at any moment, whoever is there.
VOLATILE = ("/var/lib/systemd", "/var/lib/docker", "/var/lib/containerd", "/var/lib/dbus", "/var/lib/lldpd", "/etc/resolv.conf")
CAPTURE = f"""
prune="$(printf ' -path %s -prune -o' {" ".join(VOLATILE)})"
echo "# files"; eval find /etc /var/lib -xdev $prune -printf "'%y %m %U:%G %p %l\\n'" | sort
echo "# digests"; eval find /etc /var/lib -xdev $prune -type f -print0 | sort -z | xargs -0 sha256sum
for i in $(seq 50); do ip -6 addr show tentative | grep -q . || break; sleep 0.2; done
echo "# addr"; ip -j addr | jq -S 'map(.addr_info |= map(del(.valid_life_time, .preferred_life_time)))'
echo "# link"; ip -j link | jq -S .
echo "# route"; ip -j route show table all | jq -S 'sort_by(tostring)'
echo "# units"; systemctl list-units --all --plain --no-legend | awk '{{print $1, $2, $3, $4}}' |
  grep -v -e '^session-' -e '^var-lib.mount' -e '^etc-sparkctl.mount' -e '^NetworkManager-dispatcher' -e '^systemd-hostnamed' -e '^user' -e '^run-' -e '^sys-' -e '^dev-' -e 'systemd-tmpfiles-clean' -e 'apt-' -e 'dpkg-db' -e 'e2scrub' -e 'systemd-networkd-wait' | sort
echo "# unit files"; systemctl list-unit-files --plain --no-legend | awk '{{print $1, $2}}' | grep -v '^session-' | sort
echo "# containers"; docker ps -aq --no-trunc | sort; docker images -q --no-trunc | sort; docker volume ls -q
"""


# A dead controller is found out after this: at least three times the slowest command, which tests/lab/cluster/test_matrix.py
# looks at; 1.2 s on two cores with a load of 15, 2026-11-27. The rest is for tests that type several commands within it.
LEASE = 24.0
QUICK = f"""
apiVersion: sparkctl/v1
kind: Playbook
name: quick
confirm_timeout: {LEASE:.0f}
stages: [{{stage: network, settle_timeout: 6}}]
"""
GENERATE = "/usr/libexec/netplan/generate"
NOT_GENTLY = f"""#!/bin/sh
case " $* $(tr '\\0' ' ' </proc/$PPID/cmdline)" in *root-dir* | *netplan.real*) exec {GENERATE}.real "$@" ;; esac
exit 1
"""


@dataclass
class Ended:
    """What a run of sparkctl printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, object]:
        """Stdout of a command that was given --json."""
        parsed = json.loads(self.out)
        assert isinstance(parsed, dict)
        return parsed


def sparkctl(*words: str | Path, timeout: float = PATIENCE) -> Ended:
    """Run sparkctl to its end."""
    done = subprocess.run([sys.executable, "-m", "sparkctl", *map(str, words)], capture_output=True, text=True, timeout=timeout)
    return Ended(done.returncode, done.stdout, done.stderr)


@dataclass
class Rig:
    """One running lab."""

    inventory: Path
    name: str
    planted: list[str] = field(default_factory=list)

    @property
    def state(self) -> LabState:
        """How the lab's nodes are reached."""
        return find(self.name)

    def cluster(self, verb: str, *words: str, timeout: float = PATIENCE) -> Ended:
        """`sparkctl cluster VERB INVENTORY --lab ...`."""
        return sparkctl("cluster", verb, str(self.inventory), "--lab", *words, timeout=timeout)

    @property
    def quick(self) -> list[str]:
        """Options of `up` and `down` for a short lease and a short look."""
        playbook = self.inventory.with_name("quick.yaml")
        playbook.write_text(QUICK)
        return ["--playbook", str(playbook)]

    def started(self, verb: str, *words: str) -> subprocess.Popen[str]:
        """The same, left running."""
        line = [sys.executable, "-m", "sparkctl", "cluster", verb, str(self.inventory), "--lab", *words]
        return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def fault(self, verb: str, subject: str) -> None:
        """`sparkctl lab fault INVENTORY VERB SUBJECT`."""
        ended = sparkctl("lab", "fault", self.inventory, verb, subject, timeout=300)
        assert ended.code == 0, ended.err

    def ssh_words(self, node: str) -> list[str]:
        """An ssh into `node`, from inside the lab's network where it has one of its own."""
        state = self.state
        found = state.node(node)
        enter = ["nsenter", f"--net=/proc/{state.supervisor.pid}/ns/net"] if state.backend == "container" else []
        options = [f"-oUserKnownHostsFile={found.known_hosts}", "-oBatchMode=yes", "-oConnectTimeout=15", "-oLogLevel=ERROR"]
        return [*enter, "ssh", "-i", found.identity_file, "-p", str(found.port), *options, f"{found.user}@{found.address}"]

    def root(self, node: str, script: str, timeout: float = 60) -> str:
        """Run `script` as root on `node`; it must succeed."""
        words = [*self.ssh_words(node), "sudo -n sh -s"]
        done = subprocess.run(words, input=script, capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, f"{node}: {script!r} failed: {done.stderr}"
        return done.stdout

    def capture(self) -> dict[str, str]:
        """Everything that a teardown has to bring back, per node."""
        return self.each(CAPTURE)

    def each(self, script: str, timeout: float = 90) -> dict[str, str]:
        """Run `script` as root on all nodes at once."""
        names = [node.name for node in self.state.nodes]
        with ThreadPoolExecutor(len(names)) as pool:
            return dict(zip(names, pool.map(lambda name: self.root(name, script, timeout), names), strict=True))

    def plant_netplan(self, node: str, body: str) -> None:
        """Put a shell wrapper around the node's netplan; `body` runs first and sees netplan's arguments.

        The gentle way around `netplan apply` is closed: the generator works for netplan and on scratch copies only.
        """
        wrapper = f"#!/bin/sh\n{textwrap.dedent(body)}\nexec /usr/sbin/netplan.real \"$@\"\n"
        self.root(node, f"mv /usr/sbin/netplan /usr/sbin/netplan.real; cat >/usr/sbin/netplan <<'EOF'\n{wrapper}EOF\nchmod 755 /usr/sbin/netplan")
        self.root(node, f"mv {GENERATE} {GENERATE}.real; cat >{GENERATE} <<'EOF'\n{NOT_GENTLY}EOF\nchmod 755 {GENERATE}")
        self.planted.append(node)

    def heal(self) -> None:
        """Take every planted wrapper away."""
        for node in self.planted:
            self.root(node, f"mv /usr/sbin/netplan.real /usr/sbin/netplan; mv {GENERATE}.real {GENERATE}; rm -f /run/planted*")
        self.planted.clear()


def same(before: dict[str, str], after: dict[str, str]) -> None:
    """Assert equality line by line, so that a failure shows what differs."""
    for node, text in before.items():
        found = "\n".join(difflib.unified_diff(text.splitlines(), after[node].splitlines(), "before", "after", n=1, lineterm=""))
        assert not found, f"{node} is not as before:\n{found}"


def used(rig: Rig) -> None:
    """Two histories of a port: up with its link-local address on the first node, and down again on the others.

    A netdev that was never up has no queue yet (`noop`), and nothing but a reboot brings that back; a Spark's ports
    are brought up at every boot.
    """
    first, *others = (node.name for node in rig.state.nodes)
    with ThreadPoolExecutor(1 + len(others)) as pool:
        list(pool.map(lambda node: use(rig, node, "up" if node == first else "down"), (first, *others)))


def use(rig: Rig, node: str, last: str) -> None:
    """The same for one node, whose ports end `up` or `down`."""
    ports = "for dev in /sys/class/net/en*np*; do ip link set ${dev##*/} up; sleep 0.1; ip link set ${dev##*/} %s; done; sleep 3"
    rig.root(node, ports % last)


def fabric(example: str) -> str:
    """A shipped inventory without its engine: it boots and changes in seconds."""
    return re.split(WITHOUT_ENGINE, (INVENTORIES / f"{example}.yaml").read_text())[0] + "\n"


@dataclass(frozen=True)
class LabKind:
    """What a lab is made of; `name` is its own. `used`: its ports have been up, `prepared`: a script for every node."""

    name: str
    text: str
    renderer: str = "networkd"
    backend: str = "container"
    used: bool = True
    prepared: str = ""


# Ports that ask for an address for ever are in one state all the time; by default they give up after 45 s and try again.
PATIENT = """
printf '[connection]\\nipv4.dhcp-timeout=2147483647\\n' >/etc/NetworkManager/conf.d/90-test.conf
systemctl restart NetworkManager
"""
BARE = LabKind("test-bare", fabric("dual"))
DESKTOP = LabKind("test-desktop", fabric("dual"), "NetworkManager", used=False, prepared=PATIENT)
SERVING = LabKind("test-serving", (INVENTORIES / "dual.yaml").read_text())


class Labs:
    """One lab at a time, kept for whoever asks next for the same kind; another user gets it anew, its nodes blank.

    A lab boots in 3 s, so blank nodes are had by booting: whatever a file did to them, the next begins as the first did.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kind: LabKind | None = None
        self.user = ""
        self.rig: Rig | None = None

    def of(self, kind: LabKind, user: str) -> Rig:
        """The running lab of `kind` for a test file."""
        if self.rig is None or (self.kind, self.user) != (kind, user):
            self.close()
            self.kind, self.user = kind, user
            self.rig = booted(kind, self.folder)
            if kind.used:
                used(self.rig)
            if kind.prepared:
                self.rig.each(kind.prepared)
        return self.rig

    def close(self) -> None:
        """Nothing is left running."""
        rig, self.rig = self.rig, None
        if rig is not None:
            ended = sparkctl("lab", "down", rig.inventory)
            assert ended.code == 0, ended.err


def booted(kind: LabKind, folder: Path) -> Rig:
    """The lab of `kind`, as its nodes boot."""
    assert os.geteuid() == 0, "the lab needs root"
    inventory = folder / f"{kind.name}.yaml"
    inventory.write_text(re.sub(r"^(metadata:.*?name: )[\w-]+", rf"\g<1>{kind.name}", kind.text, count=1, flags=re.S | re.M))
    rig = Rig(inventory, kind.name)
    with booting(kind.backend):
        up = sparkctl("lab", "up", inventory, "--renderer", kind.renderer, "--backend", kind.backend)
    assert up.code == 0, up.err
    return rig


@contextmanager
def booting(backend: str = "container") -> Iterator[None]:
    """One lab after the other boots on this machine, when there is room for four nodes more.

    systemd gives up on a node that waits too long for its cores; and whoever waits here has taken down what it had.
    """
    if backend == "vm":  # nothing there gives up, and it takes minutes
        yield
        return
    with (Path(tempfile.gettempdir()) / "sparkctl-tests-booting.lock").open("w") as lock:
        _until(partial(_alone, lock), 60)  # whoever has it longer builds an image first, which takes minutes
        _until(_roomy, PATIENCE)
        yield


def _until(true: Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not true() and time.monotonic() < until:
        time.sleep(0.5)


def _alone(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _roomy() -> bool:
    """A node has up to 16 inotify instances while it boots."""
    most, used = limits.room()[limits.INSTANCES]
    return most - used >= 4 * 16 or used <= 4 * 16
