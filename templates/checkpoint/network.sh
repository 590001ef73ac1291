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
    ip -o addr show dev "$1" scope global | while read -r _ _ family addr brd _; do
      printf 'addr %s %s\n' "$family" "$addr"
      if [ "$brd" = brd ]; then printf 'brd %s\n' "$addr"; fi
    done
    nm_state "$1"
    systemctl is-active --quiet systemd-networkd || echo 'networkd idle'
    sysctls "$1"
  } >"$R/before/net.$1" && sync "$R/before/net.$1"
}

# Bound on one call of a tool that answers in 0.1 s or less (measured).
briefly() { timeout 15 "$@"; }

# What NetworkManager holds of a netdev; nothing where it does not run. While it asks for an address in vain, as it does
# on a fresh Spark, nothing is active.
nm_state() { # DEV
  [ -d /run/NetworkManager ] && command -v nmcli >/dev/null || return 0
  briefly nmcli -t -f GENERAL.STATE,GENERAL.NM-MANAGED,GENERAL.AUTOCONNECT,GENERAL.CON-UUID device show "$1" 2>/dev/null |
    awk -F: '{ v[$1] = $2 } END {
      if (v["GENERAL.NM-MANAGED"] == "") exit
      print "nm managed " v["GENERAL.NM-MANAGED"] "\nnm autoconnect " v["GENERAL.AUTOCONNECT"]
      if (v["GENERAL.STATE"] + 0 == 100) print "nm active " v["GENERAL.CON-UUID"]
    }'
}

# What `netplan generate` itself calls, where it can be found: it saves starting Python (0.2 s of a core). Where there is
# a `configure` beside it (after netplan 1.1), the two share the work, and only netplan knows how.
# Under our own umask it would make folders and rules that networkd's user cannot read.
netplan_generate() {
  for dir in /usr/libexec/netplan /usr/lib/netplan /lib/netplan; do
    if [ -x "$dir/generate" ] && [ ! -e "$dir/configure" ]; then
      (umask 022 && briefly "$dir/generate" "$@")
      return
    fi
  done
  (umask 022 && briefly netplan generate "$@")
}

# netplan's own opinion of the node's files as they will be, on a scratch copy.
scratch_netplan() {
  copy_netplan "$R/scratch"
}

copy_netplan() { # FOLDER
  rm -rf "$1" && mkdir -p "$1/etc/netplan" "$1/run/netplan" "$1/lib/netplan" || return
  for dir in etc run lib; do
    for file in "/$dir"/netplan/*.yaml; do
      [ ! -f "$file" ] || cp -p "$file" "$1/$dir/netplan/" || return
    done
  done
}

scratch_file() { # PATH BLOB (BLOB empty: the file goes)
  if [ -n "$2" ]; then cp "$S/$2" "$R/scratch$1" && chmod 0600 "$R/scratch$1"; else rm -f "$R/scratch$1"; fi
}

check_netplan() { # [DEV...]: the fabric's netdevs
  out=$(netplan_generate --root-dir "$R/scratch" 2>&1)
  rc=$?
  rm -rf "$R/scratch"
  [ "$rc" = 0 ] || { err "netplan generate refuses the node's files as they would be: $out"; return 1; }
  [ $# = 0 ] || nothing_pending "$@"
}

# An edit that nobody applied yet would come alive with ours: half a management stanza locks everybody out.
nothing_pending() { # DEV...
  now=$R/scratch.now
  copy_netplan "$now" || return
  # Files that netplan refuses and that are only right with ours can hold nothing that was applied.
  if ! netplan_generate --root-dir "$now" >/dev/null 2>&1; then
    rm -rf "$now"
    return 0
  fi
  found=$(pending "$now" "$@")
  rm -rf "$now"
  [ -z "$found" ] || {
    err "netplan files hold changes that nobody applied yet, and not only for the fabric: $found-" \
      "run \`sudo netplan apply\` yourself first, or put the files right"
    return 1
  }
}

# Where what netplan would generate from the files of FOLDER is not what it generated last, but for the fabric's netdevs.
pending() { # FOLDER DEV...
  folder=$1
  shift
  for kind in systemd/network/10-netplan- NetworkManager/system-connections/netplan-; do
    for file in "/run/$kind"* "$folder/run/$kind"*; do
      live=/run/${file##*/run/}
      id=${file##*/run/"$kind"}
      id=${id%.*}
      case " $* " in *" $id "*) continue ;; esac
      if [ ! -e "$file" ] || cmp -s "$live" "$folder$live"; then continue; fi
      sources=$(grep -lsF -- "$id" /etc/netplan/*.yaml /run/netplan/*.yaml /lib/netplan/*.yaml)
      printf '%s\n' "$id (${sources:-$live})"
    done
  done | sort -u | tr '\n' ' '
}

# --- apply ------------------------------------------------------------------------------------------------------

# Of all netdevs only those named are touched, so that management never blinks; what that cannot do, netplan does.
apply_netplan() { # SECONDS [DEV...]
  seconds=$1
  shift
  if [ $# -gt 0 ] && apply_gently "$@"; then return 0; fi
  apply_fully "$seconds"
}

# Detached from the SSH session, which may die while the network changes.
apply_fully() { # SECONDS
  systemctl reset-failed sparkctl-netplan 2>/dev/null
  since=$(date +%s)
  systemd-run --quiet --wait --collect --unit=sparkctl-netplan --property=RuntimeMaxSec="$1" netplan apply && return
  rc=$?
  err "netplan apply failed (status $rc): $(journalctl -u sparkctl-netplan --since "@$since" -o cat -n 20 --no-pager |
    grep -v -e '^sparkctl-netplan' -e '^Started' -e '^$' | tail -n 3 | tr '\n' ' ')"
  return 1
}

apply_gently() { # DEV...
  old=$(for dev in "$@"; do written "$dev"; done)
  generate_keeping || return
  new=$(for dev in "$@"; do written "$dev"; done)
  links=$(renderer_of networkd "$old" "$new")
  profiles=$(renderer_of nm "$old" "$new")
  [ -n "$links$profiles" ] || return
  # Two would fight for it: `netplan apply` also tells NetworkManager's udev rules.
  for dev in $links; do
    case $(nm_state "$dev") in *"nm managed yes"*) return 1 ;; esac
  done
  # shellcheck disable=SC2086  # words
  { [ -z "$links" ] || apply_networkd $links; } && { [ -z "$profiles" ] || apply_nm "$new" $profiles; } &&
    await_written "$old" "$new" "$@"
}

# What netplan generated for a netdev, one fact a line: `DEV networkd|nm mtu|addr VALUE`, and `DEV networkd|nm file yes`.
written() { # DEV
  for source in "networkd /run/systemd/network/10-netplan-$1.network" \
    "nm /run/NetworkManager/system-connections/netplan-$1.nmconnection"; do
    [ -f "${source#* }" ] || continue
    printf '%s\n' "$1 ${source%% *} file yes"
    sed -n 's/^MTUBytes=/mtu /p; s/^mtu=/mtu /p; s/^Address=/addr /p; s/^address[0-9]*=\([^,;]*\).*/addr \1/p' "${source#* }" |
      sed "s/^/$1 ${source%% *} /"
  done
}

renderer_of() { # networkd|nm FACTS...: the netdevs that it has, or had
  kind=$1
  shift
  printf '%s\n' "$@" | awk -v kind="$kind" '$2 == kind && $3 == "file" && !seen[$1]++ { print $1 }'
}

# networkd takes an unchanged file with a new inode for a changed one, and sets its netdev up anew: management was away
# for 0.1 s (measured). So files that say the same as before stay the same files.
generate_keeping() {
  network=/run/systemd/network
  kept=/run/systemd/sparkctl-network
  rm -rf "$kept"
  if [ -d $network ]; then cp -al $network "$kept" || return; fi
  netplan_generate >/dev/null 2>&1
  rc=$?
  for file in "$kept"/10-netplan-*; do
    # What the generator did not write anew is the same file already.
    if [ $rc = 0 ] && [ -f "$file" ] && cmp -s "$file" "$network/${file##*/}"; then
      mv -f "$file" "$network/${file##*/}" 2>/dev/null
    fi
  done
  rm -rf "$kept"
  return $rc
}

apply_networkd() { # DEV...
  briefly networkctl reload 2>/dev/null && briefly networkctl reconfigure "$@" 2>/dev/null
}

# A profile that is gone is put down by the reload; one that is there is brought up, whatever was up before. It cannot be
# where there is no cable; that is for await_written to see.
apply_nm() { # FACTS DEV...
  facts=$1
  shift
  briefly nmcli connection reload 2>/dev/null || return
  for dev in "$@"; do
    case $facts in *"$dev nm file yes"*) briefly nmcli --wait 10 connection up "netplan-$dev" ifname "$dev" >/dev/null 2>&1 & ;; esac
  done
  wait
}

# 3 seconds are ten times what it takes (measured); without a cable the address comes with the cable.
await_written() { # OLD NEW DEV...
  old=$1
  new=$2
  shift 2
  tries=0
  while [ $tries -lt 60 ]; do
    behind=
    for dev in "$@"; do as_written "$old" "$new" "$dev" $((tries >= 20)) || behind=$dev; done
    [ -n "$behind" ] || return 0
    sleep 0.05
    tries=$((tries + 1))
  done
  err "$behind did not come to what netplan's files say by itself"
  return 1
}

# Nothing more of what the file said before, and all that it says now.
as_written() { # OLD NEW DEV PATIENT
  [ -d "/sys/class/net/$3" ] || return 0
  has=$(ip -o addr show dev "$3" | awk '{ print "addr", $4 }'; echo "mtu $(cat "/sys/class/net/$3/mtu")")
  wants=$(printf '%s\n' "$2" | awk -v dev="$3" '$1 == dev && $3 != "file" { print $3, $4 }')
  gone=$(printf '%s\n' "$1" | awk -v dev="$3" '$1 == dev && $3 == "addr" { print $3, $4 }' | grep -vxF -e "$wants")
  if [ -n "$gone" ] && printf '%s\n' "$has" | grep -qxF -e "$gone"; then return 1; fi
  [ "$4" = 0 ] || [ "$(cat "/sys/class/net/$3/carrier" 2>/dev/null)" != 0 ] || return 0
  [ -z "$wants" ] || ! printf '%s\n' "$wants" | grep -qvxF -e "$has"
}

await_netdev() { # DEV MTU ADDRESS SECONDS: the address may come a moment after netplan returns
  left=$(($4 * 10))
  while [ "$left" -gt 0 ]; do
    if [ "$(cat "/sys/class/net/$1/mtu" 2>/dev/null)" = "$2" ] &&
      ip -o -4 addr show dev "$1" | grep -qF " $3 "; then return 0; fi
    sleep 0.1
    left=$((left - 1))
  done
  return 0
}

# --- undo -------------------------------------------------------------------------------------------------------

# netplan leaves MTU, link state and sysctls as they were set (measured), so they are put back here.
undo_netdev() { # DEV SAVED
  [ -f "$2" ] || return 0
  [ -d "/sys/class/net/$1" ] || return 0
  rc=0
  # `netplan apply` starts it also where NetworkManager has everything (seen).
  if grep -qx 'networkd idle' "$2" && systemctl is-active --quiet systemd-networkd; then
    systemctl stop systemd-networkd.socket systemd-networkd.service || rc=1
  fi
  undo_nm "$1" "$2" || rc=1
  ip -o addr show dev "$1" scope global | while read -r _ _ family addr _; do
    grep -qxF "addr $family $addr" "$2" || ip addr del "$addr" dev "$1"
  done
  mtu=$(sed -n 's/^mtu //p' "$2") brds=$(sed -n 's/^brd //p' "$2")
  [ "$(cat "/sys/class/net/$1/mtu")" = "$mtu" ] || ip link set dev "$1" mtu "$mtu" || rc=1
  # NetworkManager sets and puts back the sysctls of the netdevs that it has.
  grep -q '^nm managed yes' "$2" || undo_sysctls "$1" "$2"
  while read -r key name value; do
    case $key in
    link) ip link set dev "$1" "$name" || rc=1 ;;
    addr) ip -o addr show dev "$1" | grep -qF " $value " || [ "$name" != inet ] || add_address "$1" "$value" "$brds" || rc=1 ;;
    esac
  done <"$2"
  return $rc
}

# Renderers set the broadcast address; `ip` does so only when told.
add_address() { # DEV ADDRESS ADDRESSES-WITH-BROADCAST
  if printf '%s\n' "$3" | grep -qxF "$2"; then ip addr add "$2" broadcast + dev "$1"; else ip addr add "$2" dev "$1"; fi
}

undo_sysctls() { # DEV SAVED
  sysctls "$1" >"$2.now"
  grep '^sysctl ' "$2" | grep -vxFf "$2.now" | while read -r _ name value; do printf '%s' "$value" >"$name"; done
  rm -f "$2.now"
}

# After `netplan apply` a port may be unmanaged that was managed before (seen). What was up comes up again; what was not is
# NetworkManager's own business again, with the profile that it makes by itself.
undo_nm() { # DEV SAVED
  grep -q '^nm ' "$2" || return 0
  nm_answers "$1" || { err "NetworkManager had $1 and does not answer now"; return 1; }
  managed=$(sed -n 's/^nm managed //p' "$2")
  case $(nm_state "$1") in *"nm managed $managed"*) ;; *) briefly nmcli device set "$1" managed "$managed" || return ;; esac
  [ "$managed" = yes ] || return 0
  if grep -q '^nm autoconnect no' "$2"; then nm_quiet "$1" "$2" || return; fi
  uuid=$(sed -n 's/^nm active //p' "$2")
  [ -n "$uuid" ] || return 0
  case $(nm_state "$1") in *"nm active $uuid"*) return 0 ;; esac
  # Its owner may have removed it since.
  briefly nmcli connection show "$uuid" >/dev/null 2>&1 || return 0
  briefly nmcli --wait 10 connection up uuid "$uuid" ifname "$1" >/dev/null || {
    # Without a cable nothing comes up, and it comes by itself with the cable.
    [ "$(cat "/sys/class/net/$1/carrier" 2>/dev/null)" = 0 ]
  }
}

nm_answers() { # DEV: a NetworkManager that was just started takes a moment
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    [ -z "$(nm_state "$1")" ] || return 0
    sleep 0.1
  done
  return 1
}

# A port that somebody disconnected stays so.
nm_quiet() { # DEV SAVED
  grep -q '^nm active' "$2" || briefly nmcli device disconnect "$1" >/dev/null 2>&1
  briefly nmcli device set "$1" autoconnect no
}
