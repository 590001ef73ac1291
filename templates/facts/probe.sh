# What the facts script is made of (POSIX sh, run as root, reads only). Per probe a line of name, status
# and length, and its stdout; all of it in base64, so that one program encodes and not one a probe.
# Status 44: the thing is not there; 127: the tool is not there.
LC_ALL=C
export LC_ALL

probe() { # NAME COMMAND...
  name=$1
  shift
  if command -v "$1" >/dev/null 2>&1; then out=$("$@" 2>/dev/null; printf 'x%s' $?); else out=x127; fi
  body=${out%x*}
  printf '%s %s %s\n%s\n' "$name" "${out##*x}" ${#body} "$body"
}

read_file() { # PATH
  [ -e "$1" ] || return 44
  cat "$1"
}

# First line: state (`begun` while there is none) and the stages that were begun; then the run's header.
run_state() {
  run=/var/lib/sparkctl/run
  [ -d "$run" ] || return 44
  printf '%s' "$(cat "$run/state" 2>/dev/null || echo begun)"
  for stage in "$run"/started.*; do [ ! -e "$stage" ] || printf ' %s' "${stage##*/started.}"; done
  printf '\n'
  cat "$run/run.json" 2>/dev/null || :
}

# First line: mode, uid, gid, digest; then the content in base64 where it may be shown.
file_state() { # PATH shown|secret
  [ -e "$1" ] || [ -L "$1" ] || return 44
  if [ -L "$1" ] || [ ! -f "$1" ]; then
    echo "0 0 0 special"
    return
  fi
  printf '%s %s\n' "$(stat -c '%a %u %g' "$1")" "$(sha256sum <"$1" | cut -d ' ' -f 1)"
  if [ "$2" = shown ]; then head -c 65536 "$1" | base64 -w0; fi
}

# A cheap look first: Python (0.15 s of a core) starts only where a file names a fabric netdev, matches, or hides ours.
# FOREIGN is the program facts/foreign.py: the content of netplan files (Wi-Fi passwords) never leaves the node.
foreign_netplan() { # OURS NETDEV...
  ours=$1
  shift
  found=
  for file in /etc/netplan/*.yaml /run/netplan/*.yaml /lib/netplan/*.yaml; do
    if [ ! -f "$file" ] || [ "$file" = "$ours" ]; then continue; fi
    if [ "${file##*/}" = "${ours##*/}" ] || names_any "$file" match "$@"; then found=yes; fi
  done
  if [ -n "$found" ]; then
    python3 -c "$FOREIGN" scan "$ours" "$@" || return 1
  fi
}

names_any() { # FILE WORD...
  file=$1
  shift
  for word in "$@"; do set -- "$@" -e "$word"; shift; done
  grep -qwF "$@" "$file"
}

# Of every netplan file: `link PATH`, or `state MODE UID GID PATH` and `digest SHA256  PATH`.
netplan_files() {
  set --
  for file in /etc/netplan/*.yaml /run/netplan/*.yaml /lib/netplan/*.yaml; do
    if [ -L "$file" ]; then printf 'link %s\n' "$file"; elif [ -f "$file" ]; then set -- "$@" "$file"; fi
  done
  [ $# = 0 ] && return
  stat -c 'state %a %u %g %n' "$@" || return 1
  sha256sum "$@" >/dev/null || return 1
  sha256sum "$@" | sed 's/^/digest /'
}

unit_state() { # UNIT
  systemctl show "$1" --property=LoadState,ActiveState,SubState,UnitFileState,NRestarts,ActiveEnterTimestampMonotonic
}

# Not there is what Docker itself says is not there: its status is the same where it cannot be reached.
docker_shows() { # image|container FORMAT NAME
  { why=$(timeout -k 1 5 docker "$1" inspect --format "$2" "$3" 2>&1 >&3 3>&-); } 3>&1 && return
  case $why in *[Nn]"o such $1"* | *[Nn]"o such object"*) return 44 ;; *) return 1 ;; esac
}

image_id() { # IMAGE: its id, then NAME@DIGEST of each registry that it is known to come from
  docker_shows image '{{.Id}}{{range .RepoDigests}} {{.}}{{end}}' "$1"
}

container_state() { # NAME
  docker_shows container '{{.State.Status}} {{.Image}} {{.RestartCount}}' "$1"
}

tools() { # NAME...: those that are missing
  for tool in "$@"; do command -v "$tool" >/dev/null 2>&1 || printf '%s\n' "$tool"; done
}

rdma_devices() {
  for dev in /sys/class/infiniband/*/ports/1; do
    [ -d "$dev" ] || continue
    name=${dev#/sys/class/infiniband/}
    state=
    layer=
    { IFS= read -r state <"$dev/state" && IFS= read -r layer <"$dev/link_layer"; } 2>/dev/null
    printf '%s|%s|%s\n' "${name%%/*}" "$state" "$layer"
  done
}

system_state() {
  printf '%s\n' "$(cat /proc/sys/kernel/random/boot_id)"
  uname -r
  sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo
  df -Pk /var/lib | awk 'NR == 2 { print $4 }'
  date +%s
}

# Full-size, unfragmented pings out of one netdev each, all at once: "DEV=ADDRESS status" per line.
ping_rails() { # PAYLOAD DEV=ADDRESS...
  size=$1
  shift
  for rail in "$@"; do
    {
      ping -n -q -M "do" -s "$size" -c 2 -i 0.2 -W 1 -I "${rail%%=*}" "${rail#*=}" >/dev/null 2>&1
      printf '%s %s\n' "$rail" $?
    } &
  done
  wait
}
