# The functions that every script of sparkctl on a node is made of (POSIX sh, run as root).
# Each ends with 0, or says on stderr what is wrong and ends with another status.
# 75: another run holds the lock.  76: this run no longer holds it.  77: an interrupted run is on the node.  78: not as planned.
set -u
umask 077
export LC_ALL=C
S=/var/lib/sparkctl
R=$S/run
UNIT=sparkctl-revert

err() { printf '%s\n' "$*" >&2; }

# The end of a script whose step failed; a full disk is the cause that tools name worst ("I/O error").
failed() { # STATUS STEP [ARGUMENT]
  status=$1
  shift
  for dir in /var/lib /etc /etc/netplan /etc/sparkctl /etc/systemd/system; do
    free=$(df -Pk "$dir" 2>/dev/null | awk 'NR == 2 { print $4 }')
    if [ "${free:-999}" -lt 16 ]; then err "No space left: $free KiB free on the filesystem of $dir"; fi
  done
  case $status in 75 | 76 | 77 | 78) ;; *) err "the step '$*' ended with status $status" ;; esac
  exit "$status"
}

# The shell reads and cuts by itself wherever it can, and answers in variables: most of what a node is asked is forks.

# Seconds since boot, in $up: a wall clock that is set back would stretch every lease.
uptime_s() {
  read -r up _ </proc/uptime
  up=${up%%.*}
}

boot() { # in $boot
  read -r boot </proc/sys/kernel/random/boot_id
}

# One command of ours at a time on a node; the revert waits a while, then goes on alone.
guard() {
  # A shell ends where this fails.
  exec 9<"$S"
  flock -w "$1" 9 || { err "another sparkctl command is busy on this node"; return 75; }
}

digest() { # FILE: in $sum; nothing where it cannot be read
  if [ -L "$1" ]; then sum=symlink
  elif [ -f "$1" ]; then
    sum=$(sha256sum <"$1")
    sum=${sum%% *}
  elif [ -e "$1" ]; then sum=special
  else sum=absent
  fi
}

has_digest() { # FILE DIGEST
  digest "$1"
  [ "$sum" = "$2" ]
}

say() { # FILE TEXT: never half of it where it may be read already
  if [ ! -e "$1" ]; then printf '%s\n' "$2" >"$1"; return; fi
  printf '%s\n' "$2" >"$1.new" && mv -f "$1.new" "$1"
}

listed() { # LINE FILE: whether it is one of its lines
  [ -f "$2" ] || return 1
  while IFS= read -r line; do [ "$line" != "$1" ] || return 0; done <"$2"
  return 1
}

# --- lock -------------------------------------------------------------------------------------------------------

write_lock() { # RUN LEASE SINCE OWNER; not flushed, for a boot makes it void
  boot && uptime_s && say "$S/lock" "$boot $((up + $2)) $1 $3 $4"
}

# A run that died leaves its folder; only `recover` may lock a node that has one, and `break` takes a lease that has not ended.
lock() { # RUN LEASE OWNER new|recover|break
  if [ ! -d "$S" ]; then mkdir -m 0700 "$S" || return 1
  # A link has mode 777.
  elif [ "$(stat -c %u:%a "$S")" != 0:700 ]; then
    err "$S is not a directory of root with mode 0700"
    return 78
  fi
  guard 10 || return
  if [ -f "$S/lock" ]; then
    read -r on until run since owner <"$S/lock"
    boot && uptime_s || return
    if [ "$4" != break ] && [ "$run" != "$1" ] && [ "$on" = "$boot" ] && [ "${until:-0}" -gt "$up" ]; then
      err "locked by $owner since $since (run $run); its lease ends in $((until - up)) s"
      return 75
    fi
  fi
  if [ "$4" = new ] && [ -d "$R" ]; then
    err "an interrupted run is on this node"
    return 77
  fi
  now=$(date -u '+%Y-%m-%dT%H:%M:%SZ %s') && write_lock "$1" "$2" "${now% *}" "$3"
}

# Every later script begins here: proves that the lock is still ours, and extends lease and revert timer together, once an
# eighth of it has passed.
hold() { # RUN LEASE
  guard 30 || return
  if [ -f "$S/lock" ]; then read -r on until run since owner <"$S/lock"; else run=none; fi
  if [ "$run" != "$1" ]; then
    err "the lock of run $1 is gone (now: $run): the node has put itself back, or another run took over"
    return 76
  fi
  boot || return
  if [ "$on" != "$boot" ]; then
    err "the node was booted again since run $1 locked it"
    return 76
  fi
  uptime_s && [ $((until - up)) -lt $(($2 - $2 / 8)) ] || return 0
  write_lock "$1" "$2" "$since" "$owner" || return
  if [ -f "$R/until" ]; then extend "$2"; fi
}

# True when the lock is held by another run.
foreign_lock() { # RUN
  [ -f "$S/lock" ] && read -r _ _ run _ <"$S/lock" && [ "$run" != "$1" ]
}

# While a step of this run holds the guard: the controller is alive, so lease and timer go on.
keepalive() { # RUN LEASE
  if [ ! -f "$S/lock" ] || foreign_lock "$1"; then
    err "the lock of run $1 is gone"
    return 76
  fi
  read -r _ _ _ since owner <"$S/lock"
  write_lock "$1" "$2" "$since" "$owner" || return
  if [ -f "$R/until" ]; then extend "$2"; fi
}

# Nothing is left on a node that had nothing.
unlock() { # RUN
  [ -d "$S" ] || return 0
  if foreign_lock "$1"; then return 0; fi
  if [ -e "$S/lock" ] || [ -e "$S/lock.new" ]; then rm -f "$S/lock" "$S/lock.new"; fi
  [ -e "$S/record.json" ] || rmdir --ignore-fail-on-non-empty "$S"
}

# --- journal ----------------------------------------------------------------------------------------------------

# One line before each act, flushed together with what the functions before it left in $dirty; a new run begins a new journal.
dirty=
journal() { # RUN STATE STEP
  if [ "$2" = intended ]; then : >"$S/journal"; fi
  printf '{"version":1,"run":"%s","state":"%s","step":"%s"}\n' "$1" "$2" "$3" >>"$S/journal" || return
  flush "$S/journal" "$S"
}

# --- checkpoint -------------------------------------------------------------------------------------------------

HOOK=sparkctl-boot-revert.service
UNITS=/etc/systemd/system
WANTS=$UNITS/multi-user.target.wants

begin() { # the run's files come on stdin as a tar; as long as they have no `state`, nothing has been touched
  mkdir "$R" "$R/before" && tar -x -m -f - -C "$R" --no-same-owner && : >"$R/made"
}

enter() { # RUN STATE STEP: into the journal, then in force
  if [ ! -e "$R/state" ]; then
    echo "$2" >"$R/state" && dirty="$dirty $R/state $R" && journal "$@"
    return
  fi
  echo "$2" >"$R/state.new" && dirty="$dirty $R/state.new" && journal "$@" && mv -f "$R/state.new" "$R/state" && sync "$R"
}

save_file() { # PATH NUMBER DIGEST: the before-image, refused when it is not what the plan was made from
  ours "$1" || return
  if ! has_digest "$1" "$3"; then
    err "$1 changed since the plan was made (now $sum)"
    return 78
  fi
  if [ "$sum" != absent ]; then cp -a "$1" "$R/before/$2"
  elif [ ! -d "${1%/*}" ] && ! listed "${1%/*}" "$R/made"; then printf '%s\n' "${1%/*}" >>"$R/made"
  fi
}

extend() { # SECONDS
  uptime_s && say "$R/until" $((up + $1))
}

# Looks every few seconds once the lease could have ended: a lease that was extended, or a revert that failed, is seen
# again. The default accuracy of a timer is a minute.
timer() { # SECONDS
  systemd-run --quiet --collect --unit="$UNIT" --on-active="$1" --on-unit-inactive=5 \
    --timer-property=AccuracySec=100ms /bin/sh "$R/revert.sh" timer
}

# A reboot loses the timer, so the next boot puts the node back; a plain file, because systemd need not know of it now.
hook() {
  [ -d "$WANTS" ] || made_dir "$WANTS" || return
  umask 022
  printf '%s\n' '[Unit]' 'Description=Put back what an interrupted run of sparkctl changed' \
    'After=network.target docker.service' "ConditionPathExists=$R/revert.sh" '[Service]' 'Type=oneshot' \
    "ExecStart=/bin/sh $R/revert.sh boot" 'Restart=on-failure' 'RestartSec=10' >"$UNITS/$HOOK"
  rc=$?
  umask 077
  [ $rc = 0 ] && ln -sf "../$HOOK" "$WANTS/$HOOK" && dirty="$dirty $UNITS/$HOOK $UNITS $WANTS"
}

# Nothing of the hook is left, which is to be flushed yet; systemd is told only where it has read it.
unhook() {
  [ -e "$UNITS/$HOOK" ] || [ -L "$WANTS/$HOOK" ] || return 0
  rm -f "$WANTS/$HOOK" "$UNITS/$HOOK" || return
  undo_dir "$WANTS"
  dirty="$dirty $UNITS"
  [ ! -d "$WANTS" ] || dirty="$dirty $WANTS"
  [ -z "$(systemctl list-units --all --plain --no-legend "$HOOK")" ] || systemctl daemon-reload
}

# One sync for the name of what was made or removed, and for what is in $dirty.
flush() { # FILE...
  # shellcheck disable=SC2086  # words
  sync "$@" $dirty && dirty=
}

# All that the way back needs is on disk before the run is armed, and the run is before the first change.
arm() { # SECONDS
  extend "$1" && find "$R" -exec sync {} + && hook && run_id && enter "$run" armed checkpoint && timer "$1"
}

run_id() { # of the run whose files are here, in $run
  read -r run <"$R/run.json" && run=${run#*'"run":"'} && run=${run%%'"'*}
}

read_state() { # of that run, in $state; nothing while it has none
  state=
  [ ! -e "$R/state" ] || read -r state <"$R/state"
}

disarm() { # RUN
  read_state
  [ "$state" = armed ] || { err "the checkpoint is not armed"; return 76; }
  enter "$1" confirmed checkpoint || return
  systemctl stop "$UNIT.timer"
}

started() { # STAGE
  : >"$R/started.$1" && dirty="$dirty $R/started.$1 $R"
}

# --- the end of a run -------------------------------------------------------------------------------------------

# What was there before sparkctl first touched it is kept until teardown; a later run never replaces it. Those that keep
# their name are kept by keep_made, all at once.
alike=
keep() { # IMAGE NAME (IMAGE below run/before, NAME below baseline)
  [ -d "$S/baseline" ] || mkdir "$S/baseline" || return
  if [ -e "$S/baseline/$2" ] || [ ! -e "$R/before/$1" ]; then return 0; fi
  if [ "$1" = "$2" ]; then alike="$alike $R/before/$1"; else ln "$R/before/$1" "$S/baseline/$2" || return; fi
  dirty="$dirty $S/baseline/$2"
}

# Teardown leaves an edited file alone; what was there before sparkctl goes beside it, never over anything.
# NetworkManager reads every file of its folder but hidden ones.
spare() { # PATH NAME
  beside=$1.before-sparkctl
  case $1 in /etc/NetworkManager/*) beside=${1%/*}/.${1##*/}.before-sparkctl ;; esac
  if [ ! -e "$S/baseline/$2" ] || [ -e "$beside" ]; then return 0; fi
  cp -a "$S/baseline/$2" "$beside" && sync "$beside" "${1%/*}"
}

# A netdev that is as it was before sparkctl came: its next history begins anew.
forget_netdev() { # DEV
  rm -f "$S/baseline/net.$1"
}

# Each directory once: a node may die in the middle of this and finish again.
keep_made() {
  [ -d "$S/baseline" ] || mkdir "$S/baseline" || return
  while IFS= read -r dir; do
    listed "$dir" "$S/baseline/made" || printf '%s\n' "$dir" >>"$S/baseline/made" || return
  done <"$R/made"
  # shellcheck disable=SC2086  # words
  [ -z "$alike" ] || ln $alike "$S/baseline/" || return
  : >>"$S/baseline/made" && dirty="$dirty $S/baseline/made $S/baseline"
}

finish() { # RUN
  keep_made && journal "$1" "finished" run && unhook || return
  # A node that dies after this finishes without it.
  [ ! -e "$R/record.json" ] || mv -f "$R/record.json" "$S/record.json" || return
  set -- "$1" "$R"
  foreign_lock "$1" || set -- "$@" "$S/lock" "$S/lock.new"
  shift
  flush "$S/record.json" "$S" && rm -rf "$@" && sync "$S"
}

# After a teardown nothing of sparkctl is left, the record included.
forget() { # RUN
  unhook && rm -rf "$S" && flush "${S%/*}"
}

# Finish a confirmed run with the script that it left here; once more does no harm, for an answer may be lost.
conclude() { # RUN LOCK LEASE recorded|forgotten
  if [ ! -d "$R" ]; then
    if [ "$4" = forgotten ]; then [ -d "$S" ]; else ! grep -qs "\"run\": *\"$1\"" "$S/record.json"; fi || return 0
  fi
  hold "$2" "$3" || return
  read_state
  [ "$state" = confirmed ] || { err "run $1 was not confirmed on this node"; return 78; }
  /bin/sh "$R/finish.sh" || return
  unlock "$2"
}

# The first lines of revert.sh. Timer and boot step back when the run was confirmed, the timer also while it is alive.
revert_begins() { # RUN WHO(timer|boot|controller)
  [ -d "$R" ] || { err "nothing to put back"; exit 0; }
  guard 20 || err "going on without the guard"
  [ -d "$R" ] || exit 0
  if [ "$2" != controller ]; then
    read_state
    case $state in armed | reverting) ;; *) exit 0 ;; esac
    if [ "$2" = timer ] && read -r until <"$R/until" && uptime_s && [ "$until" -gt "$up" ]; then exit 0; fi
  fi
  # A confirmed run has no timer any more; should this controller die too, the node goes on alone.
  if [ "$2" = controller ] && ! systemctl is-active --quiet "$UNIT.timer"; then extend 60 && timer 60; fi
  systemctl stop sparkctl-netplan.service 2>/dev/null
  enter "$1" reverting "$2"
}

# Undo on the controller's word: a run that died before it had a state touched nothing.
abandon() { # RUN
  if [ -f "$R/state" ]; then
    tail -n 1 "$R/revert.sh" | grep -q '^revert_ends ' || { err "$R/revert.sh is cut off"; return 1; }
    /bin/sh "$R/revert.sh" controller || return
  fi
  [ -d "$S" ] || return 0
  guard 30 || return
  if foreign_lock "$1"; then return 0; fi
  if [ -f "$S/lock" ]; then unhook && rm -rf "$R"; fi
  if [ ! -f "$S/record.json" ] && [ ! -d "$R" ]; then rm -f "$S/journal"; fi
  unlock "$1"
}

# The run's own lines; with no record from an earlier run the whole directory goes. What failed is tried again by timer.
revert_ends() { # RUN FAILURES
  if [ "$2" != 0 ]; then
    journal "$1" revert-failed run
    extend 60
    exit 1
  fi
  unhook || err "$UNITS/$HOOK could not be removed"
  if [ -f "$S/record.json" ]; then
    journal "$1" reverted run
    rm -rf "$R" "$S/lock" && flush "$S"
  else
    rm -rf "$S" && flush "${S%/*}"
  fi
  systemctl stop "$UNIT.timer" 2>/dev/null
  exit 0
}
