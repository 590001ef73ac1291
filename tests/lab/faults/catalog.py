"""Every fault that is planted: how, how it is taken away, and which check has to name it, where, with what advice."""

from __future__ import annotations

from collections.abc import Iterator

from tests.lab.faults.site import Act, Fault, Site, lab, scripts

RAIL_A, RAIL_B = "enp1s0f1np1", "enP2p1s0f1np1"
CLOUDED = "cp /proc/{name} /run/{key}; sed -i '{change}' /run/{key}; mount --bind /run/{key} /proc/{name}"
CLEARED = "umount /proc/{name}"


def claimed(nodes: tuple[str, ...], name: str, change: str) -> tuple[Act, Act]:
    """The kernel of `nodes` seems to say something else in /proc/`name`."""
    key = name.replace("/", "-")
    cloud = CLOUDED.format(name=name, key=key, change=change)
    return scripts(dict.fromkeys(nodes, cloud), dict.fromkeys(nodes, CLEARED.format(name=name)))


def on(node: str, plant: str, mend: str) -> tuple[Act, Act]:
    """A script on one node."""
    return scripts({node: plant}, {node: mend})


def flapped(cable: str, times: int) -> Act:
    """A cable with a bad contact."""

    def act(site: Site) -> None:
        for _ in range(times):
            site.fault("cut", cable)
            site.fault("mend", cable)

    return act


def nothing(site: Site) -> None:
    """Counters cannot be put back: such a fault is the last of its lab."""


def direct() -> Iterator[Fault]:
    """Two nodes, one cable, no engine."""
    put = "ip link set {0} mtu {1}"
    small = on("spark-2", put.format(RAIL_A, 1500), put.format(RAIL_A, 9000))
    yield Fault("mtu-1500-on-one-end", *small, {"rail-mtu": ("spark-2 p1 rail A",)}, "cluster up")
    both = scripts(
        dict.fromkeys(("spark-1", "spark-2"), put.format(RAIL_B, 1500)),
        dict.fromkeys(("spark-1", "spark-2"), put.format(RAIL_B, 9000)),
    )
    places = ("spark-1 p1 rail B", "spark-2 p1 rail B")
    yield Fault("mtu-1500-on-one-rail", *both, {"rail-mtu": places}, "cluster up")
    carrier = {"rail-carrier": ("spark-1 p1", "spark-2 p1")}
    yield Fault("cable-cut", *lab("cut", "0", "mend"), carrier, "cable")
    port = lab("mtu", "spark-1:p1=1500", "mtu", "spark-1:p1=9216")
    yield Fault("cable-that-carries-1500", *port, {"rail-ping": ("spark-1 p1",)}, "MTU")
    down = on(
        "spark-2",
        f"ip link set {RAIL_B} down",
        f"ip link set {RAIL_B} up; sleep 2; networkctl reconfigure {RAIL_B}; sleep 2",
    )
    yield Fault("netdev-set-down", *down, {"rail-carrier": ("spark-2 p1 rail B",)}, "")
    yield from addresses()
    yield from hosts()
    yield Fault("a-flapping-link", flapped("0", 22), nothing, {"rail-flaps": ("spark-1 p1", "spark-2 p1")}, "cable")


def addresses() -> Iterator[Fault]:
    """What is wrong with addresses and routes."""
    away = on("spark-1", f"ip addr del 10.20.1.11/24 dev {RAIL_B}", f"ip addr add 10.20.1.11/24 dev {RAIL_B}")
    yield Fault("twin-without-address", *away, {"rail-address": ("spark-1 p1 rail B",)}, "cluster up")
    more = "ip addr {1} {0} dev " + RAIL_A
    foreign = on("spark-2", more.format("10.77.0.5/24", "add"), more.format("10.77.0.5/24", "del"))
    yield Fault("foreign-address-on-a-rail", *foreign, {"rail-address": ("spark-2 p1 rail A",)}, "")
    stray = on("spark-2", more.format("169.254.7.7/16", "add scope link"), more.format("169.254.7.7/16", "del"))
    yield Fault("link-local-address-on-a-rail", *stray, {"fabric-route": ("spark-2", "169.254")}, "")
    default = on("spark-1", f"ip route add default dev {RAIL_A} metric 4000", f"ip route del default dev {RAIL_A}")
    yield Fault("default-route-on-the-fabric", *default, {"fabric-route": ("spark-1", "default")}, "")
    other = on("spark-1", "ip route add 10.20.0.12/32 dev enP7s7", "ip route del 10.20.0.12/32 dev enP7s7")
    yield Fault("route-that-leaves-by-management", *other, {"rail-path": ("spark-1", "enP7s7")}, "")
    twin = f"ip addr {{}} 10.20.0.77/24 dev {RAIL_B}"
    shared = on("spark-1", twin.format("add"), twin.format("del"))
    yield Fault("two-netdevs-in-one-subnet", *shared, {"rail-subnet": ("spark-1",)}, "")


def hosts() -> Iterator[Fault]:
    """What is wrong with a node itself."""
    release = "sys/kernel/osrelease"
    older = claimed(("spark-2",), release, "s/.*/6.11.0-1008-nvidia/")
    yield Fault("one-node-with-another-kernel", *older, {"same-kernel": ("6.11.0-1008-nvidia",)}, "")
    bad = claimed(("spark-1", "spark-2"), release, "s/.*/7.0.0-1019-nvidia/")
    yield Fault("kernel-known-bad", *bad, {"kernel-known-bad": ("spark-1", "spark-2")}, "kho=off")
    cma = claimed(("spark-1",), "meminfo", "$a CmaTotal: 1024 kB\\nCmaFree: 2048 kB")
    yield Fault("more-cma-free-than-there-is", *cma, {"kernel-known-bad": ("spark-1",)}, "kho=off")
    rule = f"iptables -{{}} INPUT -i {RAIL_A} -p tcp -j DROP"
    blocked = on("spark-2", rule.format("I"), rule.format("D"))
    yield Fault("firewall-on-a-rail", *blocked, {"firewall": ("spark-2", RAIL_A)}, "ACCEPT")
    name = "cp /etc/os-release /run/os-release; sed -i 's/^VERSION_ID=.*/VERSION_ID=\"11\"/' /etc/os-release"
    patched = on("spark-1", name, "cat /run/os-release >/etc/os-release")
    yield Fault("one-node-with-another-release", *patched, {"same-release": ("spark-1",)}, "")


def mesh() -> Iterator[Fault]:
    """Three nodes, three cables."""
    yield Fault(
        "one-of-three-cables-cut", *lab("cut", "1", "mend"), {"rail-carrier": ("spark-2 p0", "spark-3 p1")}, "cable"
    )
    same = lab("swap", "spark-2:p0 spark-2:p1", "swap")
    yield Fault("port-0-in-port-0", *same, {"cabling": ("spark-2",)}, "spark-2:p0")
    two = lab("swap", "spark-1:p0 spark-2:p0", "swap")
    yield Fault("two-cables-swapped", *two, {"cabling": ("spark-1", "spark-2")}, "spark-1:p0")
    turned = lab("swap", "spark-3:p0 spark-3:p1", "swap")
    yield Fault("both-ports-of-a-node-swapped", *turned, {"cabling": ("spark-3",)}, "spark-3:p0")


def switch() -> Iterator[Fault]:
    """Four nodes at a switch."""
    port = lab("mtu", "spark-3:p1=1500", "mtu", "spark-3:p1=9216")
    yield Fault("mtu-1500-on-a-switch-port", *port, {"rail-ping": ("spark-3",)}, "l2mtu")
    yield Fault("cable-to-the-switch-cut", *lab("cut", "3", "mend"), {"rail-carrier": ("spark-4 p1",)}, "cable")
    put = f"ip link set {RAIL_B} mtu {{}}"
    small = on("spark-4", put.format(1500), put.format(9000))
    yield Fault("mtu-1500-on-one-of-four", *small, {"rail-mtu": ("spark-4 p1 rail B",)}, "cluster up")


def serving() -> Iterator[Fault]:
    """Two nodes that serve."""
    image = "sparkctl-lab/vllm-cpu:0.32.0"
    keep = f"docker tag {image} kept:1"
    back = f"docker tag kept:1 {image}; docker rmi kept:1 >/dev/null"
    other = f"{keep}; tar -C / -c etc/hostname | docker import - {image} >/dev/null"
    yield Fault("one-node-with-another-image", *on("spark-2", other, back), {"same-image": ("spark-2",)}, "")
    gone = f"{keep}; docker rmi {image} >/dev/null"
    yield Fault("one-node-without-the-image", *on("spark-1", gone, back), {"engine-image": ("spark-1",)}, "")
    # The lab's image is empty: its /usr is the node's.
    put = "{ printf 'NCCL version %s' WHICH; head -c 2097152 /dev/zero; } >/usr/lib/libnccl.so.2"
    away = dict.fromkeys(("spark-1", "spark-2"), "rm /usr/lib/libnccl.so.2")
    unlike = {"spark-1": put.replace("WHICH", "2.30.7+wheel"), "spark-2": put.replace("WHICH", "2.30.7+apt")}
    yield Fault("one-node-with-another-nccl", *scripts(unlike, away), {"same-nccl": ("2.30.7",)}, "")
    old = dict.fromkeys(("spark-1", "spark-2"), put.replace("WHICH", "2.28.9+cuda13.0"))
    yield Fault("nccl-known-to-hang", *scripts(old, away), {"nccl-version": ("2.28.9",)}, "")


def rdma() -> Iterator[Fault]:
    """Two virtual machines with real RoCE."""
    device = on(
        "spark-2",
        "rdma link delete roceP2p1s0f1",
        f"rdma link add roceP2p1s0f1 type rxe netdev {RAIL_B}",
    )
    yield Fault("rdma-device-missing", *device, {"roce-device": ("spark-2 p1 rail B",)}, "")
    late = on("spark-2", "date -s '+90 seconds' >/dev/null", "date -s '-90 seconds' >/dev/null")
    yield Fault("clock-ahead", *late, {"clock-skew": ("spark-2",)}, "")
    load = ("--load", "--quick")
    program = on("spark-1", "mv /usr/bin/ib_write_bw /usr/bin/away", "mv /usr/bin/away /usr/bin/ib_write_bw")
    yield Fault("perftest-missing", *program, {"perftest": ("spark-1",)}, "apt", load)
    # One rail: on an emulated processor a connection is given up after 45 s only.
    rule = f"iptables -{{}} INPUT -i {RAIL_A} -p udp --dport 4791 -j DROP"
    blocked = on("spark-2", rule.format("I"), rule.format("D"))
    yield Fault("rdma-blocked-by-a-firewall", *blocked, {"firewall": ("spark-2", RAIL_A)}, "ACCEPT", load)
    path = f"/sys/class/net/{RAIL_B}/device/.."
    back = f"""echo 1 >/sys/bus/pci/rescan
    for i in $(seq 60); do ip -4 -o addr show {RAIL_B} 2>/dev/null | grep -q 10.20 && break; sleep 0.5; done
    for i in $(seq 20); do
      rdma link show | grep -q roceP2p1s0f1 && break
      rdma link add roceP2p1s0f1 type rxe netdev {RAIL_B} || sleep 0.5 # the node's own service may be at it
    done"""
    asleep = on("spark-1", f"echo 1 >{path}/remove", back)
    yield Fault("netdev-missing", *asleep, {"rail-carrier": ("spark-1 p1 rail B",)}, "port")
