"""Plain YAML scalars to values: only what every YAML version reads alike; the rest is refused, not guessed."""

from __future__ import annotations

import math
import re

_WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")  # 18 digits: always inside 64 bits
_LONG = re.compile(r"[-+]?[0-9]{19,}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(inf|nan)", re.IGNORECASE)
_SWITCH = re.compile(r"yes|no|on|off", re.IGNORECASE)
_BASED = re.compile(r"[-+]?(0[0-9]+|0[xob][0-9a-fA-F]+|[0-9]+(_[0-9]+)+)")
_CLOCK = re.compile(r"[-+]?[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?")


def scalar(text: str) -> object:
    """The value of a plain scalar: None, a boolean, an integer, a float, or the text itself."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def doubt(text: str) -> tuple[str, str] | None:
    """Why a plain scalar means different things to different readers and what to write; None when it is clear."""
    if _SWITCH.fullmatch(text):
        return "is a boolean in one YAML version and text in the next", "write true or false, or quote it"
    if _BASED.fullmatch(text):
        return (
            "is a number in one YAML version and another number or text in the next",
            "write it in decimals, or quote it",
        )
    if _CLOCK.fullmatch(text):
        return "is a number to the base of 60 in YAML 1.1", "quote it"
    if _SPECIAL.fullmatch(text) or (_FLOAT.fullmatch(text) and not math.isfinite(float(text))):
        return "is not a finite number", "write a number, or quote it"
    return ("has more digits than a number may have", "quote it") if _LONG.fullmatch(text) else None
