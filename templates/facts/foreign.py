"""Netplan files of others that touch fabric netdevs: scan names them, excise cuts the stanzas of the fabric out of one.

scan OURS NETDEV...          one JSON object per file that defines, matches, renames or uses a netdev, or hides OURS
excise PATH OURS NETDEV...   PATH without these stanzas on stdout, all else to the byte; 44: nothing would be left of it

Runs as root on a node (Python 3.8 or later, PyYAML). What files say beyond addresses never leaves the node: facts about
stanzas are printed, never text. Read order, hiding and merging are those of netplan-generate(8).
"""

import array
import contextlib
import fcntl
import fnmatch
import hashlib
import json
import os
import re
import socket
import stat
import struct
import sys
from collections import namedtuple

import yaml

ROOT = os.environ.get("SPARKCTL_ROOT", "")  # a tree to read instead of /, for tests
FOLDERS = ("/run/netplan", "/etc/netplan", "/lib/netplan")  # a name in one hides the same name in those after it
ABSENT, REFUSED, GONE = "absent", 1, 44
BREAK = "\n\r\x85\u2028\u2029"  # YAML 1.1, 5.4
MOST_BYTES, MOST_NODES = 1 << 16, 100_000  # far above any real file (under 4 KiB); bounds what aliases can grow to
NO_ETHERNET = ("bridge", "wireless", "phy80211", "tun_flags", "bonding")  # what sysfs has of other kinds of netdev
SIOCETHTOOL, ETHTOOL_GPERMADDR = 0x8946, 0x20  # linux/sockios.h, linux/ethtool.h
MAKERS = (
    ("40-cx7.yaml", "the cluster helper of NVIDIA"),
    ("99-nvidia-sync-cluster.yaml", "NVIDIA Sync"),
    ("98-spark-vllm-docker.yaml", "spark-vllm-docker"),
    ("90-NM-*.yaml", "NetworkManager"),
)
FOLDER_REASONS = {
    "/lib/netplan": "it belongs to a package: put a file of the same name without these stanzas into /etc/netplan",
    "/run/netplan": "another program makes it at every boot: tell that program to leave these netdevs alone",
}

Stanza = namedtuple("Stanza", "kind id key value parent")  # the last three: nodes of the YAML tree
Touch = namedtuple("Touch", "stanza netdevs others how")


class Refused(Exception):
    """Why a file cannot be cut."""


# --- files ------------------------------------------------------------------------------------------------------


class Source:
    """One netplan file that netplan reads; problem: why its content cannot be."""

    def __init__(self, path):
        self.path, self.text, self.tree, self.problem = path, "", None, ""
        self.state = os.lstat(ROOT + path)
        self.raw = b""
        if stat.S_ISREG(os.stat(ROOT + path).st_mode):
            with open(ROOT + path, "rb") as file:
                self.raw = file.read(MOST_BYTES + 1)
        self.problem = self._composed() or ""

    def _composed(self):
        if len(self.raw) > MOST_BYTES:
            return "it is larger than any netplan file"
        try:
            self.text = self.raw.decode("utf-8")
            documents = list(yaml.compose_all(self.text, Loader=yaml.SafeLoader))
            plain(documents[0] if documents else None)
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError, Refused) as error:
            place = getattr(error, "problem_mark", None)
            where = " (line %d)" % (place.line + 1) if place else ""
            return "it is not readable as YAML%s, so netplan refuses it as well: repair it" % where
        self.tree = documents[0] if documents else None
        return "it holds several YAML documents: split it" if len(documents) > 1 else ""

    @property
    def digest(self):
        if stat.S_ISREG(self.state.st_mode):
            return hashlib.sha256(self.raw).hexdigest()
        return "symlink" if stat.S_ISLNK(self.state.st_mode) else "special"

    def stanzas(self):
        for _, _, network in pairs(self.tree, "network"):
            for kind, _, section in pairs(network):
                for id_, key, value in pairs(section):
                    yield Stanza(kind, id_, key, value, section)


def named(folder):
    try:
        return {name for name in os.listdir(ROOT + folder) if name.endswith(".yaml") and name[0] != "."}
    except (FileNotFoundError, NotADirectoryError):
        return set()


def effective():
    """Paths of the files that netplan reads, in its order."""
    found = {}
    for folder in reversed(FOLDERS):
        found.update({name: folder + "/" + name for name in named(folder)})
    return [found[name] for name in sorted(found) if os.path.exists(ROOT + found[name])]


def hidden_by(path):
    """The file that netplan would read if there were no path."""
    folder, name = os.path.split(path)
    lower = FOLDERS[FOLDERS.index(folder) + 1 :]
    return next((below + "/" + name for below in lower if name in named(below)), None)


# --- YAML -------------------------------------------------------------------------------------------------------


def pairs(node, wanted=None):
    """(key as text, key, value) of a mapping, duplicates included; nothing for any other node."""
    entries = node.value if isinstance(node, yaml.MappingNode) else ()
    for key, value in entries:
        if isinstance(key, yaml.ScalarNode) and wanted in (None, key.value):
            yield key.value, key, value


def scalar(node, name):
    """The scalar name of a mapping; the last one counts, as netplan has it."""
    found = [value.value for _, _, value in pairs(node, name) if isinstance(value, yaml.ScalarNode)]
    return found[-1] if found else ""


def texts(node, name):
    """A list of scalars, or a single one; of a mapping in a list, its key (an address with options)."""
    for _, _, value in pairs(node, name):
        for item in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            if isinstance(item, yaml.ScalarNode):
                yield item.value
            else:
                yield from (key for key, _, _ in pairs(item))


def plain(node, dropped=frozenset(), budget=None):
    """The tree as values, without the entries whose keys are dropped; Refused where aliases blow it up."""
    budget = [MOST_NODES] if budget is None else budget
    budget[0] -= 1
    if budget[0] < 0:
        raise Refused("its aliases grow without bound")
    if isinstance(node, yaml.MappingNode):
        kept = [(key, value) for key, value in node.value if id(key) not in dropped]
        return (node.tag, [(plain(k, dropped, budget), plain(v, dropped, budget)) for k, v in kept])
    if isinstance(node, yaml.SequenceNode):
        return (node.tag, [plain(item, dropped, budget) for item in node.value])
    return (node.tag, node.value) if node else None


# --- netdevs ----------------------------------------------------------------------------------------------------


def read(path):
    try:
        with open(ROOT + path) as file:
            return file.read().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def ethernets():
    """Ethernet netdevs of this node, without bridges, Wi-Fi, tap devices and the ends of containers."""
    net = ROOT + "/sys/class/net"
    for dev in os.listdir(net) if os.path.isdir(net) else ():
        other = any(os.path.exists("%s/%s/%s" % (net, dev, mark)) for mark in NO_ETHERNET)
        if not other and not dev.startswith("veth") and read("/sys/class/net/%s/type" % dev) == "1":
            yield dev


def permanent(dev):
    """The address that the hardware came with, in lower case; empty where the kernel has none."""
    answer = array.array("B", struct.pack("II32x", ETHTOOL_GPERMADDR, 32))
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        fcntl.ioctl(handle, SIOCETHTOOL, struct.pack("16sP16x", dev.encode(), answer.buffer_info()[0]))
        size = struct.unpack_from("I", answer, 4)[0]
        return ":".join("%02x" % byte for byte in answer[8 : 8 + size])
    return ""


def fits(match, dev):
    """Whether dev has everything that the match asks for; an empty match is any ethernet."""
    link = ROOT + "/sys/class/net/%s/device/driver" % dev
    driver = os.path.basename(os.readlink(link)) if os.path.islink(link) else ""
    macs = {read("/sys/class/net/%s/address" % dev).lower(), permanent(dev)} - {""}
    has = {
        "name": lambda glob: fnmatch.fnmatchcase(dev, glob),
        "driver": lambda glob: fnmatch.fnmatchcase(driver, glob),
        "macaddress": lambda mac: mac.lower() in macs,
    }
    return all(any(has[key](wanted) for wanted in values) for key, values in match.items() if key in has)


# --- who touches what -------------------------------------------------------------------------------------------


class Node:
    """All netplan files of the node together: definitions of one id merge across files, and so do their matches."""

    def __init__(self, ours, fabric):
        self.ours, self.fabric = ours, frozenset(fabric)
        self.devices = self.fabric | set(ethernets())
        self.files = [Source(path) for path in effective()]
        self.stanzas = [(source, stanza) for source in self.files for stanza in source.stanzas()]
        self.match = {}
        for _, stanza in self.stanzas:
            for _, _, match in pairs(stanza.value, "match"):
                merged = self.match.setdefault(stanza.id, {})
                merged.update({key: list(texts(match, key)) for key, _, _ in pairs(match)})
        self.covers = {stanza.id: self._covers(stanza) for _, stanza in self.stanzas}

    def _covers(self, stanza):
        if stanza.id not in self.match:
            return frozenset([stanza.id])
        if stanza.kind != "ethernets":
            return frozenset()
        return frozenset(dev for dev in self.devices if fits(self.match[stanza.id], dev))

    def touches(self, source):
        """What in a file touches the fabric; nothing in our own."""
        found = (self._touch(stanza) for stanza in (source.stanzas() if source.path != self.ours else ()))
        return [touch for touch in found if touch]

    def _touch(self, stanza):
        if stanza.kind in ("ethernets", "wifis", "modems"):
            return self._physical(stanza)
        uses = {name for key in ("interfaces", "link", "peer", "ports") for name in texts(stanza.value, key)}
        for _, _, profile in pairs(stanza.value, "networkmanager"):
            for _, _, settings in pairs(profile, "passthrough"):
                uses.add(scalar(settings, "connection.interface-name"))
        below = self.fabric & (uses | {stanza.id} | {dev for name in uses for dev in self.covers.get(name, ())})
        return Touch(stanza, sorted(below), [], "uses it") if below else None

    def _physical(self, stanza):
        covers = self.covers[stanza.id]
        renamed = {scalar(s.value, "set-name") for _, s in self.stanzas if s.id == stanza.id} - {""}
        netdevs = self.fabric & (covers | renamed | {stanza.id})
        if not netdevs:
            return None
        how = "renames to " + shown(min(renamed)) if renamed else match_words(self.match.get(stanza.id))
        return Touch(stanza, sorted(netdevs), sorted(covers - self.fabric), how)

    def defined_alone(self, dev, stanza):
        """Whether another stanza is about dev and nothing else."""
        return any(s.id != stanza.id and self.covers[s.id] == {dev} for _, s in self.stanzas)

    def why_not(self, source, touches):
        """Why the stanzas cannot be moved aside, with what to do instead; empty when they can."""
        reasons = [self._file_reason(source), *(self._stanza_reason(touch) for touch in touches)]
        return next(filter(None, reasons), "")

    def _file_reason(self, source):
        folder, name = os.path.split(source.path)
        if name == os.path.basename(self.ours):
            return "it hides the file of sparkctl: remove it"
        if folder in FOLDER_REASONS:
            return FOLDER_REASONS[folder]
        if not stat.S_ISREG(source.state.st_mode):
            return "it is a link or no regular file: move these stanzas out of it by hand"
        if source.state.st_nlink > 1:
            return "it has a second name (a hard link): move these stanzas out of it by hand"
        if source.state.st_uid != os.stat(ROOT + "/").st_uid:
            return "it does not belong to root: give it to root (chown 0:0), or move these stanzas out by hand"
        return source.problem

    def _stanza_reason(self, touch):
        stanza = touch.stanza
        label = "%s.%s" % (stanza.kind, shown(stanza.id))
        if stanza.kind != "ethernets":
            return "%s is built on a fabric netdev: take the netdev out of it by hand" % label
        if touch.how.startswith("renames"):
            return "%s renames a netdev: take set-name out by hand and reboot" % label
        if any(True for _ in pairs(stanza.value, "<<")):
            return "%s has a merge key, which netplan refuses: write its settings out" % label
        by_nm = any(True for _ in pairs(stanza.value, "networkmanager"))
        others = [dev for dev in touch.others if not (by_nm and self.defined_alone(dev, stanza))]
        if not others:
            return ""
        names = ", ".join(map(shown, others))
        if by_nm:
            uuid = shown(stanza.id.replace("NM-", "", 1))
            return "the profile is also for %s: bind it: nmcli connection modify %s connection.interface-name %s" % (
                names, uuid, shown(others[0]))  # fmt: skip
        return "%s also defines %s: write a stanza of its own for that, and narrow this one" % (label, names)


def shown(text):
    """A name or a value as it may be printed: no control characters, no novels."""
    return re.sub(r"[^\w./:*?\[\],@+-]", "_", text)[:64]


def match_words(match):
    if match is None:
        return "is its name"
    asked = ["%s %s" % (k, " ".join(map(shown, match[k]))) for k in ("name", "driver", "macaddress") if k in match]
    return "matches " + (", ".join(asked) or "every ethernet netdev")


def says(stanza):
    """What a stanza sets, of the things that matter to a fabric; never a secret."""
    value = stanza.value
    words = [key for key in ("dhcp4", "dhcp6") if scalar(value, key).lower() in ("true", "yes", "on", "y")]
    addresses = [shown(address) for address in texts(value, "addresses")]
    words += ["addresses " + " ".join(addresses)] if addresses else []
    words += ["routes to " + " ".join(map(shown, found))] if (found := routes(value)) else []
    keys = ("mtu", "gateway4", "gateway6", "macaddress", "set-name", "renderer", "activation-mode", "link")
    words += ["%s %s" % (key, shown(scalar(value, key))) for key in keys if scalar(value, key)]
    told = {"match", "dhcp4", "dhcp6", "addresses", "routes", *(key for key in keys if scalar(value, key))}
    others = sorted({shown(key) for key, _, _ in pairs(value)} - told)
    return ", ".join(words + (["and " + " ".join(others)] if others else []))


def routes(value):
    for _, _, listed in pairs(value, "routes"):
        if isinstance(listed, yaml.SequenceNode):
            return [scalar(route, "to") for route in listed.value]
    return []


# --- cutting ----------------------------------------------------------------------------------------------------


def rest(source, stanzas):
    """The text without stanzas; None when nothing but the version is left. Refused when that cannot be had."""
    doomed = {id(stanza.key) for stanza in stanzas}
    cuts, left = [], 0
    for _, _, network in pairs(source.tree, "network"):
        for kind, key, section in pairs(network):
            entries = [id(entry) for entry, _ in section.value] if isinstance(section, yaml.MappingNode) else []
            if entries and doomed.issuperset(entries):
                doomed.add(id(key))
                cuts.append((network, key))
            else:
                cuts += [(section, entry) for _, entry, _ in pairs(section) if id(entry) in doomed]
                left += kind != "version"
    if not left and all(key == "network" for key, _, _ in pairs(source.tree)):
        return None
    text = without(source.text, cuts)
    check(text, plain(source.tree, doomed))
    return text


def without(text, cuts):
    tokens = [t for t in yaml.scan(text, Loader=yaml.SafeLoader) if t.end_mark.index > t.start_mark.index]
    ranges = sorted((span(text, tokens, mapping, key) for mapping, key in cuts), reverse=True)
    for start, end in ranges:
        text = text[:start] + text[end:]
    return text


def span(text, tokens, mapping, key):
    """Where an entry of a mapping begins and ends in the text."""
    start = key.start_mark.index
    later = [k.start_mark.index for k, _ in mapping.value if k.start_mark.index > start]
    limit = min([*later, mapping.end_mark.index])
    own = [t for t in tokens if start <= t.start_mark.index < limit and not isinstance(t, yaml.BlockEndToken)]
    if mapping.flow_style and not later:
        own.pop()  # the brace that ends the mapping
    if not own:
        raise Refused("it uses aliases for whole sections: move these stanzas out by hand")
    end = own[-1].end_mark.index
    return (start, end) if mapping.flow_style else lines(text, start, end)


def lines(text, start, end):
    """Whole lines from the one of start to the one of end, and deeper comments that follow."""
    indent = re.search("[^%s]*\\Z" % BREAK, text[:start]).group()
    if indent.strip(" "):
        raise Refused("a stanza does not begin on a line of its own: move it out by hand")
    newline = "(?:\r\n|[%s])" % BREAK
    if text[end - 1] not in BREAK:
        tail = re.compile("[ \t]*(?:#[^%s]*)?(?:%s|\\Z)" % (BREAK, newline)).match(text, end)
        if not tail:
            raise Refused("a stanza does not end on a line of its own: move it out by hand")
        end = tail.end()
    deeper = re.compile("(?:[ \t]*%s)* {%d,}#[^%s]*(?:%s|\\Z)" % (newline, len(indent) + 1, BREAK, newline))
    while end < len(text) and (comment := deeper.match(text, end)):
        end = comment.end()
    return start - len(indent), end


def check(text, expected):
    """Whatever was cut: the rest reads as what was meant to stay, or it is refused."""
    try:
        documents = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.YAMLError as error:
        anchored = isinstance(error, yaml.composer.ComposerError)
        because = "an anchor inside it is used elsewhere" if anchored else "its layout is unusual"
        raise Refused("a stanza cannot be cut out (%s): move it out by hand" % because) from None
    if len(documents) != 1 or plain(documents[0]) != expected:
        raise Refused("a stanza cannot be cut out without touching others: move it out by hand")


# --- the two verbs ----------------------------------------------------------------------------------------------


def judged(node, source, touches):
    """(why it cannot be moved aside, the text that would be left)."""
    why, text = node.why_not(source, touches), None
    if not why:
        try:
            text = rest(source, [touch.stanza for touch in touches])
        except Refused as error:
            why = str(error)
        hidden = hidden_by(source.path)
        if not why and text is None and hidden:
            why = "without it, netplan would read %s, which it hides: empty it by hand" % hidden
    return why, text


def scan(ours, fabric):
    node = Node(ours, fabric)
    for source in node.files:
        touches = node.touches(source)
        if touches or mentions(source, node):
            print(json.dumps(entry(node, source, touches)))
    return 0


def mentions(source, node):
    """A file that hides ours, or that nobody can read and that speaks of the fabric."""
    same = os.path.basename(source.path) == os.path.basename(node.ours) and source.path != node.ours
    unread = source.tree is None and source.problem and source.path != node.ours
    return same or (unread and any(dev.encode() in source.raw for dev in node.fabric))


def entry(node, source, touches):
    why, text = judged(node, source, touches)
    left = "" if why else ABSENT if text is None else hashlib.sha256(text.encode()).hexdigest()
    name = os.path.basename(source.path)
    return {
        "path": source.path,
        "digest": source.digest,
        "mode": "%04o" % stat.S_IMODE(source.state.st_mode),
        "uid": source.state.st_uid,
        "gid": source.state.st_gid,
        "who": next((maker for glob, maker in MAKERS if fnmatch.fnmatchcase(name, glob)), ""),
        "movable": not why,
        "why_not": why,
        "after": left,
        "stanzas": [
            {
                "kind": shown(touch.stanza.kind),
                "id": shown(touch.stanza.id),
                "netdevs": touch.netdevs,
                "others": list(map(shown, touch.others)),
                "how": touch.how,
                "says": says(touch.stanza),
            }
            for touch in touches
        ],
    }


def excise(path, ours, fabric):
    node = Node(ours, fabric)
    source = next((source for source in node.files if source.path == path), None)
    touches = node.touches(source) if source else []
    why, text = judged(node, source, touches) if touches else ("it does not touch the fabric", None)
    if why:
        print("%s: %s" % (path, why), file=sys.stderr)
        return REFUSED
    if text is None:
        return GONE
    sys.stdout.buffer.write(text.encode())
    return 0


if __name__ == "__main__":
    verb, words = sys.argv[1], sys.argv[2:]
    try:
        sys.exit(scan(words[0], words[1:]) if verb == "scan" else excise(words[0], words[1], words[2:]))
    except OSError as failure:
        sys.exit("netplan files cannot be read: %s" % failure)  # status 1
