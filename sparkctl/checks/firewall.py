"""Check of packet filters: nothing drops what the ranks say to one another over the fabric."""

from __future__ import annotations

from collections.abc import Iterator

from sparkctl.checks.base import View, check, ends
from sparkctl.checks.hosts import STAGE, known, surveyed, unread
from sparkctl.fabric.ports import NETDEVS
from sparkctl.inventory.words import listed
from sparkctl.outcome import RailEnd, Verdict

EXPECTED = "nothing that drops what comes in on the fabric"
SHOWN = 3  # rules in one verdict; more do not help


@check("firewall", STAGE, survey=True)
def firewall(view: View) -> Iterator[Verdict]:
    """No rule drops what comes in on the fabric: NCCL, Gloo and vLLM listen on ports of any number (ff 31)."""
    facts = surveyed(view, lambda survey: survey.firewall)
    yield from unread("firewall", "firewall", facts)
    for node, it in known(facts).items():
        if it.drops:
            remedy, touched = _remedy(view, node, it.ufw, it.drops), _touched(view, node, it.drops)
            yield Verdict("firewall", "fail", node, "firewall", _shown(it.drops), EXPECTED, remedy, touched)
        elif it.maybe:
            remedy = f"if that hits a peer, {_remedy(view, node, it.ufw, it.maybe)}"
            yield Verdict("firewall", "warn", node, "firewall", f"may drop some: {_shown(it.maybe)}", EXPECTED, remedy)
        else:
            yield Verdict("firewall", "pass", node, "firewall", f"ufw {it.ufw}, no such rule", EXPECTED)


def _shown(rules: tuple[str, ...]) -> str:
    more = f" and {len(rules) - SHOWN} more" if len(rules) > SHOWN else ""
    return "; ".join(rules[:SHOWN]) + more


def _touched(view: View, node: str, drops: tuple[str, ...]) -> tuple[RailEnd, ...]:
    """The rails that a rule names, all of them where one names none: what is lost there is the firewall's fault."""
    words = [set(rule.replace('"', " ").split()) for rule in drops]
    anywhere = any(not said & set(NETDEVS) for said in words)
    return ends(a for a in view.fabric.of(node) if anywhere or any(a.netdev in said for said in words))


def _remedy(view: View, node: str, ufw: str, drops: tuple[str, ...]) -> str:
    """A rule for each rail: ufw's where ufw is in charge, iptables' where that drops; nft's chains have any name."""
    rails = [(attachment.netdev, attachment.address.network) for attachment in view.fabric.of(node)]
    if ufw == "active":
        rules = [f"sudo ufw allow in on {netdev} from {subnet}" for netdev, subnet in rails]
    elif all(rule.startswith("iptables") for rule in drops):
        rules = [f"sudo iptables -I INPUT -i {netdev} -s {subnet} -j ACCEPT" for netdev, subnet in rails]
    else:
        wanted = listed(f"on {netdev} from {subnet}" for netdev, subnet in rails)
        rules = [f"accept what comes in {wanted}, before the rule that drops it (`sudo nft -a list ruleset`)"]
    return f"on {node}: {'; '.join(rules)}"
