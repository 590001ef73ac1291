# One node's part of a trial (POSIX sh, as root): perftest on its lanes, all at once. Whatever happens to the controller,
# nothing is left: `timeout` bounds each lane, and a heartbeat on stdout ends them all when nobody reads it any more.
# A folder of the run in /run holds per lane: pid, out, json, err, status.
LC_ALL=C
export LC_ALL
load_root=/run

load_begins() { # TOKEN; status 75: another test under load is on this node
  exec 9>"$load_root/sparkctl-load.lock" || exit 1
  flock -w 5 9 || exit 75
  rm -rf "$load_root"/sparkctl-load.*.* # of a script that was killed: whoever has the lock is alone
  lanes='' folder=''
  trap load_cleans EXIT
  trap 'exit 143' HUP INT TERM
  trap '' PIPE
  folder=$(mktemp -d "$load_root/sparkctl-load.$1.XXXXXX") || exit 1 # after the traps: nothing is made that they do not clear
}

lane() { # KEY SECONDS server|client OWN PEER TOOL WORDS...
  key=$1 seconds=$2 role=$3 peer=
  shift 3
  if [ "$role" = client ]; then
    peer=$2
    bound=$(source_option "$3" "$1")
    shift 2
    # shellcheck disable=SC2086 # an option and an address, or nothing
    set -- "$@" $bound
  fi
  lanes="$lanes $key"
  run_lane "$folder/$key" "$seconds" "$role" "$@" ${peer:+"$peer"} 9>&- >/dev/null &
}

# The name of this option changed, and a test without it leaves by the route alone.
source_option() { # TOOL OWN
  case $("$1" --help 2>&1) in
    *--bind_source_ip*) printf '%s %s' --bind_source_ip "$2" ;;
    *--source_ip*) printf '%s %s' --source_ip "$2" ;;
  esac
}

# A client is started again while the server is not there yet: RDMA event 8, by its name in the latency tests.
run_lane() { # PATH SECONDS ROLE TOOL WORDS...
  path=$1 limit=$2 role=$3 tries=20
  shift 3
  until [ -e "$folder/stop" ]; do
    rm -f "$path.json"
    timeout -k 1 "$limit" "$@" --out_json --out_json_file="$path.json" >"$path.out" 2>"$path.err" </dev/null &
    echo $! >"$path.pid"
    wait $!
    status=$?
    tries=$((tries - 1))
    if [ "$role$status" = client0 ] || [ "$role" = server ] || [ "$tries" = 0 ]; then break; fi
    grep -q -e 'CM event bl blka 8$' -e 'EVENT_REJECTED' "$path.err" || break
    sleep 0.2
  done
  echo "${status:-143}" >"$path.new" && mv "$path.new" "$path.status"
}

load_ends() { # waits for all lanes, then per lane: `lane KEY STATUS REPORT STDERR`, the last two in base64
  beats=0
  while ! lanes_ended; do
    [ ! -e "$folder/stop" ] || exit 76
    [ $((beats % 5)) != 0 ] || printf '\n' 2>/dev/null || exit 77
    beats=$((beats + 1))
    sleep 0.1
  done
  for key in $lanes; do
    body=$folder/$key.json
    [ -s "$body" ] || body=$folder/$key.out
    printf 'lane %s %s =%s =%s\n' "$key" "$(cat "$folder/$key.status")" \
      "$(head -c 65536 "$body" | base64 -w0)" "$(tail -c 4096 "$folder/$key.err" | base64 -w0)"
  done
}

lanes_ended() {
  for key in $lanes; do [ -e "$folder/$key.status" ] || return 1; done
}

load_cleans() { # again and again: a lane may just be starting
  [ -n "$folder" ] || return 0
  : >"$folder/stop"
  left=30
  until lanes_ended || [ "$left" = 0 ]; do
    for key in $lanes; do
      [ -e "$folder/$key.status" ] || kill "$(cat "$folder/$key.pid" 2>/dev/null)" 2>/dev/null
    done
    left=$((left - 1))
    sleep 0.1
  done
  rm -rf "$folder"
}

load_stops() { # TOKEN; status 1: something is left after 5 s
  left=50
  while [ "$left" -gt 0 ]; do
    found=
    for path in "$load_root/sparkctl-load.$1".*; do
      [ -d "$path" ] || continue
      found=yes
      : >"$path/stop"
    done
    [ -n "$found" ] || return 0
    left=$((left - 1))
    sleep 0.1
  done 2>/dev/null
  return 1
}
