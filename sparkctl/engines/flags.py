"""Engine arguments as a mapping: names without dashes to values, and from there to words."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sparkctl.errors import SparkctlError
from sparkctl.inventory.model import ArgValue, Scalar


def canonical(flag: str) -> str:
    """`--max_model_len`, `max-model-len` and `-max-model-len` are one flag."""
    return flag.lstrip("-").replace("_", "-")


def merged(defaults: Mapping[str, ArgValue], chosen: Mapping[str, ArgValue]) -> dict[str, ArgValue]:
    """The defaults in their order, then what the user adds, by name; the user's value wins and null removes."""
    wanted = {canonical(flag): value for flag, value in sorted(chosen.items())}
    both = {**defaults, **wanted}
    return {flag: value for flag, value in both.items() if value is not None}


def words_of(flags: Mapping[str, ArgValue]) -> tuple[str, ...]:
    """All flags as words, in order."""
    return tuple(word for flag, value in flags.items() for word in _flag(flag, value))


def _flag(flag: str, value: ArgValue) -> list[str]:
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    if isinstance(value, dict):
        return [f"--{flag}", json.dumps(value, sort_keys=True, separators=(",", ":"))]
    if isinstance(value, list):
        return [f"--{flag}", *_listed(flag, value)]
    return _single(flag, _text(value))


def _single(flag: str, text: str) -> list[str]:
    """A value that begins with a dash would be taken for the next flag."""
    return [f"--{flag}={text}"] if text.startswith("-") or not text else [f"--{flag}", text]


def _listed(flag: str, values: list[Scalar]) -> list[str]:
    texts = [_text(value) for value in values]
    if not texts or any(text.startswith("-") or not text for text in texts):
        raise SparkctlError(f"engine argument {flag}: an empty list, or an item that is empty or begins with a dash")
    return texts


def _text(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)
