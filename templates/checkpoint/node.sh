# The functions that every script of sparkctl on a node is made of (POSIX sh, run as root).
# Each ends with 0, or says on stderr what is wrong and ends with another status.
# 75: another run holds the lock.  76: this run no longer holds it.  77: an interrupted run is on the node.  78: not as planned.
set -u
umask 077
LC_ALL=C
export LC_ALL
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

# Seconds since boot: a wall clock that is set back would stretch every lease.
uptime_s() {
  read -r up _ </proc/uptime
  printf '%s\n' "${up%%.*}"
}

boot() { cat /proc/sys/kernel/random/boot_id; }

# One command of ours at a time on a node; the revert waits a while, then goes on alone.
guard() {
  exec 9<"$S" || return 1
  flock -w "$1" 9 || { err "another sparkctl command is busy on this node"; return 75; }
}

digest() {
  if [ -L "$1" ]; then echo symlink
  elif [ -f "$1" ]; then sha256sum <"$1" | cut -d ' ' -f 1
  elif [ -e "$1" ]; then echo special
  else echo absent
  fi
}

# --- lock -------------------------------------------------------------------------------------------------------

write_lock() { # RUN LEASE SINCE OWNER
  printf '%s %s %s %s %s\n' "$(boot)" $(($(uptime_s) + $2)) "$1" "$3" "$4" >"$S/lock.new" &&
    sync "$S/lock.new" && mv -f "$S/lock.new" "$S/lock" && sync "$S"
}

lock() { # RUN LEASE OWNER
  if [ ! -d "$S" ]; then mkdir -m 0700 "$S" || return 1; fi
  if [ -L "$S" ] || [ "$(stat -c %u:%a "$S")" != 0:700 ]; then
    err "$S is not a directory of root with mode 0700"
    return 78
  fi
  guard 10 || return
  if [ -f "$S/lock" ]; then
    read -r on until run since owner <"$S/lock"
    if [ "$run" != "$1" ] && [ "$on" = "$(boot)" ] && [ "$until" -gt "$(uptime_s)" ]; then
      err "locked by $owner since $since (run $run); the lease ends in $((until - $(uptime_s))) s"
      return 75
    fi
  fi
  if [ -d "$R" ]; then
    err "an interrupted run is on this node"
    return 77
  fi
  write_lock "$1" "$2" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$3"
}

# Every later script begins here: proves that the lock is still ours, and extends lease and revert timer together.
hold() { # RUN LEASE
  guard 30 || return
  if [ -f "$S/lock" ]; then read -r _ _ run since owner <"$S/lock"; else run=none; fi
  if [ "$run" != "$1" ]; then
    err "the lock of run $1 is gone (now: $run): the node has put itself back, or another run took over"
    return 76
  fi
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
  rm -f "$S/lock" "$S/lock.new"
  rmdir --ignore-fail-on-non-empty "$S"
}

# --- journal ----------------------------------------------------------------------------------------------------

journal() { # RUN STATE STEP
  printf '{"version":1,"run":"%s","state":"%s","step":"%s"}\n' "$1" "$2" "$3" >>"$S/journal" && sync "$S/journal" "$S"
}

# --- checkpoint -------------------------------------------------------------------------------------------------

begin() { # the run's files come on stdin as a tar
  mkdir "$R" "$R/before" && tar -x -f - -C "$R" --no-same-owner && : >"$R/made" && echo prepared >"$R/state" &&
    find "$R" -exec sync {} +
}

save_file() { # PATH NUMBER DIGEST: the before-image, refused when it is not what the plan was made from
  now=$(digest "$1")
  if [ "$now" != "$3" ]; then
    err "$1 changed since the plan was made (now $now)"
    return 78
  fi
  if [ "$now" != absent ]; then cp -a "$1" "$R/before/$2" && sync "$R/before/$2" "$R/before"; fi
}

extend() { # SECONDS
  printf '%s\n' $(($(uptime_s) + $1)) >"$R/until.new" && sync "$R/until.new" && mv -f "$R/until.new" "$R/until"
}

# The default accuracy of a timer is a minute.
timer() { # SECONDS
  systemd-run --quiet --collect --unit="$UNIT" --on-active="$1" --timer-property=AccuracySec=100ms \
    /bin/sh "$R/revert.sh" timer
}

arm() { # SECONDS
  extend "$1" && echo armed >"$R/state" && sync "$R/state" "$R" && timer "$1"
}

disarm() { # RUN
  [ "$(cat "$R/state")" = armed ] || { err "the checkpoint is not armed"; return 76; }
  journal "$1" confirmed checkpoint && echo confirmed >"$R/state" && sync "$R/state" "$R" || return
  systemctl stop "$UNIT*.timer"
}

started() { # STAGE
  : >"$R/started.$1" && sync "$R/started.$1" "$R"
}

# --- files ------------------------------------------------------------------------------------------------------

place() { # SOURCE PATH: like mv over PATH, but never half a file, and flushed; keeps mode, owner and times of SOURCE
  temp=$(dirname "$2")/.sparkctl.new
  if cp -a "$1" "$temp" && sync "$temp" && mv -f "$temp" "$2"; then sync "$(dirname "$2")"; return; fi
  rm -f "$temp"
  return 1
}

put_file() { # PATH MODE BLOB
  dir=$(dirname "$1")
  if [ ! -d "$dir" ]; then
    mkdir -m 0755 "$dir" && printf '%s\n' "$dir" >>"$R/made" && sync "$R/made" || return
  fi
  chown 0:0 "$S/$3" && chmod "$2" "$S/$3" && place "$S/$3" "$1"
}

drop_file() { # PATH
  rm -f "$1" "$(dirname "$1")/.sparkctl.new" || return
  dir=$(dirname "$1")
  [ -d "$dir" ] || return 0
  if grep -qsxF -- "$dir" "$R/made" "$S/baseline/made"; then rmdir --ignore-fail-on-non-empty "$dir"; fi
}

restore_file() { # PATH NAME: as it was before sparkctl first touched it
  if [ ! -d "$(dirname "$1")" ]; then mkdir -m 0755 "$(dirname "$1")" || return; fi
  place "$S/baseline/$2" "$1"
}

# A directory that the failed run made goes with its files.
undo_file() { # PATH NUMBER
  rm -f "$(dirname "$1")/.sparkctl.new"
  if [ ! -e "$R/before/$2" ]; then
    drop_file "$1"
  elif ! { [ "$(digest "$1")" = "$(digest "$R/before/$2")" ] &&
    [ "$(stat -c %u:%g:%a "$1")" = "$(stat -c %u:%g:%a "$R/before/$2")" ]; }; then
    [ -d "$(dirname "$1")" ] || mkdir -m 0755 "$(dirname "$1")"
    place "$R/before/$2" "$1"
  fi
}

# --- units ------------------------------------------------------------------------------------------------------

start_unit() { # UNIT
  systemctl daemon-reload && systemctl reset-failed "$1" 2>/dev/null
  systemctl enable --quiet "$1" && systemctl start "$1"
}

# Stopped means that nothing of it is left: a stale rank blocks the next start (EADDRINUSE on the master port).
stop_unit() { # UNIT CONTAINER
  if systemctl cat "$1" >/dev/null 2>&1; then
    systemctl disable --quiet "$1" 2>/dev/null
    systemctl stop "$1" || { systemctl kill --signal=KILL "$1"; systemctl stop "$1"; }
    systemctl reset-failed "$1" 2>/dev/null
  fi
  if [ -n "$2" ] && command -v docker >/dev/null && [ -n "$(docker ps -aq --filter "name=^$2\$" 2>/dev/null)" ]; then
    docker rm -f "$2" >/dev/null || return
  fi
  case $(systemctl is-active "$1") in active | activating | deactivating) err "$1 does not stop"; return 1 ;; esac
}

undo_unit() { # UNIT CONTAINER ENABLED ACTIVE (as they were before the run); its files are back already
  systemctl daemon-reload
  if [ "$3" = enabled ]; then systemctl enable --quiet "$1"; fi
  if [ "$4" = active ]; then systemctl start "$1"; fi
}

pull_image() { # IMAGE
  docker image inspect "$1" >/dev/null 2>&1 || docker pull --quiet "$1"
}

# --- the end of a run -------------------------------------------------------------------------------------------

# What was there before sparkctl first touched it is kept until teardown; a later run never replaces it.
keep() { # NUMBER NAME
  mkdir -p "$S/baseline" || return
  if [ -e "$S/baseline/$2" ] || [ ! -e "$R/before/$1" ]; then return 0; fi
  cp -a "$R/before/$1" "$S/baseline/$2" && sync "$S/baseline/$2" "$S/baseline"
}

keep_netdev() { # DEV
  mkdir -p "$S/baseline" || return
  if [ -e "$S/baseline/net.$1" ]; then return 0; fi
  cp "$R/before/net.$1" "$S/baseline/" && sync "$S/baseline/net.$1" "$S/baseline"
}

finish() { # RUN
  mkdir -p "$S/baseline" && cat "$R/made" >>"$S/baseline/made" && journal "$1" "done" run &&
    cp "$R/record.json" "$S/record.json.new" && sync "$S/record.json.new" && mv -f "$S/record.json.new" "$S/record.json" &&
    rm -rf "$R" && sync "$S" && unlock "$1"
}

# After a teardown nothing of sparkctl is left, the record included.
forget() { # RUN
  rm -rf "$S"
}

# The first lines of revert.sh. The timer's call steps back when the run was confirmed or extended meanwhile.
revert_begins() { # RUN WHO(timer|controller)
  [ -d "$R" ] || { err "nothing to put back"; exit 0; }
  guard 20 || err "going on without the guard"
  [ -d "$R" ] || exit 0
  if [ "$2" = timer ]; then
    [ "$(cat "$R/state")" = armed ] || exit 0
    left=$(($(cat "$R/until") - $(uptime_s)))
    if [ $left -gt 0 ]; then
      UNIT=$UNIT-$(uptime_s)
      timer $left
      exit
    fi
  else
    systemctl stop "$UNIT*.timer" 2>/dev/null
  fi
  systemctl stop sparkctl-netplan.service 2>/dev/null
  journal "$1" reverting "$2"
}

# Undo on the controller's word: a run that died before it had a revert script changed nothing.
abandon() { # RUN
  [ -d "$S" ] || return 0
  if [ -f "$R/revert.sh" ] && [ -f "$R/state" ]; then /bin/sh "$R/revert.sh" controller || return; fi
  [ -d "$S" ] || return 0
  guard 30 || return
  if foreign_lock "$1"; then return 0; fi
  if [ -f "$S/lock" ]; then rm -rf "$R"; fi
  if [ ! -f "$S/record.json" ] && [ ! -d "$R" ]; then rm -f "$S/journal"; fi
  unlock "$1"
}

# The run's own lines; with no record from an earlier run the whole directory goes.
revert_ends() { # RUN FAILURES
  if [ "$2" != 0 ]; then
    journal "$1" revert-failed run
    exit 1
  fi
  if [ -f "$S/record.json" ]; then
    journal "$1" reverted run
    rm -rf "$R" "$S/lock"
  else
    rm -rf "$S"
  fi
}
