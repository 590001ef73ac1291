"""Engine arguments as a mapping: names without `--` to values, and from there to words."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sparkctl.engines.base import Argument
from sparkctl.errors import SparkctlError
from sparkctl.inventory.model import ArgValue, EngineIntent, Scalar, canonical
from sparkctl.inventory.words import quoted


def flag_name(flag: str) -> str:
    """The name for rules, which take no notice of case either."""
    return canonical(flag).lower()


def argument(intent: EngineIntent, name: str) -> Argument | None:
    """The flag of `engine.args` called `name`, however it is spelled there; None when it is not set, or null."""
    found = [Argument(flag, value) for flag, value in intent.args.items() if canonical(flag) == name]
    return next((item for item in found if item.value is not None), None)


def spelled(flag: str) -> str:
    """The name for writing: canonical, but a short form such as `-O` keeps its only dash."""
    short = flag.startswith("-") and not flag.startswith("--")
    return f"-{canonical(flag)}" if short else canonical(flag)


def merged(defaults: Mapping[str, ArgValue], chosen: Mapping[str, ArgValue]) -> dict[str, ArgValue]:
    """The defaults in their order, then what the user adds, by name; the user's value wins and null removes."""
    wanted = {spelled(flag): value for flag, value in sorted(chosen.items())}
    both = {**defaults, **wanted}
    return {flag: value for flag, value in both.items() if value is not None}


def positional(word: str) -> str:
    """`word` where a program expects no flag; one that begins with a dash would be taken for one."""
    if not word or word.startswith("-"):
        raise SparkctlError(
            f"{quoted(word)} is empty or begins with a dash, and would be read as a flag", "write its name"
        )
    return word


def words_of(flags: Mapping[str, ArgValue]) -> tuple[str, ...]:
    """All flags as words, in order."""
    return tuple(word for name, value in flags.items() for word in _flag(name, value))


def _flag(name: str, value: ArgValue) -> list[str]:
    flag = name if name.startswith("-") else f"--{name}"
    if isinstance(value, bool):
        return [flag if value else _switched_off(flag)]
    if isinstance(value, dict):
        return [flag, json.dumps(value, sort_keys=True, separators=(",", ":"))]
    if isinstance(value, list):
        return [flag, *_listed(flag, value)]
    text = _text(value)
    return [f"{flag}={text}"] if text.startswith("-") or not text else [flag, text]


def _switched_off(flag: str) -> str:
    """`--no-X`, as argparse has it for a boolean X; there is no such form of a short flag."""
    if not flag.startswith("--"):
        raise SparkctlError(f"engine argument {flag} cannot be false", "write the long name of the flag")
    return f"--no-{flag[2:]}"


def _listed(flag: str, values: list[Scalar]) -> list[str]:
    texts = [_text(value) for value in values]
    if not texts or any(text.startswith("-") or not text for text in texts):
        raise SparkctlError(f"engine argument {flag}: an empty list, or an item that is empty or begins with a dash")
    return texts


def _text(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)
