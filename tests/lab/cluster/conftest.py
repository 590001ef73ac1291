"""A running lab for the cluster suites: run sparkctl as a user does, look into nodes as root, compare before and after."""

from __future__ import annotations

import difflib
import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sparkctl.lab.state import LabState, find

ROOT = Path(__file__).parents[3]
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


def sparkctl(*words: str, timeout: float = 600) -> Ended:
    """Run sparkctl to its end."""
    done = subprocess.run([sys.executable, "-m", "sparkctl", *words], capture_output=True, text=True, timeout=timeout)
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

    def cluster(self, verb: str, *words: str, timeout: float = 600) -> Ended:
        """`sparkctl cluster VERB INVENTORY --lab ...`."""
        return sparkctl("cluster", verb, str(self.inventory), "--lab", *words, timeout=timeout)

    def started(self, verb: str, *words: str) -> subprocess.Popen[str]:
        """The same, left running."""
        line = [sys.executable, "-m", "sparkctl", "cluster", verb, str(self.inventory), "--lab", *words]
        return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def ssh_words(self, node: str) -> list[str]:
        """An ssh into `node`, from inside the lab's network."""
        found = self.state.node(node)
        enter = ["nsenter", f"--net=/proc/{self.state.supervisor.pid}/ns/net"]
        options = [f"-oUserKnownHostsFile={found.known_hosts}", "-oBatchMode=yes", "-oConnectTimeout=5", "-oLogLevel=ERROR"]
        return [*enter, "ssh", "-i", found.identity_file, "-p", str(found.port), *options, f"{found.user}@{found.address}"]

    def root(self, node: str, script: str, timeout: float = 60) -> str:
        """Run `script` as root on `node`; it must succeed."""
        words = [*self.ssh_words(node), "sudo -n sh -s"]
        done = subprocess.run(words, input=script, capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, f"{node}: {script!r} failed: {done.stderr}"
        return done.stdout

    def capture(self) -> dict[str, str]:
        """Everything that a teardown has to bring back, per node."""
        return {node.name: self.root(node.name, CAPTURE) for node in self.state.nodes}

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


def used(rig: Rig, node: str, last: str) -> None:
    """Two histories of a port: up with its link-local address, and down again.

    A netdev that was never up has no queue yet (`noop`), and nothing but a reboot brings that back; a Spark's ports
    are brought up at every boot.
    """
    ports = "for dev in /sys/class/net/en*np*; do ip link set ${dev##*/} up; sleep 0.1; ip link set ${dev##*/} %s; done; sleep 3"
    rig.root(node, ports % last)


def lab_of(text: str, folder: Path, name: str, renderer: str = "networkd") -> Iterator[Rig]:
    """Boot the lab of an inventory text; take it down at the end, whatever happened."""
    assert os.geteuid() == 0, "the lab needs root"
    inventory = folder / f"{name}.yaml"
    inventory.write_text(re.sub(r"^(metadata:.*?name: )[\w-]+", rf"\g<1>{name}", text, count=1, flags=re.S | re.M))
    booted = sparkctl("lab", "up", str(inventory), "--renderer", renderer)
    assert booted.code == 0, booted.err
    try:
        rig = Rig(inventory, name)
        for node in rig.state.nodes if renderer == "networkd" else ():
            used(rig, node.name, "up" if node is rig.state.nodes[0] else "down")
        yield rig
    finally:
        ended = sparkctl("lab", "down", str(inventory))
        assert ended.code == 0, ended.err


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """The first example, engine and all."""
    text = (ROOT / "inventories" / "dual.yaml").read_text()
    yield from lab_of(text, tmp_path_factory.mktemp("serving"), "test-serving")


@pytest.fixture(scope="module")
def bare_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """The same fabric without an engine: quick to change and to break."""
    text = (ROOT / "inventories" / "dual.yaml").read_text().split("\n# Left out: a fabric without an engine.")[0] + "\n"
    yield from lab_of(text, tmp_path_factory.mktemp("bare"), "test-bare")


@pytest.fixture
def bare(bare_lab: Rig) -> Iterator[Rig]:
    """The bare lab with everything planted taken away again after each test, and nothing of sparkctl left."""
    yield bare_lab
    bare_lab.heal()
    ended = bare_lab.cluster("down", "--yes")
    assert ended.code == 0, ended.err
