"""Steps on files, units and images: functions of `templates/checkpoint/files.sh` and `units.sh`."""

from __future__ import annotations

from tests.scenario.node import DEV, OF_A, OFF, RUN, SYNC, Case, log_is

AT = "/etc/sparkctl/x"
NEW = "/etc/sparkctl/.sparkctl.new"
HERE = RUN + f"mkdir /etc/sparkctl; echo old >{AT}; echo a >$R/after/0; echo a >$R/before/0; mkdir $S/baseline; echo a >$S/baseline/0\n"
"""A run with an image of each kind, and a file that is another one."""
NOWHERE = HERE + "rm -r /etc/sparkctl\n"
OWNERS = "/etc/NetworkManager/system-connections /etc/systemd/network"
OLD = f"[ $(cat {AT}) = old ]"
IS_A = f"[ $(cat {AT}) = a ]\n[ ! -e {NEW} ]"
MODE = 'stat -c %u:%a'

FILES = (
    *(Case(f"ours: {path}", "", f"ours {path}") for path in ("/etc/netplan/x.yaml", "/etc/sparkctl/x", "/etc/sparkctl/a/b/c", "$UNITS/sparkctl-x.service")),
    *(
        Case(f"not ours: {path}", "", f"ours {path}", 78)
        for path in ("/etc/netplan/a/b.yaml", "/etc/netplan/x", "/etc/sparkctl/a/../x", "/etc/sparkctl/./x", "/etc/sparkctl//x", "/etc/sparkctl/a/b/c/d", "$UNITS/ssh.service", "/etc/shadow")
    ),
    *(Case(f"an owner: {path}", f"mkdir -p {OWNERS}", f"ours '{path}'") for path in ("/etc/NetworkManager/system-connections/cx7 (1).nmconnection", "/etc/systemd/network/05-x.network")),
    *(
        Case(f"no owner: {path}", f"mkdir -p {OWNERS}", f"ours '{path}' {mode}", 78)
        for path, mode in (
            ("/etc/NetworkManager/system-connections/x", "0600"),
            ("/etc/systemd/network/x.network", "0644"),
            ("/etc/NetworkManager/system-connections/a/x", ""),
            ("/etc/NetworkManager/system-connections/.x", ""),
            ("/etc/NetworkManager/conf.d/x.conf", ""),
            ("/etc/systemd/network/a/x.network", ""),
            ("/etc/systemd/network/x.link", ""),
            ("/etc/systemd/network/../x.network", ""),
        )
    ),
    Case("an owner below a link", "mkdir -p /tmp/x /etc/systemd; rm -rf /etc/systemd/network; ln -s /tmp/x /etc/systemd/network", "ours /etc/systemd/network/x.network", 78),
    Case("an owner is never written", f"{RUN}mkdir -p {OWNERS}; echo a >$R/after/0", "dirty=; put_file /etc/systemd/network/x.network 0644 run/after/0", 78, "[ ! -e /etc/systemd/network/x.network ]"),
    *(Case(f"mode {mode}", "", f"ours {AT} {mode}", status) for mode, status in (("0644", 0), ("4755", 78), ("0800", 78), ("644", 78))),
    Case("below a link", "mkdir /tmp/x; ln -s /tmp/x /etc/sparkctl", f"ours {AT}", 78),
    Case("below a folder of another", "mkdir /etc/sparkctl; chown 5 /etc/sparkctl", f"ours {AT}", 78),
    Case("far below a link", "mkdir -p /tmp/x/a; ln -s /tmp/x /etc/sparkctl", "ours /etc/sparkctl/a/x", 78),
    Case("save elsewhere", HERE + ": >/etc/x; digest /etc/x", "save_file /etc/x 1 $sum", 78, "[ ! -e $R/before/1 ]"),
    Case("undo elsewhere", HERE + ": >/etc/x; : >/etc/.sparkctl.new", "undo_file /etc/x 0 absent", 78, "[ -e /etc/x ]\n[ -e /etc/.sparkctl.new ]"),
    Case("place with a mode", "echo a >/tmp/a; chown 5 /tmp/a\n" + SYNC, "place /tmp/a /tmp/b 0640", 0, "[ $(cat /tmp/b) = a ]\n[ $(stat -c %u:%a /tmp/b) = 0:640 ]\n[ ! -e /tmp/.sparkctl.new ]\n" + log_is("sync /tmp/.sparkctl.new")),
    Case("place as it was", "echo a >/tmp/a; chown 5 /tmp/a; chmod 604 /tmp/a", "place /tmp/a /tmp/b", 0, "[ $(stat -c %u:%a /tmp/b) = 5:604 ]"),
    Case("place of nothing", "echo b >/tmp/b; : >/tmp/.sparkctl.new", "place /tmp/a /tmp/b 0640", 1, "[ $(cat /tmp/b) = b ]\n[ ! -e /tmp/.sparkctl.new ]"),
    Case("make a folder", RUN + SYNC, "made_dir /tmp/d", 0, '[ "$(cat $R/made)" = /tmp/d ]\n[ $(stat -c %a /tmp/d) = 755 ]\n' + log_is("sync /var/lib/sparkctl/run/made")),
    Case("make a folder again", RUN + "echo /tmp/d >$R/made", "made_dir /tmp/d", 0, "[ $(wc -l <$R/made) = 1 ]\n[ -d /tmp/d ]"),
    Case("make a folder that could not go again", RUN + "sync() { return 5; }", "made_dir /tmp/d", 5, "[ ! -e /tmp/d ]"),
    Case("a folder of ours goes", RUN + "echo /tmp/d >$R/made; mkdir /tmp/d\n" + SYNC, "undo_dir /tmp/d", 0, "[ ! -e /tmp/d ]\n" + log_is("sync /tmp")),
    Case("a folder of an earlier run goes", RUN + "mkdir $S/baseline /tmp/d; echo /tmp/d >$S/baseline/made", "undo_dir /tmp/d", 0, "[ ! -e /tmp/d ]"),
    Case("a folder of others stays", RUN + "mkdir $S/baseline /tmp/d; : >$S/baseline/made", "undo_dir /tmp/d", 0, "[ -d /tmp/d ]"),
    Case("a folder in use stays", RUN + "echo /tmp/d >$R/made; mkdir -p /tmp/d/e", "undo_dir /tmp/d", 0, "[ -d /tmp/d/e ]"),
    Case("a folder that is gone", RUN + "echo /tmp/d >$R/made", "undo_dir /tmp/d"),
    Case("put", HERE, f'dirty=; put_file {AT} 0640 run/after/0 && echo "$dirty" >/tmp/dirty', 0, f'{IS_A}\n[ $({MODE} {AT}) = 0:640 ]\n[ "$(cat /tmp/dirty)" = " /etc/sparkctl" ]\n[ ! -s $R/made ]'),
    Case("put into a new folder", NOWHERE, f"dirty=; put_file {AT} 0640 run/after/0", 0, f"{IS_A}\ngrep -qx /etc/sparkctl $R/made"),
    Case("put where no folder can be", NOWHERE + "made_dir() { return 5; }", f"dirty=; put_file {AT} 0640 run/after/0", 5),
    Case("put of what is not there", HERE, f"dirty=; put_file {AT} 0640 run/after/1 || [ -n \"$dirty\" ]", 1, OLD),
    Case("put elsewhere", HERE, "dirty=; put_file /etc/x 0640 run/after/0", 78, "[ ! -e /etc/x ]"),
    Case("drop", HERE + f"echo /etc/sparkctl >$R/made; : >{NEW}\n" + SYNC, f"drop_file {AT}", 0, "[ ! -e /etc/sparkctl ]\n" + log_is("sync /etc/sparkctl", "sync /etc")),
    Case("drop where there is no folder", NOWHERE + SYNC, f"drop_file {AT}", 0, "[ ! -s /tmp/log ]"),
    Case("drop elsewhere", HERE + ": >/etc/x", "drop_file /etc/x", 78, "[ -e /etc/x ]"),
    Case("set aside", RUN + 'python3() { [ "$*" = "$R/foreign.py excise /f ours dev" ] && echo a; }', f"set_aside /f 0 {OF_A} ours dev", 0, "[ $(cat $R/after/0) = a ]"),
    Case("set aside with nothing left", RUN + "python3() { return 44; }", "set_aside /f 0 absent ours dev", 0, "[ ! -e $R/after/0 ]"),
    Case("set aside that fails", RUN + "python3() { echo a; return 5; }", f"set_aside /f 0 {OF_A} ours dev", 5),
    Case("set aside of what was not planned", RUN + "python3() { echo b; }", f"set_aside /f 0 {OF_A} ours dev", 78),
    Case("restore", HERE + "chmod 604 $S/baseline/0; chown 5 $S/baseline/0\n" + SYNC, f"restore_file {AT} 0 {OF_A}", 0, f"{IS_A}\n[ $({MODE} {AT}) = 5:604 ]\n" + log_is(f"sync {NEW}", "sync /etc/sparkctl")),
    Case("restore into a new folder", NOWHERE, f"restore_file {AT} 0 {OF_A}", 0, f"{IS_A}\n[ $(stat -c %a /etc/sparkctl) = 755 ]"),
    Case("restore where no folder can be", NOWHERE + "mkdir() { return 5; }", f"restore_file {AT} 0 {OF_A}", 5),
    Case("restore of a damaged image", HERE + "echo b >$S/baseline/0", f"restore_file {AT} 0 {OF_A}", 1, OLD),
    Case("restore elsewhere", HERE, f"restore_file /etc/x 0 {OF_A}", 78, "[ ! -e /etc/x ]"),
    Case("undo", HERE + SYNC, f"undo_file {AT} 0 {OF_A} 2>/tmp/said", 0, IS_A + "\n[ ! -s /tmp/said ]\n" + log_is(f"sync {NEW}", "sync /etc/sparkctl")),
    Case("undo of half a file", HERE + f"echo a >{AT}; : >{NEW}", f"undo_file {AT} 0 {OF_A}", 0, IS_A),
    Case("undo of what is as it was", HERE + f"echo a >{AT}\n" + SYNC, f"undo_file {AT} 0 {OF_A}", 0, "[ ! -s /tmp/log ]"),
    Case("undo of a mode", HERE + f"echo a >{AT}; chmod 644 {AT}", f"undo_file {AT} 0 {OF_A}", 0, f"[ $({MODE} {AT}) = 0:600 ]"),
    Case("undo of an owner", HERE + f"echo a >{AT}; chown 5 {AT}", f"undo_file {AT} 0 {OF_A}", 0, f"[ $({MODE} {AT}) = 0:600 ]"),
    Case("undo where there is no folder", NOWHERE, f"undo_file {AT} 0 {OF_A}", 0, f"{IS_A}\n[ $(stat -c %a /etc/sparkctl) = 755 ]"),
    Case("undo with a damaged image", HERE + "echo b >$R/before/0", f"undo_file {AT} 0 {OF_A}", 1, OLD),
    Case("undo of a new file", HERE, f"undo_file {AT} 0 absent", 0, f"[ ! -e {AT} ]"),
)
UNITS = "systemctl() { echo \"$1 ${2-}\" >>/tmp/log; case $1 in CASES esac; }\n" + SYNC
UNIT = "sparkctl-x.service"


def units(*answers: str) -> str:
    """A systemd that says what it was asked, and ends as `answers` say: `WORD:status` or `WORD=text`."""
    cases = "".join(f"{a.split(':')[0]}) return {a.split(':')[1]} ;; " if ":" in a else f"{a.split('=')[0]}) echo {a.split('=')[1]} ;; " for a in answers)
    return UNITS.replace("CASES", cases)


STARTS = ("daemon-reload ", f"reset-failed {UNIT}", "enable --quiet", "sync /etc/systemd/system/multi-user.target.wants", f"start {UNIT}")
STOPS = (f"cat {UNIT}", "disable --quiet", "sync /etc/systemd/system/multi-user.target.wants", f"stop {UNIT}", f"reset-failed {UNIT}", f"is-active {UNIT}")
CONTAINER = 'docker() { echo "docker $1" >>/tmp/log; [ "$1" != ps ] || echo abc; }\n'
LISTENS = "sleep() { echo sleep >>/tmp/log; }\nss() { echo LISTEN; }\n: >/tmp/log\n"
DEAF = LISTENS.replace("echo LISTEN", ":")
SLEEP = "sleep() { echo >>/tmp/slept; }\n"
SAVED_PORT = RUN + f": >$R/before/net.{DEV}\n"
OF_UNITS = (
    Case("start", units(), f"start_unit {UNIT}", 0, log_is(*STARTS)),
    Case("start that fails", units("start:5"), f"start_unit {UNIT}", 5),
    Case("start of what cannot be enabled", units("enable:5"), f"start_unit {UNIT}", 5, "! grep -q ^start /tmp/log"),
    Case("start where nothing starts at boot", "rm -r $WANTS\n" + units(), f"start_unit {UNIT}", 0, "! grep -q ^sync /tmp/log"),
    Case("start of another's unit", units(), "start_unit ssh.service", 78, "[ ! -s /tmp/log ]"),
    Case("a port that listens", LISTENS + "systemctl() { echo inactive; }", f"await_port {UNIT} 7100 2 ''", 0, "[ ! -s /tmp/log ]"),
    Case("a port that never listens", DEAF + "systemctl() { echo active; }", f"await_port {UNIT} 7100 2 ''", 1, log_is("sleep", "sleep")),
    Case("a port of a unit that comes", DEAF + "systemctl() { echo activating; }", f"await_port {UNIT} 7100 2 ''", 1, log_is("sleep", "sleep")),
    Case("a port of a unit that is dead", DEAF + "systemctl() { echo asked >>/tmp/log; echo failed; }", f"await_port {UNIT} 7100 2 ''", 1, log_is("asked")),
    Case("a port on the way back", DEAF + "systemctl() { echo failed; }", f"await_port {UNIT} 7100 2 back", 0),
    *(Case(f"a port on the way back, cable {cable}", DEAF + f"systemctl() {{ echo active; }}\ncable_out() {{ return {out}; }}", f"await_port {UNIT} 7100 2 back", 0, f"[ $(wc -l </tmp/log) = {sleeps} ]") for cable, out, sleeps in (("out", 0, 0), ("in", 1, 2))),
    Case("a port that waits for no cable", DEAF + "systemctl() { echo active; }\ncable_out() { return 0; }", f"await_port {UNIT} 7100 2 ''", 1, log_is("sleep", "sleep")),
    Case("again and failed", units("is-active=failed"), f"start_again {UNIT}", 1, "[ $(grep -c is-active /tmp/log) = 1 ]"),
    Case("again and never on its way", "cable_out() { :; }\n" + SLEEP + units("is-active=inactive"), f"start_again {UNIT}", 1, "[ $(wc -l </tmp/slept) = 100 ]"),
    Case("again and on its way", "cable_out() { return 1; }\n" + SLEEP + units("is-active=activating"), f"start_again {UNIT}", 0, "[ $(wc -l </tmp/slept) = 100 ]"),
    Case("no port was saved", RUN, "cable_out", 1),
    Case("its cable is in", SAVED_PORT, "cable_out", 1),
    Case("its cable is out", OFF + SAVED_PORT, "cable_out"),
    Case("the cable of a baseline is out", OFF + SAVED_PORT + f"mkdir $S/baseline; mv $R/before/net.{DEV} $S/baseline", "cable_out"),
    Case("stop", units("is-active=inactive"), f"stop_unit {UNIT} ''", 0, log_is(*STOPS)),
    Case("stop of a unit that there is not", units("cat:1", "is-active=inactive"), f"stop_unit {UNIT} ''", 0, log_is(STOPS[0], STOPS[-1])),
    Case("stop by force", units("stop:1", "is-active=inactive"), f"stop_unit {UNIT} ''", 0, f"grep -A 1 -qx 'kill --signal=KILL' /tmp/log\n[ $(grep -c '^stop {UNIT}' /tmp/log) = 2 ]"),
    *(Case(f"stop of what is {state} still", units(f"is-active={state}"), f"stop_unit {UNIT} ''", 1) for state in ("active", "activating", "deactivating")),
    Case("stop with its container", CONTAINER + units("is-active=inactive"), f"stop_unit {UNIT} c", 0, "grep -qx 'docker rm' /tmp/log"),
    Case("stop without a container", CONTAINER + units("is-active=inactive"), f"stop_unit {UNIT} ''", 0, "! grep -q docker /tmp/log"),
    Case("stop with a container that is gone", CONTAINER.replace("echo abc", ":") + units("is-active=inactive"), f"stop_unit {UNIT} c", 0, "grep -qx 'docker ps' /tmp/log\n! grep -qx 'docker rm' /tmp/log"),
    Case("stop with a container that stays", CONTAINER.replace("echo abc", "echo abc; [ $1 != rm ] || return 5") + units("is-active=inactive"), f"stop_unit {UNIT} c", 5),
    Case("stop where there is no Docker", "command() { return 1; }\n" + CONTAINER + units("is-active=inactive"), f"stop_unit {UNIT} c", 0, "! grep -q docker /tmp/log"),
    Case("stop of another's unit", units(), "stop_unit ssh.service ''", 78, "[ ! -s /tmp/log ]"),
    Case("unit as before", units("is-active=active"), f"undo_unit {UNIT} '' enabled active", 0, log_is(STARTS[0], *STARTS[2:4], "start --no-block", f"is-active {UNIT}")),
    Case("unit that does not come again", units("is-active=failed"), f"undo_unit {UNIT} '' enabled active", 1),
    Case("unit that cannot be started again", units("start:5"), f"undo_unit {UNIT} '' enabled active", 5),
    Case("unit that waits for a cable", "cable_out() { :; }\n" + units("is-active=activating"), f"undo_unit {UNIT} '' enabled active", 0, "[ $(grep -c is-active /tmp/log) = 1 ]"),
    Case("unit that takes its time", "cable_out() { return 1; }\nsleep() { :; }\n" + units("is-active=activating"), f"undo_unit {UNIT} '' enabled active", 0, "[ $(grep -c is-active /tmp/log) = 100 ]"),
    Case("unit as before, off", units(), f"undo_unit {UNIT} '' disabled inactive", 0, log_is(STARTS[0])),
    Case("an image that is there", CONTAINER, "pull_image x", 0, log_is("docker image")),
    Case("an image that is not there", 'docker() { echo "docker $1" >>/tmp/log; [ "$1" != image ]; }', "pull_image x", 0, log_is("docker image", "docker pull")),
)
CASES = (*FILES, *OF_UNITS)
