# Steps on the network of a node, part of every script of sparkctl (POSIX sh, run as root; node.sh comes first).
# Each ends with 0, or says on stderr what is wrong and ends with another status.

# All sysctls of a netdev in one reading: `sysctl FILE VALUE`.
sysctls() { # DEV
  grep -Hs '' "/proc/sys/net/ipv4/conf/$1"/* "/proc/sys/net/ipv6/conf/$1"/* | sed 's/:/ /; s/^/sysctl /'
}

save_netdev() { # DEV: everything that netplan changes and does not put back
  [ -d "/sys/class/net/$1" ] || { err "no such netdev: $1"; return 78; }
  {
    printf 'mtu %s\n' "$(cat "/sys/class/net/$1/mtu")"
    if [ $(($(cat "/sys/class/net/$1/flags") & 1)) = 1 ]; then echo 'link up'; else echo 'link down'; fi
    ip -o addr show dev "$1" scope global | while read -r _ _ family addr _; do printf 'addr %s %s\n' "$family" "$addr"; done
    sysctls "$1"
  } >"$R/before/net.$1" && sync "$R/before/net.$1"
}

# What `netplan generate` itself calls, where it can be found: it saves starting Python (0.2 s of a core).
netplan_generate() {
  for program in /usr/libexec/netplan/generate /usr/lib/netplan/generate /lib/netplan/generate; do
    if [ -x "$program" ]; then
      "$program" "$@"
      return
    fi
  done
  netplan generate "$@"
}

# netplan's own opinion of the node's files as they will be, on a scratch copy.
scratch_netplan() {
  rm -rf "$R/scratch" && mkdir -p "$R/scratch/etc/netplan" "$R/scratch/run/netplan" "$R/scratch/lib/netplan" || return
  for dir in etc run lib; do
    for file in "/$dir"/netplan/*.yaml; do
      [ ! -f "$file" ] || cp -p "$file" "$R/scratch/$dir/netplan/" || return
    done
  done
}

scratch_file() { # PATH BLOB (BLOB empty: the file goes)
  if [ -n "$2" ]; then cp "$S/$2" "$R/scratch$1" && chmod 0600 "$R/scratch$1"; else rm -f "$R/scratch$1"; fi
}

check_netplan() {
  out=$(netplan_generate --root-dir "$R/scratch" 2>&1)
  rc=$?
  rm -rf "$R/scratch"
  [ $rc = 0 ] || { err "netplan generate refuses the node's files as they would be: $out"; return 1; }
}

# Detached from the SSH session, which may die while the network changes.
apply_netplan() { # SECONDS
  systemctl reset-failed sparkctl-netplan 2>/dev/null
  since=$(date +%s)
  systemd-run --quiet --wait --collect --unit=sparkctl-netplan --property=RuntimeMaxSec="$1" netplan apply && return
  rc=$?
  err "netplan apply failed (status $rc): $(journalctl -u sparkctl-netplan --since "@$since" -o cat -n 20 --no-pager |
    grep -v -e '^sparkctl-netplan' -e '^Started' -e '^$' | tail -n 3 | tr '\n' ' ')"
  return 1
}

await_netdev() { # DEV MTU ADDRESS SECONDS: the address may come a moment after netplan returns
  left=$(($4 * 10))
  while [ $left -gt 0 ]; do
    if [ "$(cat "/sys/class/net/$1/mtu" 2>/dev/null)" = "$2" ] &&
      ip -o -4 addr show dev "$1" | grep -qF " $3 "; then return 0; fi
    sleep 0.1
    left=$((left - 1))
  done
  return 0
}

# netplan leaves MTU, link state and sysctls as they were set (measured), so they are put back here.
undo_netdev() { # DEV SAVED
  [ -f "$2" ] || return 0
  [ -d "/sys/class/net/$1" ] || return 0
  rc=0
  ip -o addr show dev "$1" scope global | while read -r _ _ family addr _; do
    grep -qxF "addr $family $addr" "$2" || ip addr del "$addr" dev "$1"
  done
  mtu=$(sed -n 's/^mtu //p' "$2")
  [ "$(cat "/sys/class/net/$1/mtu")" = "$mtu" ] || ip link set dev "$1" mtu "$mtu" || rc=1
  sysctls "$1" >"$2.now"
  grep '^sysctl ' "$2" | grep -vxFf "$2.now" | while read -r _ name value; do printf '%s' "$value" >"$name"; done
  rm -f "$2.now"
  while read -r key name value; do
    case $key in
    link) ip link set dev "$1" "$name" || rc=1 ;;
    addr) ip -o addr show dev "$1" | grep -qF " $value " || [ "$name" != inet ] || ip addr add "$value" dev "$1" || rc=1 ;;
    esac
  done <"$2"
  return $rc
}
