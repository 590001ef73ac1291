# The beginning of one rank of the all-gather (POSIX sh), inside of its unit: the rank keeps the lock as long as it runs.
load_root=/run # as in perftest.sh, whose lock it is

rank_begins() { # UNIT of the engine; status 75: another test under load is on this node
  exec 9<"$load_root" || exit 1
  flock -w 5 9 || {
    echo 'another test under load runs there' >&2
    exit 75
  }
  state=$(systemctl show --property=ActiveState --value "$1")
  case $state in
    inactive | failed) ;;
    *)
      echo "the engine was started meanwhile (it is ${state:-in an unknown state}), and needs the memory" >&2
      exit 1
      ;;
  esac
}
