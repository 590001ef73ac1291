"""The flag list that PAR007 reads is what the real parser says, for the version of vLLM that the lab has."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sparkctl.engines.base import LAB_FOLDER
from sparkctl.engines.vllm.flag_lists import LISTS, flags_of, knows
from sparkctl.engines.vllm.lab import BUILD, VLLM
from sparkctl.engines.vllm.spelling import SHORT
from sparkctl.lab.engine import engine
from sparkctl.lab.image import image

PROBE = Path(__file__).with_name("vllm_flags.py")
# As in test_vllm.py: with the Python of the lab's nodes, in a mount namespace of its own.
INSIDE = """
mount --bind "$1" "$2$4"
mount -t proc proc "$2/proc"
mount -t tmpfs tmpfs "$2/tmp"
cp "$3" "$2/tmp/probe.py"
exec chroot "$2" "$4/bin/python" /tmp/probe.py short
"""
ALONE = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/tmp",
    "PYTHONDONTWRITEBYTECODE": "1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
}


@pytest.fixture(scope="module")
def asked() -> dict[str, Any]:
    """What the parser of the lab's vLLM knows."""
    words = ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-euc", INSIDE, "ask"]
    root = image(print)
    words += [str(engine(BUILD, lambda: root, print)), str(root), str(PROBE), LAB_FOLDER]
    ran = subprocess.run(words, env=ALONE, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout[ran.stdout.index("{") :])


def test_the_list_is_the_parsers_own(asked: dict[str, Any]) -> None:
    assert {"version": asked["version"], "flags": asked["flags"]} == json.loads(
        (LISTS / f"vllm-{VLLM}.json").read_text()
    )


def test_every_short_name_is_the_parsers_own(asked: dict[str, Any]) -> None:
    assert asked["short"].keys() == SHORT.keys() - {"O"}, "-O is rewritten before the parser sees it (test_vllm.py)"
    assert [name for name, spellings in asked["short"].items() if f"--{SHORT[name]}" not in spellings] == []


def test_what_sparkctl_renders_is_in_every_list() -> None:
    ours = ("nnodes", "node-rank", "master-addr", "master-port", "headless", "tensor-parallel-size", "host", "port")
    for path in LISTS.glob("vllm-*.json"):
        flags = flags_of(path.stem.removeprefix("vllm-"))
        assert [flag for flag in ours if flag not in flags] == [], path
        assert not knows(flags, "no-such-flag")
