"""A mapping of flags to words, and back through a real argument parser."""

from __future__ import annotations

import argparse
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkctl.engines.flags import merged, words_of
from sparkctl.errors import SparkctlError
from sparkctl.inventory.model import ArgValue, canonical

TEXT = st.text(max_size=20)


def parser() -> argparse.ArgumentParser:
    """A parser with one flag of each kind, as vLLM declares them."""
    made = argparse.ArgumentParser(exit_on_error=False)
    made.add_argument("--eager", action=argparse.BooleanOptionalAction)
    made.add_argument("--names", nargs="+")
    made.add_argument("--text")
    made.add_argument("--config", type=json.loads)
    return made


@pytest.mark.parametrize("spelling", ["max-model-len", "--max-model-len", "max_model_len", "--max_model_len"])
def test_all_spellings_are_one_flag(spelling: str) -> None:
    assert canonical(spelling) == "max-model-len"
    assert merged({"max-model-len": 1}, {spelling: 2}) == {"max-model-len": 2}
    assert merged({"max-model-len": 1}, {spelling: None}) == {}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, ("--x",)),
        (False, ("--no-x",)),
        (8, ("--x", "8")),
        (0.5, ("--x", "0.5")),
        ("a b", ("--x", "a b")),
        ("-1", ("--x=-1",)),
        ("", ("--x=",)),
        (["a", 1, True], ("--x", "a", "1", "true")),
        ({"b": [1], "a": "it's"}, ("--x", '{"a":"it\'s","b":[1]}')),
    ],
)
def test_a_value_becomes_words(value: ArgValue, words: tuple[str, ...]) -> None:
    assert words_of({"x": value}) == words


@pytest.mark.parametrize("value", [[], ["-a"], ["a", ""]])
def test_a_list_that_a_parser_would_misread_is_refused(value: ArgValue) -> None:
    with pytest.raises(SparkctlError, match="engine argument --x"):
        words_of({"x": value})


ITEMS = st.lists(TEXT.filter(lambda t: t and not t.startswith("-")), min_size=1)


@given(st.booleans(), TEXT, ITEMS, st.dictionaries(TEXT, TEXT))
def test_a_parser_reads_back_what_was_meant(eager: bool, text: str, names: list[str], config: dict[str, str]) -> None:
    flags: dict[str, ArgValue] = {"names": list(names), "eager": eager, "text": text, "config": dict(config)}
    read = parser().parse_args(list(words_of(flags)))
    assert (read.eager, read.text, read.names, read.config) == (eager, text, names, config)


def test_a_short_flag_keeps_its_only_dash() -> None:
    assert words_of(merged({}, {"-O": 3, "-ep": True})) == ("-O", "3", "-ep")
    with pytest.raises(SparkctlError, match="-ep cannot be false"):
        words_of(merged({}, {"-ep": False}))


def test_ours_come_first_and_the_users_follow_by_name() -> None:
    assert list(merged({"z": 1, "y": 2}, {"b": 3, "a": 4, "y": 5})) == ["z", "y", "a", "b"]
