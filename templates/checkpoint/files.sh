# Steps on files, and the images of them (POSIX sh, run as root; node.sh comes first).
# Each ends with 0, or says on stderr what is wrong and ends with another status.

# Nothing else is written, kept or put back, whatever a plan or a record says; `may_change` of sparkctl says the same.
ours() { # PATH [MODE]
  case ${2:-0600} in 0[0-7][0-7][0-7]) ;; *) err "$1: no file of sparkctl has mode $2"; return 78 ;; esac
  case $1 in
    */../* | */./* | *//*) ;;
    /etc/netplan/*/* | /etc/sparkctl/*/*/*/* | /etc/NetworkManager/system-connections/*/* | /etc/systemd/network/*/*) ;;
    /etc/netplan/*.yaml | /etc/sparkctl/* | "$UNITS"/sparkctl-*.service)
      roots "${1%/*}"
      return
      ;;
    # Others' files: they go and come back, and are never written.
    /etc/NetworkManager/system-connections/[!.]* | /etc/systemd/network/[!.]*.network)
      [ $# != 1 ] || { roots "${1%/*}"; return; }
      ;;
  esac
  err "$1 is no file of sparkctl"
  return 78
}

# What root writes below a link or a folder of somebody else, that somebody can lead elsewhere.
roots() { # FOLDER
  folder=$1
  while [ -n "$folder" ]; do
    if [ -L "$folder" ] || { [ -e "$folder" ] && [ ! -O "$folder" ]; }; then
      err "$folder is a link, or a folder that is not root's: nothing is written below it"
      return 78
    fi
    folder=${folder%/*}
  done
}

# Like mv over PATH, but never half a file; its name is to be flushed yet. Keeps mode, owner and times of SOURCE, or has MODE and is root's.
place() { # SOURCE PATH [MODE]
  temp=${2%/*}/.sparkctl.new
  if [ $# = 3 ]; then install -p -o 0 -g 0 -m "$3" "$1" "$temp"; else cp -a "$1" "$temp"; fi &&
    sync "$temp" && mv -f "$temp" "$2" && return
  rm -f "$temp"
  return 1
}

made_dir() { # DIRECTORY: written down first, so that it goes again
  listed "$1" "$R/made" || { printf '%s\n' "$1" >>"$R/made" && sync "$R/made"; } && mkdir -m 0755 "$1"
}

undo_dir() { # DIRECTORY: away with it when sparkctl made it and nobody uses it
  [ -d "$1" ] || return 0
  if listed "$1" "$R/made" || listed "$1" "$S/baseline/made"; then rmdir --ignore-fail-on-non-empty "$1" && sync "${1%/*}"; fi
}

put_file() { # PATH MODE BLOB
  ours "$1" "$2" || return
  [ -d "${1%/*}" ] || made_dir "${1%/*}" || return
  place "$S/$3" "$1" "$2" && dirty="$dirty ${1%/*}"
}

drop_file() { # PATH
  ours "$1" || return
  dir=${1%/*}
  [ -d "$dir" ] || return 0
  rm -f "$1" "$dir/.sparkctl.new" && sync "$dir" && undo_dir "$dir"
}

# What of PATH is not the fabric's, as the run's file NUMBER; refused when it is not what the plan was made from.
set_aside() { # PATH NUMBER DIGEST OURS NETDEV...
  path=$1 number=$2 planned=$3
  shift 3
  python3 "$R/foreign.py" excise "$path" "$@" >"$R/after/$number"
  rc=$?
  if [ "$rc" = 44 ]; then rm -f "$R/after/$number"; elif [ "$rc" != 0 ]; then return "$rc"; fi
  if ! has_digest "$R/after/$number" "$planned"; then
    err "$path: what would be left of it is not what was planned"
    return 78
  fi
}

intact() { # IMAGE DIGEST: never put back what a bad disk or another hand made of an image
  has_digest "$1" "$2" || { err "$1 is not what was kept (digest differs): not put back"; return 1; }
}

restore_file() { # PATH NAME DIGEST: as it was before sparkctl first touched it
  ours "$1" || return
  intact "$S/baseline/$2" "$3" || return
  if [ ! -d "${1%/*}" ]; then mkdir -m 0755 "${1%/*}" || return; fi
  place "$S/baseline/$2" "$1" && sync "${1%/*}"
}

# A directory that the failed run made goes with its files.
undo_file() { # PATH NUMBER DIGEST
  ours "$1" || return
  rm -f "${1%/*}/.sparkctl.new"
  if [ "$3" = absent ]; then
    drop_file "$1"
    return
  fi
  intact "$R/before/$2" "$3" || return
  if ! has_digest "$1" "$3" || [ "$(stat -c %u:%g:%a "$1")" != "$(stat -c %u:%g:%a "$R/before/$2")" ]; then
    [ -d "${1%/*}" ] || mkdir -m 0755 "${1%/*}"
    place "$R/before/$2" "$1" && sync "${1%/*}"
  fi
}
