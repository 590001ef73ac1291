"""vLLM's own parser and configuration on every rendered argument list: it understands what the inventory meant."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sparkctl.engines.base import LAB_FOLDER
from sparkctl.engines.vllm.lab import BUILD
from sparkctl.inventory.model import ArgValue
from sparkctl.lab.engine import engine
from sparkctl.lab.image import image
from sparkctl.render import NodeRendering, render
from sparkctl.study import study
from tests.truth.conftest import ROOT

PROBE = Path(__file__).with_name("vllm_arguments.py")
# The lab's engine, with the Python of the lab's nodes: in a mount namespace of its own, so that nothing stays mounted.
INSIDE = """
mount --bind "$1" "$2$4"
mount -t proc proc "$2/proc"
mount -t tmpfs tmpfs "$2/tmp"
cp "$3" "$2/tmp/probe.py"
exec chroot "$2" "$4/bin/python" /tmp/probe.py /tmp
"""
ALONE = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/tmp",
    "PYTHONDONTWRITEBYTECODE": "1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
}
Answer = dict[str, Any]
Ask = Callable[[Sequence[Sequence[str]]], list[Answer]]


@pytest.fixture(scope="module")
def ask() -> Ask:
    """Put argument lists (the words after `vllm serve`) to vLLM; importing it takes longer than all of them."""
    root = image(print)
    words = ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-euc", INSIDE, "ask"]
    words += [str(engine(BUILD, lambda: root, print)), str(root), str(PROBE), LAB_FOLDER]

    def answers(lists: Sequence[Sequence[str]]) -> list[Answer]:
        asked = json.dumps([list(each) for each in lists])
        ran = subprocess.run(words, input=asked, env=ALONE, capture_output=True, text=True, timeout=300, check=False)
        assert ran.returncode == 0, ran.stderr
        found = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
        assert len(found) == len(lists), ran.stdout
        return found

    return answers


@pytest.fixture(scope="module")
def understood(ask: Ask, gangs: list[list[NodeRendering]]) -> dict[tuple[str, ...], Answer]:
    """What vLLM made of every rank of every inventory, by its words."""
    lists = [words(node) for nodes in gangs for node in nodes]
    return dict(zip(lists, ask(lists), strict=True))


def words(node: NodeRendering) -> tuple[str, ...]:
    """What follows `vllm serve`."""
    assert node.engine is not None
    assert node.engine.argv[1] == "serve"
    return node.engine.argv[2:]


def option(node: NodeRendering, flag: str) -> str:
    """The value of one of our flags."""
    return words(node)[words(node).index(flag) + 1]


def test_it_accepts_every_rank(gang: list[NodeRendering], understood: dict[tuple[str, ...], Answer]) -> None:
    assert [understood[words(node)].get("error") for node in gang] == [None] * len(gang)


def test_every_rank_is_what_it_was_meant_to_be(
    gang: list[NodeRendering], understood: dict[tuple[str, ...], Answer]
) -> None:
    for rank, node in enumerate(gang):
        answer = understood[words(node)]
        assert (answer["nnodes"], answer["node_rank"], answer["headless"]) == (len(gang), rank, rank > 0)
        assert answer["world_size"] * answer["data_parallel_size"] == len(gang)
        assert answer["distributed_executor_backend"] == "mp"
        assert (answer["master_addr"], answer["master_port"]) == (gang[0].engine.env["VLLM_HOST_IP"], 29501)
        assert str(answer["tensor_parallel_size"]) == option(node, "--tensor-parallel-size")
        assert str(answer["pipeline_parallel_size"]) == option(node, "--pipeline-parallel-size")
        assert answer["model"] == words(node)[0]


def test_all_ranks_agree_on_all_but_their_roles(
    gang: list[NodeRendering], understood: dict[tuple[str, ...], Answer]
) -> None:
    roles = {"node_rank", "headless", "host", "port"}
    answers = [{k: v for k, v in understood[words(node)].items() if k not in roles} for node in gang]
    assert all(answer == answers[0] for answer in answers)


DOTTED: dict[str, ArgValue] = {
    "speculative-config.num_speculative_tokens": 5,
    "speculative_config.method": "ngram",
    "speculative-config.prompt_lookup_max": 4,
    "cc.pass_config.fuse_allreduce_rms": False,
    "O": 2,
    "additional-config.on": True,
    "additional_config.under_score.in-side": "true",
    "additional-config.number": "80g",
    "additional-config.text": "-x 'y' = \\n",
    "additional-config.half": 0.5,
    "additional-config.map": {"a_b": [1, None]},
    "additional-config.texts": ["a", "b"],
    "additional-config.texts+": ["c"],
    "additional-config.sizes+": [1, 2],
    "additional-config.split+": "d,e",
}
MEANT = {
    "on": True,
    "under_score": {"in-side": "true"},
    "number": "80g",
    "text": "-x 'y' = \\n",
    "half": 0.5,
    "map": {"a_b": [1, None]},
    "texts": ["a", "b", "c"],
    "sizes": [1, 2],
    "split": ["d", "e"],
}


def test_keys_behind_a_dot_arrive_as_written(ask: Ask) -> None:
    found = study(ROOT / "inventories/dual.yaml")
    assert found.cluster is not None
    assert found.cluster.engine is not None
    assert found.fabric is not None
    cluster = replace(found.cluster, engine=replace(found.cluster.engine, args=DOTTED))
    (answer,) = ask([words(render(cluster, found.fabric).nodes["spark-1"])])
    assert "error" not in answer, answer
    assert answer["speculative"] == {"num_speculative_tokens": 5, "method": "ngram", "prompt_lookup_max": 4}
    assert answer["additional"] == MEANT
    assert (answer["fused"], answer["level"]) == (False, "2")


def test_of_a_value_and_a_key_in_it_one_is_lost(ask: Ask, head: NodeRendering) -> None:
    """The reason for PAR012."""
    both = ("--additional-config", '{"a":1}', "--additional-config.b", "2")
    (answer,) = ask([(*words(head), *both)])
    assert answer["additional"] == {"b": 2}


def test_it_would_have_said_so(ask: Ask, head: NodeRendering) -> None:
    """The same questions with a fault in each: vLLM objects, so the tests above can fail."""
    good = words(head)
    at = good.index("--tensor-parallel-size") + 1
    faults = [
        (*good, "--no-such-flag"),
        (*good[:at], "3", *good[at + 1 :]),
        tuple("ray" if word == "mp" else word for word in good),
        (*good, "--node-rank", "2"),
    ]
    answers = ask([good, *faults])
    assert "error" not in answers[0]
    assert [answer.get("error", "") != "" for answer in answers[1:]] == [True] * len(faults)
