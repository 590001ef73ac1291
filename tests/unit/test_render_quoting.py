"""The second wall: whatever reaches a template stays in its place, or the file is not made."""

from __future__ import annotations

import shlex
from collections.abc import Callable

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment, UndefinedError

from sparkctl.errors import SparkctlError
from sparkctl.render import environment as rendering
from sparkctl.render.environment import (
    comment,
    env_lines,
    plain_env_lines,
    shell_words,
    text_of,
    unit_text,
    yaml_scalar,
)

HOSTILE = [
    "a\nb",
    "a\rb",
    "x\u2028y",
    "nul\0",
    "\x1b[2J",
    "\x85",
    "\ud800",
]


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("place", [comment, yaml_scalar, unit_text, lambda v: env_lines({"A": v})])
def test_a_line_break_or_control_character_never_gets_into_a_line(place: Callable[[str], str], value: str) -> None:
    with pytest.raises(SparkctlError):
        place(value)


@given(st.text())
def test_yaml_reads_back_the_scalar_or_it_is_refused(text: str) -> None:
    try:
        written = yaml_scalar(text)
    except SparkctlError:
        assert not (text.isascii() and text.isprintable())
        return
    assert yaml.safe_load(f"{{{written}: [{written}]}}") == {text: [text]}


@pytest.mark.parametrize("text", ["yes", "null", "1e3", "0x1f", "~", "on", "12:30", "# no", "a: b", "", "{{ x }}"])
def test_yaml_text_that_looks_like_something_else_stays_text(text: str) -> None:
    assert yaml.safe_load(yaml_scalar(text)) == text


@given(st.text())
def test_a_unit_value_can_always_be_unescaped_to_what_it_was(text: str) -> None:
    try:
        written = unit_text(text)
    except SparkctlError:
        return
    assert "\n" not in written
    assert written.replace("%%", "%").replace("\\\\", "\\") == text
    assert "%" not in written.replace("%%", "")


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=3))
def test_an_env_file_reads_back_line_by_line_or_is_refused(variables: dict[str, str]) -> None:
    try:
        written = env_lines(variables)
    except SparkctlError:
        return
    lines = written.split("\n") if written else []
    assert dict(line.split("=", 1) for line in lines) == variables
    assert lines == sorted(lines, key=lambda line: line.split("=", 1)[0])


@pytest.mark.parametrize("value", ["", " x", "x ", "a b", '"x"', "'x'", "a\\b", "x # note", "ü"])
def test_what_docker_systemd_and_nccl_read_differently_is_refused(value: str) -> None:
    with pytest.raises(SparkctlError, match="NCCL_ALGO"):
        plain_env_lines({"NCCL_ALGO": value})


@pytest.mark.parametrize("value", ["=enp1s0f1np1", "^docker,lo", "allreduce:ring;broadcast:tree", "0", "$HOME", "{1}"])
def test_what_they_read_alike_passes(value: str) -> None:
    assert plain_env_lines({"NCCL_ALGO": value}) == f"NCCL_ALGO={value}"


@pytest.mark.parametrize("name", ["", "A B", "1A", "A=B", "A\n", "Ä"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(SparkctlError):
        env_lines({name: "x"})


def test_shell_words_are_one_word_or_several() -> None:
    assert shlex.split(shell_words("a b; rm -rf /")) == ["a b; rm -rf /"]
    assert shlex.split(shell_words(["a b", "$(id)", "`id`"])) == ["a b", "$(id)", "`id`"]
    with pytest.raises(SparkctlError, match="UTF-8"):
        shell_words("\udcff")


def test_a_template_that_forgets_to_quote_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    strict: Environment = rendering._environment()
    with pytest.raises(SparkctlError, match="without quoting"):
        strict.from_string("{{ value }}").render(value="x")
    assert strict.from_string("{{ value | sh }}").render(value="a b") == "'a b'"


def test_a_template_that_names_what_is_not_there_is_refused() -> None:
    with pytest.raises(UndefinedError):
        text_of("nccl/nccl.env.j2", cluster=None, node=None)
