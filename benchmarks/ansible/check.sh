#!/bin/sh
# Is the network as wanted? MTU NETDEV=ADDRESS=PEER,PEER...
mtu=$1
shift
failed=$(
  for rail in "$@"; do
    netdev=${rail%%=*}
    peers=${rail##*=}
    address=${rail#*=}
    address=${address%=*}
    [ "$(cat "/sys/class/net/$netdev/mtu")" = "$mtu" ] || echo "$netdev: MTU"
    ip -o -4 addr show dev "$netdev" | grep -qF " $address " || echo "$netdev: address"
    for peer in $(echo "$peers" | tr , ' '); do
      ping -n -q -M "do" -s $((mtu - 28)) -c 2 -i 0.2 -W 1 -I "$netdev" "$peer" >/dev/null 2>&1 || echo "$netdev: $peer" &
    done
    wait
  done
)
[ -z "$failed" ] || { echo "$failed" >&2; exit 1; }
