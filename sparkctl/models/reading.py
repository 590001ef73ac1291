"""Reads JSON that may be hostile: bounded, and every oddity is a ModelUnreadable with words for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

CONFIG = 4 << 20  # the largest config.json of a hub model is some 100 kB
HEADERS = 64 << 20  # of all files of a model: those of DeepSeek-R1, 91,991 tensors, are a fifth of it
LARGEST = 10**15  # bytes or parameters: a thousand times the largest model


class ModelUnreadable(Exception):
    """A model's files do not say what they must; the message names the file."""


def present(path: Path) -> bool:
    """Whether a regular file is there for us; one that may not be looked at is not."""
    try:
        return path.is_file()
    except OSError:
        return False


def read_json(path: Path, limit: int, skip: int = 0) -> Mapping[str, object]:
    """The object in `path`: at most `limit` bytes, or exactly that many behind `skip`."""
    text = _bytes(path, limit, skip)
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        raise ModelUnreadable(f"{path}: not JSON") from None
    return mapping(read, "the file", path)


def _bytes(path: Path, limit: int, skip: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(skip)
            content = file.read(limit if skip else limit + 1)
    except OSError as error:
        raise ModelUnreadable(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > limit or (skip and len(content) < limit):
        raise ModelUnreadable(f"{path}: {'longer' if len(content) > limit else 'shorter'} than {limit} bytes")
    return content


def mapping(value: object, name: str, path: Path) -> Mapping[str, object]:
    """`value` as an object; nothing is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ModelUnreadable(f"{path}: {name} is not an object")
    return value


def whole(value: object, name: str, path: Path) -> int:
    """`value` as a count."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST:
        raise ModelUnreadable(f"{path}: {name} is not a count")
    return value
