"""Cases of the node's own functions: what is there first, the call, and what must be so then."""

from __future__ import annotations

from dataclasses import dataclass

from sparkctl.commands.base import program

FOLDER = "mkdir -m 0700 $S\n"
LOCKED = FOLDER + "echo 'boot-1 1100 aa since me' >$S/lock\n"
RUN = LOCKED + "mkdir $R $R/before $R/after; : >$R/made\n"
BUSY = 'flock() { shift 2; command flock -w 0.1 "$@"; }\nexec 8<$S; command flock 8\n'
SYNC = 'sync() { for f; do [ -e "$f" ] || return 1; done; echo "sync $*" >>/tmp/log; }\n: >/tmp/log\n'
"""As the real one, and it says what it was asked."""
SPY = 'systemctl() { echo "systemctl $*" >>/tmp/log; }\n' + SYNC
TIMER = "mkdir /tmp/bin; printf '#!/bin/sh\\necho \"$*\" >>/tmp/timer\\n' >/tmp/bin/systemd-run; sed 's/timer/synced/' /tmp/bin/systemd-run >/tmp/bin/sync; chmod 755 /tmp/bin/*; PATH=/tmp/bin:$PATH\n"
VAIN = "".join(f"{name}() {{ : >/tmp/vain; }}\n" for name in ("rm", "rmdir", "mv", "ln"))
"""For what must start no program and change nothing: most of what a node is asked is forks."""
IDLE = "[ ! -e /tmp/vain ]"
HOOKED = "mkdir -p $WANTS; : >$UNITS/$HOOK; ln -s ../$HOOK $WANTS/$HOOK\n"

DEV, PEER = "enp1s0f1np1", "far2"
"""The head's port that somebody set by hand: MTU 1600, up, 10.99.0.1/24; and the other end of its cable."""
OFF = f"ip link set {PEER} down\ntrap 'ip link set {PEER} up' EXIT\n"
"""The cable is out, for as long as the script runs."""
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
