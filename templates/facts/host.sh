# What `verify` asks of the machine beyond the facts of a plan (POSIX sh, after probe.sh). Every answer is cut to a size
# that no honest machine reaches, and every program that may hang has seconds to answer.

# Its stdout. A program that not even KILL ends (a wedged driver, a dead network mount) keeps the inner pipe, for which
# nobody waits. Status 124 where time ran out; the program's own is lost.
within() { # SECONDS COMMAND...
  # shellcheck disable=SC2016
  timeout -k 1 "$1" sh -c 'shift; "$@" 2>/dev/null </dev/null | cat' sh "$@" 2>/dev/null
}

kernel_state() { # first line: release; second: command line
  head -c 256 /proc/sys/kernel/osrelease && head -c 8192 /proc/cmdline
}

memory_state() {
  head -c 16384 /proc/meminfo
}

# Lines of os-release, then those of dgx-release that name a version: its serial number never leaves the node.
release_state() {
  [ -r /etc/os-release ] || return 44
  head -c 16384 /etc/os-release
  if [ -r /etc/dgx-release ]; then
    printf '\n'
    head -c 16384 /etc/dgx-release | grep -E '^DGX_(OTA|SWBUILD)_VERSION=' || :
  fi
}

# Drivers before 535 call the reasons by another name, and say so in a line without columns.
gpu_state() {
  command -v nvidia-smi >/dev/null || return 127
  fields=name,driver_version,clocks.sm,clocks.max.sm,power.draw,enforced.power.limit
  for reasons in clocks_event_reasons.active clocks_throttle_reasons.active; do
    said=$(within 5 nvidia-smi --query-gpu="$fields,$reasons" --format=csv,noheader,nounits) || return 1
    printf '%s\n' "$said" | grep -qvE '^([^,]*,){6}' || break
    said=
  done
  [ -n "$said" ] || return 1
  printf '%s\n' "$said" | head -c 16384
}

# `KiB-free path` of each folder, or of the nearest one above that is there; first where Docker keeps its images. `?`
# instead of a number where nothing answers.
space_state() { # FOLDER...
  images=$(sed -n 's/.*"data-root"[^"]*"\([^"]*\)".*/\1/p' /etc/docker/daemon.json 2>/dev/null | head -n 1)
  set -- "${images:-/var/lib/docker}" "$@"
  [ ! -d /var/lib/containerd ] || set -- "$@" /var/lib/containerd
  for folder in "$@"; do
    # shellcheck disable=SC2016
    within 3 sh -c '
      folder=$1
      while [ ! -d "$folder" ] && [ "${folder%/*}" != "$folder" ]; do folder=${folder%/*}; done
      free=$(df -k --output=avail "${folder:-/}" | tail -n 1)
      printf "%s %s\n" "${free##* }" "${folder:-/}"' sh "$folder" || printf '? %s\n' "$folder"
  done
}

# First line: MemTotal; then the words that earlyoom was started with, one a line.
earlyoom_state() {
  found=$(grep -lxs earlyoom /proc/[0-9]*/comm | head -n 1)
  [ -n "$found" ] || return 44
  sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo
  head -c 8192 "${found%comm}cmdline" | tr '\0' '\n'
}

# The kernel's own buffer holds this boot from its first line, or has been overwritten: then the journal is asked too.
# A fault that was read is one; that there is none can only be said of a log that was read to its end.
kernel_faults() {
  said=$(timeout 5 dmesg 2>/dev/null)
  readable=$?
  case $(printf '%.512s' "$said") in
  *'Linux version '* | *'Booting Linux on '*) ;;
  *)
    older=$(timeout 5 journalctl -q -k -b -o cat -n 20000 2>/dev/null)
    readable=$?
    [ -n "$older" ] || readable=1
    said="$older
$said"
    ;;
  esac
  # The card's own before they are counted: another device may log thousands.
  printf '%s\n' "$said" | grep -F -e '(Fatal)' -e "health compromised" |
    grep -m 50 -E 'mlx5_core|000[02]:0[01]:00\.[01]' | cut -c 1-400 | grep . || [ "$readable" = 0 ]
}

clock_state() {
  date +%s.%N
}

perftest_version() { # every release ends with status 1 here, some write to stderr
  command -v ib_write_bw >/dev/null || return 127
  timeout 5 ib_write_bw --version </dev/null 2>&1 | head -c 4096
}

# First line: what ufw is set to. Then the rules as iptables-save and nft have them.
firewall_state() {
  ufw=absent
  if [ -e /etc/ufw/ufw.conf ]; then
    ufw=inactive
    if grep -qi '^ENABLED=["'\'']*yes' /etc/ufw/ufw.conf; then ufw=active; fi
  fi
  printf 'ufw %s\n' "$ufw"
  shown=
  for tool in iptables-save iptables-legacy-save nft; do
    command -v "$tool" >/dev/null || continue
    case $tool in
    iptables-save) set -- ;;
    iptables-legacy-save) [ -s /proc/net/ip_tables_names ] || continue ;;
    nft) set -- -s -t list ruleset ;;
    esac
    shown=yes
    rules=$(timeout 5 "$tool" "$@" 2>/dev/null) || {
      packet_filter || continue
      return 1
    }
    [ ${#rules} -le 1048576 ] || return 1
    printf '== %s\n%s\n== end\n' "$tool" "$rules"
  done
  if [ -z "$shown" ] && packet_filter; then printf '== unread\n'; fi
}

packet_filter() { # whether the kernel has one, built in or loaded
  grep -qsE ' (nft_do_chain|ipt_do_table)( |	|$)' /proc/kallsyms
}

# Each profile as `key:value` lines, an empty line between; without a running NetworkManager no profile has an effect.
network_profiles() {
  command -v nmcli >/dev/null || return 127
  listed=$(timeout 5 nmcli -t -f UUID,TYPE connection show 2>/dev/null)
  case $? in 0) ;; 8) return 44 ;; *) return 1 ;; esac
  # UUIDs have neither spaces nor wildcards
  # shellcheck disable=SC2046
  set -- $(printf '%s\n' "$listed" | sed -n 's/^\([0-9a-fA-F-]*\):802-3-ethernet$/\1/p' | head -n 100)
  [ $# != 0 ] || return 0
  fields=connection.id,connection.interface-name,connection.slave-type,ipv4.method,GENERAL.DEVICES
  # in the locale C nmcli writes ? for letters beyond ASCII, and no profile has that name
  shown=$(LC_ALL=C.UTF-8 timeout 5 nmcli -t -f "$fields" connection show "$@" 2>/dev/null) || return 1
  printf '%s\n' "$shown" | head -c 65536
}

# NCCL is the program facts/nccl.py; what it cannot find out it says on stdout.
nccl_library() { # image NAME | venv FOLDER, then words as nccl.py has them
  command -v python3 >/dev/null || return 127
  timeout 20 python3 -I -S -c "$NCCL" "$@"
}
