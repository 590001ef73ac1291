"""Link-local addresses of netdevs: seen where they are, and nothing that a plan rests on."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from sparkctl.facts.links import Netdev, parse
from sparkctl.outcome import Known
from tests.unit.healthy import healthy

RAIL = "enp1s0f1np1"


def listed(*addresses: tuple[str, str, str]) -> str:
    """A netdev as `ip -j -d addr` shows it, with addresses of (family, address, scope)."""
    shown = [{"family": f, "local": a, "prefixlen": 16, "scope": s} for f, a, s in addresses]
    return json.dumps([{"ifname": RAIL, "flags": ["UP", "LOWER_UP"], "mtu": 9000, "addr_info": shown}])


@pytest.mark.parametrize(
    ("address", "plain", "linked"),
    [
        (("inet", "169.254.9.9", "link"), (), ("169.254.9.9/16",)),
        (("inet", "169.254.9.9", "global"), ("169.254.9.9/16",), ()),
        (("inet6", "fe80::1", "link"), (), ()),
        (("inet", "10.9.9.9", "link"), (), ()),
        (("inet", "10.9.9.9", "global"), ("10.9.9.9/16",), ()),
    ],
)
def test_an_address_is_kept_by_its_scope(
    address: tuple[str, str, str], plain: tuple[str, ...], linked: tuple[str, ...]
) -> None:
    assert parse(listed(address))[RAIL] == Netdev(RAIL, 9000, True, True, plain, linked)


def test_a_link_local_address_changes_no_fingerprint() -> None:
    facts = healthy("dual").facts["spark-1"]
    assert isinstance(facts.netdevs, Known)
    netdevs = facts.netdevs.value
    more = {**netdevs, RAIL: replace(netdevs[RAIL], link_local=("169.254.9.9/16",))}
    assert more != netdevs
    assert replace(facts, netdevs=Known(more)).fingerprint([RAIL]) == facts.fingerprint([RAIL])
