"""The ranks' reports, and what is made of them; the parts of the rank's program that need neither torch nor a GPU."""

from __future__ import annotations

import json
import runpy
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkctl.commands.base import Effect
from sparkctl.engines import Rank
from sparkctl.facts.base import parsed
from sparkctl.loadtest import allgather
from sparkctl.loadtest.allgather import Place
from sparkctl.loadtest.allgather_output import Report, parse, together
from sparkctl.loadtest.in_engine import trial_script
from sparkctl.loadtest.results import Gathered
from sparkctl.outcome import Failed, Known, Lost, Ok, Result, Unknown
from sparkctl.render.artifact import UNIT_NAME
from sparkctl.resources import share
from tests.unit.healthy import studied

CASES = sorted((Path(__file__).parents[1] / "cases/facts/gathered").glob("*/input.txt"))
PROGRAM = runpy.run_path(str(share("templates") / "load/all_gather.py"), run_name="a_rank")
LOG = """\
spark-1:1:1 [0] NCCL INFO NET/IB : Using [0]rocep1s0f1:1/RoCE [1]roceP2p1s0f1:1/RoCE [RO]; OOB enp1s0f1np1:10.20.0.11<0>
spark-1:1:1 [0] NCCL INFO Using network IB
"""
GIB = 1024 * 1024  # in KiB


def report(**more: Any) -> Ok:
    said = {
        "backend": "nccl",
        "version": "2.30.7",
        "ranks": 2,
        "sweep": [[1 << 30, 23.7]],
        "network": "NET/IB",
        "devices": ["a", "b"],
    }
    return Ok(json.dumps(said | more) + "\n")


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.parent.name)
def test_a_report(path: Path, golden: Callable[[Path, str], None]) -> None:
    found = parsed(Known(path.read_text()), parse)
    golden(path.with_name("expected.txt"), f"{found.value}\n" if isinstance(found, Known) else "Unknown\n")


@given(st.text() | st.binary().map(lambda raw: "{" + raw.decode("utf-8", "replace")))
def test_whatever_a_rank_says_there_is_an_answer(text: str) -> None:
    found = together({"spark-1": Ok(text)})
    assert isinstance(found, Known | Unknown)
    assert not isinstance(found, Unknown) or found.reason.isprintable()


def test_the_slowest_rank_counts_and_the_fewest_devices() -> None:
    found = together({"a": report(), "b": report(sweep=[[1 << 30, 11.9]], devices=["a"])})
    assert found == Known(Gathered("nccl", "2.30.7", 2, 1 << 30, 11.9, "NET/IB", ((1 << 30, 11.9),), ("a",)))


def test_one_rank_on_sockets_speaks_for_all_and_versions_are_all_named() -> None:
    found = together({"a": report(), "b": report(network="NET/Socket", version="2.28.9")})
    assert isinstance(found, Known)
    assert (found.value.network, found.value.version) == ("NET/Socket", "2.28.9 and 2.30.7")


@pytest.mark.parametrize(
    ("results", "reason"),
    [
        ({}, "no rank reported"),
        ({"a": report(), "b": report(backend="gloo")}, "the ranks did not measure the same: nccl 2, gloo 2"),
        ({"a": report(), "b": Lost("no answer within 180 s")}, "b: no answer within 180 s"),
        ({"a": report(), "b": Failed(125, "", "docker: no such image\n")}, "b: docker: no such image"),
        (
            {
                "a": Failed(1, '{"failed": "DistStoreError: Timed out", "said": []}\n', ""),
                "b": Failed(125, "", "docker: no"),
            },
            "b: docker: no; a: DistStoreError: Timed out",
        ),
    ],
)
def test_why_there_is_no_value(results: dict[str, Result], reason: str) -> None:
    assert together(results) == Unknown(reason)


def test_a_failed_report_keeps_what_nccl_said() -> None:
    assert parse('{"failed": "x", "said": ["NCCL WARN y"]}') == Report("x; NCCL WARN y", None)


@pytest.mark.parametrize(
    ("log", "network"),
    [
        (LOG, "NET/IB"),
        (LOG + "x NCCL INFO Channel 00/0 : 0[0] -> 1[0] [send] via NET/IB/0\n", "NET/IB"),
        (LOG + "x NCCL INFO Channel 00/0 : 1[0] -> 0[0] [receive] via NET/Socket/0\n", "NET/Socket"),
        ("x NCCL INFO Using network Socket\n", "NET/Socket"),
        ("x NCCL INFO Channel 00/0 : 0[0] -> 1[0] [send] via NET/IBext_v11/0\n", "NET/IBext_v11"),
        ("x NCCL INFO Channel 00/0 : 0[0] -> 1[0] [send] via NET/IB/2(1)/GDRDMA/Shared\n", "NET/IB"),
        ("", ""),
    ],
)
def test_the_network_of_a_log(log: str, network: str) -> None:
    assert PROGRAM["network"](log) == network


def test_the_devices_of_a_log() -> None:
    assert PROGRAM["devices"](LOG) == ["rocep1s0f1", "roceP2p1s0f1"]
    assert PROGRAM["devices"]("x NCCL INFO NET/IB : No device found.\n") == []


@pytest.mark.parametrize(
    ("available", "gpu", "quick", "mebibytes"),
    [
        (100 * GIB, True, False, [512, 1024, 2048, 4096]),
        (1000 * GIB, True, False, [512, 1024, 2048, 4096]),
        (100 * GIB, True, True, [512, 1024]),
        (8 * GIB, True, False, [512, 1024]),
        (8 * GIB - 1, True, False, []),
        (4 * GIB, False, False, [512]),
        (3 * GIB, False, False, [64]),
        (GIB // 4, False, False, []),
    ],
)
def test_sizes_never_freeze_a_node(available: int, gpu: bool, quick: bool, mebibytes: list[int]) -> None:
    assert [size >> 20 for size in allgather.sizes(available, gpu=gpu, quick=quick)] == mebibytes


def script(inventory: str) -> str:
    cluster, fabric, _ = studied(inventory)
    assert cluster.engine is not None
    place = Place(0, len(cluster.nodes), "10.20.0.11", 29501)
    rank = Rank(cluster, fabric, cluster.head, cluster.engine)
    return trial_script(rank, allgather.name("abcd"), allgather.argument(place, (1 << 29,)))


def test_the_container_has_the_engines_surroundings_and_no_key() -> None:
    _, _, rendering = studied("dual")
    (engine,) = (f.content for f in rendering.nodes["spark-1"].files if f.path.endswith("engine.sh"))
    made = script("dual")
    for words in (
        "--network host",
        "--ipc host",
        "--gpus all",
        "--device /dev/infiniband",
        "--cap-add IPC_LOCK",
        "--ulimit memlock=-1",
    ):
        assert words in engine.replace(" \\\n  ", " ") and words in made
    assert "--env-file /etc/sparkctl/nccl.env --env-file /etc/sparkctl/engine.env" in made
    assert "VLLM_API_KEY" in engine and "VLLM_API_KEY" not in made
    assert "--pull never" in made and "huggingface" not in made
    assert "[ -e /srv/models ] ||" in made, "docker would make the folder"


def test_a_unit_bounds_it_and_nothing_is_expanded_on_the_way() -> None:
    command = allgather.command(script("dual"), "abcd", UNIT_NAME, docker=True)
    assert command.effect is Effect.LOAD
    assert command.timeout > allgather.SECONDS
    assert f"RuntimeMaxSec={allgather.SECONDS}" in command.script
    for words in ("docker rm --force NAME >", "--unit=NAME ", "--name NAME "):
        assert words.replace("NAME", "sparkctl-gather-abcd") in command.script
    assert "rank_begins sparkctl-engine.service" in command.script
    assert "$" not in command.script.replace("$$", "")
    judged = subprocess.run(
        ["shellcheck", "--shell=sh", "--exclude=SC2016", "-"], input=command.script, capture_output=True, text=True
    )
    assert judged.returncode == 0, judged.stdout
    inner = subprocess.run(
        ["shellcheck", "--shell=sh", "--exclude=SC2016", "-"], input=script("dual"), capture_output=True, text=True
    )
    assert inner.returncode == 0, inner.stdout


def test_a_run_ends_its_own_ranks_and_no_others() -> None:
    script = allgather.stop("abcd", docker=True).script
    assert "docker rm --force sparkctl-gather-abcd >" in script and "systemctl stop sparkctl-gather-abcd.service" in script
    assert "docker" not in allgather.stop("abcd", docker=False).script


@pytest.mark.parametrize(
    ("first", "arguments"),
    [
        ("#!/usr/bin/env python3", ["-", "x y"]),
        ("#! /usr/bin/python3 -s", ["-", "x y"]),
        ("#!/bin/sh", ["-", "x y"]),
        ("\x7fELF", ["-", "x y"]),
    ],
)
def test_the_interpreter_is_the_one_that_the_engine_names(tmp_path: Path, first: str, arguments: list[str]) -> None:
    engine = tmp_path / "vllm"
    engine.write_text(f"{first}\nrest\n")
    engine.chmod(0o755)
    words = ["sh", "-c", (share("templates") / "load/python.sh").read_text(), str(engine), "x y"]
    ran = subprocess.run(words, input="import sys; print(sys.argv)", capture_output=True, text=True)
    assert ran.stdout.strip() == str(arguments), ran.stderr


def test_an_engine_that_is_not_there_is_named(tmp_path: Path) -> None:
    words = ["sh", "-c", (share("templates") / "load/python.sh").read_text(), str(tmp_path / "vllm"), "x"]
    ran = subprocess.run(words, input="", capture_output=True, text=True)
    assert ran.returncode == 127 and "vllm is not there" in ran.stderr
