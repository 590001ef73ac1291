# One node's part of a trial (POSIX sh, as root): perftest on its lanes, all at once. Whatever happens to the controller,
# nothing is left: `timeout` bounds each lane, and a heartbeat on stdout ends them all when nobody reads it any more.
# A folder of the run in /run holds per lane: pid, out, json, err, status.
LC_ALL=C
export LC_ALL
load_root=/run

load_begins() { # TOKEN; status 75: another test under load is on this node
  exec 9<"$load_root" || exit 1 # a lock on the folder itself: no file of ours stays behind
  flock -w 5 9 || exit 75
  rm -rf "$load_root"/sparkctl-load.*.* # of a script that was killed: whoever has the lock is alone
  lanes='' folder=''
  trap load_cleans EXIT
  trap 'exit 143' HUP INT TERM
  trap '' PIPE
  # after the traps: nothing is made that they do not clear
  folder=$(mktemp -d "$load_root/sparkctl-load.$1.XXXXXX") || exit 1
}

lane() { # KEY SECONDS server|client TOOL WORDS...
  key=$1
  shift
  lanes="$lanes $key"
  run_lane "$folder/$key" "$@" 9>&- >/dev/null &
}

# A client is started again while the server does not listen yet: nothing was exchanged, so nothing is half done.
run_lane() { # PATH SECONDS ROLE TOOL WORDS...
  path=$1 limit=$2 role=$3 tries=40
  shift 3
  until [ -e "$folder/stop" ]; do
    rm -f "$path.json"
    timeout -k 1 "$limit" "$@" --out_json --out_json_file="$path.json" >"$path.out" 2>"$path.err" </dev/null &
    echo $! >"$path.pid"
    wait $!
    status=$?
    tries=$((tries - 1))
    if [ "$role$status" = client0 ] || [ "$role" = server ] || [ "$tries" = 0 ]; then break; fi
    grep -q "Couldn't connect to" "$path.err" "$path.out" || break
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
