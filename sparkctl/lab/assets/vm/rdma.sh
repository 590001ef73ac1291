#!/bin/sh
# Run for each new netdev, with its name: its Soft-RoCE device, named as on a Spark (rocep1s0f1 on enp1s0f1np1).
case ${1:-} in
    enp1s0f[01]np[01] | enP2p1s0f[01]np[01]) ;;
    *) exit 0 ;;
esac
device=roce${1#en}
device=${device%np[01]}
[ -e "/sys/class/infiniband/$device" ] || rdma link add "$device" type rxe netdev "$1"
