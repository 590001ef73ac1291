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
        ("{", "cannot be read"),
        ("", "the file"),
    ],
)
def test_a_bad_one_is_refused_with_its_reason(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        load(path)
    assert words in caught.value.message and str(path) in caught.value.message


def test_a_missing_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load(tmp_path / "none.yaml")


def test_the_schema_knows_the_stages() -> None:
    assert {"NetworkStage", "EngineStage"} <= set(schema()["$defs"])
