"""Check of the next boot: nobody but sparkctl's netplan file decides what the fabric's netdevs are then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sparkctl.checks.base import View, check, end, see
from sparkctl.checks.hosts import unreadable
from sparkctl.facts.foreign import ForeignFile
from sparkctl.facts.owners import comes
from sparkctl.inventory.names import NETPLAN
from sparkctl.outcome import Absent, Cause, Unknown, Verdict

ID = "next-boot"
EXPECTED = "sparkctl's netplan file alone"


@check(ID, "network")
def next_boot(view: View) -> Iterator[Verdict]:
    """Whoever else has a netdev of the fabric may have it after the next boot (facts ff19 and own10)."""
    for node, facts in view.facts.items():
        asked = (facts.owners, facts.foreign, facts.file(NETPLAN))
        unread = next((fact for fact in asked if isinstance(fact, Unknown)), None)
        if facts.others:
            yield _verdict(view, node, facts.others)
        elif unread is not None:
            yield unreadable(ID, node, "owners of the fabric's netdevs", unread)
        elif isinstance(facts.file(NETPLAN), Absent):
            yield see(ID, node, "no netplan file of sparkctl", Cause("files", node))
        else:
            yield Verdict(ID, "pass", node, "the fabric at the next boot", EXPECTED, EXPECTED)


def _verdict(view: View, node: str, others: Iterable[ForeignFile]) -> Verdict:
    taken = {netdev for file in others for stanza in file.stanzas for netdev in stanza.netdevs}
    ends = tuple(end(here) for here in view.fabric.of(node) if here.netdev in taken)
    message = " ".join(f"{file.path}{_what(file)}. {comes(file)}" for file in others)
    measured = ", ".join(file.path for file in others)
    return Verdict(ID, "fail", node, message, measured, EXPECTED, "; ".join(_cures(others)), ends)


def _what(file: ForeignFile) -> str:
    had = "; ".join(f"{', '.join(s.netdevs)}: {s.says}" if s.says else ", ".join(s.netdevs) for s in file.stanzas)
    return f" also has {had}" if had else ""


def _cures(others: Iterable[ForeignFile]) -> Iterator[str]:
    movable = [file.path for file in others if file.movable]
    if movable:
        yield f"sparkctl cluster up --take-over moves {' and '.join(movable)} aside"
    yield from (f"{file.path}: {file.why_not}" for file in others if not file.movable)
