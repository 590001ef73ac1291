"""Check of packet filters: knocks of every peer are answered, and no rule drops what nobody can knock at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network

from sparkctl.checks.base import View, check, ends
from sparkctl.checks.hosts import STAGE, known, surveyed, unread
from sparkctl.fabric.ports import NETDEVS
from sparkctl.facts.firewall import SURE, Firewall, explains, unproven
from sparkctl.facts.knock import FIRST, LAST, UNSENT, Knocks
from sparkctl.inventory.words import counted, listed
from sparkctl.outcome import Known, State, Unknown, Verdict

ID = "firewall"
CAUSES = ("cabling", "rail-carrier", "rail-subnet", "rail-address", "rail-path")
EXPECTED = "nothing that drops what comes in on the fabric"
SHOWN = 3  # rules in one verdict; more do not help
WORDS = {
    "silent": "knocks of {} timed out", "refused": "knocks of {} refused, though open",
    "lost": "answers of {} do not come in", "unmet": "knocks of and at {} refused: rejected, or at another time",
}  # fmt: skip
UNSURE = ("unmet", UNSENT)
CERTAIN = ("accepted", "refused")


@dataclass(frozen=True)
class Blocked:
    """Ports that a knock was not answered at: by whose filter, on which netdev, and who is at the other end."""

    node: str
    netdev: str
    peer: str
    address: str
    how: str
    ports: tuple[int, ...]

    def blames(self, rule: str) -> bool:
        """Whether that may be why. Answers come to a port of the kernel's choice; no rail has less than a /24."""
        near = IPv4Network(f"{self.address}/24", strict=False)
        at = [(FIRST, LAST)] if self.how == "lost" else [(port, port) for port in self.ports]
        return explains(rule, self.netdev, near, at)

    def __str__(self) -> str:
        how = WORDS.get(self.how, f"knocks of {{}}: {self.how}").format(self.peer)
        return f"{self.netdev}: {how} (TCP {', '.join(map(str, self.ports))})"


@check(ID, STAGE, after=CAUSES, survey=True)
def firewall(view: View) -> Iterator[Verdict]:
    """Nothing drops what comes in on the fabric: NCCL, Gloo and engines listen on ports of any number (facts ff31)."""
    knocks, filters = surveyed(view, lambda s: s.knocks), surveyed(view, lambda s: s.firewall)
    yield from unread(ID, "knocks", knocks)
    yield from unread(ID, "rules", {node: fact for node, fact in filters.items() if isinstance(fact, Unknown)})
    blocked = tuple(_blocked(view, known(knocks), {node: it.drops for node, it in known(filters).items()}))
    for node, fact in filters.items():
        found = [b for b in blocked if b.node == node]
        if found:
            yield _unanswered(view, found, fact.value if isinstance(fact, Known) else Firewall("unread"))
        elif isinstance(fact, Known) and isinstance(knocks[node], Known):
            yield _answered(view, node, fact.value, known(knocks))


def _blocked(view: View, knocks: Mapping[str, Knocks], drops: Mapping[str, tuple[str, ...]]) -> Iterator[Blocked]:
    """On each way between two nodes. Where it cannot be seen whose filter it is, it is his who has a rule for it."""
    places = {e.address: (node, e.netdev) for node, e in view.fabric.endpoints.items()}
    places |= {str(a.address.ip): (a.node, a.netdev) for a in view.fabric.attachments}
    for it in knocks.values():
        for own, peer in (way for way in it.said if places.keys() >= set(way)):
            there = knocks.get(places[peer][0], Knocks())
            for how, ports in _wrong(own, peer, it.said[own, peer], there).items():
                back = how if how.startswith(UNSENT) else "lost"
                theirs = Blocked(*places[peer], places[own][0], own, "silent" if how == "lost" else how, ports)
                ours = Blocked(*places[own], places[peer][0], peer, back, ports)
                sides = (ours, theirs) if how == back else (theirs, ours)
                unclear = sides if how in ("silent", "lost") else ()
                yield next((side for side in unclear if any(map(side.blames, drops.get(side.node, ())))), sides[0])


def _wrong(own: str, peer: str, answers: Mapping[int, str], there: Knocks) -> dict[str, tuple[int, ...]]:
    """Ports by what came instead of an answer. `lost`: the knock came in over there, and its answer not back here.

    `unmet`: who is refused at a port that is open met a filter, or did not knock while it was open.
    """
    met = "accepted" in {*answers.values(), *there.said.get((peer, own), {}).values()}
    lost = any((here, far) == (peer, own) for here, _, far in there.half)
    wrong: dict[str, tuple[int, ...]] = {}
    for port, said in answers.items():
        if said != "accepted" and (said != "refused" or (peer, port) in there.opened):
            how = "lost" if lost and said == "silent" else "unmet" if said == "refused" and not met else said
            wrong[how] = (*wrong.get(how, ()), port)
    return wrong


def _unanswered(view: View, found: list[Blocked], seen: Firewall) -> Verdict:
    """A filter for certain; if none, what could not be found out. Whoever does not get through gets no answer, too."""
    node, sure = found[0].node, [b for b in found if not b.how.startswith(UNSURE)]
    direct = {(b.netdev, b.peer) for b in sure if b.how != "lost"}
    shown = [b for b in sure or found if b.how != "lost" or (b.netdev, b.peer) not in direct]
    places = {place for b in shown for place in ((b.node, b.netdev), (b.peer, b.netdev))}
    touched = ends(a for a in view.fabric.attachments if (a.node, a.netdev) in places)
    if not sure:
        state: State = "warn" if all(b.how == "unmet" for b in shown) else "unknown"
        return Verdict(ID, state, node, _shown(shown), remedy="find out why, then verify again", ends=touched)
    drops = [rule for rule in seen.drops if any(b.blames(rule) for b in shown)]
    said = f"{_shown(shown)}: {_shown(drops) if drops else 'no rule that was read does that'}"
    remedy = _remedy(view, node, seen.ufw, drops, shown)
    return Verdict(ID, "fail", node, "firewall", said, EXPECTED, remedy, touched)


def _answered(view: View, node: str, seen: Firewall, knocks: Mapping[str, Knocks]) -> Verdict:
    """All that was tried; the rules tell of the rest."""
    rails, roce = view.fabric.of(node), view.cluster.fabric.transport == "roce"
    own = {view.fabric.endpoints[node].address, *(str(a.address.ip) for a in rails)}
    came = [answers for it in knocks.values() for (_, peer), answers in it.said.items() if peer in own]
    tried = [port for answers in came for port, said in answers.items() if said in CERTAIN]
    hit = [(a, rule) for a in rails for rule in seen.drops if unproven(rule, a.netdev, a.address.network, tried, roce)]
    sure = [(a, rule) for a, rule in hit if SURE.match(rule) and a.netdev in rule]
    drops = list(dict.fromkeys(rule for _, rule in sure or hit))
    remedy, touched = _remedy(view, node, seen.ufw, drops), ends(dict.fromkeys(a for a, _ in sure or hit))
    if sure:
        return Verdict(ID, "fail", node, "firewall", _shown(drops), EXPECTED, remedy, touched)
    if hit:
        said = f"may drop some: {_shown(drops)}"
        return Verdict(ID, "warn", node, "firewall", said, EXPECTED, f"if that hits a peer, {remedy}")
    if not tried and len(view.cluster.nodes) > 1:
        return Verdict(ID, "skipped", node, "nobody knocked")
    return Verdict(ID, "pass", node, "firewall", f"{counted(len(tried), 'knock')} answered, ufw {seen.ufw}", EXPECTED)


def _shown(found: list[str] | list[Blocked]) -> str:
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return "; ".join(map(str, found[:SHOWN])) + more


def _remedy(view: View, node: str, ufw: str, drops: list[str], found: Iterable[Blocked] = ()) -> str:
    """A rule for each rail: ufw's where ufw is in charge, iptables' where that drops; nft's chains have any name."""
    rails = [(a.netdev, str(a.address.network)) for a in view.fabric.of(node)]
    rails += [(b.netdev, b.address) for b in found if b.netdev not in NETDEVS]
    if ufw == "active":
        rules = [f"sudo ufw allow in on {netdev} from {subnet}" for netdev, subnet in rails]
    elif drops and all(rule.startswith("iptables") for rule in drops):
        rules = [f"sudo iptables -I INPUT -i {netdev} -s {subnet} -j ACCEPT" for netdev, subnet in rails]
    else:
        wanted = listed(f"on {netdev} from {subnet}" for netdev, subnet in rails)
        rules = [f"accept what comes in {wanted}, before the rule that drops it (`sudo nft -a list ruleset`)"]
        rules += [] if drops else ["or is it eBPF, the switch, or a filter for what goes out over there?"]
    return f"on {node}: {'; '.join(rules)}"
