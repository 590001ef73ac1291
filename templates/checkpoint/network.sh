# Steps on the network of a node (POSIX sh, run as root; node.sh comes first).
# Each ends with 0, or says on stderr what is wrong and ends with another status.

# The shell's own `read` would get one digit of each sysctl.
save_netdev() { # DEV: everything that netplan changes and does not put back
  case $1 in enp1s0f[01]np[01] | enP2p1s0f[01]np[01]) ;; *) err "$1 is no netdev of the fabric"; return 78 ;; esac
  [ -d "/sys/class/net/$1" ] || { err "no such netdev: $1"; return 78; }
  read -r mtu <"/sys/class/net/$1/mtu" && read -r flags <"/sys/class/net/$1/flags" || return
  # One question for all of them.
  if [ -z "${networkd:-}" ]; then
    ask_runtime || return
    if systemctl is-active --quiet systemd-networkd; then networkd=active; else networkd=idle; fi
  fi
  grep -Hs '' "/proc/sys/net/ipv4/conf/$1"/* "/proc/sys/net/ipv6/conf/$1"/* >"$R/sysctls"
  {
    printf 'mtu %s\n' "$mtu"
    if [ $((flags & 1)) = 1 ]; then echo 'link up'; else echo 'link down'; fi
    while read -r _ dev family addr brd _; do
      case "$dev $family" in "$1 inet" | "$1 inet6") printf 'addr %s %s\n' "$family" "$addr" ;; *) continue ;; esac
      if [ "$brd" = brd ]; then printf 'brd %s\n' "$addr"; fi
    done <<END
$runtime_4
$runtime_6
END
    runtime_of "$1"
    nm_state "$1"
    [ "$networkd" = active ] || echo 'networkd idle'
    while IFS=: read -r file value; do printf 'sysctl %s %s\n' "$file" "$value"; done <"$R/sysctls"
  } >"$R/before/net.$1"
}

# Addresses, routes, rules and permanent neighbours, in $runtime_4 and $runtime_6.
ask_runtime() {
  said=$(all_runtime -4) && as_with_cable && runtime_4=$said runtime_6= || return
  [ ! -e /proc/net/if_inet6 ] || { said=$(all_runtime -6) && as_with_cable && runtime_6=$said; }
}

as_with_cable() { # of $said: a cable that is out is no other route
  for word in dead linkdown; do
    while :; do
      case $said in *" $word "*) said="${said%%" $word "*} ${said#*" $word "}" ;; *) break ;; esac
    done
  done
}

all_runtime() { # -4|-6
  ip "$1" -o -batch - <<END
addr show scope global
route show table all
rule show
neigh show nud permanent
END
}

# Of those, what is the netdev's and nobody makes again by himself, as `runtime -4 route TEXT`.
runtime_of() { # DEV
  tab='	'
  for family in 4 6; do
    if [ $family = 4 ]; then said=$runtime_4; else said=$runtime_6; fi
    while IFS= read -r line; do
      case "$line " in
      *' proto kernel '* | *' proto dhcp '* | *' proto ra '* | *' proto redirect '*) continue ;;
      [0-9]*":$tab"*" iif $1 "* | [0-9]*":$tab"*" oif $1 "*) kind=rule ;;
      [0-9]*":$tab"*) is_of "$1" "$line" || continue; kind=rule ;;
      *" dev $1 lladdr "*) kind=neigh ;;
      *" dev $1 "*) kind=route ;;
      *) continue ;;
      esac
      printf 'runtime -%s %s %s\n' "$family" "$kind" "$line"
    done <<END
$said
END
  done
}

is_of() { # DEV RULE: whether it names an address of the netdev
  while read -r _ dev _ addr _; do
    [ "$dev" != "$1" ] || case "$2 " in *" ${addr%/*} "*) return 0 ;; esac
  done <<END
$runtime_4
$runtime_6
END
  return 1
}

missing() { # DEV SAVED: of the runtime state that was saved what is not there now, as `-4 route TEXT`
  grep -q '^runtime ' "$2" && ask_runtime || return 0
  nl='
'
  while read -r key family kind line; do
    [ "$key" = runtime ] || continue
    if [ "$family" = -4 ]; then said=$runtime_4; else said=$runtime_6; fi
    case "$nl$said$nl" in *"$nl$line$nl"* | *"$nl$line $nl"*) ;; *) printf '%s %s %s\n' "$family" "$kind" "$line" ;; esac
  done <"$2"
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
netplan_generate() { # FOLDER: instead of the root; empty: none
  for dir in /usr/libexec/netplan /usr/lib/netplan /lib/netplan ''; do
    [ ! -x "$dir/generate" ] || [ -e "$dir/configure" ] || break
  done
  umask 022
  if [ -n "$dir" ]; then dir=$dir/generate; else dir='netplan generate'; fi
  # shellcheck disable=SC2086  # words
  briefly $dir ${1:+--root-dir "$1"}
  rc=$?
  umask 077
  return $rc
}

# netplan's own opinion of the node's files as they will be, on a scratch copy; it goes with the run's folder.
scratch_netplan() {
  for dir in etc run lib; do set -- "$@" "$R/scratch/$dir/netplan" "$R/scratch.now/$dir/netplan"; done
  mkdir -p "$@" && copy_netplan "$R/scratch"
}

copy_netplan() { # FOLDER
  for dir in etc run lib; do
    set -- "$1"
    for file in "/$dir"/netplan/*.yaml; do [ ! -f "$file" ] || set -- "$@" "$file"; done
    [ $# = 1 ] || cp_into "$@" || return
  done
}

cp_into() { # FOLDER FILE...: all of one folder, to the same place below FOLDER
  into=$1${2%/*}/
  shift
  cp -p "$@" "$into"
}

scratch_file() { # PATH BLOB (BLOB empty: the file goes)
  if [ -n "$2" ]; then install -m 0600 "$S/$2" "$R/scratch$1"; else rm -f "$R/scratch$1"; fi
}

check_netplan() { # [DEV...]: the fabric's netdevs
  if ! netplan_generate "$R/scratch" >"$R/refusal" 2>&1; then
    err "netplan generate refuses the node's files as they would be: $(cat "$R/refusal")"
    return 1
  fi
  [ $# = 0 ] || nothing_pending "$@"
}

# An edit that nobody applied yet would come alive with ours: half a management stanza locks everybody out.
nothing_pending() { # DEV...
  copy_netplan "$R/scratch.now" || return
  # Files that netplan refuses and that are only right with ours can hold nothing that was applied.
  netplan_generate "$R/scratch.now" >/dev/null 2>&1 || return 0
  pending "$R/scratch.now" "$@"
  [ -z "$found" ] || {
    err "netplan files hold changes that nobody applied yet, and not only for the fabric: $found-" \
      "run \`sudo netplan apply\` yourself first, or put the files right"
    return 1
  }
}

# Where what netplan would generate from the files of FOLDER is not what it generated last, but for the fabric's netdevs:
# in $found, one after the other.
pending() { # FOLDER DEV...
  folder=$1 found=
  shift
  for kind in systemd/network/10-netplan- NetworkManager/system-connections/netplan-; do
    for file in "/run/$kind"* "$folder/run/$kind"*; do
      live=/run/${file##*/run/}
      id=${file##*/run/"$kind"}
      id=${id%.*}
      case " $* " in *" $id "*) continue ;; esac
      # What is at both places is met twice.
      if [ ! -e "$file" ] || { [ "$file" != "$live" ] && [ -e "$live" ]; } || cmp -s "$live" "$folder$live"; then continue; fi
      sources=$(grep -lsF -- "$id" /etc/netplan/*.yaml /run/netplan/*.yaml /lib/netplan/*.yaml)
      found="$found$id (${sources:-$live}) "
    done
  done
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
  written "$@"
  old=$facts
  generate_keeping || return
  written "$@"
  new=$facts links='' profiles=''
  for dev in "$@"; do
    case "$old$new" in *" $dev,networkd "*) links="$links $dev" ;; esac
    case "$old$new" in *" $dev,nm "*) profiles="$profiles $dev" ;; esac
  done
  [ -n "$links$profiles" ] || return
  # Two would fight for it: `netplan apply` also tells NetworkManager's udev rules.
  for dev in $links; do
    [ ! -d /run/NetworkManager ] || case $(nm_state "$dev") in *"nm managed yes"*) return 1 ;; esac
  done
  # shellcheck disable=SC2086  # words
  { [ -z "$links" ] || apply_networkd $links; } && { [ -z "$profiles" ] || apply_nm "$new" $profiles; } &&
    await_written "$old" "$new" "$@"
}

# What netplan generated for the netdevs, in $facts: for each of its files `DEV,networkd` or `DEV,nm`, then `DEV,mtu,VALUE`
# and `DEV,addr,VALUE`.
written() { # DEV...
  facts=' '
  for dev in "$@"; do
    file=/run/systemd/network/10-netplan-$dev.network
    [ ! -f "$file" ] || of_file networkd
    file=/run/NetworkManager/system-connections/netplan-$dev.nmconnection
    [ ! -f "$file" ] || of_file nm
  done
}

of_file() { # networkd|nm
  facts="$facts$dev,$1 "
  while IFS= read -r line; do
    value=${line#*=}
    case $line in
    MTUBytes=* | mtu=*) facts="$facts$dev,mtu,$value " ;;
    Address=* | address=* | address[0-9]*=*) facts="$facts$dev,addr,${value%%[,;]*} " ;;
    esac
  done <"$file"
}

# networkd takes an unchanged file with a new inode for a changed one, and sets its netdev up anew: management was away
# for 0.1 s (measured). So files that say the same as before stay the same files.
generate_keeping() {
  network=/run/systemd/network
  kept=/run/systemd/sparkctl-network
  [ ! -e "$kept" ] || rm -rf "$kept"
  if [ -d $network ]; then cp -al $network "$kept" || return; fi
  netplan_generate '' >/dev/null 2>&1
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
    case $facts in *" $dev,nm "*) briefly nmcli --wait 10 connection up "netplan-$dev" ifname "$dev" >/dev/null 2>&1 & ;; esac
  done
  wait
}

# 3 seconds are ten times what it takes (measured); without a cable the address comes with the cable.
await_written() { # OLD NEW DEV...
  old=$1 new=$2
  shift 2
  tries=0
  while [ $tries -lt 60 ]; do
    behind=
    look "$@"
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
  for fact in $1; do
    case "$fact$2" in "$3,addr,"*" $fact "*) ;; "$3,addr,"*) case $shown in *" $fact "*) return 1 ;; esac ;; esac
  done
  [ "$4" = 0 ] || has_carrier "$3" || return 0
  for fact in $2; do
    case $fact in "$3,mtu,"* | "$3,addr,"*) case $shown in *" $fact "*) ;; *) return 1 ;; esac ;; esac
  done
}

has_carrier() { # DEV: or nobody can say
  carrier=
  { read -r carrier <"/sys/class/net/$1/carrier"; } 2>/dev/null
  [ "$carrier" != 0 ]
}

look() { # DEV...: what they have, in the words of `written`, in $shown
  shown=' '
  for dev in "$@"; do
    { read -r mtu <"/sys/class/net/$dev/mtu"; } 2>/dev/null && shown="$shown$dev,mtu,$mtu "
  done
  while read -r _ dev _ value _; do shown="$shown$dev,addr,$value "; done <<END
$(ip -o addr show)
END
}

await_netdev() { # DEV MTU ADDRESS SECONDS: the address may come a moment after netplan returns
  left=$(($4 * 10))
  [ -n "${shown:-}" ] || look "$1"
  while [ "$left" -gt 0 ]; do
    case "${shown:-}" in *" $1,mtu,$2 "*" $1,addr,$3 "*) return 0 ;; esac
    sleep 0.1
    look "$1"
    left=$((left - 1))
  done
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
  # A route may need another one first.
  undo_runtime "$1" "$2" 2>/dev/null
  undo_runtime "$1" "$2"
  return $rc
}

# What does not come back is named by who asks for it: the rest of the way back goes on.
undo_runtime() { # DEV SAVED
  missing "$1" "$2" | while read -r family kind line; do
    # shellcheck disable=SC2086  # words
    case $kind in
    rule) ip "$family" rule add pref "${line%%:*}" ${line#*:} ;;
    neigh) ip "$family" neigh replace ${line%PERMANENT*} nud permanent ;;
    route) ip "$family" route add $line ;;
    esac
  done
}

# Renderers set the broadcast address; `ip` does so only when told. A renderer may come first: then nothing is added.
add_address() { # DEV ADDRESS ADDRESSES-WITH-BROADCAST
  if printf '%s\n' "$3" | grep -qxF "$2"; then ip addr replace "$2" broadcast + dev "$1"; else ip addr replace "$2" dev "$1"; fi
}

undo_sysctls() { # DEV SAVED
  grep -Hs '' "/proc/sys/net/ipv4/conf/$1"/* "/proc/sys/net/ipv6/conf/$1"/* | sed 's/:/ /; s/^/sysctl /' >"$2.now"
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
    ! has_carrier "$1"
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
