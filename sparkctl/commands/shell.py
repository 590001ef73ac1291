"""The only place that quotes: words to one line of POSIX shell."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from sparkctl.errors import SparkctlError


def quote_word(word: str) -> str:
    """`word` as the shell reads it back unchanged."""
    if "\0" in word:
        raise SparkctlError("a command word contains a NUL byte", "remove it: no program can be given one")
    return shlex.quote(word)


def quote(words: Iterable[str]) -> str:
    """One command line of `words`."""
    return " ".join(quote_word(word) for word in words)


def wrapped(groups: Sequence[Sequence[str]], indent: str = "  ") -> str:
    """One command over several lines, one group of words per line, for people to read."""
    return f" \\\n{indent}".join(quote(group) for group in groups)


def hint(*words: str) -> str:
    """A command of sparkctl for a message; what shows it names the inventory and --lab as they were typed."""
    return f"`sparkctl {quote(words)}`"
