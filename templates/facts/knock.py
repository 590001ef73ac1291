"""Knocks at ports of peers, and opens ports that they knock at: what the packet filters between two nodes let through.

One JSON object: "seconds"; "unit": whose ports are "lent"; "doors": [NETDEV, ADDRESS, PORT, LENT] to open here;
"knocks": [NETDEV, OWN, PEER, PORT, OPEN] (OPEN: the peer opens that port, so whoever is refused knocks again).

Runs as root on a node (Python 3.8 or later), changes nothing, and ends as soon as every knock is answered both ways. A
port that is lent is open only while its unit is inactive. Stdout: one JSON object: "said": [OWN, PEER, PORT, ANSWER]
(accepted, refused, silent, icmp CODE, or why none was sent); "opened": [ADDRESS, PORT]; "half": [ADDRESS, PORT, PEER],
knocks that came in and whose answer did not reach the peer.
"""

import contextlib
import errno
import json
import os
import select
import socket
import sys
import time

STARTED = "/run/systemd/units/invocation:"  # systemd has it from before the first process of a unit to its end
AGAIN, BEHIND, LOOK = 0.2, 1.0, 0.02  # seconds: until the next knock, before closed ports, between looks at the unit
LEAST = 1.5  # seconds without an answer that say anything: the kernel knocks a second time after 1
IP_RECVERR, IP_BIND_ADDRESS_NO_PORT = 11, 24  # linux/in.h
ICMP, UNREACHABLE, SYN_RECV = 2, 3, "03"  # origin (linux/errqueue.h); type (RFC 792); state (net/tcp_states.h)
MANY = 64


def bound(netdev, address, port):
    """A socket of this netdev alone. No port that is opened stays in TIME_WAIT: whoever came in there is reset."""
    made = socket.socket()
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes((port != 0, *bytes(7))))
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, netdev.encode())
    made.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    made.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, int(port == 0))
    made.bind((address, port))
    return made


class Door:
    def __init__(self, netdev, address, port, lent):
        self.address, self.port, self.lent, self.guests = address, port, lent, set()
        self.ear = bound(netdev, address, port)
        self.ear.listen(MANY)

    def welcome(self):
        with contextlib.suppress(OSError):  # nobody is left
            for _ in range(MANY):
                guest, place = self.ear.accept()
                self.guests.add(place[0])
                guest.close()


class Knock:
    """When to knock next, in seconds from the beginning (due); None: it is answered for good, or under way."""

    def __init__(self, netdev, own, peer, port, opened):
        self.netdev, self.own, self.peer, self.port, self.opened = netdev, own, peer, port, opened
        self.said, self.line, self.due, self.begun = "", None, 0.0 if opened else BEHIND, 0.0

    def ask(self, now):
        self.due, self.said, self.begun = None, self.said or "silent", now
        try:
            self.line = bound(self.netdev, self.own, 0)
            self.line.connect((self.peer, self.port))
        except BlockingIOError:
            return
        except OSError as error:
            self.said, self.line = "not sent: %s" % error.strerror, None

    def hear(self, now):
        number = self.line.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        reached = number in (0, errno.ECONNRESET)  # taken up, and perhaps put down again already
        self.said = "accepted" if reached else refusal(self.line, number, self.peer)
        self.line.close()
        self.line = None
        if self.said == "refused" and self.opened:
            self.due = now + AGAIN


def refusal(line, number, peer):
    """What ended it. ICMP of the peer says so; that of our own kernel only that nobody there answers ARP."""
    with contextlib.suppress(OSError):  # kernels before 5.18 do not tell who it was
        for _, _, said in line.recvmsg(1, 512, socket.MSG_ERRQUEUE)[1]:
            if (said[4], said[5]) == (ICMP, UNREACHABLE) and socket.inet_ntoa(said[20:24]) == peer:
                return "icmp %d" % said[6]
    return "refused" if number == errno.ECONNREFUSED else "not sent: %s" % os.strerror(number)


def opened(words, started):
    """The doors that can be opened: not where the port is taken, nor where the address or netdev is missing."""
    for netdev, address, port, lent in words:
        if not (lent and os.path.lexists(started)):
            with contextlib.suppress(OSError):
                yield Door(netdev, address, port, lent)


def turn(doors, knocks, now, over):
    """Knock where it is time, take in who knocks, hear what is answered; whether anything is still to come."""
    there = {(knock.own, knock.peer) for knock in knocks if knock.said == "accepted"}
    for knock in knocks:
        due = knock.due is not None and (knock.due <= now or (not knock.opened and (knock.own, knock.peer) in there))
        if due and not over:
            knock.ask(now)
    asking = {knock.line: knock for knock in knocks if knock.line}
    ears = {door.ear: door for door in doors}
    heard, answered, _ = select.select(list(ears), list(asking), [], LOOK)
    for ear in heard:
        ears[ear].welcome()
    for line in answered:
        asking[line].hear(now)
    expected = {
        (door.address, door.port, knock.peer) for door in doors for knock in knocks if knock.own == door.address
    }
    come = {(door.address, door.port, guest) for door in doors for guest in door.guests}
    return bool(expected - come) or any(knock.line or knock.due is not None for knock in knocks)


def converse(doors, knocks, started, seconds):
    """Until all is answered both ways or the time is over; the doors that are open at the end."""
    begun, over = time.monotonic(), False
    while not over:
        now = time.monotonic() - begun
        over = now >= seconds  # what came in while the node was busy is heard all the same
        if os.path.lexists(started):  # the engine is to find its ports free
            for door in filter(lambda door: door.lent, doors):
                door.ear.close()
            doors = [door for door in doors if not door.lent]
        over = not turn(doors, knocks, now, over) or over
    for knock in knocks:
        if knock.said == "silent" and now - knock.begun < LEAST:
            knock.said = ""
    return doors


def half_open(doors):
    """Connections that wait for the peer's second packet, as the kernel lists them: addresses as it holds them."""
    places = {(door.address, door.port): door.guests for door in doors}
    with open("/proc/net/tcp") as table:
        for fields in map(str.split, table):
            if fields[3] == SYN_RECV:
                (here, port), (peer, _) = (field.split(":") for field in fields[1:3])
                here, peer = (socket.inet_ntoa(int(each, 16).to_bytes(4, sys.byteorder)) for each in (here, peer))
                if peer not in places.get((here, int(port, 16)), {peer}):
                    yield [here, int(port, 16), peer]


def main(words):
    asked = json.loads(words)
    started = STARTED + os.path.basename(asked["unit"])
    knocks = [Knock(*each) for each in asked["knocks"]]
    doors = converse(list(opened(asked["doors"], started)), knocks, started, min(asked["seconds"], 10.0))
    said = [[knock.own, knock.peer, knock.port, knock.said or "not sent: no time"] for knock in knocks]
    places = [[door.address, door.port] for door in doors]
    print(json.dumps({"said": said, "opened": places, "half": list(half_open(doors))}))


if __name__ == "__main__":
    main(*sys.argv[1:])
