"""The all-gather in the lab: the engine's own container, torch and gloo on the CPU; and nothing of it is ever left."""

from __future__ import annotations

import shlex
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from sparkctl.engines import Rank
from sparkctl.lab.overlay import overlay
from sparkctl.loadtest import allgather
from sparkctl.loadtest.allgather import NAME, Place
from sparkctl.loadtest.in_engine import trial_script
from sparkctl.render.artifact import UNIT_NAME
from sparkctl.study import study
from tests.lab.labs import Ended, Rig

NODES = ("spark-1", "spark-2")
LEFT = f"docker ps -aq --filter name={NAME}; systemctl list-units --no-legend --plain --state=active '{NAME}-*'"


@pytest.fixture(scope="module")
def stopped(serving: Rig) -> Rig:
    """Everything of the engine is on the nodes, and it does not run."""
    up = serving.cluster("up", "--yes", timeout=900)
    assert up.code == 0, up.err
    seen = gathered(verified(serving))
    assert seen["state"] == "skipped" and "the engine is running" in str(seen["message"])
    for node in NODES:
        serving.root(node, "systemctl stop sparkctl-engine")
    return serving


def verified(rig: Rig) -> Ended:
    return rig.cluster("verify", "--load", "--quick", "--json", timeout=300)


def gathered(ended: Ended) -> dict[str, object]:
    verdicts = ended.json["verdicts"]
    assert isinstance(verdicts, list)
    (found,) = [v for v in verdicts if v["id"] == "nccl-gather"]
    return dict(found)


def until(seconds: float, true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.3)


def left(rig: Rig) -> str:
    return "".join(rig.root(node, LEFT) for node in NODES)


def test_all_ranks_gather_in_the_engines_own_container(stopped: Rig) -> None:
    found = gathered(verified(stopped))
    assert found["state"] == "pass", found
    assert "gloo" in str(found["message"]) and "over 2 ranks" in str(found["message"])
    assert left(stopped) == ""


@pytest.mark.more
def test_a_rank_that_cannot_start_is_named_and_ends_the_others(stopped: Rig) -> None:
    stopped.root("spark-2", "cp /etc/sparkctl/engine.env /run/was.env; echo 'bad name=1' >>/etc/sparkctl/engine.env")
    try:
        ended = verified(stopped)
    finally:
        stopped.root("spark-2", "cat /run/was.env >/etc/sparkctl/engine.env; rm /run/was.env")
    found = gathered(ended)
    assert ended.code == 7
    assert found["state"] == "unknown"
    assert str(found["message"]).startswith("spark-2: docker: poorly formatted environment")
    assert "spark-1: ended here, because another rank had failed" in str(found["message"])
    assert left(stopped) == ""


def test_an_interruption_ends_every_rank(stopped: Rig) -> None:
    running = stopped.started("verify", "--load", "--quick")
    until(
        60,
        lambda: (
            NAME in stopped.root("spark-1", "systemctl list-units --no-legend --plain") or running.poll() is not None
        ),
    )
    assert running.poll() is None
    running.send_signal(signal.SIGINT)
    assert running.wait(60) == 130
    assert left(stopped) == ""


@pytest.mark.more
def test_systemd_ends_a_rank_whose_controller_died(stopped: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its peer never comes, nobody listens any more: the unit's own time ends it, and takes the container along."""
    monkeypatch.setattr(allgather, "SECONDS", 15)  # three times what a look takes on a busy machine
    found = study(stopped.inventory)
    assert found.cluster is not None and found.fabric is not None
    cluster, _ = overlay(found.cluster, stopped.state)
    assert cluster.engine is not None
    rank, place = Rank(cluster, found.fabric, cluster.head, cluster.engine), Place(0, 2, "127.0.0.1", 29777)
    script = trial_script(rank, allgather.name("abcd"), allgather.argument(place, (allgather.SPARE,)))
    command = allgather.command(script, "abcd", UNIT_NAME, docker=True)
    words = [*stopped.ssh_words("spark-1"), shlex.join(["sudo", "-n", "sh", "-c", command.script])]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as alone:
        assert alone.stdin is not None
        alone.stdin.write(command.stdin)
        alone.stdin.close()
        until(20, lambda: stopped.root("spark-1", f"docker ps -q --filter name={NAME}") != "")
        alone.kill()
    assert left(stopped) != ""
    until(60, lambda: left(stopped) == "")
