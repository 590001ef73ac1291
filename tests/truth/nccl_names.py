"""Makes sparkctl/rules/nccl_names.txt from a table of parameters found in NCCL's source.

    python tests/truth/nccl_names.py docs/facts/nccl-params.tsv > sparkctl/rules/nccl_names.txt

Columns of the table: name, type, default, first tag that has it, scope, place in the source; `#` starts a comment.
"""

import csv
import re
import sys
from pathlib import Path


def rows(table: str) -> list[tuple[str, str]]:
    """Name and first version of every parameter, sorted."""
    lines = [line for line in table.splitlines() if line and not line.startswith("#")]
    return sorted((row[0], newest(row[3])) for row in csv.reader(lines, delimiter="\t"))


def newest(tag: str) -> str:
    """`2.30.7` of `v2.30.7-1`, the later one of `>v2.30.7,<=v2.32.3`, and `-` where nobody knows."""
    found = re.findall(r"v(\d+(?:\.\d+)+)", tag)
    return str(found[-1]) if found else "-"


def main() -> None:
    for name, version in rows(Path(sys.argv[1]).read_text()):
        sys.stdout.write(f"{name} {version}\n")


if __name__ == "__main__":
    main()
