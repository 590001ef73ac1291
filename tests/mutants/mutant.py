"""A derived mutant: one edit of one function of the program or of the node's scripts, and its name."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Mutant:
    """Text `start` to `end` of `file` becomes `left`. `said`: what stands there now; `nth` of those that say the same.

    `lines`: whoever executes one of them (first, last) reaches it. `refusal`: what it takes away refuses something.
    """

    file: str
    function: str
    operator: str
    said: str
    start: int
    end: int
    left: str
    lines: tuple[int, int]
    refusal: bool
    within: str
    nth: int = 0

    @property
    def name(self) -> str:
        """The same as long as function, operator and what stands there are."""
        ordinal = f" ({self.nth + 1})" if self.nth else ""
        return f"{self.file} {self.function}: {self.operator}: {self.said}{ordinal}"

    @property
    def shell(self) -> bool:
        """Of a script in POSIX sh."""
        return self.file.endswith(".sh")

    @property
    def room(self) -> str:
        """The folder that it is in; what runs on nodes is one."""
        return "node" if self.file.startswith("templates/") else self.file.split("/")[1].removesuffix(".py")

    @property
    def digest(self) -> str:
        """Of its function's text and of what is done to it."""
        return digest(self.name, self.left, self.within)

    def text(self) -> str:
        """The whole file with the edit made."""
        source = (ROOT / self.file).read_text()
        return source[: self.start] + self.left + source[self.end :]


def digest(*texts: str) -> str:
    """Of some texts, in their order."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:20]


def numbered(mutants: Iterable[Mutant]) -> Iterator[Mutant]:
    """With the names of those that would be alike made different."""
    seen: Counter[str] = Counter()
    for mutant in mutants:
        yield replace(mutant, nth=seen[mutant.name])
        seen[mutant.name] += 1


def shortened(text: str) -> str:
    """One line of at most 90 characters."""
    one = " ".join(text.split())
    return one if len(one) <= 90 else one[:60] + " .. " + one[-26:]
