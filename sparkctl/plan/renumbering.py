"""Fabric addresses that a plan replaces by others, and what it says of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sparkctl.facts.listeners import Listener
from sparkctl.inventory.words import listed
from sparkctl.outcome import Fact, Known
from sparkctl.plan.plan import Plan


def going(plan: Plan) -> dict[str, tuple[str, ...]]:
    """By node, the IPv4 addresses without their prefix that no netdev of the fabric has afterwards."""
    gone = {node: tuple(dict.fromkeys(_going(plan, node))) for node in plan.nodes}
    return {node: addresses for node, addresses in gone.items() if addresses}


def _going(plan: Plan, node: str) -> Iterator[str]:
    targets = [target for change in plan.network(node) for target in change.netdevs if target.after_address]
    stays = {str(target.after_address).partition("/")[0] for target in targets}
    before = (text.partition("/")[0] for target in targets for text in target.before_addresses)
    yield from (address for address in before if ":" not in address and address not in stays)


def notes(gone: Mapping[str, tuple[str, ...]], told: Mapping[str, Fact[tuple[Listener, ...]]]) -> Iterator[str]:
    """How to keep the addresses, and per node who listens at them; a node that did not say is named."""
    if gone:
        yield "addresses in use change: `addresses` of a node keeps them, and `sparkctl inventory discover` writes it"
    for node, addresses in gone.items():
        fact = told[node]
        if not isinstance(fact, Known):
            yield f"{node}: what listens at {listed(addresses)} is not known: {fact.reason}"
        elif fact.value:
            yield f"{node}: nobody reaches {listed(fact.value)} afterwards"
