"""The node's own functions one by one: what each refuses, what it does, and that it leaves alone all else.

One case is one script on a node where sparkctl never was: first what is there, then the call, then what must be so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sparkctl.commands.base import program
from tests.scenario.rig import Rig, inventory
from tests.scenario.test_safety import HEAD, made_rig
from tests.scenario.world import folder

FOLDER = "mkdir -m 0700 $S\n"
LOCKED = FOLDER + "echo 'boot-1 1100 aa since me' >$S/lock\n"
RUN = LOCKED + "mkdir $R $R/before $R/after; : >$R/made\n"
BUSY = 'flock() { shift 2; command flock -w 0.1 "$@"; }\nexec 8<$S; command flock 8\n'
SYNC = 'sync() { for f; do [ -e "$f" ] || return 1; done; echo "sync $*" >>/tmp/log; }\n: >/tmp/log\n'
"""As the real one, and it says what it was asked."""
SPY = 'systemctl() { echo "systemctl $*" >>/tmp/log; }\n' + SYNC
TIMER = "mkdir /tmp/bin; printf '#!/bin/sh\\necho \"$*\" >>/tmp/timer\\n' >/tmp/bin/systemd-run; chmod 755 /tmp/bin/systemd-run; PATH=/tmp/bin:$PATH\n"
VAIN = "".join(f"{name}() {{ : >/tmp/vain; }}\n" for name in ("rm", "rmdir", "mv", "ln"))
"""For what must start no program and change nothing: most of what a node is asked is forks."""
IDLE = "[ ! -e /tmp/vain ]"
HOOKED = "mkdir -p $WANTS; : >$UNITS/$HOOK; ln -s ../$HOOK $WANTS/$HOOK\n"

OF_A = "87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7"
"""The digest of `a` and a newline."""


@dataclass(frozen=True)
class Case:
    """`call` on a node that `before` made ends with `status`, and `after` holds."""

    name: str
    before: str
    call: str
    status: int = 0
    after: str = "true"

    def script(self) -> str:
        """All of it; 99: `after` does not hold."""
        checks = "".join(f"( {line} ) || {{ echo \"not so: $(cat <<'END'\n{line}\nEND\n)\" >&2; exit 99; }}\n" for line in self.after.splitlines())
        return program(f"{self.before}\n( {self.call} )\nrc=$?\n{checks}exit $rc\n")


def lock_is(text: str) -> str:
    """What must be so of the lock."""
    return f'[ "$(cat $S/lock)" = "{text}" ]'


def log_is(*lines: str) -> str:
    """What was asked of the programs that are watched, in its order."""
    return f"[ \"$(tr '\\n' , </tmp/log)\" = '{''.join(line + ',' for line in lines)}' ]"


LOCK = (
    Case("lock of a new node", "", "lock aa 120 me new", 0, '[ "$(stat -c %u:%a $S)" = 0:700 ]\nread -r on until run _ owner <$S/lock; [ "$on $until $run $owner" = "boot-1 1120 aa me" ]'),
    Case("a folder that others may read", "mkdir -m 0755 $S", "lock aa 120 me new", 78, "[ ! -e $S/lock ]"),
    Case("a folder of another owner", FOLDER + "chown 1 $S", "lock aa 120 me new", 78, "[ ! -e $S/lock ]"),
    Case("a folder that is a link", "mkdir -m 0700 /var/lib/x; ln -s x $S", "lock aa 120 me new", 78, "[ ! -e /var/lib/x/lock ]"),
    Case("a folder that cannot be made", ": >$S", "lock aa 120 me new", 1, "[ ! -s $S ]"),
    Case("a node that is busy", LOCKED + BUSY, "lock aa 120 me new", 75, lock_is("boot-1 1100 aa since me")),
    Case("another run's lock", LOCKED, "lock bb 120 you new", 75, lock_is("boot-1 1100 aa since me")),
    Case("another run's lock, to recover", LOCKED, "lock bb 120 you recover", 75, lock_is("boot-1 1100 aa since me")),
    Case("another run's lock, broken", LOCKED, "lock bb 120 you break", 0, "grep -q '^boot-1 1120 bb .* you$' $S/lock"),
    Case("the own lock again", LOCKED, "lock aa 120 me new", 0, "grep -q '^boot-1 1120 aa .* me$' $S/lock"),
    Case("a lease that has just ended", LOCKED.replace("1100", "1000"), "lock bb 120 you new", 0, "grep -q ' 1120 bb ' $S/lock"),
    Case("a lease of a second more", LOCKED.replace("1100", "1001"), "lock bb 120 you new", 75),
    Case("a lease of an earlier boot", LOCKED.replace("boot-1", "boot-0"), "lock bb 120 you new", 0, "grep -q '^boot-1 1120 bb ' $S/lock"),
    Case("a lock that is empty", FOLDER + ": >$S/lock", "lock bb 120 you new", 0, "grep -q '^boot-1 1120 bb ' $S/lock"),
    Case("an interrupted run", RUN, "lock aa 120 me new", 77, lock_is("boot-1 1100 aa since me")),
    Case("an interrupted run, to recover", RUN, "lock aa 120 me recover", 0, "grep -q '^boot-1 1120 aa ' $S/lock"),
    Case("a lock that cannot be written", LOCKED + "mkdir $S/lock.new", "lock aa 120 me new", 2),
    Case("lock where nobody knows the boot", LOCKED + "boot() { return 5; }", "lock aa 120 me new", 5, lock_is("boot-1 1100 aa since me")),
    Case("hold where nobody knows the boot", LOCKED + "boot() { return 5; }", "hold aa 120", 5, lock_is("boot-1 1100 aa since me")),
    Case("no lock is nobody's", FOLDER, "foreign_lock aa 2>/tmp/said", 1, "[ ! -s /tmp/said ]"),
    Case("no list has a line", FOLDER, "listed a /tmp/none 2>/tmp/said", 1, "[ ! -s /tmp/said ]"),
    Case("what is new is written at once", FOLDER + VAIN, "say $S/new a", 0, f"{IDLE}\n[ $(cat $S/new) = a ]"),
    Case("hold", LOCKED, "hold aa 120", 0, lock_is("boot-1 1120 aa since me") + "\n[ ! -e $R ]"),
    Case("hold without a timer", RUN, "hold aa 120", 0, "[ ! -e $R/until ]"),
    Case("hold with a timer", RUN + "echo 1 >$R/until", "hold aa 120", 0, "[ $(cat $R/until) = 1120 ]"),
    Case("hold of a fresh lease", LOCKED.replace("1100", "1105"), "hold aa 120", 0, lock_is("boot-1 1105 aa since me")),
    Case("hold of a lease a second older", LOCKED.replace("1100", "1104"), "hold aa 120", 0, lock_is("boot-1 1120 aa since me")),
    Case("hold without a lock", FOLDER, "hold aa 120", 76, "[ ! -e $S/lock ]"),
    Case("hold of another run's lock", LOCKED, "hold bb 120", 76, lock_is("boot-1 1100 aa since me")),
    Case("hold after a boot", LOCKED.replace("boot-1", "boot-0"), "hold aa 120", 76, lock_is("boot-0 1100 aa since me")),
    Case("hold of a busy node", LOCKED + BUSY, "hold aa 120", 75, lock_is("boot-1 1100 aa since me")),
    Case("hold without a folder", "", "hold aa 120", 2, "[ ! -e $S ]"),
    Case("hold on a full disk", RUN + "echo 1 >$R/until; mkdir $S/lock.new", "hold aa 120", 2, "[ $(cat $R/until) = 1 ]"),
    Case("keepalive beside a step", RUN + "echo 1 >$R/until\n" + BUSY, "keepalive aa 120", 0, lock_is("boot-1 1120 aa since me") + "\n[ $(cat $R/until) = 1120 ]"),
    Case("keepalive without a timer", RUN, "keepalive aa 120", 0, "[ ! -e $R/until ]"),
    Case("keepalive without a lock", FOLDER, "keepalive aa 120", 76, "[ ! -e $S/lock ]"),
    Case("keepalive of another run's lock", LOCKED, "keepalive bb 120", 76, lock_is("boot-1 1100 aa since me")),
    Case("keepalive on a full disk", RUN + "echo 1 >$R/until; mkdir $S/lock.new", "keepalive aa 120", 2, "[ $(cat $R/until) = 1 ]"),
    Case("unlock of a node that has nothing", "", "unlock aa", 0, "[ ! -e $S ]"),
    Case("unlock", LOCKED, "unlock aa", 0, "[ ! -e $S ]"),
    Case("unlock of half a lock", FOLDER + ": >$S/lock.new", "unlock aa", 0, "[ ! -e $S ]"),
    Case("unlock without a lock", FOLDER + "rm() { : >/tmp/vain; }", "unlock aa", 0, f"{IDLE}\n[ ! -e $S ]"),
    Case("unlock of another run's lock", LOCKED, "unlock bb", 0, lock_is("boot-1 1100 aa since me")),
    Case("unlock of a node with a record", LOCKED + "echo {} >$S/record.json; rmdir() { : >/tmp/vain; }", "unlock aa", 0, f"{IDLE}\n[ ! -e $S/lock ]\n[ -e $S/record.json ]"),
    Case("unlock of a node that keeps something", LOCKED + "echo x >$S/kept", "unlock aa", 0, "[ ! -e $S/lock ]\n[ -e $S/kept ]"),
)
CHECKPOINT = (
    Case("journal of a new run", FOLDER + "echo old >$S/journal\n" + SYNC, "dirty=' /etc'; journal aa intended up && [ -z \"$dirty\" ]", 0, '[ "$(cat $S/journal)" = \'{"version":1,"run":"aa","state":"intended","step":"up"}\' ]\n' + log_is("sync /var/lib/sparkctl/journal /var/lib/sparkctl /etc")),
    Case("journal goes on", FOLDER + "echo old >$S/journal\n" + SYNC, "journal aa started x", 0, "[ $(wc -l <$S/journal) = 2 ]"),
    Case("journal that cannot be begun", FOLDER + "mkdir $S/journal\n" + SYNC, "journal aa intended x", 2, "[ ! -s /tmp/log ]"),
    Case("journal that cannot be written", FOLDER + "mkdir $S/journal\n" + SYNC, "journal aa started x", 2, "[ ! -s /tmp/log ]"),
    Case("begin", LOCKED + "mkdir /tmp/t; echo a >/tmp/t/run.json; chown 5 /tmp/t/run.json; tar -c -C /tmp/t -f /tmp/t.tar run.json", "begin </tmp/t.tar", 0, "[ -d $R/before ]\n[ -f $R/made ]\n[ $(stat -c %u $R/run.json) = 0 ]"),
    Case("begin over a run", RUN + "tar -c -f /tmp/t.tar -T /dev/null", "begin </tmp/t.tar", 1),
    Case("begin of half an archive", LOCKED + "echo no >/tmp/t.tar", "begin </tmp/t.tar", 2, "[ ! -e $R/made ]"),
    Case("first state", RUN + SYNC, "enter aa armed checkpoint", 0, "[ $(cat $R/state) = armed ]\n" + log_is("sync /var/lib/sparkctl/journal /var/lib/sparkctl /var/lib/sparkctl/run/state /var/lib/sparkctl/run")),
    Case("next state", RUN + "echo armed >$R/state\n" + SYNC, "enter aa confirmed checkpoint", 0, "[ $(cat $R/state) = confirmed ]\n[ ! -e $R/state.new ]\n" + log_is("sync /var/lib/sparkctl/journal /var/lib/sparkctl /var/lib/sparkctl/run/state.new", "sync /var/lib/sparkctl/run")),
    Case("no state before the journal", RUN + "echo armed >$R/state; mkdir $S/journal", "enter aa confirmed checkpoint", 2, "[ $(cat $R/state) = armed ]"),
    Case("save", RUN + "mkdir /etc/sparkctl; echo a >/etc/sparkctl/x; chmod 640 /etc/sparkctl/x", f"save_file /etc/sparkctl/x 0 {OF_A}", 0, "[ \"$(cat $R/before/0)\" = a ]\n[ $(stat -c %a $R/before/0) = 640 ]\n[ ! -s $R/made ]"),
    Case("save of what was changed", RUN + "mkdir /etc/sparkctl; echo a >/etc/sparkctl/x", "save_file /etc/sparkctl/x 0 absent", 78, "[ ! -e $R/before/0 ]"),
    Case("save of a link", RUN + "mkdir /etc/sparkctl; echo a >/tmp/x; digest /tmp/x; ln -s /tmp/x /etc/sparkctl/x", "save_file /etc/sparkctl/x 0 $sum", 78, "[ ! -e $R/before/0 ]"),
    Case("save of a device", RUN + "mkdir /etc/sparkctl; mkfifo /etc/sparkctl/x", "save_file /etc/sparkctl/x 0 absent", 78, "[ ! -e $R/before/0 ]"),
    Case("save of nothing in no folder", RUN, "save_file /etc/sparkctl/x 0 absent && save_file /etc/sparkctl/y 1 absent", 0, '[ "$(cat $R/made)" = /etc/sparkctl ]\n[ -z "$(ls $R/before)" ]'),
    Case("save of nothing in a folder", RUN + "mkdir /etc/sparkctl", "save_file /etc/sparkctl/x 0 absent", 0, "[ ! -s $R/made ]"),
    Case("disarm", RUN + "echo armed >$R/state\n" + SPY, "disarm aa", 0, "[ $(cat $R/state) = confirmed ]\n[ \"$(tail -n 1 /tmp/log)\" = 'systemctl stop sparkctl-revert.timer' ]"),
    Case("disarm of a run that is put back", RUN + "echo reverting >$R/state\n" + SPY, "disarm aa", 76, "[ $(cat $R/state) = reverting ]\n[ ! -s /tmp/log ]"),
    Case("disarm without a state", RUN + SPY, "disarm aa", 76, "[ ! -e $R/state ]\n[ ! -s /tmp/log ]"),
    Case("disarm on a full disk", RUN + "echo armed >$R/state; mkdir $R/state.new\n" + SPY, "disarm aa", 2, "[ $(cat $R/state) = armed ]\n[ ! -s /tmp/log ]"),
    Case("no state", RUN, "read_state 2>/tmp/said; [ -z \"$state\" ]", 0, "[ ! -s /tmp/said ]"),
    Case("hook", RUN + "dirty=\n" + SPY, 'hook && echo "$dirty" >/tmp/dirty', 0, "[ -e $WANTS/$HOOK ]\ngrep -q \"ExecStart=/bin/sh $R/revert.sh boot\" $UNITS/$HOOK\n[ $(stat -c %a $UNITS/$HOOK) = 644 ]\ngrep -qx $WANTS $R/made || [ -d $WANTS ]\n[ \"$(cat /tmp/dirty)\" = \" $UNITS/$HOOK $UNITS $WANTS\" ]"),
    Case("hook where nothing starts at boot", RUN + "rm -r $WANTS\n" + SPY, "hook", 0, "[ -e $WANTS/$HOOK ]\ngrep -qx $WANTS $R/made"),
    Case("hook that cannot be linked", RUN + "rm -r $WANTS; mkdir $R/x; mv $R/made $R/x\nmkdir $R/made", "hook", 2, "[ ! -e $UNITS/$HOOK ]"),
    Case("hook that cannot be written", RUN + "mkdir -p $UNITS/$HOOK $WANTS", "hook", 1, "[ ! -L $WANTS/$HOOK ]"),
    Case("unhook of nothing", SPY + VAIN, "unhook", 0, f"{IDLE}\n[ ! -s /tmp/log ]"),
    Case("unhook", HOOKED + SPY, 'dirty=; unhook && echo "$dirty" >/tmp/dirty', 0, '[ ! -e $UNITS/$HOOK ]\n[ ! -L $WANTS/$HOOK ]\n[ "$(cat /tmp/dirty)" = " $UNITS $WANTS" ]\n' + log_is("systemctl list-units --all --plain --no-legend sparkctl-boot-revert.service")),
    Case("unhook that fails", HOOKED + "rm() { return 5; }", "unhook", 5),
    Case("unhook of a link alone", HOOKED + "rm $UNITS/$HOOK\n" + SPY, "unhook", 0, "[ ! -L $WANTS/$HOOK ]"),
    Case("unhook of a unit alone", HOOKED + "rm $WANTS/$HOOK\n" + SPY, "unhook", 0, "[ ! -e $UNITS/$HOOK ]"),
    Case("unhook of a hook that systemd has read", HOOKED + 'systemctl() { echo "$1" >>/tmp/log; [ "$1" != list-units ] || echo loaded; }', "unhook", 0, log_is("list-units", "daemon-reload")),
    Case("unhook of a folder of ours", RUN + "mv $WANTS /tmp/wants; mkdir $WANTS; echo $WANTS >$R/made; : >$UNITS/$HOOK; ln -s ../$HOOK $WANTS/$HOOK\n" + SPY, 'dirty=; unhook && echo "$dirty" >/tmp/dirty', 0, '[ ! -e $WANTS ]\n[ "$(cat /tmp/dirty)" = " $UNITS" ]'),
    Case("arm", RUN + 'echo \'{"run":"aa","x":"y"}\' >$R/run.json; echo x >$R/revert.sh\n' + SYNC + TIMER, "arm 120", 0, "[ $(cat $R/until) = 1120 ]\n[ $(cat $R/state) = armed ]\n[ -e $WANTS/$HOOK ]\ngrep -q '\"run\":\"aa\",\"state\":\"armed\"' $S/journal\ngrep -qF -- '--unit=sparkctl-revert --on-active=120 --on-unit-inactive=5 --timer-property=AccuracySec=100ms /bin/sh /var/lib/sparkctl/run/revert.sh timer' /tmp/timer"),
    Case("arm without a run", RUN + TIMER, "arm 120", 2, "[ ! -e $R/state ]\n[ ! -e /tmp/timer ]"),
    Case("started", RUN + "dirty=", 'started network && echo "$dirty" >/tmp/dirty', 0, '[ -e $R/started.network ]\n[ "$(cat /tmp/dirty)" = " $R/started.network $R" ]'),
)
ENDS = (
    Case("keep", RUN + "echo a >$R/before/0", 'dirty=; alike=; keep 0 x && echo "$dirty,$alike" >/tmp/dirty', 0, '[ "$(cat $S/baseline/x)" = a ]\n[ "$(cat /tmp/dirty)" = " $S/baseline/x," ]'),
    Case("keep what keeps its name", RUN + "mkdir $S/baseline; echo a >$R/before/net.x", 'dirty=; alike=; keep net.x net.x && echo "$dirty,$alike" >/tmp/dirty', 0, '[ ! -e $S/baseline/net.x ]\n[ "$(cat /tmp/dirty)" = " $S/baseline/net.x, $R/before/net.x" ]'),
    Case("keep never twice", RUN + "mkdir $S/baseline; echo old >$S/baseline/x; echo new >$R/before/0", "dirty=; alike=; keep 0 x && [ -z \"$dirty\" ]", 0, '[ "$(cat $S/baseline/x)" = old ]'),
    Case("keep of nothing", RUN + "mkdir $S/baseline", "dirty=; alike=; keep 0 x && [ -z \"$dirty$alike\" ]", 0, "[ ! -e $S/baseline/x ]"),
    Case("keep where no folder can be", RUN + ": >$S/baseline; : >$R/before/0", "dirty=; alike=; keep 0 x", 1),
    Case("keep the name where no folder can be", RUN + ": >$S/baseline; : >$R/before/net.x", "dirty=; alike=; keep net.x net.x", 1),
    Case("keep that fails", RUN + "mkdir $S/baseline; : >$R/before/0; ln() { return 5; }", "dirty=; alike=; keep 0 x", 5),
    Case("spare", RUN + "mkdir $S/baseline; echo a >$S/baseline/x; echo b >/tmp/f\n" + SYNC, "spare /tmp/f x", 0, '[ "$(cat /tmp/f)" = b ]\n[ "$(cat /tmp/f.before-sparkctl)" = a ]\n' + log_is("sync /tmp/f.before-sparkctl /tmp")),
    Case("spare never over anything", RUN + "mkdir $S/baseline; echo a >$S/baseline/x; echo b >/tmp/f.before-sparkctl", "spare /tmp/f x", 0, '[ "$(cat /tmp/f.before-sparkctl)" = b ]'),
    Case("spare of nothing", RUN, "spare /tmp/f x", 0, "[ ! -e /tmp/f.before-sparkctl ]"),
    Case("forget a netdev", RUN + "mkdir $S/baseline; : >$S/baseline/net.x", "forget_netdev x", 0, "[ ! -e $S/baseline/net.x ]"),
    Case("keep what was made", RUN + "mkdir $S/baseline; echo /a >$S/baseline/made; printf '/a\\n/b\\n' >$R/made; echo x >$R/before/net.x", 'dirty=; alike=" $R/before/net.x"; keep_made && echo "$dirty" >/tmp/dirty', 0, "[ \"$(tr '\\n' , <$S/baseline/made)\" = /a,/b, ]\n[ -e $S/baseline/net.x ]\n[ \"$(cat /tmp/dirty)\" = \" $S/baseline/made $S/baseline\" ]"),
    Case("keep where nothing was made", RUN, "dirty=; alike=; keep_made", 0, "[ -f $S/baseline/made ]"),
    Case("keep made where no folder can be", RUN + ": >$S/baseline", "dirty=; alike=; keep_made", 1),
    Case("keep made on a full disk", RUN + "mkdir -p $S/baseline/made; echo /a >$R/made\n" + VAIN, "dirty=; alike=' x'; keep_made", 2, IDLE),
    Case("keep of images that fails", RUN + "ln() { return 5; }", "dirty=; alike=' x'; keep_made", 5, "[ ! -e $S/baseline/made ]"),
    Case("finish", RUN + "echo {} >$R/record.json\n" + HOOKED + SPY, "dirty=; alike=; finish aa", 0, "[ ! -e $R ]\n[ ! -e $S/lock ]\n[ \"$(cat $S/record.json)\" = {} ]\n[ ! -e $UNITS/$HOOK ]\ngrep -q finished $S/journal\ngrep -q 'sync /var/lib/sparkctl/record.json /var/lib/sparkctl ' /tmp/log\n[ \"$(tail -n 1 /tmp/log)\" = 'sync /var/lib/sparkctl' ]"),
    Case("finish again", RUN + "echo {} >$S/record.json\n" + SPY, "dirty=; alike=; finish aa", 0, "[ ! -e $R ]\n[ -e $S/record.json ]"),
    Case("finish for another", RUN + "echo {} >$R/record.json\n" + SPY, "dirty=; alike=; finish bb", 0, "[ ! -e $R ]\n" + lock_is("boot-1 1100 aa since me")),
    Case("finish that cannot keep", RUN + ": >$S/baseline; echo {} >$R/record.json\n" + SPY, "dirty=; alike=; finish aa", 1, "[ -e $R/record.json ]"),
    Case("finish that cannot record", RUN + "echo {} >$R/record.json; mv() { return 5; }\n" + SPY, "dirty=; alike=; finish aa", 5, "[ -e $R/record.json ]\n[ -e $S/lock ]"),
    Case("finish that cannot flush", RUN + "echo {} >$R/record.json; sync() { case $* in *record.json*) return 5 ;; esac; }; systemctl() { :; }", "dirty=; alike=; finish aa", 5, "[ -e $R ]"),
    Case("forget", RUN + HOOKED + SPY, "dirty=; forget aa", 0, "[ ! -e $S ]\n[ ! -e $UNITS/$HOOK ]\ngrep -q '^sync /var/lib ' /tmp/log"),
    Case("conclude what is forgotten already", "", "conclude aa bb 120 forgotten", 0, "[ ! -e $S ]"),
    Case("conclude what is recorded already", FOLDER + "echo '{\"run\": \"aa\"}' >$S/record.json", "conclude aa bb 120 recorded", 0),
    Case("conclude what another recorded", FOLDER + "echo '{\"run\": \"cc\"}' >$S/record.json", "conclude aa bb 120 recorded", 76),
    Case("conclude what has no run", FOLDER, "conclude aa bb 120 forgotten", 76),
    Case("conclude what was confirmed", RUN + "echo confirmed >$R/state; echo 'echo done >/tmp/done' >$R/finish.sh", "conclude cc aa 120 recorded", 0, "[ -e /tmp/done ]\n[ ! -e $S/lock ]"),
    Case("conclude what is recorded and still there", RUN + "echo confirmed >$R/state; echo 'echo done >/tmp/done' >$R/finish.sh; echo '{\"run\": \"cc\"}' >$S/record.json", "conclude cc aa 120 recorded", 0, "[ -e /tmp/done ]"),
    Case("conclude what was not confirmed", RUN + "echo armed >$R/state; echo 'echo done >/tmp/done' >$R/finish.sh", "conclude cc aa 120 recorded", 78, "[ ! -e /tmp/done ]\n[ -e $S/lock ]"),
    Case("conclude without the lock", RUN + "echo confirmed >$R/state; echo 'echo done >/tmp/done' >$R/finish.sh", "conclude cc bb 120 recorded", 76, "[ ! -e /tmp/done ]"),
    Case("conclude that fails", RUN + "echo confirmed >$R/state; echo 'exit 5' >$R/finish.sh", "conclude cc aa 120 recorded", 5, "[ -e $S/lock ]"),
    Case("abandon of a node that has nothing", "", "abandon aa", 0, "[ ! -e $S ]"),
    Case("abandon before anything was touched", RUN + HOOKED + ": >$S/journal", "abandon aa", 0, "[ ! -e $S ]\n[ ! -e $UNITS/$HOOK ]"),
    Case("abandon on a node with a record", RUN + ": >$S/journal; echo {} >$S/record.json", "abandon aa", 0, "[ ! -e $R ]\n[ -e $S/journal ]\n[ ! -e $S/lock ]"),
    Case("abandon of another's run", RUN, "abandon bb", 0, "[ -e $R ]\n" + lock_is("boot-1 1100 aa since me")),
    Case("abandon without a lock", RUN + "rm $S/lock; : >$S/journal", "abandon aa", 0, "[ -e $R ]\n[ -e $S/journal ]"),
    Case("abandon of a busy node", RUN + BUSY, "abandon aa", 75, "[ -e $R ]"),
    Case("abandon runs the way back", RUN + "echo armed >$R/state; printf 'echo $1 >/tmp/ran\\nrevert_ends () { rm -rf /var/lib/sparkctl; }\\nrevert_ends aa 0\\n' >$R/revert.sh", "abandon aa", 0, "[ $(cat /tmp/ran) = controller ]\n[ ! -e $S ]"),
    Case("abandon of a script that is cut off", RUN + "echo armed >$R/state; echo 'echo $1 >/tmp/ran' >$R/revert.sh", "abandon aa", 1, "[ ! -e /tmp/ran ]\n[ -e $R/state ]"),
    Case("abandon of a way back that fails", RUN + "echo armed >$R/state; printf 'revert_ends () { exit 7; }\\nrevert_ends aa 1\\n' >$R/revert.sh", "abandon aa", 7, "[ -e $R/state ]"),
)
GONE = "[ ! -e /tmp/began ]"
BEGAN = "[ -e /tmp/began ]"
WAY = (
    Case("no node to put back", "", "revert_begins aa timer; : >/tmp/began", 0, GONE),
    Case("no run to put back", FOLDER, "revert_begins aa timer; : >/tmp/began", 0, GONE),
    Case("timer of an armed run", RUN + "echo armed >$R/state; echo 1000 >$R/until\n" + SPY, "dirty=; revert_begins aa timer; : >/tmp/began", 0, BEGAN + "\n[ $(cat $R/state) = reverting ]\ngrep -q 'stop sparkctl-netplan.service' /tmp/log"),
    Case("timer that comes again", RUN + "echo reverting >$R/state; echo 1000 >$R/until\n" + SPY, "dirty=; revert_begins aa timer; : >/tmp/began", 0, BEGAN),
    Case("timer of a living controller", RUN + "echo armed >$R/state; echo 1001 >$R/until\n" + SPY, "dirty=; revert_begins aa timer; : >/tmp/began", 0, GONE + "\n[ $(cat $R/state) = armed ]"),
    Case("boot of a run whose lease goes on", RUN + "echo armed >$R/state; echo 1001 >$R/until\n" + SPY, "dirty=; revert_begins aa boot; : >/tmp/began", 0, BEGAN),
    Case("timer of a confirmed run", RUN + "echo confirmed >$R/state; echo 1000 >$R/until\n" + SPY, "dirty=; revert_begins aa timer; : >/tmp/began", 0, GONE + "\n[ $(cat $R/state) = confirmed ]"),
    Case("boot of a confirmed run", RUN + "echo confirmed >$R/state\n" + SPY, "dirty=; revert_begins aa boot; : >/tmp/began", 0, GONE),
    Case("boot of a run without a state", RUN + SPY, "dirty=; revert_begins aa boot; : >/tmp/began", 0, GONE),
    Case("controller takes a confirmed run back", RUN + "echo confirmed >$R/state\n" + TIMER + "systemctl() { [ \"$1\" != is-active ]; }", "dirty=; revert_begins aa controller; : >/tmp/began", 0, BEGAN + "\n[ $(cat $R/until) = 1060 ]\ngrep -q on-active=60 /tmp/timer"),
    Case("controller leaves a timer that runs", RUN + "echo armed >$R/state; echo 1 >$R/until\n" + TIMER + "systemctl() { :; }", "dirty=; revert_begins aa controller; : >/tmp/began", 0, BEGAN + "\n[ $(cat $R/until) = 1 ]\n[ ! -e /tmp/timer ]"),
    Case("timer sets no timer", RUN + "echo armed >$R/state; echo 1 >$R/until\n" + TIMER + "systemctl() { [ \"$1\" != is-active ]; }", "dirty=; revert_begins aa timer; : >/tmp/began", 0, BEGAN + "\n[ ! -e /tmp/timer ]"),
    Case("a busy node is put back all the same", RUN + "echo armed >$R/state; echo 1 >$R/until\n" + BUSY + SPY, "dirty=; revert_begins aa timer; : >/tmp/began", 0, BEGAN),
    Case("a run that ended while it was waited for", RUN + "echo armed >$R/state; echo 1 >$R/until; flock() { rm -r $R; }\n" + SPY, "dirty=; revert_begins aa controller; : >/tmp/began", 0, GONE),
    Case("a way back that failed", RUN + "echo reverting >$R/state\n" + SPY, "dirty=; revert_ends aa 1", 1, "[ -e $R ]\n[ $(cat $R/until) = 1060 ]\ngrep -q revert-failed $S/journal\n! grep -q systemctl /tmp/log"),
    Case("the end of a first run", RUN + HOOKED + SPY, "dirty=; revert_ends aa 0", 0, "[ ! -e $S ]\n[ ! -e $UNITS/$HOOK ]\ngrep -q '^sync /var/lib ' /tmp/log\n[ \"$(tail -n 1 /tmp/log)\" = 'systemctl stop sparkctl-revert.timer' ]"),
    Case("the end is the end", RUN + "systemctl() { return 5; }", "dirty=; revert_ends aa 0; : >/tmp/after", 0, "[ ! -e /tmp/after ]"),
    Case("the end of a later run", RUN + "echo {} >$S/record.json\n" + HOOKED + SPY, "dirty=; revert_ends aa 0", 0, "[ ! -e $R ]\n[ ! -e $S/lock ]\n[ -e $S/record.json ]\n[ ! -e $UNITS/$HOOK ]\ngrep -q '\"reverted\"' $S/journal\n[ \"$(grep sync /tmp/log | tail -n 1)\" = 'sync /var/lib/sparkctl' ]"),
    Case("failed", "df() { echo; echo x x x 16 x; }", "failed 5 a b 2>/tmp/said", 5, "[ \"$(cat /tmp/said)\" = \"the step 'a b' ended with status 5\" ]"),
    Case("failed for want of room", "df() { echo; echo x x x 15 x; }", "failed 5 a b 2>/tmp/said", 5, "grep -q 'No space left: 15 KiB free on the filesystem of /var/lib' /tmp/said"),
    Case("failed where nobody knows the room", "df() { return 1; }", "failed 5 a b 2>/tmp/said", 5, "! grep -q space /tmp/said"),
    *(Case(f"refused with {n}", "", f"failed {n} a b 2>/tmp/said", n, "[ ! -s /tmp/said ]") for n in (75, 76, 77, 78)),
)
CASES = (*LOCK, *CHECKPOINT, *ENDS, *WAY)


@pytest.fixture(scope="module")
def made() -> Iterator[Rig]:
    """Two nodes; one is enough for most."""
    with folder() as name:
        path = Path(name, "direct.yaml")
        path.write_text(inventory("direct", engine=False))
        rig = made_rig(path)
        try:
            rig.furnish()
            yield rig
        finally:
            rig.world.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_function_of_the_node(made: Rig, case: Case) -> None:
    made.world.reset(made.base)
    said = made.world.run(HEAD, case.script())
    assert said.status == case.status, said
