"""NCCL's names and lists as the rules read them; tests/truth asks the real library."""

from __future__ import annotations

import pytest

from sparkctl.engines.vllm.engine import NCCL_RELEASES
from sparkctl.fabric.ports import NETDEVS
from sparkctl.rules.nccl import is_older, names, parameters, picked

SPARK = ("lo", "enP7s7", "wlP9s9", *NETDEVS)
TABLE = (
    "# a comment\n"
    "NCCL_B\tint\t1\tv2.30.7-1\tcore\tsrc/b.cc:1\n"
    "NCCL_A\tstr\t\tv2.3.5-5\tcore\tsrc/a.cc:1\n"
    "NCCL_C\tint\t0\t>v2.30.7,<=v2.32.3\tcore\tsrc/c.cc:1\n"
    "NCCL_D\tint\t0\t?\tplugin\text/d.cc:1\n"
)


@pytest.mark.parametrize(
    ("spec", "taken"),
    [
        ("enp1s0f0", ("enp1s0f0np0",)),
        ("=enp1s0f0", ()),
        ("=enp1s0f0np0", ("enp1s0f0np0",)),
        ("enP7,wl", ("enP7s7", "wlP9s9")),
        ("=wlP9s9,lo", ("lo", "wlP9s9")),
        ("^en,wl", ("lo",)),
        ("^=lo,enP7s7,wlP9s9", NETDEVS),
        ("enp1s0f1np1:1", ("enp1s0f1np1",)),
        ("", ()),
    ],
)
def test_what_a_list_picks(spec: str, taken: tuple[str, ...]) -> None:
    assert picked(spec, SPARK) == taken


def test_names_are_read_from_a_table() -> None:
    assert parameters(TABLE) == {"NCCL_A": "2.3.5", "NCCL_B": "2.30.7", "NCCL_C": "2.32.3", "NCCL_D": "-"}
    assert len(names()) > 300
    assert all(name.startswith("NCCL_") and (since == "-" or since[0] == "2") for name, since in names().items())


def test_versions_are_compared_as_numbers() -> None:
    assert is_older("2.9.9", "2.30.7")
    assert not is_older("2.30.7", "2.30.7")
    assert not is_older("2.29.7", "-")
    assert {version for version in NCCL_RELEASES.values() if is_older(version, "2.30.7")} == {"2.29.7"}
