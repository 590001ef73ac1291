#!/bin/bash
# The demonstration: from one inventory to a completion that two emulated nodes serve. `make demo` and `make demo-down` run it.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
inventory=inventories/dual.yaml

run() {
    printf '\n\033[1m$ %s\033[0m\n' "$*"
    "$@"
}

if [ "${1:-}" = down ]; then
    run sparkctl lab down "$inventory"
    exit
fi

begin=$SECONDS
run sparkctl validate "$inventory"
run sparkctl lab up "$inventory"
run sparkctl cluster plan "$inventory" --lab
run sparkctl cluster up "$inventory" --lab --yes
run sparkctl cluster verify "$inventory" --lab

cat <<END

Done in $((SECONDS - begin)) s. Look further:
  .venv/bin/sparkctl cluster status $inventory --lab
  .venv/bin/sparkctl lab ssh $inventory spark-1
  .venv/bin/sparkctl cluster down $inventory --lab
Take it down:
  make demo-down
END
