"""Calls on every fabric netdev and hears who calls: which cable ends where, without any address.

TOKEN NODE SECONDS NETDEV=PEER,PEER...   (peers: who should be at the other end; none: listen all the same)

Runs as root on a node (Python 3.8 or later), changes nothing. Every call says whom its netdev has heard, so both ends
know when the other knows: it ends then, with one last call, or after SECONDS. Stdout: one JSON object per line,
{"netdev", "node", "sender"} of each call heard, and {"why"} where a netdev could not listen.
"""

import contextlib
import json
import os
import re
import select
import socket
import sys
import time

ETHERTYPE = 0x88B5  # IEEE 802: local experimental
MAGIC = b"sparkctl hello 1\n"
EVERYONE = b"\xff" * 6
UP = 0x1  # linux/if.h
EVERY = 0.2  # seconds between calls
MOST_BYTES, MOST_HEARD, MOST_TURNS = 1400, 64, 20_000  # below MTU 1500; far above four Sparks on one switch
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\Z")


class Netdev:
    """The ear and voice of one netdev: heard are (node, netdev) pairs, knows are the nodes that have heard this one."""

    def __init__(self, name, peers, carrier):
        self.name, self.peers, self.carrier = name, frozenset(peers), carrier
        self.heard, self.knows = set(), set()
        self.ear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # a protocol here: it hears all until bound
        self.ear.bind((name, ETHERTYPE))
        self.ear.setblocking(False)
        self.mac = self.ear.getsockname()[4]

    def call(self, token, node):
        heard = sorted(self.heard, key=lambda who: (who[0] not in self.peers, who))
        body = spoken(token, node, self.name, heard)
        while len(body) > MOST_BYTES:
            body = spoken(token, node, self.name, heard := heard[:-1])
        frame = EVERYONE + self.mac + ETHERTYPE.to_bytes(2, "big") + body
        with contextlib.suppress(OSError):  # a link that goes down meanwhile is heard by nobody
            self.ear.send(frame.ljust(60, b"\0"))

    def hear(self, frame, token, node):
        """Whether this is the first call of somebody."""
        said = understood(frame, token)
        if said is None or said["node"] == node:
            return False
        who = (said["node"], said["netdev"])
        if who not in self.heard and len(self.heard) >= MOST_HEARD:
            return False
        news = who not in self.heard
        self.heard.add(who)
        if [node, self.name] in said["heard"]:
            self.knows.add(who[0])
        return news

    @property
    def done(self):
        return self.peers <= self.knows


def spoken(token, node, netdev, heard):
    said = {"token": token, "node": node, "netdev": netdev, "heard": heard}
    return MAGIC + json.dumps(said, separators=(",", ":")).encode()


def understood(frame, token):
    """What a frame of this cluster says; None for any other and for what is not as it should be."""
    body = frame[14:].rstrip(b"\0")
    if len(frame) > MOST_BYTES + 14 or not body.startswith(MAGIC):
        return None
    try:
        said = json.loads(body[len(MAGIC) :])
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or said.get("token") != token or not isinstance(said.get("heard"), list):
        return None
    names = (said.get("node"), said.get("netdev"))
    return said if all(isinstance(name, str) and NAME.match(name) for name in names) else None


def read(name, what, base):
    with open("/sys/class/net/%s/%s" % (os.path.basename(name), what)) as file:
        return int(file.read(), base)


def opened(words):
    """The netdevs that are there and up; a line about each that cannot be listened on."""
    for word in words:
        name, _, peers = word.partition("=")
        try:
            if read(name, "flags", 16) & UP:
                yield Netdev(name, filter(None, peers.split(",")), read(name, "carrier", 10))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            print(json.dumps({"why": "%s: %s" % (name, error)}))


def listen(netdevs, token, node, until):
    """One turn: everything that comes before the moment until; the netdevs that heard somebody new."""
    ears = {netdev.ear: netdev for netdev in netdevs}
    ready, _, _ = select.select(list(ears), [], [], max(0.0, until - time.monotonic()))
    news = set()
    for ear in ready:
        with contextlib.suppress(OSError):  # nothing left, or the link went down
            for _ in range(MOST_HEARD):
                if ears[ear].hear(ear.recv(2048), token, node):
                    news.add(ears[ear])
    return news


def awaited(netdevs):
    """Those on which peers are waited for: not where no cable is in, unless one is where none belongs (moved?)."""
    moved = any(netdev.carrier and not netdev.peers for netdev in netdevs)
    return [netdev for netdev in netdevs if netdev.peers and (netdev.carrier or moved)]


def converse(netdevs, token, node, seconds):
    """Call now and then and whenever there is news, until every peer has heard us or the time is over."""
    end = time.monotonic() + seconds
    turn, turns = 0.0, 0
    asked, expected = any(netdev.peers for netdev in netdevs), awaited(netdevs)
    while time.monotonic() < end and turns < MOST_TURNS:
        turns += 1
        if time.monotonic() >= turn:
            turn = time.monotonic() + EVERY
            callers = netdevs
        for netdev in callers:
            netdev.call(token, node)
        if asked and all(netdev.done for netdev in expected):
            break
        callers = listen(netdevs, token, node, min(turn, end))
    for netdev in netdevs:
        netdev.call(token, node)
    listen(netdevs, token, node, 0.0)


def main(token, node, seconds, *words):
    netdevs = list(opened(words))
    if netdevs:
        converse(netdevs, token, node, min(float(seconds), 10.0))
    for netdev in netdevs:
        for peer, sender in sorted(netdev.heard):
            print(json.dumps({"netdev": netdev.name, "node": peer, "sender": sender}))


if __name__ == "__main__":
    main(*sys.argv[1:])
