# What the facts script is made of (POSIX sh, run as root, reads only). Per probe a line of name, status
# and length, and its stdout; all of it in base64, so that one program encodes and not one a probe.
# Status 44: the thing is not there; 127: the tool is not there.
LC_ALL=C
export LC_ALL

nl='
'

# Those that are named here answer in $out, for every $( ) is a fork; all others on stdout.
probe() { # NAME COMMAND...
  asked=$1 out=
  shift
  case $1 in
  system_state | read_file | run_state | file_state | netplan_files | foreign_netplan | foreign_owners | unit_state | tools | rdma_devices | ssh_arrival | ping_answers)
    "$@" 2>/dev/null
    out=${out}x$?
    ;;
  *) if command -v "$1" >/dev/null 2>&1; then out=$("$@" 2>/dev/null; printf 'x%s' $?); else out=x127; fi ;;
  esac
  body=${out%x*}
  printf '%s %s %s\n%s\n' "$asked" "${out##*x}" ${#body} "$body"
}

read_file() { # PATH
  [ -e "$1" ] || return 44
  [ ! -d "$1" ] || return 1
  while IFS= read -r line; do out=$out$line$nl; done <"$1" || return
  out=$out$line
}

# First line: state (`begun` while there is none) and the stages that were begun; then the run's header.
run_state() {
  run=/var/lib/sparkctl/run
  [ -d "$run" ] || return 44
  { read -r out <"$run/state"; } || out=begun
  for stage in "$run"/started.*; do [ ! -e "$stage" ] || out="$out ${stage##*/started.}"; done
  out=$out$nl
  [ ! -e "$run/run.json" ] || read_file "$run/run.json"
}

# First line: mode, uid, gid, digest; then the content in base64 where it may be shown.
file_state() { # PATH shown|secret
  folder=${1%/*}
  if [ ! -L "$folder" ] && { [ ! -e "$folder" ] || { [ -O "$folder" ] && [ ! -e "$1" ] && [ ! -L "$1" ]; }; }; then return 44; fi
  if [ -L "$folder" ] || [ ! -O "$folder" ] || [ -L "$1" ] || [ ! -f "$1" ]; then
    out="0 0 0 special$nl"
    return
  fi
  looked_at "$1" || look_at "$1" && looked_at "$1" || return
  out="$mode $sum$nl"
  [ "$2" = shown ] || return 0
  if [ "$size" -le 65536 ]; then out=$out$(base64 -w0 "$1"); else out=$out$(head -c 65536 "$1" | base64 -w0); fi
}

states='' sums=''
look_at() { # FILE...: all of them with two programs
  states=$(stat -c '%s %a %u %g %n' "$@") && sums=$(sha256sum "$@")
}

looked_at() { # FILE: what that look found, in $size, $mode (with uid and gid) and $sum; false when it was not among them
  mode='' sum=''
  while read -r bytes bits uid gid file; do
    [ "$file" != "$1" ] || { size=$bytes mode="$bits $uid $gid"; }
  done <<END
$states
END
  while read -r digest file; do
    [ "$file" != "$1" ] || sum=$digest
  done <<END
$sums
END
  [ -n "$mode" ] && [ -n "$sum" ]
}

# A cheap look first: Python (0.15 s of a core) starts only where a file names a fabric netdev, matches, or hides ours.
# FOREIGN is the program facts/foreign.py: the content of netplan files (Wi-Fi passwords) never leaves the node.
foreign_netplan() { # OURS NETDEV...
  ours=$1 found='' words=match
  shift
  for word in "$@"; do words=$words$nl$word; done
  naming=$(grep -lswF -D skip -e "$words" /etc/netplan/*.yaml /run/netplan/*.yaml /lib/netplan/*.yaml)
  for file in /etc/netplan/*.yaml /run/netplan/*.yaml /lib/netplan/*.yaml; do
    if [ ! -f "$file" ] || [ "$file" = "$ours" ]; then continue; fi
    case "/${file##*/}$nl$nl$naming$nl" in "/${ours##*/}$nl"* | *"$nl$file$nl"*) found=yes ;; esac
  done
  [ -n "$found" ] || return 0
  out=$(python3 -c "$FOREIGN" scan "$ours" "$@") || return 1
  [ -z "$out" ] || out=$out$nl
}

# The same for owners that are no netplan files; OWNERS is the program facts/owners.py: profiles hold secrets, too.
foreign_owners() { # NETDEV...
  others_on "$@" || return 0
  out=$(python3 -c "$OWNERS" "$FOREIGN" "$@") || return 1
  [ -z "$out" ] || out=$out$nl
}

others_on() { # NETDEV...: whether anything is there that could be one
  for dev in "$@"; do [ ! -e "/sys/class/net/$dev/master" ] || return 0; done
  for dir in /etc /run /usr/lib; do
    for file in "$dir"/NetworkManager/system-connections/* "$dir"/systemd/network/*.network* /usr/local/lib/systemd/network/*.network*; do
      case $file in */\* | */\*.network\* | /run/*/netplan-* | /run/*/10-netplan-*.network | /usr/lib/systemd/network/[2-9a-zA-Z]*) ;; *) return 0 ;; esac
    done
  done
  if [ -d /etc/NetworkManager ]; then
    naming=$(grep -lsE '^[[:space:]]*(unmanaged-devices|\[device)' /etc/NetworkManager/NetworkManager.conf
      grep -lsE '^[[:space:]]*(unmanaged-devices|managed)[[:space:]]*[-+]?=' /etc/NetworkManager/conf.d/*.conf /run/NetworkManager/conf.d/*.conf /usr/lib/NetworkManager/conf.d/*.conf)
    for file in $naming; do
      case $file in */10-globally-managed-devices.conf | /run/*/netplan.conf) ;; *) return 0 ;; esac
    done
  fi
  [ -e /etc/network/interfaces ] && grep -hsE '^[[:space:]]*(iface|auto|allow-|mapping|source)' /etc/network/interfaces /etc/network/interfaces.d/* |
    grep -qvE '[[:space:]]lo([[:space:]]|$)|/etc/network/interfaces\.d'
}

# Of every netplan file, and every file of the folders of other owners: `link PATH`, or `state MODE UID GID PATH` and
# `digest SHA256  PATH`.
netplan_files() { # PATH...: other files that will be asked about
  for file in "$@"; do
    shift
    case $file in /etc/netplan/*.yaml) continue ;; esac
    if [ -f "$file" ] && [ ! -L "$file" ]; then set -- "$@" "$file"; fi
  done
  for file in /etc/netplan/*.yaml /run/netplan/*.yaml /lib/netplan/*.yaml /etc/NetworkManager/system-connections/* /etc/systemd/network/*.network; do
    # Those of other names cannot be moved.
    case $file in /etc/NetworkManager/*[!A-Za-z0-9_.@+:/\ \(\)-]* | /etc/systemd/*[!A-Za-z0-9_.@+:/\ \(\)-]*) continue ;; esac
    if [ -L "$file" ]; then out="${out}link $file$nl"; elif [ -f "$file" ]; then set -- "$@" "$file"; fi
  done
  [ $# = 0 ] && return
  look_at "$@" || return 1
  while read -r _ state; do
    case $state in */netplan/*.yaml | */system-connections/* | */systemd/network/*) out="${out}state $state$nl" ;; esac
  done <<END
$states
END
  while read -r digest file; do
    case $file in */netplan/*.yaml | */system-connections/* | */systemd/network/*) out="${out}digest $digest  $file$nl" ;; esac
  done <<END
$sums
END
}

unit_state() { # UNIT
  out=$(systemctl show "$1" --property=LoadState,ActiveState,SubState,UnitFileState,NRestarts,ActiveEnterTimestampMonotonic) &&
    out=$out$nl
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
  for tool in "$@"; do command -v "$tool" >/dev/null 2>&1 || out=$out$tool$nl; done
}

rdma_devices() {
  for dev in /sys/class/infiniband/*/ports/1; do
    [ -d "$dev" ] || continue
    name=${dev#/sys/class/infiniband/}
    state=
    layer=
    { IFS= read -r state <"$dev/state" && IFS= read -r layer <"$dev/link_layer"; } 2>/dev/null
    out="$out${name%%/*}|$state|$layer$nl"
  done
}

system_state() {
  read -r line </proc/sys/kernel/random/boot_id && out=$line$nl
  read -r line </proc/sys/kernel/osrelease && out=$out$line$nl
  while read -r key value _; do [ "$key" != MemAvailable: ] || out=$out$value$nl; done </proc/meminfo
}

# The node's own address of the connection that this came by. sudo drops SSH_CONNECTION, but had it itself.
ssh_arrival() {
  line="SSH_CONNECTION=${SSH_CONNECTION:-}"
  [ -n "${SSH_CONNECTION:-}" ] || while IFS= read -r line || [ -n "$line" ]; do
    case $line in *SSH_CONNECTION=*) break ;; esac
  done <"/proc/$PPID/environ"
  case $line in *SSH_CONNECTION=*' '*' '*' '*) ;; *) return 44 ;; esac
  line=${line##*SSH_CONNECTION=}
  line=${line#* } line=${line#* }
  out=${line%% *}
}

# Full-size, unfragmented pings out of one netdev each, all at once.
ping_rails() { # PAYLOAD DEV=ADDRESS...
  size=$1 pids=
  shift
  for rail in "$@"; do
    ping -n -q -M "do" -s "$size" -c 2 -i 0.2 -W 1 -I "${rail%%=*}" "${rail#*=}" >/dev/null 2>&1 &
    pids="$pids $!"
  done
}

ping_answers() { # DEV=ADDRESS...: the same, "DEV=ADDRESS status" per line
  for rail in "$@"; do
    pids=${pids# }
    wait "${pids%% *}"
    out="$out$rail $?$nl"
    pids=${pids#"${pids%% *}"}
  done
}
