"""How messages show what a file says: safe on a terminal, short, and with the word that was probably meant."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice

_HIDDEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""What Unicode calls letters and marks, and nobody sees (Default_Ignorable_Code_Point), and the empty Braille cell."""
_CHOICES = 500  # words to compare with: a suggestion is a courtesy and must not cost seconds
_LONGEST = 60  # characters of a quoted value: enough to recognise it, short enough for one line


def visible(text: str) -> str:
    """`text` with everything that a terminal might obey or hide (escapes, newlines, bidi marks) spelled out."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else _spelled(c) for c in text)
    return text if text.isascii() else _HIDDEN.sub(lambda found: _spelled(found[0]), text)


def _spelled(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def quoted(value: object) -> str:
    """A value as messages cite it: 'text', 12, true."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "nothing"
    if isinstance(value, (dict, list)):
        return kind(value)
    text = visible(str(value)[: _LONGEST + 1])
    short = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
    return f"'{short}'" if isinstance(value, str) else short


def kind(value: object) -> str:
    """What a value is, in the words of someone who writes YAML."""
    names = {
        bool: "a boolean",
        int: "the number",
        float: "the number",
        str: "the text",
        list: "a list",
        dict: "a mapping",
    }
    return names.get(type(value), "nothing")


def described(value: object) -> str:
    """Kind and value together: the text 'x', the number 3, a list, nothing."""
    plain = kind(value)
    return f"{plain} {quoted(value)}" if plain.startswith("the ") or isinstance(value, bool) else plain


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` was probably meant to be."""
    choices = {name.lower(): name for name in islice(known, _CHOICES)}
    found = get_close_matches(word[:_LONGEST].lower(), choices, n=1, cutoff=0.6)  # difflib's own default cutoff
    return choices[found[0]] if found else None


def counted(count: int, one: str, many: str = "") -> str:
    """1 node, 2 nodes."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"


def listed(words: Iterable[object], last: str = "and", limit: int = 8) -> str:
    """a, b and c; a long list ends with how many more there are."""
    names = [str(word) for word in words]
    if len(names) > limit:
        names = [*names[: limit - 1], f"{len(names) - limit + 1} more"]
    return f" {last} ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
