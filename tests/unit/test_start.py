"""What a command does not read before it begins: whoever adds an import that all commands pay for, hears of it here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(sorted(sys.modules))))
from sparkctl.cli.main import main
main()
"""
OTHER_VERBS = {"sparkctl.cli.lab", "sparkctl.cli.inventory", "sparkctl.cli.model", "sparkctl.cli.validate", "sparkctl.lab"}
UNUSED = {
    "cryptography.x509": "X.509 certificates, which no node shows",
    "networkx.classes": "a hard question about cables",
    "sparkctl.loadtest.schedule": "tests under load",
    "sparkctl.plan": "a plan",
    "rich.traceback": "a bug",
}


def loaded(*words: str) -> set[str]:
    """The modules that a command had loaded at its end."""
    command = [sys.executable, "-c", PROGRAM, *words]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    return set(json.loads(ran.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def status() -> set[str]:
    return loaded("cluster", "status", "/nonexistent")


def test_what_status_reaches_nodes_with_is_loaded(status: set[str]) -> None:
    assert {"asyncssh", "sparkctl.ssh.fleet", "sparkctl.checks", "sparkctl.facts.snapshot"} <= status


@pytest.mark.parametrize("name", UNUSED)
def test_what_status_does_not_need_is_not(status: set[str], name: str) -> None:
    assert name not in status, f"{UNUSED[name]} is loaded by every command that reaches a node"


def test_the_files_of_other_verbs_are_not_read(status: set[str]) -> None:
    assert status & OTHER_VERBS == set()
    assert {"sparkctl.cli.validate", "sparkctl.cli.lab"} & loaded("validate", "/nonexistent") == {"sparkctl.cli.validate"}


def test_a_verb_that_is_none_is_told_the_most_alike() -> None:
    ran = subprocess.run([sys.executable, "-m", "sparkctl", "clster"], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, "'cluster'" in ran.stderr) == (2, True)
