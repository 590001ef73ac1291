"""Check of NetworkManager's profiles: none but netplan's own holds a netdev of the fabric, or may grab it."""

from __future__ import annotations

from collections.abc import Iterator

from sparkctl.checks.base import NOT_ASKED, View, check
from sparkctl.checks.hosts import STAGE, known, surveyed, unasked, unreadable
from sparkctl.commands.shell import quote
from sparkctl.facts.profiles import Profile
from sparkctl.inventory.words import visible
from sparkctl.outcome import Absent, Named, Remedy, State, Unknown, Verdict

ID = "network-profile"
EXPECTED = "none but netplan's own"
OWN = "netplan-"
"""The name that netplan gives the profiles it makes."""
BRINGS = ("auto", "link-local", "shared")
"""Methods that put addresses of their own, or a default route, on the netdev."""


@check(ID, STAGE, survey=True)
def profiles(view: View) -> Iterator[Verdict]:
    """No profile of NetworkManager brings addresses to the fabric, or may at the next boot (facts ff18)."""
    facts = surveyed(view, lambda survey: survey.profiles)
    for node, fact in facts.items():
        if isinstance(fact, Unknown):
            yield unreadable(ID, node, "profiles of NetworkManager", fact)
        elif fact == NOT_ASKED:
            yield unasked(ID, node)
        elif isinstance(fact, Absent):
            yield Verdict(ID, "pass", node, "NetworkManager", "does not run", EXPECTED)
    for node, found in known(facts).items():
        yield _judged(view, node, found)


def _judged(view: View, node: str, found: tuple[Profile, ...]) -> Verdict:
    ours = frozenset(attachment.netdev for attachment in view.fabric.of(node))
    foreign = [profile for profile in found if not profile.name.startswith(OWN)]
    # NetworkManager keeps the profiles it made itself, at the lowest priority: beside netplan's own they never start.
    open_to = ours - {profile.active for profile in found if profile.name.startswith(OWN)}
    odd = [profile for profile in foreign if profile.active in ours or _may_take(profile, open_to)]
    if odd:
        return _verdict(view, node, odd, ours)
    idle = [_shown(profile, ours) for profile in foreign if _may_take(profile, ours)]
    measured = f"{', '.join(idle)}; netplan's own hold them" if idle else "none"
    return Verdict(ID, "pass", node, "profiles", measured, EXPECTED)


def _may_take(profile: Profile, netdevs: frozenset[str]) -> bool:
    """It holds nothing, and is bound to one of these, or is free for any."""
    return not profile.active and bool(netdevs) and (not profile.netdev or profile.netdev in netdevs)


def _verdict(view: View, node: str, odd: list[Profile], ours: frozenset[str]) -> Verdict:
    active = [p for p in odd if p.active in ours and p.method in BRINGS]
    shown = ", ".join(_shown(p, ours) for p in active or odd)
    cures = [_cure(p, view.cluster.node(node).management) for p in active or odd]
    remedy = Remedy(f"on {node}: {'; '.join(cures)}", *(Named("command", cure) for cure in cures))
    state: State = "fail" if active else "warn"
    return Verdict(ID, state, node, "NetworkManager", shown, EXPECTED, remedy)


def _cure(profile: Profile, management: str) -> str:
    """A profile for the fabric goes; one for any netdev may be management's, and is bound to it."""
    name = quote(("nmcli", "connection", "delete", visible(profile.name)))
    if profile.netdev or profile.active:
        return f"sudo {name}"
    bind = ("nmcli", "connection", "modify", visible(profile.name), "connection.interface-name", management)
    return f"sudo {quote(bind)}"


def _shown(profile: Profile, ours: frozenset[str]) -> str:
    name = f"{visible(profile.name)} ({profile.method or 'no method'})"
    if profile.active in ours:
        return f"{name} holds {profile.active}"
    return f"{name} is for {profile.netdev}" if profile.netdev else f"{name} may take any netdev"
