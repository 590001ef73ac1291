"""What the facts script finds of owners of netdevs: functions of `templates/facts/probe.sh`."""

from __future__ import annotations

from sparkctl.commands.base import functions
from tests.scenario.node import DEV, RUN, Case

PROBE = RUN + functions("facts/probe.sh") + "out=\n"
NM = "/etc/NetworkManager"
CLEAN = f"""
mkdir -p {NM}/conf.d {NM}/system-connections /run/NetworkManager/system-connections /run/NetworkManager/conf.d /run/systemd/network /etc/systemd/network /etc/network
printf '[main]\\nplugins=ifupdown,keyfile\\n\\n[ifupdown]\\nmanaged=false\\n' >{NM}/NetworkManager.conf
printf '[keyfile]\\nunmanaged-devices=none\\n' >/run/NetworkManager/conf.d/10-globally-managed-devices.conf
: >/run/NetworkManager/system-connections/netplan-{DEV}.nmconnection
: >/run/systemd/network/10-netplan-{DEV}.network
: >/etc/systemd/network/10-x.link
printf 'source /etc/network/interfaces.d/*\\nauto lo\\niface lo inet loopback\\n' >/etc/network/interfaces
"""
"""A node whose files are those of its release and of netplan."""
NAMES = f"mkdir -p {NM}/system-connections /etc/systemd/network; cd {NM}/system-connections; echo a >'cx7 (1).nmconnection'; echo a >'a;b'; mkdir d; ln -s 'a;b' l; echo a >/etc/systemd/network/05-x.network\n"
OWNERS = {
    "a profile": f": >'{NM}/system-connections/cx7 port0 a.nmconnection'",
    "a profile of a program": ": >/run/NetworkManager/system-connections/x.nmconnection",
    "a file of networkd": ": >/etc/systemd/network/99-x.network",
    "a file that a program makes": ": >/run/systemd/network/05-x.network",
    "a piece of netplan's own": f"mkdir /etc/systemd/network/10-netplan-{DEV}.network.d",
    "unmanaged-devices": f"printf '[keyfile]\\n unmanaged-devices = *\\n' >{NM}/conf.d/x.conf",
    "more of them": f"printf '[keyfile]\\nunmanaged-devices+=*\\n' >{NM}/conf.d/x.conf",
    "a device that is not managed": f"printf '[device-x]\\nmanaged=0\\n' >{NM}/conf.d/x.conf",
    "the same in the main file": f"printf '[device-x]\\nmanaged=0\\n' >>{NM}/NetworkManager.conf",
    "ifupdown": f"printf 'iface {DEV} inet dhcp\\n' >>/etc/network/interfaces",
    "what ifupdown sources": "mkdir /etc/network/interfaces.d; printf 'auto /en*\\n' >/etc/network/interfaces.d/x",
    "a bridge": f"ip link add br9 type bridge; ip link set {DEV} master br9; trap 'ip link del br9' EXIT",
}
CASES = (
    Case("no owner", PROBE + CLEAN + "python3() { : >/tmp/ran; }", f"foreign_owners {DEV}; rc=$?; [ -z \"$out\" ] && exit $rc", 0, "[ ! -e /tmp/ran ]"),
    *(Case(f"owner: {name}", PROBE + CLEAN + plant, f"others_on {DEV}") for name, plant in OWNERS.items()),
    Case("no owner at all", PROBE + CLEAN, f"others_on {DEV}", 1),
    Case("owners that cannot be read", PROBE + CLEAN + OWNERS["a profile"] + "\npython3() { return 1; }", f"OWNERS=o FOREIGN=f; foreign_owners {DEV}", 1),
    Case("owners", PROBE + CLEAN + OWNERS["a profile"] + "\npython3() { echo \"$*\"; }", f'OWNERS=o FOREIGN=f; foreign_owners {DEV} && [ "$out" = "-c o f {DEV}$nl" ]'),
    Case("files of owners", PROBE + NAMES, 'netplan_files && printf %s "$out" >/tmp/said', 0, "[ $(grep -c '^state .* /etc/' /tmp/said) = 3 ]\ngrep -qx \"link /etc/NetworkManager/system-connections/l\" /tmp/said\n! grep -q ';' /tmp/said\ngrep -q '^state 600 0 0 /etc/NetworkManager/system-connections/cx7 (1).nmconnection$' /tmp/said\ngrep -q '^digest 87428fc5.*  /etc/systemd/network/05-x.network$' /tmp/said"),
)
