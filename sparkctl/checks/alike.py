"""How a check says which node is unlike the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sparkctl.checks.hosts import known, skipped, unreadable
from sparkctl.inventory.words import listed
from sparkctl.outcome import Absent, Fact, Unknown, Verdict

EQUAL = "equal on all nodes"
_COUNTS = ("", "one", "two", "three", "four", "five", "six", "seven")


@dataclass(frozen=True)
class Alike:
    """One thing that must be equal on all nodes: its check, its name for people, and how to make it equal.

    `unfit`: values that no node is to take on, though most have them.
    """

    id: str
    what: str
    remedy: str
    unfit: frozenset[str] = frozenset()

    def judge(self, facts: Mapping[str, Fact[str]]) -> Iterator[Verdict]:
        """Skipped where no node has it; fail for a node without it, or unlike the others; unknown where unread."""
        missing = {node: fact for node, fact in facts.items() if isinstance(fact, Absent)}
        if len(missing) == len(facts):
            reasons = dict.fromkeys(fact.reason or f"no {self.what}" for fact in missing.values())
            yield skipped(self.id, "cluster", "; ".join(reasons) or "no node to compare")
            return
        yield from (unreadable(self.id, n, self.what, f) for n, f in facts.items() if isinstance(f, Unknown))
        read = known(facts)
        there = ", ".join(dict.fromkeys(read.values())) or "there"
        for node, fact in missing.items():
            yield Verdict(self.id, "fail", node, fact.reason or self.what, "absent", there, self.remedy)
        yield from self._compared(read, "cluster" if len(read) == len(facts) else listed(read))

    def _compared(self, read: dict[str, str], where: str) -> Iterator[Verdict]:
        groups: dict[str, list[str]] = {}
        for node, value in read.items():
            groups.setdefault(value, []).append(node)
        sizes = sorted((len(nodes) for nodes in groups.values()), reverse=True)
        if len(groups) == 1 and len(read) > 1:
            yield Verdict(self.id, "pass", where, self.what, next(iter(groups)), EQUAL)
        elif len(groups) > 1 and (sizes[0] == sizes[1] or self.unfit & groups.keys()):
            shown = "; ".join(f"{listed(nodes)} {_have(nodes)} {value}" for value, nodes in groups.items())
            yield Verdict(self.id, "fail", "cluster", self.what, shown, EQUAL, self.remedy)
        elif len(groups) > 1:
            yield from self._odd(groups)

    def _odd(self, groups: dict[str, list[str]]) -> Iterator[Verdict]:
        most = max(groups, key=lambda value: len(groups[value]))
        others = _COUNTS[count] if (count := len(groups[most])) < len(_COUNTS) else str(count)
        for value, nodes in groups.items():
            for node in nodes if value != most else ():
                expected = f"{most}, as the other {others}"
                yield Verdict(self.id, "fail", node, self.what, value, expected, self.remedy)


def _have(nodes: list[str]) -> str:
    return "has" if len(nodes) == 1 else "have"
