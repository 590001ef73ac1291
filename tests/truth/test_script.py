"""engine.sh under shellcheck, and really run: with its files in place and a program in the engine's stead."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sparkctl.render import NodeRendering
from sparkctl.render.artifact import ENGINE_ENV, ENGINE_SCRIPT, NCCL_ENV

Rooted = Callable[[NodeRendering], Path]
KEY = "sk-$(id) 'quoted' \\ key"
# In a mount namespace of its own: the node's /etc over the real one, and the engine's place filled by a program that
# only reports. Nothing of it is seen outside, or stays.
STAGE = """
mount -t overlay overlay -o "lowerdir=$1/etc:/etc" /etc
mount -t tmpfs tmpfs /opt
mount -t tmpfs tmpfs /run
mkdir -p /opt/vllm/bin
cp "$1/report" /opt/vllm/bin/vllm
PATH=$1:/usr/bin:/bin HOME=/root exec /etc/sparkctl/engine.sh
"""
REPORT = """#!/usr/bin/python3
import json, os, sys
print(json.dumps({"argv": sys.argv[1:], "env": dict(os.environ)}))
"""
# docker: reports, with what it mounts in place, from inside where the entrypoint is a shell.
DOCKER = """#!/usr/bin/python3
import os, shutil, sys
words = sys.argv[1:]
for mount in (word for option, word in zip(words, words[1:]) if option == "--mount"):
    said = dict(part.partition("=")[::2] for part in mount.split(","))
    if not os.path.exists(said["source"]):
        sys.exit("bind source path does not exist: " + said["source"])
    os.makedirs(os.path.dirname(said["target"]))
    shutil.copy(said["source"], said["target"])
os.environ["DOCKER_ARGV"] = "\\n".join(words)
entry = words.index("--entrypoint") + 1
os.environ["PATH"] = "/opt/vllm/bin:/usr/bin:/bin"
os.execvp(words[entry], [words[entry], *words[entry + 2:]])
"""


def content(node: NodeRendering, path: str) -> str:
    """One file of the node."""
    return next(file.content for file in node.files if file.path == path)


def programs(root: Path) -> None:
    """What stands in for the engine and for docker."""
    for name, text in (("report", REPORT), ("docker", DOCKER)):
        (root / name).write_text(text)
        (root / name).chmod(0o755)


def started(node: NodeRendering, root: Path, real: Callable[..., Any]) -> dict[str, Any]:
    """What engine.sh started: its arguments and its environment."""
    (root / "etc/sparkctl/api.key").write_text(f"{KEY}\n")
    programs(root)
    ran = real(["unshare", "--mount", "sh", "-euc", STAGE, "stage", str(root)], env={"PATH": "/usr/sbin:/usr/bin:/bin"})
    assert (ran.returncode, ran.stderr) == (0, "")
    report: dict[str, Any] = json.loads(ran.stdout)
    return report


def env_file(text: str) -> dict[str, str]:
    """As docker reads it: comments in column 0, and the value is all that follows the first =."""
    return dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))


def test_shellcheck_has_nothing_to_say(engine_node: NodeRendering, rooted: Rooted, real: Callable[..., Any]) -> None:
    script = rooted(engine_node) / ENGINE_SCRIPT[1:]
    # SC2016 wonders whether a $ in single quotes was meant to expand: it was not, and that is the point
    checked = real(["shellcheck", "--severity=style", "--exclude=SC2016", "--shell=sh", str(script)])
    assert (checked.returncode, checked.stdout) == (0, "")


def test_shellcheck_would_have_said_so(head: NodeRendering, rooted: Rooted, real: Callable[..., Any]) -> None:
    script = rooted(head) / ENGINE_SCRIPT[1:]
    script.write_text(script.read_text().replace("exec docker", "exec docker $unset"))
    assert real(["shellcheck", "--shell=sh", str(script)]).returncode != 0


def test_what_starts_is_what_was_planned(engine_node: NodeRendering, rooted: Rooted, real: Callable[..., Any]) -> None:
    assert engine_node.engine is not None
    argv = engine_node.engine.argv
    report = started(engine_node, rooted(engine_node), real)
    assert tuple(report["argv"]) == argv[1:]
    if argv[0] == "vllm":
        assert "DOCKER_ARGV" in report["env"]
        return
    for name, value in engine_node.engine.env.items():
        assert report["env"][name] == value
    assert report["env"]["PATH"].startswith("/opt/vllm/bin:")


def test_docker_is_given_the_files_that_make_the_planned_environment(engine_node: NodeRendering) -> None:
    assert engine_node.engine is not None
    both = env_file(content(engine_node, NCCL_ENV)) | env_file(content(engine_node, ENGINE_ENV))
    assert both == engine_node.engine.env


def test_the_key_is_in_the_environment_and_nowhere_else(
    engine_node: NodeRendering, rooted: Rooted, real: Callable[..., Any]
) -> None:
    report = started(engine_node, rooted(engine_node), real)
    assert not [word for word in report["argv"] if KEY in word] and KEY not in report["env"].get("DOCKER_ARGV", "")
    assert report["env"].get("VLLM_API_KEY") == (KEY if engine_node.secrets else None)


def test_a_missing_key_stops_the_start(head: NodeRendering, rooted: Rooted, real: Callable[..., Any]) -> None:
    assert head.secrets
    root = rooted(head)
    programs(root)
    ran = real(["unshare", "--mount", "sh", "-euc", STAGE, "stage", str(root)], env={"PATH": "/usr/sbin:/usr/bin:/bin"})
    assert ran.returncode != 0
    assert ran.stdout == ""
    assert "api.key" in ran.stderr


@pytest.mark.parametrize("path", [NCCL_ENV, ENGINE_ENV])
def test_no_secret_is_in_a_file_that_all_can_read(path: str, engine_node: NodeRendering) -> None:
    assert "KEY" not in content(engine_node, path)
