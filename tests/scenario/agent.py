"""One scenario node: runs scripts in its own mounts, netdevs and processes, and can photograph and restore itself.

Started inside new mount, network and process namespaces; one JSON request per line on stdin, one answer per line on stdout.
"""

# Plain strings for paths: a photograph reads hundreds of them. stdout is the wire.
# ruff: noqa: PTH101, PTH103, PTH108, PTH112, PTH114, PTH115, PTH118, PTH119, PTH120, PTH208, PTH211, T201
from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

NETDEVS = ("enp1s0f0np0", "enP2p1s0f0np0", "enp1s0f1np1", "enP2p1s0f1np1", "enP7s7")
TREES = ("/etc", "/var", "/run", "/tmp")
PATH = "/played:/usr/sbin:/usr/bin:/sbin:/bin"
PLAIN = ("/etc", "/var/lib/docker", "/var/lib/dpkg", "/run/scenario", "/tmp", "/proc", "/sys", "/dev", "/usr", "/host", "/played", "/scenario")
JOURNAL = "/run/scenario/journal"  # what units printed: read at once or never
DURABLE = "/tmp/durable"  # what the played `sync` wrote down
# Those that networkd or the kernel (with an MTU) change; all of them would cost 20 ms a photograph.
SYSCTLS = [f"ipv6/conf/DEV/{name}" for name in ("accept_ra", "addr_gen_mode", "disable_ipv6", "mtu", "autoconf", "forwarding", "use_tempaddr")]
SYSCTLS += [f"ipv4/conf/DEV/{name}" for name in ("forwarding", "rp_filter", "arp_ignore", "arp_announce", "promote_secondaries")]
State = dict[str, Any]


def tool(*words: str, text: str = "") -> str:
    """Run a real program to its end; it must succeed."""
    done = subprocess.run(words, input=text, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{words}: {done.stderr.strip()}")
    return done.stdout


def furnish(root: str, played: str) -> None:
    """A root file system that is small enough to be photographed: the host's /usr, and next to nothing else."""
    tool("mount", "-t", "tmpfs", "-o", "size=64m,mode=755", "tmpfs", root)
    for folder in PLAIN:
        os.makedirs(root + folder, 0o755)
    for name in ("bin", "sbin", "lib", "lib64"):
        os.symlink(f"usr/{name}", f"{root}/{name}")
    for source, target in (("/usr", "/usr"), ("/dev", "/dev"), ("/etc", "/host"), (played, "/played")):
        tool("mount", "--bind", source, root + target)
    for target in ("/usr", "/host", "/played"):  # whatever a script does, it is this node's alone
        tool("mount", "-o", "remount,bind,ro", root + target)
    tool("mount", "-t", "proc", "proc", f"{root}/proc")
    tool("mount", "-t", "sysfs", "sysfs", f"{root}/sys")
    for name in ("ld.so.cache", "alternatives"):
        os.symlink(f"/host/{name}", f"{root}/etc/{name}")
    Path(root, "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    Path(root, "etc/group").write_text("root:x:0:\n")
    for name, path in (("uptime", "/proc/uptime"), ("boot_id", "/proc/sys/kernel/random/boot_id")):
        Path(root, "scenario", name).write_text("0.00 0.00\n")
        tool("mount", "--bind", f"{root}/scenario/{name}", root + path)
    hidden = Path(root, "usr/bin/nmcli")
    if hidden.exists():
        tool("mount", "--bind", f"{root}/etc/group", str(hidden))
    os.chroot(root)
    os.chdir("/")
    os.environ.clear()
    os.environ["PATH"] = PATH


def cable() -> None:
    """Every netdev is one end of a pair whose far end is always up: carrier depends on this node alone."""
    Path("/proc/sys/net/ipv6/conf/default/addr_gen_mode").write_text("1")
    tool("ip", "link", "set", "lo", "up")
    for number, name in enumerate(NETDEVS):
        tool("ip", "link", "add", name, "mtu", "1500", "type", "veth", "peer", "name", f"far{number}", "mtu", "9216")
        tool("ip", "link", "set", f"far{number}", "up")


def entry(path: str) -> tuple[Any, ...]:
    """One file, folder or link as a node's history may not change it: kind, mode, owner, content."""
    found = os.lstat(path)
    shown = (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)
    if stat.S_ISLNK(found.st_mode):
        return ("link", *shown, os.readlink(path))
    if stat.S_ISDIR(found.st_mode):
        return ("folder", *shown, "")
    if not stat.S_ISREG(found.st_mode):
        return ("special", *shown, "")
    return ("file", *shown, Path(path).read_bytes().decode("latin-1"))


def tree() -> State:
    """All files below TREES."""
    found = {}
    for top in TREES:
        for folder, folders, names in os.walk(top):
            if folder == JOURNAL:
                folders.clear()
                continue
            for name in [*folders, *names]:
                path = os.path.join(folder, name)
                if path != JOURNAL:
                    found[path] = entry(path)
    return found


def sysctls(dev: str) -> dict[str, str]:
    """What /proc/sys says of one netdev, as far as anything on a node changes it."""
    found = {}
    for name in SYSCTLS:
        path = f"/proc/sys/net/{name.replace('DEV', dev)}"
        file = os.open(path, os.O_RDONLY)
        found[path] = os.read(file, 100).decode().strip()
        os.close(file)
    return found


def address(shown: State) -> str:
    """One address as the kernel has it; `-` for no broadcast address."""
    return f"{shown['family']} {shown['local']}/{shown['prefixlen']} {shown.get('broadcast', '-')} {shown['scope']}"


def net() -> State:
    """MTU, link state, addresses, routes and sysctls of every netdev."""
    shown = tool("ip", "-j", "-batch", "-", text="addr\nroute show table all\n")
    links, end = json.JSONDecoder().raw_decode(shown)
    routes = json.loads(shown[end:])
    found: State = {}
    for link in links:
        if link["ifname"] in NETDEVS:
            addresses = sorted(address(shown) for shown in link["addr_info"])
            found[link["ifname"]] = {"mtu": link["mtu"], "up": "UP" in link["flags"], "addresses": addresses}
    for dev, state in found.items():
        state["sysctls"] = sysctls(dev)
        own = [{k: v for k, v in r.items() if k not in ("flags", "metrics")} for r in routes if r.get("dev") == dev and ":" not in r["dst"]]
        state["routes"] = sorted(json.dumps(route, sort_keys=True) for route in own)
    return found


def removed(path: str) -> None:
    """Whatever is at `path`, away with it."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def placed(path: str, wanted: tuple[Any, ...]) -> None:
    """Make `path` what its entry says."""
    kind, mode, uid, gid, content = wanted
    if kind == "special":
        raise RuntimeError(f"cannot restore {path}")
    if kind != "folder" or os.path.islink(path) or not os.path.isdir(path):
        removed(path)
    if kind == "link":
        os.symlink(content, path)
        return
    if kind == "file":
        Path(path).write_bytes(content.encode("latin-1"))
    else:
        os.makedirs(path, exist_ok=True)
    os.chmod(path, mode)
    os.chown(path, uid, gid)


def restore_tree(now: State, wanted: State) -> None:
    """From one tree to another; only what differs is touched."""
    for path in sorted(now.keys() - wanted.keys(), reverse=True):
        removed(path)
    for path in sorted(wanted):
        if now.get(path) != wanted[path]:
            placed(path, wanted[path])


def restore_net(now: State, wanted: State) -> None:
    """From one state of the netdevs to another."""
    for dev, right in wanted.items():
        if now[dev] == right:
            continue
        lines = [f"addr flush dev {dev}", f"link set dev {dev} mtu {right['mtu']}"]
        lines.append(f"link set dev {dev} {'up' if right['up'] else 'down'}")
        for text in right["addresses"]:
            _, prefix, broadcast, _ = text.split()
            lines.append(f"addr add {prefix} {'' if broadcast == '-' else f'broadcast {broadcast} '}dev {dev}")
        tool("ip", "-batch", "-", text="".join(line + "\n" for line in lines))
        for path, value in right["sysctls"].items():
            if Path(path).read_text().strip() != value:
                Path(path).write_text(value)
        restore_routes(dev, right["routes"])


def restore_routes(dev: str, wanted: list[str]) -> None:
    """Routes that somebody set by hand; the kernel makes the others with the addresses."""
    for text in wanted:
        route = json.loads(text)
        if route.get("protocol") != "kernel":
            via = ["via", route["gateway"]] if "gateway" in route else []
            tool("ip", "route", "replace", route["dst"], *via, "dev", dev, "proto", route.get("protocol", "boot"), "scope", route.get("scope", "global"))


def digest(state: State) -> str:
    """The name of a state."""
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()[:16]


class Node:
    """The live node and every state it was ever photographed in."""

    def __init__(self) -> None:
        self.states: dict[str, State] = {}
        self.now = ""
        self.photograph()

    def photograph(self) -> str:
        """The state that the node is in."""
        state = {"tree": tree(), "net": net()}
        self.now = digest(state)
        self.states[self.now] = state
        return self.now

    def become(self, name: str) -> None:
        """Bring the node into a state that it was in before."""
        if name == self.now:
            return
        now, wanted = self.states[self.now], self.states[name]
        restore_tree(now["tree"], wanted["tree"])
        restore_net(now["net"], wanted["net"])
        if self.photograph() != name:
            raise RuntimeError(f"not restored: {difference(wanted, self.states[self.now])}")

    def answer(self, request: State) -> State:
        """One request."""
        if request["verb"] == "show":
            return {"state": self.states[request["from"]]}
        self.become(request["from"])
        Path("/scenario/uptime").write_text(f"{request['clock']}.00 0.00\n")
        Path("/scenario/boot_id").write_text(f"{request['boot']}\n")
        Path("/scenario/cables").write_text(request.get("cables", ""))
        return getattr(self, request["verb"])(request)

    def run(self, request: State) -> State:
        """A script with its stdin, as a login shell of root would run it; in a session of its own."""
        words = ["/bin/sh", "-c", request["script"]]
        running = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        out, err = running.communicate(base64.b64decode(request["stdin"]), timeout=60)
        quiet()
        texts = {"out": out.decode("utf-8", "replace"), "err": err.decode("utf-8", "replace")}
        return {"status": running.returncode, **texts, "state": self.photograph()}

    def track(self, request: State) -> State:
        """As the function."""
        track()
        return {"state": self.photograph()}

    def boot(self, request: State) -> State:
        """Power comes back: files as they were flushed, nothing of /run, netdevs as the kernel makes them."""
        if request["cut"]:
            flushed()
        shutil.rmtree("/run/scenario", ignore_errors=True)
        for name in os.listdir("/run"):
            removed(f"/run/{name}")
        for name in ("active", "timers", "loaded", "networkd", "journal"):
            os.makedirs(f"/run/scenario/{name}")
        for number, dev in enumerate(NETDEVS):
            tool("ip", "link", "del", dev)
            far = f"far{number}"
            tool("ip", "link", "add", dev, "mtu", "1500", "type", "veth", "peer", "name", far, "mtu", "9216")
            tool("ip", "link", "set", far, "up")
        return self.run({"script": "systemctl boot", "stdin": ""})


def track() -> None:
    """From now on the played `sync` writes down what it makes durable; all that is there now is."""
    base = tree()
    os.makedirs(DURABLE)
    Path(DURABLE, "base").write_text(json.dumps(base))
    Path(DURABLE, "log").touch()


def quiet() -> None:
    """Wait for what a script left running; as process 1 of the node, the agent is its parent."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.005)
        except ChildProcessError:
            return
    raise RuntimeError("something of a script still runs")


def flushed() -> None:
    """A power cut. As on ext4: a flushed file is there with its name, a flushed folder has the names it had then."""
    now, disk = tree(), Disk(json.loads(Path(DURABLE, "base").read_text()))
    for line in [*Path(DURABLE, "log").read_text().splitlines(), "E"]:
        disk.flush(*line.split(" ", 1))
    restore_tree(now, {path: settled(path, wanted, now) for path, wanted in disk.kept.items()})
    removed(DURABLE)


def settled(path: str, wanted: Any, now: State) -> Any:
    """Mode and owner as they are, for they were flushed with the content."""
    shown = now.get(path)
    return (wanted[0], *shown[1:4], wanted[4]) if shown and shown[0] == wanted[0] else tuple(wanted)


class Disk:
    """What a disk holds, from a base and the flush log."""

    def __init__(self, kept: State) -> None:
        self.kept = kept
        self.folder = ""
        self.names: set[str] = set()

    def flush(self, word: str, rest: str = "") -> None:
        """One line of the log: F file, D folder, then its entries f, d, l; E the end."""
        if word in "FDE":
            self._close()
        if word == "F":
            sum_, _, path = rest.partition(" ")
            self._parents(path)
            self.kept[path] = ("file", 0o600, 0, 0, blob(sum_))
        elif word == "D":
            self.folder = rest
            self._parents(f"{rest}/.")
        elif word != "E":
            self._named(word, rest)

    def _named(self, word: str, rest: str) -> None:
        sum_, name = rest.split(" ", 1) if word in "fl" else ("", rest)
        self.names.add(name)
        path = f"{self.folder}/{name}"
        if word == "d":
            self.kept.setdefault(path, ("folder", 0o700, 0, 0, ""))
        elif word == "l":
            self.kept[path] = ("link", 0o777, 0, 0, sum_)
        elif sum_ != hashlib.sha256(self.kept.get(path, ("",) * 5)[4].encode("latin-1")).hexdigest() or path not in self.kept:
            self.kept[path] = ("file", 0o600, 0, 0, blob(sum_))

    def _parents(self, path: str) -> None:
        while (path := os.path.dirname(path)) not in (*TREES, "/"):
            self.kept.setdefault(path, ("folder", 0o700 if path.startswith("/var/lib/sparkctl") else 0o755, 0, 0, ""))

    def _close(self) -> None:
        """A name that the folder had not any more when it was flushed is gone, and all below it."""
        gone = [p for p in self.kept if self.folder and os.path.dirname(p) == self.folder and os.path.basename(p) not in self.names]
        for path in gone:
            self.kept = {p: e for p, e in self.kept.items() if p != path and not p.startswith(path + "/")}
        self.folder, self.names = "", set()


def blob(name: str) -> str:
    """Flushed content; a file whose content was never flushed is empty after a power cut."""
    path = Path(DURABLE, name)
    return path.read_bytes().decode("latin-1") if path.exists() else ""


def difference(before: State, after: State) -> list[str]:
    """What differs between two states, one line each."""
    found = []
    for part in before:
        for key in sorted(before[part].keys() | after[part].keys()):
            one, two = before[part].get(key), after[part].get(key)
            if json.dumps(one) != json.dumps(two):
                found.append(f"{key}: {shortened(one)} -> {shortened(two)}")
    return found


def shortened(value: Any) -> str:
    """At most 160 characters of it; a netdev without its sysctls."""
    shown = {k: v for k, v in value.items() if k != "sysctls"} if isinstance(value, dict) else value
    return json.dumps(shown)[:160]


def main(root: str, played: str) -> None:
    """Answer until stdin ends."""
    furnish(root, played)
    cable()
    node = Node()
    print(json.dumps({"state": node.now}), flush=True)
    for line in sys.stdin:
        try:
            said = node.answer(json.loads(line))
        except Exception as error:
            said = {"error": f"{type(error).__name__}: {error}"}
            os.kill(-1, signal.SIGKILL)  # all of this node but this process
            node.photograph()
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:3])
