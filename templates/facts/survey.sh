# What `verify` asks of the fabric beyond the facts of a plan (POSIX sh, after probe.sh). Files are read by the
# shell itself wherever it can: a fork costs more than all of sysfs. SPARKCTL_SYS is a tree to read instead, for tests.
sys=${SPARKCTL_SYS:-/sys}

take() { # FILE: its first line in $line; nothing where the kernel refuses (EINVAL while a link is down)
  line=
  [ -r "$1" ] && { IFS= read -r line <"$1"; } 2>/dev/null
  return 0
}

# One line per Ethernet netdev that is hardware or stands for it, tabs between: name, MAC, flags, carrier, MTU, losses,
# speed, duplex, driver, firmware, PCI address, PCIe speed, PCIe width, RDMA device.
ethernet_netdevs() {
  net=$sys/class/net
  soft_devices
  for path in "$net"/*; do
    dev=${path##*/}
    take "$path/type"
    [ "$line" = 1 ] || continue
    case $dev in veth* | docker* | dummy*) continue ;; esac
    for other in bridge wireless phy80211 tun_flags bonding; do [ ! -e "$path/$other" ] || continue 2; done
    printf '%s' "$dev"
    for file in address flags carrier mtu carrier_down_count speed duplex; do
      take "$path/$file"
      printf '\t%s' "$line"
    done
    netdev_hardware "$dev" "$path/device"
  done
}

netdev_hardware() { # NETDEV ITS-DEVICE: the last six columns, and the end of the line
  driver=
  firmware=
  pci=
  rdma=
  if cd -P "$2/driver" 2>/dev/null; then driver=${PWD##*/}; fi
  if cd -P "$2" 2>/dev/null; then pci=${PWD##*/}; fi
  case $pci in [0-9a-f]*:*:*.*) ;; *) pci= ;; esac
  cd / || return 1
  for found in "$2"/infiniband/*; do [ ! -e "$found" ] || rdma=${found##*/}; done
  for found in $soft; do [ "${found%%=*}" != "$1" ] || rdma=${rdma:-${found#*=}}; done
  if [ -n "$rdma" ]; then take "$sys/class/infiniband/$rdma/fw_ver" && firmware=$line; fi
  if [ -z "$firmware" ] && [ -n "$pci" ] && command -v ethtool >/dev/null; then
    firmware=$(timeout 2 ethtool -i "$1" 2>/dev/null | sed -n 's/^firmware-version: *//p')
  fi
  take "$2/current_link_speed"
  speed=$line
  take "$2/current_link_width"
  printf '\t%s\t%s\t%s\t%s\t%s\t%s\n' "$driver" "$firmware" "$pci" "$speed" "$line" "$rdma"
}

soft_devices() { # $soft: NETDEV=RDMA-DEVICE of each RDMA device that has no PCI device (Soft-RoCE)
  soft=
  for device in "$sys"/class/infiniband/*; do
    if [ ! -e "$device" ] || [ -e "$device/device" ]; then continue; fi
    take "$device/parent"
    [ -n "$line" ] || take "$device/ports/1/gid_attrs/ndevs/0"
    [ -z "$line" ] || soft="$soft $line=${device##*/}"
  done
}

# Per valid entry of each table, tabs between: device, index, GID, type, netdev. One grep, for a ConnectX-7 has 256
# entries; Soft-RoCE has 1024, of which those beyond are not looked at.
rdma_gids() {
  [ -d "$sys/class/infiniband" ] || return 44
  set --
  for table in "$sys"/class/infiniband/*/ports/1/gids; do
    set -- "$@" "$table"/[0-9] "$table"/[0-9][0-9] "$table"/1[0-9][0-9] "$table"/2[0-5][0-9]
  done
  grep -Hsv '^0000:0000:0000:0000:0000:0000:0000:0000$' "$@" |
    while IFS= read -r entry; do
      path=${entry%%:*}
      port=${path%/gids/*}
      index=${path##*/}
      device=${port#"$sys/class/infiniband/"}
      take "$port/gid_attrs/types/$index"
      kind=$line
      take "$port/gid_attrs/ndevs/$index"
      printf '%s\t%s\t%s\t%s\t%s\n' "${device%%/*}" "$index" "${entry#*:}" "$kind" "$line"
    done
}

rdma_counters() { # PATH:VALUE as grep has it; the device's own first, so that the port's prevail
  [ -d "$sys/class/infiniband" ] || return 44
  cd "$sys/class/infiniband" || return 1
  grep -Hs '' ./*/hw_counters/* ./*/ports/1/counters/* ./*/ports/1/hw_counters/*
  return 0
}

# Each way twice, as packets from our own address go and as any do: the kernel refuses the first while the address is
# missing. All in one run of ip, which says nothing of what it refuses.
peer_ways() { # OWN=PEER...
  command -v ip >/dev/null || return 127
  for pair in "$@"; do
    printf 'route get %s from %s\nroute get %s\n' "${pair#*=}" "${pair%%=*}" "${pair#*=}"
  done | timeout 5 ip -j -force -batch -
  case $? in 0 | 1 | 2) return 0 ;; *) return 1 ;; esac
}

lldp_neighbours() {
  command -v lldpctl >/dev/null || return 127
  [ -S /run/lldpd.socket ] || [ -S /run/lldpd/lldpd.socket ] || return 44
  timeout 3 lldpctl -f json
}

# HELLO and KNOCK are the programs facts/hello.py and facts/knock.py. What they cannot do they say on stdout.
call_hello() { # TOKEN NODE SECONDS NETDEV=PEER,PEER...
  in_python "$HELLO" "$@"
}

call_knock() { # WHAT-TO-DO
  in_python "$KNOCK" "$@"
}

in_python() { # PROGRAM WORD...
  if ! command -v python3 >/dev/null; then
    echo '{"why": "python3 is not installed"}'
    return 0
  fi
  timeout 10 python3 -I -S -c "$@"
}
