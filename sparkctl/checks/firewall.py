"""Check of packet filters: nothing drops what the ranks say to one another over the fabric."""

from __future__ import annotations

from collections.abc import Iterator

from sparkctl.checks.base import View, check, ends
from sparkctl.checks.hosts import STAGE, known, surveyed, unread
from sparkctl.fabric.ports import NETDEVS
from sparkctl.facts.firewall import Firewall
from sparkctl.inventory.words import listed
from sparkctl.outcome import Verdict

SHOWN = 3  # rules in one verdict; more do not help


@check("firewall", STAGE, survey=True)
def firewall(view: View) -> Iterator[Verdict]:
    """No rule may drop what comes in on the fabric: NCCL, Gloo and vLLM listen on ports of any number (ff 31)."""
    facts = surveyed(view, lambda survey: survey.firewall)
    yield from unread("firewall", "firewall", facts)
    for node, it in known(facts).items():
        expected = "nothing that drops what comes in on the fabric"
        if it.drops:
            measured = "; ".join(it.drops[:SHOWN])
            more = f" and {len(it.drops) - SHOWN} more" if len(it.drops) > SHOWN else ""
            remedy, touched = _remedy(view, node, it), _touched(view, node, it.drops)
            yield Verdict("firewall", "fail", node, "firewall", measured + more, expected, remedy, touched)
        else:
            yield Verdict("firewall", "pass", node, "firewall", f"ufw {it.ufw}, no such rule", expected)


def _touched(view: View, node: str, drops: tuple[str, ...]) -> tuple[str, ...]:
    """The rails that a rule names, all of them where one names none: what is lost there is the firewall's fault."""
    words = [set(rule.replace('"', " ").split()) for rule in drops]
    anywhere = any(not said & set(NETDEVS) for said in words)
    return ends(a for a in view.fabric.of(node) if anywhere or any(a.netdev in said for said in words))


def _remedy(view: View, node: str, firewall: Firewall) -> str:
    """A rule for each rail: ufw's where ufw is in charge, iptables' where that drops; nft's chains have any name."""
    rails = [(attachment.netdev, attachment.address.network) for attachment in view.fabric.of(node)]
    if firewall.ufw == "active":
        rules = [f"sudo ufw allow in on {netdev} from {subnet}" for netdev, subnet in rails]
    elif all(rule.startswith("iptables") for rule in firewall.drops):
        rules = [f"sudo iptables -I INPUT -i {netdev} -s {subnet} -j ACCEPT" for netdev, subnet in rails]
    else:
        wanted = listed(f"on {netdev} from {subnet}" for netdev, subnet in rails)
        rules = [f"accept what comes in {wanted}, before the rule that drops it (`sudo nft -a list ruleset`)"]
    return f"on {node}: {'; '.join(rules)}"
