"""Takes secrets out of what nodes said before it is kept: passwords, keys and tokens, also those inside base64."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable

from sparkctl.inventory.shapes import NAMES, TOKEN, names_secret

GONE = "[redacted]"
# Every repetition is bounded: a node may answer with a megabyte of anything.
_SHORTEST = 4  # characters of a known secret: anything shorter is found in innocent text, too
_LONG = 12  # from here on a known secret is not a part of an innocent word
_NEAR = 1000  # characters before a name, in its line, that tell whether a brace or a quote is open there
_NAME = rf"[\w.-]{{0,48}}{NAMES}[\w-]{{0,24}}"
_QUOTED = r"""(?:"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_NO_KEY = rf"(?!{_QUOTED}[ \t]*:)"  # in the next line or item another name may follow, with a value of its own
# `name: value`, `name=value`, `"name": "value"`, `"name": ["value"]`, `"--name", "value"`, `--name "value"`
_NAMED = re.compile(
    rf"""(?<![\w.-])["']?-{{0,2}}(?P<name>{_NAME})["']?"""
    r"(?P<sign>"
    rf"(?:[ \t]*[:=][ \t]*|[ \t]*[:=][\[\s]{{0,64}}{_NO_KEY}|[ \t]*[,\[][\[\s]{{0,64}}{_NO_KEY}(?!.-)|[ \t]+)"
    r"""(?=["'])|[ \t]*[:=][ \t]*(?:\[[ \t]*)?)"""
    rf"""(?P<value>{_QUOTED}|[^\s"',;}}\]]+)""",
    re.IGNORECASE,
)
_MORE = re.compile(rf"""(?:\s{{0,64}},\s{{0,64}}(?:{_QUOTED}|[^\s"',\]]+))*""")
_FLAG = re.compile(rf"(--({_NAME})[ \t]+)(?!-)([^\s\"']+)", re.IGNORECASE)
_BEARER = re.compile(r"(\b(?:Bearer|Basic)[ \t]+)[^\s\"']{6,}", re.IGNORECASE)
_BLOCK = re.compile(r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?(?:-----END \1-----|\Z)", re.DOTALL)
_URL = re.compile(r"(\b[a-z][a-z0-9+.-]{0,20}://[^\s/:@]{0,256}:)[^\s/]{1,256}(?=@)", re.IGNORECASE)
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/]{12,}={0,2}(?![A-Za-z0-9+/=_-])")
_NUMBER = re.compile(r"[\"']?-?\d{1,7}(?:\.\d+)?[\"']?")
_LINE, _LIST, _ITEM = re.compile(r"[^\n]*"), re.compile(r"[^\n\]]*"), re.compile(r"[^\n,}\]]*")
_STRING = re.compile(r'(?:[^"\\\n]|\\.)*')


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without secrets: those that are known, and whatever looks like one. MAC addresses stay."""
    known = tuple(secrets)
    return _BASE64.sub(lambda found: _inside(found[0], known), _plain(text, known))


def unknowing(text: str, secrets: Iterable[str]) -> str:
    """`text` without those that are known; short ones are taken for secrets as whole words only."""
    known = {stripped for secret in secrets if len(stripped := secret.strip()) >= _SHORTEST}
    for secret in sorted(known, key=len, reverse=True):
        if len(secret) < _LONG:
            text = re.sub(rf"(?<![\w-]){re.escape(secret)}(?![\w-])", GONE, text)
        else:
            text = text.replace(secret, GONE)
    return text


def _plain(text: str, known: Iterable[str]) -> str:
    text = _unnamed(_BLOCK.sub(GONE, unknowing(text, known)))
    text = _FLAG.sub(lambda found: found[1] + _instead(found[2], found[3], GONE), text)
    text = _BEARER.sub(rf"\1{GONE}", text)
    return _URL.sub(rf"\1{GONE}", TOKEN.sub(GONE, text))


def _unnamed(text: str) -> str:
    """Without the values whose names say that they are secret."""
    kept, at = [], 0
    while found := _NAMED.search(text, at):
        begin, end = found.start("value"), found.start("value")
        kept.append(text[at:begin])
        if names_secret(found["name"]):
            end, gone = _extent(text, found)
            kept.append(_instead(found["name"], text[begin:end], gone))
        at = end
    return "".join(kept) + text[at:]


def _extent(text: str, found: re.Match[str]) -> tuple[int, str]:
    """Where the value ends, and what stands there instead; YAML would read our brackets as a list."""
    end, sign, quote = found.end("value"), found["sign"], found["value"][0]
    if quote in "\"'":
        return (_ends(_MORE, text, end) if "[" in sign else end), f"{quote}{GONE}{quote}"
    before, begin = _before(text, found), found.start("value")
    if before.count('"') % 2:
        return (_ends(_STRING, text, begin) if ":" in sign else end), GONE
    if "[" in sign:
        return _ends(_LIST, text, begin), f'"{GONE}"'
    if any(before.count(left) > before.count(right) for left, right in ("{}", "[]")):
        return (_ends(_ITEM, text, begin), f'"{GONE}"') if ":" in sign else (end, GONE)
    if ":" in sign:
        return _ends(_LINE, text, begin), f'"{GONE}"'
    return (end if before.strip() else _ends(_LINE, text, begin)), GONE


def _before(text: str, found: re.Match[str]) -> str:
    """What stands around the name in its line, up to the sign after it."""
    begin = max(0, found.start("name") - _NEAR)
    begin = max(begin, text.rfind("\n", begin, found.start("name")) + 1)
    return text[begin : found.start("name")] + text[found.end("name") : found.start("sign")]


def _ends(pattern: re.Pattern[str], text: str, begin: int) -> int:
    found = pattern.match(text, begin)
    return found.end() if found else begin


def _instead(name: str, value: str, gone: str) -> str:
    """Numbers are sizes and counts, not secrets, unless they are as long as one."""
    number = _NUMBER.fullmatch(value.strip()) and not re.search(r"passw|psk", name, re.IGNORECASE)
    return value if number or not names_secret(name) else gone


def _inside(encoded: str, known: tuple[str, ...]) -> str:
    """Files come in base64: what is in them is judged as text is, whatever a byte among it may be."""
    try:
        text = base64.b64decode(encoded, validate=True).decode(errors="surrogateescape")
    except (binascii.Error, ValueError):
        return encoded
    clean = _plain(text, known)
    return encoded if clean == text else base64.b64encode(clean.encode(errors="surrogateescape")).decode()
