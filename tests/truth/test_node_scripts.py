"""shellcheck reads every script that sparkctl runs on a node, as it is sent: functions, steps and the way back."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sparkctl.execute.read_facts import questions
from sparkctl.facts.base import batch
from sparkctl.plan import compile as compiled
from sparkctl.plan.compile import Run
from sparkctl.plan.playbook import load
from sparkctl.plan.steps import plan_up
from tests.unit.test_plan import CLUSTER, FABRIC, KEY, desired, pair

TEMPLATES = Path(__file__).parents[2] / "templates"
RUN = Run("abcd1234", "me@here", 120)
NODES = {name: node.facts() for name, node in pair().items()}
PLAN = plan_up(CLUSTER.name, desired(), NODES, load("up"))
HEAD = CLUSTER.head.name


def sent() -> dict[str, str]:
    """Every kind of script, by its title."""
    secrets = {"/etc/sparkctl/api.key": KEY}
    asked = questions(CLUSTER, FABRIC, pings=True)[HEAD]
    commands = [
        compiled.lock_and_read(RUN, asked),
        compiled.prepare(PLAN, RUN, HEAD, secrets),
        *(compiled.commit(PLAN, RUN, step, HEAD) for step in PLAN.steps if HEAD in step.changes),
        compiled.hold(RUN),
        compiled.disarm(RUN),
        compiled.conclude(PLAN, RUN, HEAD),
        compiled.undo(RUN),
        compiled.unlock(RUN),
        batch(asked.probes()),
    ]
    members = dict(compiled._members(PLAN, RUN, HEAD, secrets))
    survey = batch(questions(CLUSTER, FABRIC, pings=True, survey=True)[HEAD].probes())
    return (
        {c.title: c.script for c in commands}
        | {"survey": survey.script}
        | {name: members[name].decode() for name in ("revert.sh", "finish.sh")}
    )


@pytest.mark.parametrize("title", sent())
def test_shellcheck_has_nothing_to_say(title: str) -> None:
    judged = checked(sent()[title])
    assert judged.returncode == 0, judged.stdout


def checked(script: str) -> subprocess.CompletedProcess[str]:
    # Functions that this one script does not call; the journal's state "done" as a word.
    words = ["shellcheck", "--shell=sh", "--exclude=SC2317,SC2329,SC1010", "-"]
    return subprocess.run(words, input=script, capture_output=True, text=True, timeout=60)


def test_shellcheck_would_say_something() -> None:
    assert checked(sent()["prepare"] + "\nrm -rf $UNSET_AND_UNQUOTED/*\n").returncode != 0
