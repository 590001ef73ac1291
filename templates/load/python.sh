# $0: the engine's program, $1: an argument. Runs the Python program on stdin with the interpreter that $0 itself names.
found=$(command -v "$0") || { echo "$0 is not there" >&2; exit 127; }
python=$(head -c 300 "$found" | sed -n '1s/^#! *//p')
case $python in
  *python*) ;;
  *) case ${0##*/} in python*) python=$found ;; *) python=python3 ;; esac ;;
esac
# shellcheck disable=SC2086 # `/usr/bin/env python3` is two words
exec $python - "$1"
