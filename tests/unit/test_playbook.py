"""Playbooks are data: the shipped ones load, bad ones are refused with the place and the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparkctl.errors import UsageError
from sparkctl.plan.playbook import load, schema

HEAD = "apiVersion: sparkctl/v1\nkind: Playbook\nname: x\n"


def test_the_shipped_ones_load_and_name_their_stages() -> None:
    assert [s.stage for s in load("up").stages] == ["network", "engine"]
    assert [s.stage for s in load("down").stages] == ["engine", "network"]


def test_each_stage_is_found_by_its_kind_wherever_it_stands() -> None:
    up, down = load("up"), load("down")
    assert (up.network(), up.engine()) == up.stages and (down.engine(), down.network()) == down.stages
    assert up.only("engine").network() is None and up.only("network").engine() is None
    assert up.only(None) == up


@pytest.mark.parametrize(("stage", "timeout"), [("engine", 60), ("network", 59), ("network", 20)])
def test_an_engine_needs_a_minute_to_confirm_and_the_network_less(stage: str, timeout: int, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(HEAD + f"confirm_timeout: {timeout}\nstages: [{{stage: {stage}}}]\n")
    assert load(path).confirm_timeout == timeout


def test_only_keeps_one_stage_and_refuses_an_unknown_one() -> None:
    assert [s.stage for s in load("up").only("network").stages] == ["network"]
    with pytest.raises(UsageError, match="no stage 'fabric'"):
        load("up").only("fabric")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEAD + "stages: []\n", "stages"),
        (HEAD + "stages: [{stage: reboot}]\n", "stages.0"),
        (HEAD + "stages: [{stage: network, loop: 3}]\n", "loop"),
        (HEAD + "confirm_timeout: 5\nstages: [{stage: network}]\n", "confirm_timeout"),
        (HEAD + "confirm_timeout: 30\nstages: [{stage: engine}]\n", "at least 60"),
        (HEAD + "confirm_timeout: 59\nstages: [{stage: engine}]\n", "the file"),
        ("{", "cannot be read"),
        ("\udcff", "cannot be read"),
        ("", "the file"),
    ],
)
def test_a_bad_one_is_refused_with_its_reason(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UsageError) as caught:
        load(path)
    assert words in caught.value.message and str(path) in caught.value.message


def test_a_missing_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load(tmp_path / "none.yaml")


def test_the_schema_knows_the_stages() -> None:
    assert {"NetworkStage", "EngineStage"} <= set(schema()["$defs"])
