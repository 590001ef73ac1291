"""Which version an image runs, and what its parser takes."""

from __future__ import annotations

import json

import pytest

from sparkctl.engines.vllm.flag_lists import LISTS, flags_of, knows, version_of, versions
from sparkctl.inventory.model import EngineIntent, Parallel, Runtime


def intent(docker: str | None, kind: str = "vllm") -> EngineIntent:
    return EngineIntent(kind, Runtime(docker=docker, venv=None if docker else "/opt/vllm"), "m", Parallel())


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("vllm/vllm-openai:v0.33.0", "0.33.0"),
        ("docker.io/vllm/vllm-openai:v0.32.0", "0.32.0"),
        ("mirror.example:5000/vllm/vllm-openai:v0.32.0-cu130", "0.32.0"),
        ("vllm/vllm-openai:v0.33.0@sha256:" + "0" * 64, "0.33.0"),
        ("vllm/vllm-openai:latest", None),
        ("vllm/vllm-openai:v0.33.0rc1", None),
        ("notvllm/vllm-openai:v0.33.0", None),
        ("example/vllm-spark:v0.33.0", None),
        (None, None),
    ],
)
def test_the_version_is_in_the_name_of_the_image(image: str | None, version: str | None) -> None:
    assert version_of(intent(image)) == version


def test_other_engines_have_other_parsers() -> None:
    assert version_of(intent("vllm/vllm-openai:v0.33.0", "sglang")) is None


def test_a_version_that_nobody_asked_has_no_list() -> None:
    assert flags_of("0.31.0") == frozenset()
    assert flags_of("../../x") == frozenset()
    assert versions() == ("0.32.0", "0.33.0")


@pytest.mark.parametrize("version", versions())
def test_the_lists_say_their_version_and_are_sorted(version: str) -> None:
    read = json.loads((LISTS / f"vllm-{version}.json").read_text())
    assert read["version"] == version
    assert read["flags"] == sorted(set(read["flags"]))
    assert len(read["flags"]) > 400


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("max-model-len", True),
        ("max-model", True),  # argparse takes an unambiguous beginning
        ("tp", True),
        ("no-enable-prefix-caching", True),
        ("compilation-config.level", True),
        ("max-number-seqs", False),
        ("watchdog-config", False),
    ],
)
def test_what_the_parser_of_0_32_takes(name: str, known: bool) -> None:
    assert knows(flags_of("0.32.0"), name) is known


def test_0_33_still_takes_the_older_spellings() -> None:
    gone = flags_of("0.32.0") - flags_of("0.33.0")
    assert gone == frozenset()
    assert {"watchdog-config", "monokernel", "sleep-mode-backend"} <= flags_of("0.33.0")
