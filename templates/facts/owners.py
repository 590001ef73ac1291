"""Owners of fabric netdevs that are no netplan files, in the words of foreign.py.

FOREIGN NETDEV...   one JSON object per owner that has a netdev at the next boot; FOREIGN is the text of foreign.py

Profiles of NetworkManager, its unmanaged-devices, files of networkd that come before those of netplan, ifupdown, and
bonds or bridges. Runs as root on a node (Python 3.8 or later). Of a profile only what profile() asks for is looked at:
secrets never leave the node.
"""

import fnmatch
import glob
import hashlib
import json
import os
import re
import stat
import subprocess
import sys
import types

foreign = types.ModuleType("foreign")
exec(sys.argv[1], vars(foreign))
ROOT, shown = foreign.ROOT, foreign.shown

PROFILES = tuple(folder + "/NetworkManager/system-connections" for folder in ("/etc", "/run", "/usr/lib"))
NETWORKS = tuple(folder + "/systemd/network" for folder in ("/etc", "/run", "/usr/local/lib", "/usr/lib"))
NETPLANS = "10-netplan-%s.network"
NAME = re.compile(r"[\w@+]([\w.@+: ()-]*[\w)])?", re.ASCII)
UNREAD = (".pem", ".der", ".nmmeta", "~", ".swp", ".swpx")  # what NetworkManager passes over in its folder
FALSE = ("false", "no", "off", "0")
PORT_OF = ("Bond", "Bridge", "VRF", "BatmanAdvanced")  # systemd.network(5): the netdev is part of another one
ABOVE = ("VLAN", "MACVLAN", "MACVTAP", "IPVLAN", "IPVTAP")  # and another one is made on top of it


# --- files ------------------------------------------------------------------------------------------------------


class File:
    """One file and what it says: sections, keys and values; problem: why that is not known."""

    def __init__(self, path):
        self.path, self.says, self.problem, raw = path, {}, "", b""
        self.state = os.lstat(ROOT + path)
        self.regular = stat.S_ISREG(os.stat(ROOT + path).st_mode)
        if self.regular:
            with open(ROOT + path, "rb") as file:
                raw = file.read(foreign.MOST_BYTES + 1)
        self.digest = hashlib.sha256(raw).hexdigest()
        if len(raw) > foreign.MOST_BYTES:
            self.problem = "it is larger than any such file, so nobody can say what it does: move it away by hand"
        self.says = parsed(raw.decode("utf-8", "replace"))

    def all(self, section, key):
        return self.says.get((section, key), [])

    def one(self, section, key, other=""):
        """The last one counts."""
        return self.all(section, key)[-1] if self.all(section, key) else other


def parsed(text):
    """(section, key) to its values, as keyfiles and systemd's files are both written."""
    found, section = {}, ""
    for line in map(str.strip, text.split("\n")):
        if line[:1] == "[" and line[-1:] == "]":
            section = line[1:-1].replace("802-3-ethernet", "ethernet")
        elif "=" in line and line[0] not in "#;":
            key, _, value = line.partition("=")
            found.setdefault((section, key.strip()), []).append(value.strip())
    return found


def named(folders):
    """Path by name of all that is there: a name in one folder hides the same name in those after it."""
    found = {}
    for folder in reversed(folders):
        if os.path.isdir(ROOT + folder):
            found.update({name: folder + "/" + name for name in os.listdir(ROOT + folder)})
    return {name: path for name, path in found.items() if os.path.exists(ROOT + path)}


def entry(kind, id_, netdevs, how, says="", file=None, path="", who="", why_not="", others=()):
    """One owner, in the form of foreign.py."""
    state = file.state if file else None
    why_not = shown_words(why_not or (file_reason(file) if file else ""))
    stanza = {"kind": kind, "id": shown(id_), "netdevs": sorted(netdevs), "others": [shown(o) for o in sorted(others)]}
    return {
        "path": file.path if file else path,
        "digest": file.digest if file else "",
        "mode": "%04o" % stat.S_IMODE(state.st_mode) if state else "0000",
        "uid": state.st_uid if state else 0,
        "gid": state.st_gid if state else 0,
        "who": shown_words(who),
        "movable": not why_not,
        "why_not": why_not,
        "after": "" if why_not else foreign.ABSENT,
        "stanzas": [dict(stanza, how=how, says=shown_words(says))],
    }


def shown_words(text):
    return " ".join(re.sub(r"[^\w./:*?\[\]{},;@+()\x60'=-]", "_", word)[:200] for word in text.split())[:600]


def file_reason(file):
    """Why a file cannot go and come back as a whole."""
    folder, name = os.path.split(file.path)
    if file.problem:
        return file.problem
    if folder.startswith("/run/"):
        return "another program makes it, perhaps at every boot: tell that program to leave these netdevs alone"
    if folder not in (PROFILES[0], NETWORKS[0]):
        return "it belongs to a package: remove that, or hide the file (link to /dev/null) by one of this name in /etc"
    if not NAME.fullmatch(name):
        return "its name is unusual: rename it, then run this again"
    if not stat.S_ISREG(file.state.st_mode) or file.state.st_nlink > 1:
        return "it is a link, or has a second name: move it away by hand"
    if file.state.st_uid != os.stat(ROOT + "/").st_uid:
        return "it does not belong to root: give it to root (chown 0:0), or move it away by hand"
    return ""


# --- NetworkManager ---------------------------------------------------------------------------------------------


def profiles(fabric, devices):
    files = []
    for folder in PROFILES:
        for name in sorted(os.listdir(ROOT + folder) if os.path.isdir(ROOT + folder) else ()):
            netplans = folder == PROFILES[1] and name.startswith("netplan-")
            unread = (
                name[0] == "."
                or name.endswith(UNREAD)
                or (folder != PROFILES[0] and not name.endswith(".nmconnection"))
            )
            if not (netplans or unread) and os.path.isfile(ROOT + folder + "/" + name):
                files.append(File(folder + "/" + name))
    for file in files:
        uuid = file.one("connection", "uuid")
        below = next((f.path for f in files if f is not file and uuid and f.one("connection", "uuid") == uuid), "")
        yield from profile(file, fabric, devices, below)


def profile(file, fabric, devices, below):
    """An ethernet profile that may start on a fabric netdev by itself, or one whose netdev is built on such."""
    uuid = file.one("connection", "uuid") or os.path.basename(file.path)
    who = "the profile %s of NetworkManager" % (file.one("connection", "id") or uuid)
    if file.problem:
        yield entry("profile", uuid, fabric, "cannot be read", file=file, who=who)
        return
    if file.one("connection", "autoconnect", "true").lower() in FALSE or priority(file) < 0:
        return
    if file.one("connection", "type", "ethernet") not in ("ethernet", "802-3-ethernet"):
        parents = fabric & {value for (_, key), values in file.says.items() if key == "parent" for value in values}
        why = "its netdev is built on a fabric netdev: sudo nmcli connection delete uuid %s" % shown(uuid)
        if parents:
            yield entry("profile", uuid, parents, "is built on it", file=file, who=who, why_not=why)
        return
    covers = {dev for dev in devices if takes(file, dev)}
    if covers & fabric:
        bound = bool(file.one("connection", "interface-name"))
        why = profile_reason(file, uuid, covers - fabric, below)
        how = "is bound to it" if bound else "may be any netdev" if covers - fabric else "matches"
        yield entry(
            "profile", uuid, covers & fabric, how, addressing(file, covers), file, "", who, why, covers - fabric
        )


def profile_reason(file, uuid, others, below):
    uuid, over = shown(uuid), file.one("connection", "controller") or file.one("connection", "master")
    if over:
        return "it makes the netdev a port of %s: take it out by hand: sudo nmcli connection delete uuid %s" % (
            over,
            uuid,
        )
    if others:
        bind = "the profile is also for %s: bind it: sudo nmcli connection modify %s connection.interface-name %s"
        # That which has it; else one that is no QSFP port.
        best = min(others, key=lambda dev: (active(dev) != uuid, dev[-3:-1] == "np", dev))
        return bind % (", ".join(sorted(others)), uuid, best)
    return "without it, NetworkManager would read %s, which has its uuid: remove one by hand" % below if below else ""


def takes(file, dev):
    """Whether a profile fits a netdev; what we cannot judge (a PCI path) fits."""
    bound, macs = file.one("connection", "interface-name"), file.one("ethernet", "mac-address")
    asked = [glob_ for glob_ in re.split("[;,\\s]+", file.one("match", "interface-name")) if glob_]
    wanted = [glob_.lstrip("|&") for glob_ in asked if not glob_.startswith("!")]
    refused = [glob_[1:] for glob_ in asked if glob_.startswith("!")]
    match = {"macaddress": [macs]} if macs else {}
    drivers = [glob_ for glob_ in re.split("[;,\\s]+", file.one("match", "driver")) if glob_ and glob_[0] not in "!&|"]
    match.update({"driver": drivers} if drivers else {})
    return (
        bound in ("", dev)
        and (not wanted or any(fnmatch.fnmatchcase(dev, glob_) for glob_ in wanted))
        and not any(fnmatch.fnmatchcase(dev, glob_) for glob_ in refused)
        and foreign.fits(match, dev)
    )


def priority(file):
    """Profiles of netplan have 0; the "Wired connection N" of NetworkManager -999 (seen)."""
    found = re.fullmatch(r"-?[0-9]{1,4}", file.one("connection", "autoconnect-priority", "0"))
    return int(found.group()) if found else 0


def addressing(file, netdevs):
    keys = sorted(
        {key for section, key in file.says if section == "ipv4" and re.fullmatch("address(es)?[0-9]{0,4}", key)}
    )
    texts = [re.split("[,;]", value)[0] for key in keys for value in file.all("ipv4", key)]
    words = [file.one("ipv4", "method", "auto"), *texts[:8]]
    uuid = file.one("connection", "uuid")
    return " ".join(words) + (", active now" if uuid and any(active(dev) == uuid for dev in netdevs) else "")


def active(dev):
    """The UUID of the profile that NetworkManager has on a netdev now."""
    path = "/run/NetworkManager/devices/" + foreign.read("/sys/class/net/%s/ifindex" % dev)
    return File(path).one("device", "connection-uuid") if os.path.isfile(ROOT + path) else ""


def unmanaged(fabric):
    """What the configuration keeps NetworkManager away from, in its own words: it merges its files itself."""
    asked = subprocess.run(["NetworkManager", "--print-config"], stdout=subprocess.PIPE, timeout=10, check=True)
    says = parsed(asked.stdout.decode("utf-8", "replace"))
    lists = says.get(("keyfile", "unmanaged-devices"), [])[-1:]
    for section, key in says:
        if section.startswith("device") and key == "managed" and says[section, key][-1].lower() in FALSE:
            lists.append(says.get((section, "match-device"), ["*"])[-1])
    for specs in lists:
        netdevs = {dev for dev in fabric if listed(specs, dev)}
        if netdevs:
            path = configuration(specs, netdevs)
            why = (
                "take it out of there (then: sudo nmcli general reload conf), "
                "or let netplan have \x60renderer: networkd\x60"
            )
            yield entry(
                "unmanaged",
                "unmanaged-devices",
                netdevs,
                "lists it",
                specs,
                path=path,
                who="NetworkManager",
                why_not=why,
            )


def listed(specs, dev):
    each = [spec for spec in re.split("[,;\\s]+", specs) if spec]
    without = any(fits(spec[len("except:") :], dev) for spec in each if spec.startswith("except:"))
    return not without and any(fits(spec, dev) for spec in each if not spec.startswith("except:"))


def fits(spec, dev):
    """One of NetworkManager.conf(5), Device List Format; a hardware address may stand alone."""
    if spec == "*":
        return True
    bare = re.match("([0-9a-fA-F]{2}:){5}", spec)
    kind, _, value = ("mac", "", spec) if bare else spec.partition(":")
    if kind == "interface-name":
        return value[1:] == dev if value[:1] == "=" else fnmatch.fnmatchcase(dev, value.lstrip("~"))
    if kind == "type":
        return value == "ethernet"
    return foreign.fits({"driver": [value.partition("/")[0]]} if kind == "driver" else {"macaddress": [value]}, dev)


def configuration(specs, netdevs):
    """The file that says so."""
    files = ["/etc/NetworkManager/NetworkManager.conf"]
    for folder in ("/usr/lib", "/run", "/etc"):
        files += sorted(path[len(ROOT) :] for path in glob.glob(ROOT + folder + "/NetworkManager/conf.d/*.conf"))
    words = [spec for spec in re.split("[,;\\s]+", specs) if any(fits(spec, dev) for dev in netdevs)]
    said = [path for path in files if os.path.isfile(ROOT + path) and any(word in foreign.read(path) for word in words)]
    return said[-1] if said else files[0]


# --- networkd, ifupdown, other netdevs --------------------------------------------------------------------------


def networks(fabric, devices):
    """Files of networkd that come before netplan's, or change it: it takes the first that matches."""
    there = named(NETWORKS)
    for name, path in sorted(there.items()):
        if path.startswith(NETWORKS[1] + "/10-netplan-"):
            continue
        if name.endswith(".network") and os.path.isfile(ROOT + path):
            yield from network(File(path), name, fabric, devices)
    for folder in NETWORKS:
        for dev in sorted(fabric):
            for path in sorted(glob.glob(ROOT + folder + "/" + NETPLANS % dev + ".d/*.conf")):
                file, why = File(path[len(ROOT) :]), "it changes what netplan writes: move it away by hand"
                yield entry("network", NETPLANS % dev, {dev}, "is its name", file=file, who="networkd", why_not=why)


def network(file, name, fabric, devices):
    early = {dev for dev in fabric if name <= NETPLANS % dev}
    if file.problem and early:
        yield entry("network", name, early, "cannot be read", file=file, who="networkd")
        return
    asked = {key: file.all("Match", key) for section, key in file.says if section == "Match"}
    covers = {dev for dev in devices if asked and matches(asked, dev)}
    if covers & early:
        says = [*("%s %s" % (key, value) for key in ("Address", "DHCP") for value in file.all("Network", key)[:8])]
        says += ["MTU " + value for value in file.all("Link", "MTUBytes")[-1:]]
        yield entry(
            "network", name, covers & early, "matches", " ".join(says), file, "", "networkd",
            network_reason(file, covers - fabric), covers - fabric,
        )  # fmt: skip


def network_reason(file, others):
    for key in (*PORT_OF, *ABOVE):
        if file.all("Network", key):
            return "it ties the netdev to %s: take that out by hand" % file.one("Network", key)
    if others:
        return "it is also for %s: write a file of its own for that, and narrow this one" % ", ".join(sorted(others))
    return ""


def matches(asked, dev):
    """systemd.network(5), [Match]; what we cannot judge (a path, a kernel argument) matches."""
    names, types_ = words(asked, "Name"), words(asked, "Type")
    macs = words(asked, "MACAddress") + words(asked, "PermanentMACAddress")
    match = {"macaddress": macs, "driver": words(asked, "Driver")}
    return (
        one_of(names, dev)
        and (not types_ or one_of(types_, "ether"))
        and foreign.fits({key: values for key, values in match.items() if values}, dev)
    )


def words(asked, key):
    return " ".join(asked.get(key, [])).split()


def one_of(globs, text):
    """A "!" before the first one turns the list around."""
    turned = bool(globs) and globs[0].startswith("!")
    found = any(fnmatch.fnmatchcase(text, glob_.lstrip("!")) for glob_ in globs)
    return not globs or found != turned


def interfaces(fabric):
    """Files of ifupdown, which brings up what they say; NetworkManager leaves that alone."""
    paths, read = ["/etc/network/interfaces"], set()
    while paths:
        path = paths.pop(0)
        if path in read or not os.path.isfile(ROOT + path):
            continue
        read.add(path)
        file = File(path)
        with open(ROOT + path, "rb") as lines:
            text = lines.read(foreign.MOST_BYTES).decode("utf-8", "replace")
        for source in re.findall(r"^\s*source(?:-directory)?\s+(/\S+)", text, re.M):
            found = glob.glob(ROOT + source) + glob.glob(ROOT + source.rstrip("/") + "/*")
            paths += sorted(each[len(ROOT) :] for each in found)
        netdevs = fabric if file.problem else {dev for dev in fabric if mentions(text, dev)}
        if netdevs:
            why = file.problem or "take its stanza out by hand"
            yield entry("interfaces", "iface", netdevs, "is named", path=path, who="ifupdown", why_not=why)


def mentions(text, dev):
    lines = [line.split("#")[0].split() for line in text.split("\n")]
    return any(dev in line or any(fnmatch.fnmatchcase(dev, word.strip("/")) for word in line[1:2]) for line in lines)


def ports(fabric):
    """Netdevs that are part of another one now."""
    for dev in sorted(fabric):
        link = ROOT + "/sys/class/net/%s/master" % dev
        if os.path.islink(link):
            over = os.path.basename(os.readlink(link))
            why = "take it out of %s: sudo ip link set %s nomaster, and for good where that is defined" % (over, dev)
            yield entry("port", over, {dev}, "has it", path="/sys/class/net/%s/master" % dev, who=over, why_not=why)


# --- all of them ------------------------------------------------------------------------------------------------


def renderer():
    """Who has what netplan defines: the last file that says so counts, and of it the section."""
    found = "networkd"
    for path in foreign.effective():
        source = foreign.Source(path)
        for _, _, network_ in foreign.pairs(source.tree, "network"):
            sections = [section for _, _, section in foreign.pairs(network_, "ethernets")]
            found = next(filter(None, (foreign.scalar(each, "renderer") for each in (*sections, network_))), found)
    return found


def starts(unit):
    """Whether the next boot starts a unit of systemd."""
    folders = ("/etc/systemd/system", "/usr/lib/systemd/system")
    return any(glob.glob(ROOT + folder + "/*.wants/" + unit) for folder in folders)


def scan(fabric):
    devices, manager = fabric | set(foreign.ethernets()), renderer() == "NetworkManager"
    if manager:
        yield from profiles(fabric, devices)
        yield from unmanaged(fabric)
    if not manager or starts("systemd-networkd.service"):
        yield from networks(fabric, devices)
    if manager or os.path.exists(ROOT + "/sbin/ifup"):
        yield from interfaces(fabric)
    yield from ports(fabric)


if __name__ == "__main__":
    try:
        for owner in scan(frozenset(sys.argv[2:])):
            print(json.dumps(owner))
    except (OSError, subprocess.SubprocessError) as failure:
        sys.exit("owners of netdevs cannot be read: %s" % failure)  # status 1
