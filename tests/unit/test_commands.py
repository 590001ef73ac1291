"""Words to scripts: only what is called is sent, and the scripts that a run leaves on a node say what they must."""

from __future__ import annotations

import pytest

from sparkctl.commands import checkpoint, systemd
from sparkctl.commands.base import program
from sparkctl.commands.checkpoint import finish_script, revert_script

KEEP = ("keep", "0", "etc_sparkctl_nccl.env")


def defined(script: str) -> set[str]:
    """The functions that a script has."""
    return {line.partition("(")[0] for line in script.splitlines() if line.partition("(")[2].startswith(") {")}


def test_a_script_has_what_it_calls_and_what_that_calls_and_no_more() -> None:
    assert defined(program("echo hello\n")) == set() and program("echo hello\n").endswith("echo hello\n")
    hold, disarm = defined(program("hold 0a0a 120\n")), defined(program("disarm 0a0a\n"))
    assert "hold" in hold and "disarm" not in hold and len(hold) > 1, "with its own helpers"
    assert defined(program("hold 0a0a 120\ndisarm 0a0a\n")) == hold | disarm
    assert all(defined(program(f"{name}\n")) <= hold for name in hold), "whatever these call is there"


@pytest.mark.parametrize(("recorded", "last"), [(True, "finish 0a0a"), (False, "forget 0a0a")])
def test_the_end_of_a_run_keeps_its_baselines_first(recorded: bool, last: str) -> None:
    steps = [line.partition(" || ")[0] for line in finish_script("0a0a", [KEEP], recorded).splitlines()[-2:]]
    assert steps == [" ".join(KEEP), last]
    assert checkpoint.conclude("0a0a", "0b0b", 120, recorded)[4] == ("recorded" if recorded else "forgotten")


def test_the_way_back_undoes_the_stages_that_were_begun_and_counts_what_fails() -> None:
    script = revert_script("0a0a", [("engine", [("undo_unit", "x y")]), ("network", [("undo_file", "/a"), ("undo_file", "/b")])])
    assert script.endswith(
        'revert_begins 0a0a "${1:-controller}"\nbad=0\n'
        "if [ -f \"$R/started.engine\" ]; then\n  :\n  undo_unit 'x y' || bad=$((bad + 1))\nfi\n"
        'if [ -f "$R/started.network" ]; then\n  :\n  undo_file /a || bad=$((bad + 1))\n  undo_file /b || bad=$((bad + 1))\nfi\n'
        'revert_ends 0a0a "$bad"\n'
    )
    assert {"undo_unit", "undo_file", "revert_begins", "revert_ends"} <= defined(script)


def test_a_unit_goes_back_to_how_it_was() -> None:
    for enabled, active in ((True, False), (False, True)):
        words = ("undo_unit", "u", "c", "enabled" if enabled else "disabled", "active" if active else "inactive")
        assert systemd.undo("u", "c", enabled, active) == words


def test_on_the_way_back_nobody_waits_long_for_a_port() -> None:
    assert systemd.ready("u", 7100) == ("await_port", "u", "7100", "50", "")
    assert systemd.ready("u", 7100, back=True) == ("await_port", "u", "7100", "20", "back")
