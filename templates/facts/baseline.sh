# What teardown would put back (POSIX sh, after probe.sh and checkpoint/network.sh): `image NAME DIGEST` of each kept file,
# `refused NAME|- WHY` where netplan would not take what comes back (-: whatever comes back), and `net DEV KEY VALUE` of
# each netdev as it was, `lost` among them where something of its runtime state is not there now.
baseline_state() { # OUR-NETPLAN-FILE
  kept=/var/lib/sparkctl/baseline
  [ -d "$kept" ] || return 44
  for image in "$kept"/*; do
    name=${image##*/}
    case $name in
    made | '*') ;;
    net.*) saved_netdev "${name#net.}" "$image" ;;
    *) sum=$(sha256sum "$image") && printf 'image %s %s\n' "$name" "${sum%% *}" ;;
    esac
  done
  refused_images "$1"
}

saved_netdev() { # DEV IMAGE
  while read -r key value; do
    case $key in mtu | link | addr) printf 'net %s %s %s\n' "$1" "$key" "$value" ;; esac
  done <"$2"
  missing "$1" "$2" | while read -r line; do printf 'net %s lost %s\n' "$1" "$line"; done
}

refused_images() { # OUR-NETPLAN-FILE
  # Before there is anything to remove; a session that dies sends a signal, for which dash knows no EXIT.
  scratch=
  trap '[ -z "$scratch" ] || rm -rf "$scratch"' EXIT
  trap 'exit 143' HUP INT TERM
  scratch=$(mktemp -d /run/sparkctl.XXXXXX) || return
  set -- "$1" "$kept"/etc_netplan_*
  [ -e "$2" ] || set -- "$1"
  would_take "$@" && return
  ours=$1
  shift
  why=$refusal
  if ! would_take "$ours"; then printf 'refused - %s\n' "$refusal"; return; fi
  none=yes
  for image in "$@"; do
    would_take "$ours" "$image" || { none= && printf 'refused %s %s\n' "${image##*/}" "$refusal"; }
  done
  # Each alone is well, and all together are not.
  for image in ${none:+"$@"}; do printf 'refused %s %s\n' "${image##*/}" "$why"; done
}

would_take() { # OUR-NETPLAN-FILE IMAGE...: netplan's word, without our file and with these; in $refusal why not
  rm -rf "$scratch/root"
  for dir in etc run lib; do mkdir -p "$scratch/root/$dir/netplan" || return; done
  copy_netplan "$scratch/root" && rm -f "$scratch/root$1" || return
  shift
  for image in "$@"; do
    file=${image##*/etc_netplan_}
    cp -p "$image" "$scratch/root/etc/netplan/${file%.*}" || return
  done
  netplan_generate "$scratch/root" >"$scratch/refusal" 2>&1 && return
  refusal=$(tr -s '\n' ' ' <"$scratch/refusal")
  return 1
}
