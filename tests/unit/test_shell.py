"""What is quoted comes back from a real shell as it went in."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkctl.commands.shell import quote, wrapped
from sparkctl.errors import SparkctlError

WORDS = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30), max_size=4)


def read_back(line: str) -> list[str]:
    """The words that /bin/sh makes of `line`."""
    script = f'printf "%s\\0" {line} end'
    return subprocess.run(["sh", "-c", script], capture_output=True, check=True).stdout.decode().split("\0")[:-2]


@settings(max_examples=60, deadline=None)
@given(WORDS)
def test_a_shell_reads_back_what_was_quoted(words: list[str]) -> None:
    assert read_back(quote(words)) == words
    assert read_back(wrapped([words])) == words


def test_plain_words_stay_plain() -> None:
    assert quote(["ip", "-j", "link", "a b", "it's", ""]) == """ip -j link 'a b' 'it'"'"'s' ''"""


def test_one_group_is_one_line() -> None:
    assert wrapped([["docker", "run"], ["--name", "x y"]]) == "docker run \\\n  --name 'x y'"


def test_a_word_that_no_program_can_be_given_is_refused() -> None:
    with pytest.raises(SparkctlError, match="NUL"):
        quote(["a\0b"])
