"""Takes secrets out of what nodes said before it is kept: passwords, keys and tokens, also those inside base64."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable

GONE = "[redacted]"
# Every repetition is bounded: a node may answer with a megabyte of anything.
_SHORTEST = 4  # characters of a known secret: anything shorter is found in innocent text, too
_NAME = (
    r"[\w.-]{0,48}(?:passw(?:or)?d|passphrase|psk|secret|token|credential|api[_-]?key|private[_-]?key|wep[_-]?key)s?"
)
# `name: value`, `name=value`, `"name": "value"`, `--name value`; MAX_TOKENS=5 and tokens: 5 are numbers and stay
_NAMED = re.compile(
    rf"""((?<![\w.-])["']?-{{0,2}}{_NAME}[\w-]{{0,24}}["']?(?:[ \t]*[:=][ \t]*|[ \t]+(?=["'])))"""
    r"""("(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^\s"',;}\]]+)""",
    re.IGNORECASE,
)
_FLAG = re.compile(rf"(--{_NAME}[\w-]{{0,24}}[ \t]+)(?!-)([^\s\"']+)", re.IGNORECASE)
_BEARER = re.compile(r"(\b(?:Bearer|Basic)[ \t]+)[^\s\"']{6,}", re.IGNORECASE)
_BLOCK = re.compile(r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?(?:-----END \1-----|\Z)", re.DOTALL)
_KNOWN = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{16,}|nvapi-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{20,})"
)
_URL = re.compile(r"(\b[a-z][a-z0-9+.-]{0,20}://[^\s/:@]{0,256}:)[^\s/@]{1,256}(?=@)", re.IGNORECASE)
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/]{12,}={0,2}(?![A-Za-z0-9+/=_-])")
_NUMBER = re.compile(r"[\"']?-?\d{1,7}(?:\.\d+)?[\"']?")


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without secrets: those that are known, and whatever looks like one. MAC addresses stay."""
    known = sorted({s for secret in secrets if len(s := secret.strip()) >= _SHORTEST}, key=len, reverse=True)
    return _BASE64.sub(lambda found: _inside(found[0], known), _plain(text, known))


def _plain(text: str, known: Iterable[str]) -> str:
    for secret in known:
        text = text.replace(secret, GONE)
    text = _BLOCK.sub(GONE, text)
    for pattern in (_NAMED, _FLAG):
        text = pattern.sub(_without_value, text)
    text = _BEARER.sub(rf"\1{GONE}", text)
    return _URL.sub(rf"\1{GONE}", _KNOWN.sub(GONE, text))


def _without_value(found: re.Match[str]) -> str:
    """Only the name is kept; numbers are sizes and counts, not secrets, unless they are as long as one."""
    name, value = found[1], found[2]
    if _NUMBER.fullmatch(value) and not re.search(r"passw|psk", name, re.IGNORECASE):
        return f"{name}{value}"
    return name + (f"{value[0]}{GONE}{value[0]}" if value[0] in "\"'" else GONE)


def _inside(encoded: str, known: list[str]) -> str:
    """Files come in base64: what is in them is judged as text is."""
    try:
        text = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError):
        return encoded
    clean = _plain(text, known)
    return encoded if clean == text else base64.b64encode(clean.encode()).decode()
