"""Takes every safety device out, one at a time, in a copy of the tree: the test that is named after it must fail.

`python tests/mutation.py [DEVICE...]`; ends with 1 when a mutant survives, or when a device is no longer where it was.
"""

# ruff: noqa: T201
from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("sparkctl", "templates", "playbooks", "docs", "tests", "pyproject.toml")
SUITE = "tests/scenario/test_safety.py"
NODE, NETWORK = "templates/checkpoint/node.sh", "templates/checkpoint/network.sh"
RUNNER = "sparkctl/execute/runner.py"
AT_ONCE = 2
"""Mutants at the same time: each is mostly one shell."""


@dataclass(frozen=True)
class Mutant:
    """A device, where it is, and what is left when it is taken out."""

    device: str
    file: str
    text: str
    left: str
    test: str


MUTANTS = (
    Mutant("gate", "sparkctl/ssh/transport.py", "if command.effect > self.ceiling:", "if False:", "test_gate"),
    Mutant("lock", NODE, '[ "${until:-0}" -gt "$(uptime_s)" ]', "false", "test_lock"),
    Mutant("end of a lease", NODE, '[ "${until:-0}" -gt "$(uptime_s)" ]', "true", "test_lock_of_a_dead_controller_ends"),
    Mutant("stale check", RUNNER, "        if moved:", "        if False:", "test_stale_check"),
    Mutant("timer", NODE, '&& timer "$1"', "", "test_checkpoint_is_armed_before_the_first_change"),
    Mutant("timer's revert", NODE, '/bin/sh "$R/revert.sh" timer', "/bin/true", "test_checkpoint_puts_a_node_back_alone"),
    Mutant("boot hook", NODE, 'extend "$1" && hook &&', 'extend "$1" &&', "test_boot_hook"),
    Mutant("fsync of before-images", NODE, '&& sync "$R/before/$2" "$R/before"; fi', "; fi", "test_fsync_of_what_is_put_back"),
    Mutant("fsync of the state", NODE, 'sync "$R/state.new" && mv', "mv", "test_fsync_of_the_checkpoint"),
    Mutant("head first", "sparkctl/execute/undo.py", "for wave in (head, workers):", "for wave in (workers, head):", "test_reverse_order_of_nodes"),
    Mutant(
        "last first",
        "sparkctl/plan/compile.py",
        'yield "engine", [systemd.stop(unit.unit, unit.container) for unit in units]',
        'yield "engine", []',
        "test_reverse_order_on_a_node",
    ),
    Mutant("digest check on teardown", "sparkctl/plan/diff.py", "if (_edited(path, facts) and", "if (False and", "test_digest_check_on_teardown"),
    Mutant("digest check of before-images", NODE, '[ "$(digest "$1")" = "$2" ] || {', "true || {", "test_digest_check_of_before_images"),
    Mutant("new connections", RUNNER, "await self.fleet.connect(self.nodes)", "pass", "test_confirm_over_new_connections"),
    Mutant(
        "journal of the intention",
        "sparkctl/plan/compile.py",
        ', checkpoint.journal(run.id, "intended", plan.action)]',
        "]",
        "test_journal_of_the_intention",
    ),
    Mutant(
        "journal of the step",
        "sparkctl/plan/compile.py",
        'checkpoint.journal(run.id, "started", step.title)',
        '("true",)',
        "test_journal_of_every_step",
    ),
    Mutant("fsync of the journal", NODE, '>>"$S/journal" && sync "$S/journal" "$S"', '>>"$S/journal"', "test_journal_of_every_step"),
    Mutant("redaction", "sparkctl/facts/files.py", '"secret" if secret else "shown"', '"shown"', "test_redaction"),
    Mutant("hold", NODE, '  if [ "$run" != "$1" ]; then\n    err "the lock of run', '  if false; then\n    err "the lock of run', "test_hold"),
    Mutant("hold after a boot", NODE, '  if [ "$on" != "$(boot)" ]; then', "  if false; then", "test_hold_after_a_boot"),
    Mutant("confirmed for good", RUNNER, "if self.confirmed or (", "if (", "test_nothing_is_undone_after_the_confirmation"),
    Mutant("keepalive", RUNNER, "            await self._keep_alive()", "            pass", "test_keepalive"),
    Mutant(
        "keepalive of the look",
        "sparkctl/execute/apply.py",
        "await runner.kept_alive(_judged_roce(site, level))",
        "await _judged_roce(site, level)",
        "test_keepalive_while_looking_at_roce",
    ),
    Mutant("book", NODE, '| sort -u >"$S/baseline/.new"', '>"$S/baseline/.new"', "test_a_run_finished_twice_keeps_the_same_book"),
    Mutant("wrong RoCE", "sparkctl/execute/apply.py", '        raise StepFailed("RoCE is not right', '        print("', "test_wrong_roce_is_undone"),
    Mutant(
        "detached apply",
        NETWORK,
        'systemd-run --quiet --wait --collect --unit=sparkctl-netplan --property=RuntimeMaxSec="$1" netplan apply',
        "netplan apply",
        "test_detached_apply",
    ),
)


def copied(folder: str) -> Path:
    """The tree, as far as the safety tests need it."""
    tree = Path(folder, "tree")
    tree.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__", "lab", "cases"))
        else:
            shutil.copy2(source, tree / name)
    return tree


def tested(tree: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    """pytest on the tests of a tree, with the tree's own package."""
    words = [sys.executable, "-m", "pytest", "-q", "-x", "--tb=line", "-p", "no:cacheprovider", *tests]
    return subprocess.run(words, cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)}, capture_output=True, text=True, timeout=600)


def verdict(mutant: Mutant) -> str:
    """What became of one mutant: `killed`, or why that cannot be said."""
    with tempfile.TemporaryDirectory(prefix="sparkctl-mutant-") as folder:
        tree = copied(folder)
        file = tree / mutant.file
        source = file.read_text()
        if source.count(mutant.text) != 1:
            return f"GONE: {mutant.text!r} is {source.count(mutant.text)} times in {mutant.file}"
        file.write_text(source.replace(mutant.text, mutant.left))
        done = tested(tree, f"{SUITE}::{mutant.test}")
    if done.returncode == 0:
        return f"SURVIVED: {mutant.test} passes without it"
    if done.returncode != 1 or f"FAILED {SUITE}::{mutant.test}" not in done.stdout:
        return f"UNCLEAR: pytest ended with {done.returncode}: {done.stdout[-300:]}{done.stderr[-300:]}"
    return "killed"


def healthy() -> str:
    """All safety tests pass in an unchanged copy; otherwise nothing that follows means anything."""
    with tempfile.TemporaryDirectory(prefix="sparkctl-mutant-") as folder:
        done = tested(copied(folder), SUITE)
    return "" if done.returncode == 0 else done.stdout[-3000:] + done.stderr[-1000:]


def main(devices: Iterable[str]) -> int:
    """Run the table, or the rows that are named; print it."""
    begun = time.monotonic()
    chosen = [m for m in MUTANTS if not devices or m.device in devices]
    wrong = healthy()
    if wrong or not chosen:
        print(wrong or f"no such device; there are: {', '.join(m.device for m in MUTANTS)}", file=sys.stderr)
        return 2
    with ThreadPoolExecutor(AT_ONCE) as pool:
        verdicts = list(pool.map(verdict, chosen))
    for mutant, ended in zip(chosen, verdicts, strict=True):
        print(f"{mutant.device:30} {mutant.test:50} {ended}")
    killed = verdicts.count("killed")
    print(f"{killed} of {len(chosen)} mutants killed, {time.monotonic() - begun:.0f} s")
    return 0 if killed == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
