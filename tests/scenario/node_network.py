"""Steps on the network of a node: functions of `templates/checkpoint/network.sh`."""

from __future__ import annotations

from tests.scenario.node import DEV, OFF, RUN, Case, log_is

LOG = ": >/tmp/log\n"
BRIEFLY = 'briefly() { "$@"; }\n'


def says(name: str, body: str = ":") -> str:
    """A function instead of another, that writes down how it was called."""
    return f'{name}() {{ echo "{name} $*" >>/tmp/log; {body}; }}\n'


def nm(managed: str = "yes", active: str = "", auto: str = "yes", fails: str = "_") -> str:
    """A NetworkManager that has the netdev so, and where `nmcli FAILS` ends with 5."""
    shown = f"GENERAL.STATE:{100 if active else 70} (x)\nGENERAL.NM-MANAGED:{managed}\nGENERAL.AUTOCONNECT:{auto}\nGENERAL.CON-UUID:{active or 'u-0'}"
    asked = f'nmcli() {{ case "$*" in *"device show"*) cat /tmp/nm ;; *) echo "nmcli $*" >>/tmp/log; case "$*" in {fails}) return 5 ;; esac ;; esac; }}\n'
    return f"{LOG}{BRIEFLY}mkdir /run/NetworkManager\ncat >/tmp/nm <<'END'\n{shown if managed else ''}\nEND\n{asked}"


def saved(*lines: str) -> str:
    """A before-image of the netdev, as /tmp/saved."""
    return "cat >/tmp/saved <<'END'\n" + "".join(line + "\n" for line in lines) + "END\n"


def is_(text: str, *lines: str) -> str:
    """What a command must say."""
    return f"[ \"$({text} | tr '\\n' ,)\" = '{''.join(line + ',' for line in lines)}' ]"


NM_OF = f"nm_state {DEV} >/tmp/said"
MANAGER = (
    Case("briefly", "timeout() { echo $*; }", "briefly a b >/tmp/said", 0, is_("cat /tmp/said", "15 a b")),
    Case("what NetworkManager holds", nm(active="u-1", auto="no"), NM_OF, 0, is_("cat /tmp/said", "nm managed yes", "nm autoconnect no", "nm active u-1")),
    Case("what it asks for in vain", nm(), NM_OF, 0, is_("cat /tmp/said", "nm managed yes", "nm autoconnect yes")),
    Case("a NetworkManager that does not answer", nm(managed=""), NM_OF, 0, "[ ! -s /tmp/said ]"),
    Case("no NetworkManager", nm() + "rmdir /run/NetworkManager", NM_OF, 0, "[ ! -s /tmp/said ]"),
    Case("no nmcli", nm() + "command() { return 1; }", NM_OF, 0, "[ ! -s /tmp/said ]"),
    Case("it answers", nm() + says("sleep"), f"nm_answers {DEV}", 0, "[ ! -s /tmp/log ]"),
    Case("it never answers", nm(managed="") + says("sleep"), f"nm_answers {DEV}", 1, "[ $(wc -l </tmp/log) = 20 ]"),
    Case("quiet of what was up", nm() + saved("nm active u-1"), f"nm_quiet {DEV} /tmp/saved", 0, log_is(f"nmcli device set {DEV} autoconnect no")),
    Case("quiet of what was down", nm() + saved("nm managed yes"), f"nm_quiet {DEV} /tmp/saved", 0, log_is(f"nmcli device disconnect {DEV}", f"nmcli device set {DEV} autoconnect no")),
    Case("it had nothing", nm() + saved("mtu 1500"), f"undo_nm {DEV} /tmp/saved", 0, "[ ! -s /tmp/log ]"),
    Case("it had the netdev and is dead", nm(managed="") + saved("nm managed yes"), f"undo_nm {DEV} /tmp/saved", 1),
    Case("it manages as before", nm() + saved("nm managed yes", "nm autoconnect yes"), f"undo_nm {DEV} /tmp/saved", 0, "[ ! -s /tmp/log ]"),
    Case("it is to manage again", nm(managed="no") + saved("nm managed yes", "nm autoconnect yes"), f"undo_nm {DEV} /tmp/saved", 0, log_is(f"nmcli device set {DEV} managed yes")),
    Case("it is to manage and does not", nm(managed="no", fails="*set*") + saved("nm managed yes"), f"undo_nm {DEV} /tmp/saved", 5),
    Case("it did not manage", nm(managed="no") + saved("nm managed no", "nm autoconnect no", "nm active u-1"), f"undo_nm {DEV} /tmp/saved", 0, "[ ! -s /tmp/log ]"),
    Case("it was disconnected", nm() + saved("nm managed yes", "nm autoconnect no"), f"undo_nm {DEV} /tmp/saved", 0, log_is(f"nmcli device disconnect {DEV}", f"nmcli device set {DEV} autoconnect no")),
    Case("it cannot be disconnected", nm(fails="*autoconnect*") + saved("nm managed yes", "nm autoconnect no", "nm active u-1"), f"undo_nm {DEV} /tmp/saved", 5, "! grep -q connection /tmp/log"),
    Case("its profile is up", nm(active="u-1") + saved("nm managed yes", "nm active u-1"), f"undo_nm {DEV} /tmp/saved", 0, "[ ! -s /tmp/log ]"),
    Case("its profile comes up again", nm() + saved("nm managed yes", "nm active u-1"), f"undo_nm {DEV} /tmp/saved", 0, log_is("nmcli connection show u-1", f"nmcli --wait 10 connection up uuid u-1 ifname {DEV}")),
    Case("its profile is gone", nm(fails="*show*") + saved("nm managed yes", "nm active u-1"), f"undo_nm {DEV} /tmp/saved", 0, log_is("nmcli connection show u-1")),
    Case("its profile does not come up", nm(fails="*up*") + saved("nm managed yes", "nm active u-1"), f"undo_nm {DEV} /tmp/saved", 1),
    Case("its profile has no cable", OFF + nm(fails="*up*") + saved("nm managed yes", "nm active u-1"), f"undo_nm {DEV} /tmp/saved"),
)
GEN = "/usr/libexec/netplan"
PENDING = "mkdir -p /run/systemd/network $R/scratch.now/run/systemd/network; echo a >/run/systemd/network/10-netplan-enP7s7.network\n"
SCRATCH = RUN + "mkdir -p /run/netplan; echo b >/run/netplan/b.yaml\n"
GENERATES = says("copy_netplan") + says("netplan_generate", "echo why; return 0") + says("pending", "found=") + LOG
NETPLAN = (
    Case("generate", LOG + says("briefly", "umask >>/tmp/log; return 3"), "netplan_generate /x; rc=$?; umask >>/tmp/log; exit $rc", 3, log_is(f"briefly {GEN}/generate --root-dir /x", "0022", "0077")),
    Case("generate for the node", LOG + says("briefly"), "netplan_generate ''", 0, log_is(f"briefly {GEN}/generate")),
    Case("generate of a later netplan", f"mkdir /tmp/x; cp {GEN}/generate /tmp/x; : >/tmp/x/configure; mount --bind /tmp/x {GEN}; mount --bind /tmp/x /usr/lib/netplan; trap 'umount {GEN} /usr/lib/netplan' EXIT\n" + LOG + says("briefly"), "netplan_generate ''", 0, log_is("briefly netplan generate")),
    Case("generate where it cannot be found", f"mkdir /tmp/x; mount --bind /tmp/x {GEN}; mount --bind /tmp/x /usr/lib/netplan; trap 'umount {GEN} /usr/lib/netplan' EXIT\n" + LOG + says("briefly"), "netplan_generate ''", 0, log_is("briefly netplan generate")),
    Case("scratch", SCRATCH, "scratch_netplan", 0, "cmp /etc/netplan/01-management.yaml $R/scratch/etc/netplan/01-management.yaml\n[ -e $R/scratch/run/netplan/b.yaml ]\n[ -d $R/scratch.now/lib/netplan ]\n[ ! -e $R/scratch.now/etc/netplan/01-management.yaml ]"),
    Case("scratch on a full disk", SCRATCH + "cp_into() { return 5; }", "scratch_netplan", 5),
    Case("scratch without a folder", SCRATCH + "mkdir() { return 5; }", "scratch_netplan", 5),
    Case("a file as it will be", SCRATCH + "mkdir -p $R/scratch/etc/netplan; echo a >$S/blob", "scratch_file /etc/netplan/x.yaml blob", 0, "[ $(cat $R/scratch/etc/netplan/x.yaml) = a ]\n[ $(stat -c %a $R/scratch/etc/netplan/x.yaml) = 600 ]"),
    Case("a file that goes", SCRATCH + "mkdir -p $R/scratch/etc/netplan; : >$R/scratch/etc/netplan/x.yaml", "scratch_file /etc/netplan/x.yaml ''", 0, "[ ! -e $R/scratch/etc/netplan/x.yaml ]"),
    Case("files that netplan refuses", RUN + says("netplan_generate", "echo why; return 1") + says("nothing_pending") + LOG, f"check_netplan {DEV} 2>/tmp/said", 1, "grep -q 'netplan generate refuses .*: why' /tmp/said\n! grep -q pending /tmp/log"),
    Case("files that netplan takes", RUN + says("netplan_generate") + says("nothing_pending", "return 7") + LOG, "check_netplan", 0, log_is("netplan_generate /var/lib/sparkctl/run/scratch")),
    Case("files that netplan takes, and what is pending", RUN + says("netplan_generate") + says("nothing_pending", "return 7") + LOG, f"check_netplan {DEV}", 7, f"grep -qx 'nothing_pending {DEV}' /tmp/log"),
    Case("nothing pending", RUN + GENERATES, f"nothing_pending {DEV}", 0, log_is("copy_netplan /var/lib/sparkctl/run/scratch.now", "netplan_generate /var/lib/sparkctl/run/scratch.now", f"pending /var/lib/sparkctl/run/scratch.now {DEV}")),
    Case("something pending", RUN + GENERATES + "pending() { found='eth0 (x) '; }", f"nothing_pending {DEV} 2>/tmp/said", 1, "grep -q 'nobody applied yet.*eth0 (x)' /tmp/said"),
    Case("files that cannot be copied", RUN + GENERATES + "copy_netplan() { return 5; }", f"nothing_pending {DEV}", 5),
    Case("files that hold nothing that was applied", RUN + GENERATES + "netplan_generate() { return 1; }", f"nothing_pending {DEV}", 0, "! grep -q pending /tmp/log"),
    Case("what is as it was applied", RUN + PENDING + "cp /run/systemd/network/* $R/scratch.now/run/systemd/network", 'pending $R/scratch.now; echo "$found" >/tmp/said', 0, is_("cat /tmp/said", "")),
    Case("what was not applied", RUN + PENDING + "echo b >$R/scratch.now/run/systemd/network/10-netplan-enP7s7.network", 'pending $R/scratch.now; echo "$found" >/tmp/said', 0, is_("cat /tmp/said", "enP7s7 (/etc/netplan/01-management.yaml) ")),
    Case("what would go", RUN + PENDING, 'pending $R/scratch.now; echo "$found" >/tmp/said', 0, "grep -q '^enP7s7 (' /tmp/said"),
    Case("what would come", RUN + PENDING + "mv /run/systemd/network/* $R/scratch.now/run/systemd/network", 'pending $R/scratch.now; echo "$found" >/tmp/said', 0, "grep -q '^enP7s7 (' /tmp/said"),
    Case("what is the fabric's", RUN + PENDING, 'pending $R/scratch.now a enP7s7 b; echo "$found" >/tmp/said', 0, is_("cat /tmp/said", "")),
)
BOTH = says("apply_gently") + says("apply_fully", "return 7") + LOG
NET, KEPT = "/run/systemd/network", "/run/systemd/sparkctl-network"
GENTLY = LOG + says("generate_keeping") + says("apply_networkd") + says("apply_nm") + says("await_written") + "nm_state() { echo nm managed no; }\n"


def program(name: str, status: int) -> str:
    """A program instead of another, that writes down how it was called."""
    return f"mkdir -p /tmp/bin; printf '#!/bin/sh\\necho \"{name} $*\" >>/tmp/log\\nexit {status}\\n' >/tmp/bin/{name}; chmod 755 /tmp/bin/{name}; PATH=/tmp/bin:$PATH\n"


def written(*facts: str) -> str:
    """What netplan's files say, whenever they are looked at."""
    return f"written() {{ facts=' {' '.join(facts)} '; }}\n"


LINK, PROFILE = written(f"{DEV},networkd", f"{DEV},mtu,9000"), written(f"{DEV},nm")
RATES = says("sleep") + LOG + "look() { echo look >>/tmp/looks; }\n"
SHOWN = f"shown=' {DEV},mtu,9000 {DEV},addr,10.0.0.1/24 '\n"
AFTER_LO = SHOWN.replace("9000 ", "9000 lo,addr,127.0.0.1/8 ")
OLD_NEW = (f"' {DEV},addr,10.0.0.9/24 '", f"' {DEV},mtu,9000 {DEV},addr,10.0.0.1/24 '")
APPLY = (
    Case("apply without netdevs", BOTH, "apply_netplan 60", 7, log_is("apply_fully 60")),
    Case("apply gently", BOTH, f"apply_netplan 60 {DEV}", 0, log_is(f"apply_gently {DEV}")),
    Case("apply fully after all", BOTH + "apply_gently() { return 1; }", f"apply_netplan 60 {DEV}", 7, log_is("apply_fully 60")),
    *(Case(f"apply fully, {status}", LOG + says("systemctl") + "journalctl() { echo sparkctl-netplan x; echo why; }\n" + program("systemd-run", status), "apply_fully 60 2>/tmp/said", int(status > 0), (f"grep -q 'status {status}): why' /tmp/said\n" if status else "") + log_is("systemctl reset-failed sparkctl-netplan", "systemd-run --quiet --wait --collect --unit=sparkctl-netplan --property=RuntimeMaxSec=60 netplan apply")) for status in (0, 5)),
    Case("gently what is new", GENTLY + "written() { facts=\"$(cat /tmp/facts 2>/dev/null) \"; echo ' new,networkd' >/tmp/facts; }", "apply_gently new", 0, "grep -qx 'apply_networkd new' /tmp/log\ngrep -qx 'await_written    new,networkd  new' /tmp/log"),
    Case("gently by networkd", GENTLY + LINK, f"apply_gently {DEV}", 0, f"grep -qx 'apply_networkd {DEV}' /tmp/log\n! grep -q apply_nm /tmp/log\ngrep -q '^await_written .* {DEV},networkd .* {DEV}$' /tmp/log\ngrep -q generate_keeping /tmp/log"),
    Case("gently by NetworkManager", GENTLY + PROFILE, f"apply_gently {DEV}", 0, f"grep -qx 'apply_nm  {DEV},nm  {DEV}' /tmp/log\n! grep -q apply_networkd /tmp/log"),
    Case("gently where nothing is written", GENTLY + written(), f"apply_gently {DEV}", 1, "! grep -q ^apply /tmp/log"),
    Case("gently where both want it", GENTLY + LINK + "mkdir /run/NetworkManager; nm_state() { echo nm managed yes; }", f"apply_gently {DEV}", 1, "! grep -q ^apply /tmp/log"),
    Case("gently where the other left it", GENTLY + LINK + "mkdir /run/NetworkManager", f"apply_gently {DEV}", 0, "grep -q ^apply_networkd /tmp/log"),
    Case("gently where there is no other", GENTLY + LINK + says("nm_state"), f"apply_gently {DEV}", 0, "! grep -q nm_state /tmp/log"),
    Case("gently with files that are refused", GENTLY + LINK + "generate_keeping() { return 5; }", f"apply_gently {DEV}", 5, "! grep -q ^apply /tmp/log"),
    Case("gently with a networkd that fails", GENTLY + LINK + "apply_networkd() { return 5; }", f"apply_gently {DEV}", 5, "! grep -q ^await /tmp/log"),
    Case("gently with a profile that fails", GENTLY + PROFILE + "apply_nm() { return 5; }", f"apply_gently {DEV}", 5, "! grep -q ^await /tmp/log"),
    Case("gently and it does not come", GENTLY + LINK + "await_written() { return 5; }", f"apply_gently {DEV}", 5),
    Case("what is written", f"mkdir -p {NET} /run/NetworkManager/system-connections; printf '[Link]\\nMTUBytes=9000\\n[Network]\\nAddress=10.0.0.1/24\\n' >{NET}/10-netplan-a.network; printf 'mtu=9001\\naddress1=10.0.0.2/24,x\\naddress=10.0.0.3/24;y\\n' >/run/NetworkManager/system-connections/netplan-b.nmconnection", 'written a b c; echo "$facts" >/tmp/said', 0, is_("cat /tmp/said", " a,networkd a,mtu,9000 a,addr,10.0.0.1/24 b,nm b,mtu,9001 b,addr,10.0.0.2/24 b,addr,10.0.0.3/24 ")),
    Case("files stay the same files", f"mkdir -p {NET} {KEPT}; : >{KEPT}/10-netplan-old; echo a >{NET}/10-netplan-a; echo b >{NET}/10-netplan-b; ls -i {NET}/10-netplan-a >/tmp/inode\nnetplan_generate() {{ echo \"$1\" >/tmp/asked; rm {NET}/*; echo a >{NET}/10-netplan-a; echo c >{NET}/10-netplan-b; }}", "generate_keeping", 0, f"[ \"$(ls -i {NET}/10-netplan-a)\" = \"$(cat /tmp/inode)\" ]\n[ $(cat {NET}/10-netplan-b) = c ]\n[ ! -e {KEPT} ]\n[ ! -e {NET}/10-netplan-old ]\n[ \"$(cat /tmp/asked)\" = '' ]"),
    Case("files that are refused stay out", f"mkdir -p {NET}; echo a >{NET}/10-netplan-a; ls -i {NET}/10-netplan-a >/tmp/inode\nnetplan_generate() {{ rm {NET}/*; echo a >{NET}/10-netplan-a; return 5; }}", "generate_keeping", 5, f"[ \"$(ls -i {NET}/10-netplan-a)\" != \"$(cat /tmp/inode)\" ]\n[ ! -e {KEPT} ]"),
    Case("files where there were none", "rm -rf /run/systemd\n" + says("netplan_generate") + says("rm") + says("cmp") + LOG, "generate_keeping", 0, f"[ ! -e {KEPT} ]\n" + log_is("netplan_generate ", f"rm -rf {KEPT}")),
    Case("files that cannot be kept", f"mkdir -p {NET}\ncp() {{ return 5; }}\n" + says("netplan_generate") + LOG, "generate_keeping", 5, "[ ! -s /tmp/log ]"),
    Case("networkd", LOG + says("briefly"), f"apply_networkd {DEV}", 0, log_is("briefly networkctl reload", f"briefly networkctl reconfigure {DEV}")),
    Case("a networkd that does not reload", LOG + says("briefly", "return 5"), f"apply_networkd {DEV}", 5, log_is("briefly networkctl reload")),
    Case("profiles", LOG + says("briefly", "sleep 0.05; echo ended >>/tmp/log"), f"apply_nm ' {DEV},nm ' {DEV} other", 0, log_is("briefly nmcli connection reload", "ended", f"briefly nmcli --wait 10 connection up netplan-{DEV} ifname {DEV}", "ended")),
    Case("profiles that are not read", LOG + says("briefly", "return 5"), f"apply_nm ' {DEV},nm ' {DEV}", 5, log_is("briefly nmcli connection reload")),
    Case("written comes at once", RATES + "as_written() { echo \"$4\" >>/tmp/asked; }", f"await_written a b {DEV}", 0, "[ ! -s /tmp/log ]\n" + is_("cat /tmp/asked", "0")),
    Case("written never comes", RATES + "as_written() { echo \"$1 $2 $3 $4\" >>/tmp/asked; return 1; }", f"await_written a b {DEV} 2>/tmp/said", 1, f"grep -q '{DEV} did not come' /tmp/said\n[ $(wc -l </tmp/log) = 60 ]\n[ $(wc -l </tmp/looks) = 60 ]\n[ \"$(head -n 20 /tmp/asked | sort -u)\" = 'a b {DEV} 0' ]\n[ \"$(tail -n 40 /tmp/asked | sort -u)\" = 'a b {DEV} 1' ]"),
    Case("written comes late", RATES + "as_written() { [ $(wc -l </tmp/log) = 59 ]; }", f"await_written a b {DEV}", 0),
    Case("one of two is behind", RATES + "as_written() { [ $3 = b ]; }", "await_written x y a b 2>/tmp/said", 1, "grep -q '^a did not' /tmp/said"),
    Case("look", "", f'look {DEV}; echo "$shown" >/tmp/said', 0, f"grep -q ' {DEV},mtu,1600 ' /tmp/said\ngrep -q ' {DEV},addr,10.99.0.1/24 ' /tmp/said"),
    Case("as written", SHOWN, f"as_written {OLD_NEW[0]} {OLD_NEW[1]} {DEV} 0"),
    Case("as written before", SHOWN, f"as_written {OLD_NEW[1]} {OLD_NEW[1]} {DEV} 0"),
    Case("an address too many", SHOWN, f"as_written ' {DEV},addr,10.0.0.1/24 ' ' {DEV},mtu,9000 ' {DEV} 0", 1),
    Case("an address of another", SHOWN, f"as_written ' other,addr,10.0.0.1/24 ' ' {DEV},mtu,9000 ' {DEV} 0"),
    Case("an address too few", SHOWN, f"as_written ' ' ' {DEV},addr,10.0.0.2/24 ' {DEV} 0", 1),
    Case("another MTU", SHOWN, f"as_written ' ' ' {DEV},mtu,1500 ' {DEV} 0", 1),
    Case("words of another", SHOWN, f"as_written ' ' ' other,mtu,1500 {DEV},networkd ' {DEV} 0"),
    Case("no such netdev", SHOWN, "as_written ' ' ' none,mtu,1500 ' none 0"),
    Case("behind without a cable, soon", OFF + SHOWN, f"as_written ' ' ' {DEV},mtu,1500 ' {DEV} 0", 1),
    Case("behind without a cable, late", OFF + SHOWN, f"as_written ' ' ' {DEV},mtu,1500 ' {DEV} 1"),
    Case("behind with a cable, late", SHOWN, f"as_written ' ' ' {DEV},mtu,1500 ' {DEV} 1", 1),
    Case("a cable", "", f"has_carrier {DEV}"),
    Case("no cable", OFF, f"has_carrier {DEV}", 1),
    Case("a cable of nobody knows what", "", "has_carrier none"),
    Case("wait for a netdev", RATES + AFTER_LO, f"await_netdev {DEV} 9000 10.0.0.1/24 2", 0, "[ ! -s /tmp/log ]"),
    Case("wait in vain", RATES + AFTER_LO, f"await_netdev {DEV} 9000 10.0.0.2/24 2", 0, "[ $(wc -l </tmp/log) = 20 ]"),
    Case("wait with another MTU", RATES + AFTER_LO, f"await_netdev {DEV} 1500 10.0.0.1/24 2", 0, "[ $(wc -l </tmp/log) = 20 ]"),
    Case("wait for what comes", RATES + f"look() {{ shown=' {DEV},mtu,1500 lo,addr,x {DEV},addr,a '; }}\nshown=x", f"await_netdev {DEV} 1500 a 2", 0, "[ $(wc -l </tmp/log) = 1 ]"),
    Case("wait and look first", RATES + f"look() {{ shown=' {DEV},mtu,1500 lo,addr,x {DEV},addr,a '; }}", f"await_netdev {DEV} 1500 a 2", 0, "[ ! -s /tmp/log ]"),
)
SAVED = RUN + f"systemctl() {{ return 0; }}\nsave_netdev {DEV}; cp $R/before/net.{DEV} /tmp/saved\n"
IDLE = SAVED.replace("return 0", "return 3")
CHANGED = f"ip link set {DEV} mtu 1400 down; ip addr flush dev {DEV}; ip addr add 10.98.0.1/24 dev {DEV}\n"
SHOW = f"ip -o addr show dev {DEV} scope global"
UNDO = f"undo_netdev {DEV} /tmp/saved"
STOPS = 'systemctl() { echo "systemctl $*" >>/tmp/log; }\n' + LOG
NETDEV = (
    *(Case(f"save of {dev}", RUN, f"save_netdev {dev}", 78, "[ -z \"$(ls $R/before)\" ]") for dev in ("enP7s7", "eth0", "enp1s0f2np1", "../x")),
    *(Case(f"save of a netdev, {dev}", RUN, f"save_netdev {dev}", 0, f"grep -qx 'mtu 1500' $R/before/net.{dev}\ngrep -qx 'link down' $R/before/net.{dev}\n! grep -q ^addr $R/before/net.{dev}") for dev in ("enp1s0f0np0", "enP2p1s0f1np1")),
    Case("save of a netdev that there is not", RUN, "save_netdev enp1s0f0np1", 78),
    Case("save of a netdev by hand", SAVED, ":", 0, "grep -qx 'mtu 1600' /tmp/saved\ngrep -qx 'link up' /tmp/saved\ngrep -qx 'addr inet 10.99.0.1/24' /tmp/saved\n! grep -q ^brd /tmp/saved\n! grep -q idle /tmp/saved\n[ $(grep -c ^sysctl /tmp/saved) -gt 50 ]\n[ $(grep -c ^addr /tmp/saved) = 1 ]"),
    Case("save with an idle networkd", IDLE, ":", 0, "grep -qx 'networkd idle' /tmp/saved"),
    Case("save with a broadcast address", f"ip addr add 10.97.0.1/24 brd + dev {DEV}\n" + SAVED, ":", 0, "grep -qx 'brd 10.97.0.1/24' /tmp/saved\n! grep -qx 'brd 10.99.0.1/24' /tmp/saved"),
    Case("save with a NetworkManager", nm(active="u-1") + SAVED, ":", 0, "grep -qx 'nm active u-1' /tmp/saved"),
    Case("save where nobody can say", RUN + "ip() { return 5; }", f"save_netdev {DEV}", 5),
    Case("save asks once", RUN + f"save_netdev {DEV}\nip() {{ return 5; }}", "save_netdev enp1s0f0np0", 0, "[ -e $R/before/net.enp1s0f0np0 ]"),
    Case("undo of a netdev", SAVED + CHANGED, UNDO, 0, f"{SHOW} | grep -q 10.99.0.1/24\n! {SHOW} | grep -q 10.98\n! {SHOW} | grep -q brd\n[ $(cat /sys/class/net/{DEV}/mtu) = 1600 ]\nip link show {DEV} | grep -q '[<,]UP'"),
    Case("an address that a renderer has set meanwhile", "", f"add_address {DEV} 10.99.0.1/24 ''", 0, f"{SHOW} | grep -q 10.99.0.1/24"),
    Case("an address with its broadcast that a renderer has set meanwhile", f"ip addr add 10.97.0.1/24 brd + dev {DEV}", f"add_address {DEV} 10.97.0.1/24 10.97.0.1/24", 0, f"{SHOW} | grep -q '10.97.0.1/24 brd'"),
    Case("undo of what is as it was", SAVED + "ip() { echo \"ip $*\" >>/tmp/log; command ip \"$@\"; }\n" + LOG, f"{UNDO} 2>/tmp/said", 0, "! grep -q 'addr del\\|addr replace\\| mtu ' /tmp/log\n[ ! -s /tmp/said ]"),
    Case("undo of what NetworkManager has", SAVED + "echo 'nm managed yes' >>/tmp/saved; undo_nm() { :; }\n" + says("undo_sysctls") + LOG, UNDO, 0, "[ ! -s /tmp/log ]"),
    Case("undo of an address that comes by itself", SAVED + "echo 'addr inet6 fd09::1/64' >>/tmp/saved\n" + says("add_address") + LOG, UNDO, 0, "[ ! -s /tmp/log ]"),
    Case("undo of a broadcast address", f"ip addr add 10.97.0.1/24 brd + dev {DEV}\n" + SAVED + CHANGED, UNDO, 0, f"{SHOW} | grep -q '10.97.0.1/24 brd 10.97.0.255'"),
    Case("undo of sysctls", SAVED + f"echo 1 >/proc/sys/net/ipv4/conf/{DEV}/arp_ignore", UNDO, 0, f"[ $(cat /proc/sys/net/ipv4/conf/{DEV}/arp_ignore) = 0 ]\n[ ! -e /tmp/saved.now ]"),
    Case("undo of nothing", STOPS, f"undo_netdev {DEV} /tmp/none", 0, f"[ $(cat /sys/class/net/{DEV}/mtu) = 1600 ]"),
    Case("undo of no netdev", SAVED + STOPS, "undo_netdev none /tmp/saved 2>/tmp/said", 0, "[ ! -s /tmp/said ]"),
    Case("undo with a networkd that was idle", IDLE + STOPS, UNDO, 0, "grep -qx 'systemctl stop systemd-networkd.socket systemd-networkd.service' /tmp/log"),
    Case("undo with a networkd that is idle", IDLE + LOG, UNDO, 0, "[ ! -s /tmp/log ]"),
    Case("undo with a networkd that was active", SAVED + STOPS, UNDO, 0, "[ ! -s /tmp/log ]"),
    Case("undo with a networkd that does not stop", IDLE + 'systemctl() { [ "$1" != stop ]; }', UNDO, 1, f"{SHOW} | grep -q 10.99.0.1/24"),
    Case("undo with a NetworkManager that fails", SAVED + CHANGED + "undo_nm() { return 5; }", UNDO, 1, f"{SHOW} | grep -q 10.99.0.1/24"),
    Case("undo of an MTU that cannot be", SAVED + "sed -i 's/^mtu .*/mtu 99/' /tmp/saved; sed -i 's/^mtu .*/mtu 70000/' /tmp/saved", UNDO, 1),
    Case("undo of a route", SAVED + f"ip route add 10.96.0.0/24 via 10.99.0.2 dev {DEV}\nunset networkd\nsave_netdev {DEV}; cp $R/before/net.{DEV} /tmp/saved; ip route del 10.96.0.0/24", UNDO, 0, "ip route show 10.96.0.0/24 | grep -q 10.99.0.2"),
)
TOLD = f"""runtime_4="2: {DEV} inet 10.99.0.1/24 scope global
3: other inet 10.98.0.1/24 scope global
$(printf '%s\\n' '10.99.0.0/24 dev {DEV} proto kernel scope link' '10.1.0.0/24 dev {DEV} proto dhcp' '10.2.0.0/24 dev {DEV} proto redirect' '10.3.0.0/24 via 10.99.0.2 dev {DEV}' '10.4.0.0/24 dev other' '10.99.0.9 dev {DEV} lladdr aa PERMANENT' 'x dev other lladdr aa')
$(printf '%s:\\t%s\\n' 100 'from all iif {DEV} lookup 7' 101 'from all oif {DEV} lookup 7' 102 'from 10.99.0.1 lookup 7' 103 'from 10.98.0.1 lookup 7')"
runtime_6='fd01::/64 dev {DEV} proto ra
fd02::/64 dev {DEV}'
"""
"""What `ip` says: of the kernel, of others, by hand."""
SAVED_OF = saved("mtu 1500", "runtime -4 route a", "runtime -4 rule 7:from b", "runtime -6 route a", "runtime -6 route c")
RUNTIME = (
    Case("what nobody makes again", TOLD, f"runtime_of {DEV} | tr '\\t' _ >/tmp/said", 0, is_("cat /tmp/said", f"runtime -4 route 10.3.0.0/24 via 10.99.0.2 dev {DEV}", f"runtime -4 neigh 10.99.0.9 dev {DEV} lladdr aa PERMANENT", f"runtime -4 rule 100:_from all iif {DEV} lookup 7", f"runtime -4 rule 101:_from all oif {DEV} lookup 7", "runtime -4 rule 102:_from 10.99.0.1 lookup 7", f"runtime -6 route fd02::/64 dev {DEV}")),
    *(Case(f"a cable that is out: {word}", f"all_runtime() {{ echo \"$1 via dead::1 {word} \"; echo b; }}", 'ask_runtime; echo "$runtime_4,$runtime_6" >/tmp/said', 0, is_("cat /tmp/said", "-4 via dead::1 ", "b,-6 via dead::1 ", "b")) for word in ("linkdown", "dead", "dead linkdown")),
    Case("runtime of both families", 'all_runtime() { echo "$1"; }', 'ask_runtime; echo "$runtime_4,$runtime_6" >/tmp/said', 0, is_("cat /tmp/said", "-4,-6")),
    Case("runtime of a node without IPv6", 'all_runtime() { echo "$1"; }\nmount -t tmpfs none /proc/$$/net; ask_runtime; echo "$runtime_4,$runtime_6" >/tmp/said; umount /proc/$$/net', ":", 0, is_("cat /tmp/said", "-4,")),
    *(Case(f"runtime that {family} does not say", f"all_runtime() {{ [ $1 != {family} ] || return 5; }}", "ask_runtime", 5) for family in ("-4", "-6")),
    Case("what is missing", SAVED_OF + "ask_runtime() { runtime_4='x\na '; runtime_6='c\nx'; }".replace("\\n", "\n"), f"missing {DEV} /tmp/saved >/tmp/said", 0, is_("cat /tmp/said", "-4 rule 7:from b", "-6 route a")),
    Case("nothing was saved", saved("mtu 1500") + LOG + says("ask_runtime"), f"missing {DEV} /tmp/saved", 0, "[ ! -s /tmp/log ]"),
    Case("nobody says what is missing", SAVED_OF + "ask_runtime() { return 5; }", f"missing {DEV} /tmp/saved >/tmp/said", 0, "[ ! -s /tmp/said ]"),
    Case("runtime comes back", LOG + says("ip") + "missing() { printf '%s\\n' '-4 route a b' '-6 rule 7: from c' '-4 neigh d PERMANENT e'; }", f"undo_runtime {DEV} /tmp/saved", 0, log_is("ip -4 route add a b", "ip -6 rule add pref 7 from c", "ip -4 neigh replace d nud permanent")),
    Case("a route that needs another", SAVED + says("undo_runtime") + LOG, UNDO, 0, log_is(f"undo_runtime {DEV} /tmp/saved", f"undo_runtime {DEV} /tmp/saved")),
    Case("save of what cannot be read", RUN + "read() { return 5; }", f"save_netdev {DEV}", 5),
)
CASES = (*MANAGER, *NETPLAN, *APPLY, *NETDEV, *RUNTIME)
