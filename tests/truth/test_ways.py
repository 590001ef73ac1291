"""The way to each peer, as a real kernel chooses it: in a network namespace with the addresses of a node."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from sparkctl.facts.base import answers, batch, parsed
from sparkctl.facts.paths import Way, parse, probe
from sparkctl.outcome import Known

SPACE = f"ways{os.getpid()}"
PAIRS = (("10.20.0.11", "10.20.0.12"), ("10.20.1.11", "10.20.1.12"))
RAIL_A, RAIL_B, MANAGEMENT = "enp1s0f1np1", "enP2p1s0f1np1", "enP7s7"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, timeout=20, capture_output=True)


@pytest.fixture
def place() -> Iterator[str]:
    """Both rails and management, each with its address, and nothing else."""
    ip("netns", "add", SPACE)
    try:
        addresses = ((RAIL_A, "10.20.0.11/24"), (RAIL_B, "10.20.1.11/24"), (MANAGEMENT, "192.0.2.11/24"))
        for number, (netdev, address) in enumerate(addresses):
            ip("-n", SPACE, "link", "add", netdev, "type", "veth", "peer", "name", f"far{number}")
            for end in (netdev, f"far{number}"):
                ip("-n", SPACE, "link", "set", end, "up")
            ip("-n", SPACE, "addr", "add", address, "dev", netdev)
        yield SPACE
    finally:
        ip("netns", "del", SPACE)


def ways(place: str, pairs: tuple[tuple[str, str], ...] = PAIRS) -> dict[str, Way]:
    ran = subprocess.run(
        ["ip", "netns", "exec", place, "sh"],
        input=batch((probe(pairs),)).script,
        capture_output=True,
        text=True,
        timeout=30,
    )
    found = parsed(answers(ran.stdout)["ways"], parse)
    assert isinstance(found, Known), found
    return found.value


def test_each_rail_leads_to_its_peer(place: str) -> None:
    assert ways(place) == {
        "10.20.0.12": Way("10.20.0.12", RAIL_A, None, "10.20.0.11"),
        "10.20.1.12": Way("10.20.1.12", RAIL_B, None, "10.20.1.11"),
    }


def test_without_its_own_address_a_rail_is_left_by_the_default_route(place: str) -> None:
    ip("-n", place, "addr", "del", "10.20.1.11/24", "dev", RAIL_B)
    ip("-n", place, "route", "add", "default", "via", "192.0.2.1")
    found = ways(place)
    assert found["10.20.0.12"].netdev == RAIL_A
    assert found["10.20.1.12"] == Way("10.20.1.12", MANAGEMENT, "192.0.2.1", "192.0.2.11")


def test_without_any_route_there_is_no_way(place: str) -> None:
    ip("-n", place, "addr", "del", "10.20.1.11/24", "dev", RAIL_B)
    assert list(ways(place)) == ["10.20.0.12"]


def test_a_narrower_route_of_somebody_wins(place: str) -> None:
    ip("-n", place, "route", "add", "10.20.0.12/32", "via", "192.0.2.1", "dev", MANAGEMENT)
    assert ways(place)["10.20.0.12"] == Way("10.20.0.12", MANAGEMENT, "192.0.2.1", "10.20.0.11")


def test_a_blackhole_is_no_way(place: str) -> None:
    ip("-n", place, "route", "add", "blackhole", "10.20.0.12/32")
    assert list(ways(place)) == ["10.20.1.12"]


def test_a_peer_with_our_own_address_is_at_home(place: str) -> None:
    assert ways(place, (("10.20.0.11", "10.20.0.11"),))["10.20.0.11"].netdev == "lo"


def test_no_peers_no_ways(place: str) -> None:
    assert ways(place, ()) == {}
