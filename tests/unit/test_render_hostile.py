"""Text that got past validation: a file either says exactly that text in its one place, or is not made."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import PurePosixPath

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkctl.errors import SparkctlError
from sparkctl.inventory.model import Runtime
from sparkctl.inventory.names import NETPLAN
from sparkctl.inventory.resolve import Controller
from sparkctl.render import NodeRendering, render
from sparkctl.render.artifact import ENGINE_ENV, ENGINE_SCRIPT, ENGINE_UNIT, NCCL_ENV
from sparkctl.study import study_text

TEXT = """
apiVersion: sparkctl/v1
kind: Cluster
metadata: {name: c}
ssh: {user: nvidia}
nodes: [{name: a, address: 192.0.2.11}, {name: b, address: 192.0.2.12}]
links: [[a:p1, b:p1]]
fabric: {topology: direct}
engine: {kind: vllm, runtime: {docker: "i/i:1"}, model: /m, parallel: TP2, volumes: {/m: /m}}
"""
FOUND = study_text(TEXT.encode(), "i.yaml", Controller("op", PurePosixPath("/"), PurePosixPath("/")))
NASTY = st.sampled_from(
    ["", "\n", "a\nExecStart=/bin/sh", "%n", "$(id)", "`id`", "';id;'", '"', "\\", "--x", "# x", "a b", "{{x}}", "é"]
)
HOSTILE = NASTY | st.text(max_size=12)


def files(venv: bool = False, **engine: object) -> dict[str, str]:
    """The head's files for an engine section that nobody has validated."""
    assert FOUND.cluster is not None
    assert FOUND.cluster.engine is not None
    assert FOUND.fabric is not None
    changed = replace(FOUND.cluster.engine, **engine)  # type: ignore[arg-type]
    runtime = Runtime(venv="/opt/vllm") if venv else changed.runtime
    cluster = replace(FOUND.cluster, engine=replace(changed, runtime=runtime))
    return by_path(render(cluster, FOUND.fabric).nodes["a"])


def by_path(node: NodeRendering) -> dict[str, str]:
    """Content by path."""
    return {file.path: file.content for file in node.files}


def command(script: str) -> list[str]:
    """The words of the last command, as a shell has them."""
    return shlex.split(script[script.index("\nexec ") + len("\nexec ") :].replace("\\\n", " "))


PLAIN = files()
PLAIN_VENV = files(venv=True)


@settings(max_examples=150, deadline=None)
@given(HOSTILE, HOSTILE, HOSTILE, st.booleans())
def test_words_arrive_whole_or_not_at_all(model: str, served: str, value: str, venv: bool) -> None:
    try:
        made = files(venv, model=model, served_model_name=served, args={"chat-template": value})
    except SparkctlError:
        return
    words = command(made[ENGINE_SCRIPT])
    assert words[words.index("serve") + 1] == model
    assert not model.startswith("-"), "a model would be read as a flag"
    for flag, text in (("--served-model-name", served), ("--chat-template", value)):
        assert f"{flag}={text}" in words or words[words.index(flag) + 1] == text
    before = PLAIN_VENV if venv else PLAIN
    assert made[ENGINE_UNIT] == before[ENGINE_UNIT]
    assert made[NETPLAN] == before[NETPLAN]


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(HOSTILE, HOSTILE, max_size=3))
def test_variables_arrive_whole_or_not_at_all(env: dict[str, str]) -> None:
    try:
        made = files(env=env)
    except SparkctlError:
        return
    lines = [line for line in made[ENGINE_ENV].split("\n") if line and not line.startswith("#")]
    assert dict(line.split("=", 1) for line in lines) == {
        "VLLM_ENGINE_READY_TIMEOUT_S": "2700", "VLLM_HOST_IP": "10.20.0.11", **env
    }


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(HOSTILE.filter(bool), HOSTILE, max_size=3))
def test_volumes_are_single_words(volumes: dict[str, str]) -> None:
    try:
        made = files(volumes=volumes)
    except SparkctlError:
        return
    words = command(made[ENGINE_SCRIPT])
    given_words = [words[k + 1] for k, word in enumerate(words) if word == "--volume"]
    assert given_words == [f"{host}:{target}" for host, target in sorted(volumes.items())]


@settings(max_examples=150, deadline=None)
@given(HOSTILE, HOSTILE)
def test_names_stay_in_their_lines(cluster_name: str, user: str) -> None:
    assert FOUND.cluster is not None
    assert FOUND.fabric is not None
    node = replace(FOUND.cluster.nodes[0], user=user)
    cluster = replace(FOUND.cluster, name=cluster_name, nodes=(node, *FOUND.cluster.nodes[1:]))
    try:
        made = by_path(render(cluster, FOUND.fabric).nodes["a"])
    except SparkctlError:
        return
    assert {path: text.count("\n") for path, text in made.items()} == {p: t.count("\n") for p, t in PLAIN.items()}
    assert yaml.safe_load(made[NETPLAN]) == yaml.safe_load(PLAIN[NETPLAN])
    assert [line for line in made[NCCL_ENV].split("\n") if "=" in line and line[0] != "#"] == [
        line for line in PLAIN[NCCL_ENV].split("\n") if "=" in line and line[0] != "#"
    ]
