# Steps on units and images (POSIX sh, run as root; node.sh comes first).
# Each ends with 0, or says on stderr what is wrong and ends with another status.

our_unit() { # UNIT
  case $1 in sparkctl-*.service) ;; *) err "$1 is no unit of sparkctl"; return 78 ;; esac
}

start_unit() { # UNIT
  our_unit "$1" || return
  systemctl daemon-reload && systemctl reset-failed "$1" 2>/dev/null
  systemctl enable --quiet "$1" && sync_wants && systemctl start "$1"
}

# Ranks that start later look for this one there. On the way back nobody can be sure of the port, and it is no fault;
# nor does anybody wait for it while the engine waits for a cable.
await_port() { # UNIT PORT SECONDS [back]
  for _ in $(seq "$3"); do
    case $4 in back) ! cable_out || return 0 ;; esac
    if ss -Hltn "sport = :$2" | grep -q .; then return 0; fi
    case $(systemctl is-active "$1") in active | activating) sleep 1 ;; *) break ;; esac
  done
  [ -n "$4" ] || { err "$1 does not listen at port $2"; return 1; }
}

# systemd does not flush the links that it makes and removes.
sync_wants() { [ ! -d "$WANTS" ] || sync "$WANTS"; }

# Stopped means that nothing of it is left: a stale rank blocks the next start (EADDRINUSE on the master port).
stop_unit() { # UNIT CONTAINER
  our_unit "$1" || return
  if systemctl cat "$1" >/dev/null 2>&1; then
    systemctl disable --quiet "$1" 2>/dev/null
    sync_wants
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
  if [ "$3" = enabled ]; then systemctl enable --quiet "$1" && sync_wants; fi
  if [ "$4" = active ]; then start_again "$1"; fi
}

# Its unit waits 240 s for an address that comes with the cable: then it is on its way, and the node is as before.
start_again() { # UNIT
  systemctl start --no-block "$1" || return
  for _ in $(seq 100); do
    state=$(systemctl is-active "$1")
    case $state in active) return 0 ;; failed) break ;; esac
    if [ "$state" = activating ] && cable_out; then return 0; fi
    sleep 0.2
  done
  [ "$state" = activating ] || { err "$1 does not start again ($state)"; return 1; }
}

cable_out() { # whether a netdev of the fabric that is up has no carrier
  for saved in "$R"/before/net.* "$S"/baseline/net.*; do
    [ ! -e "$saved" ] || has_carrier "${saved##*/net.}" || return 0
  done
  return 1
}

pull_image() { # IMAGE
  docker image inspect "$1" >/dev/null 2>&1 || docker pull --quiet "$1"
}
