"""A row for each node: what is wrong is named where it is, and what is not known is never right."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from sparkctl.checks import View, judge
from sparkctl.execute.read_facts import questions
from sparkctl.facts.snapshot import snapshot
from sparkctl.outcome import Absent, Known
from sparkctl.report.status import print_nodes
from tests.unit.healthy import SHIPPED, healthy


def table(view: View) -> list[str]:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    print_nodes(view.cluster, view.fabric, view.facts, judge(view), console)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def dark(view: View, node: str, netdev: str) -> View:
    netdevs = view.facts[node].netdevs
    assert isinstance(netdevs, Known)
    changed = {**netdevs.value, netdev: replace(netdevs.value[netdev], carrier=False)}
    return replace(view, facts={**view.facts, node: replace(view.facts[node], netdevs=Known(changed))})


@pytest.mark.parametrize("inventory", SHIPPED)
def test_a_healthy_cluster_is_ok_on_every_line_and_fits_the_screen(inventory: str) -> None:
    view = healthy(inventory)
    headline, head, *rows = table(view)
    assert headline.startswith(f"{view.cluster.name}  ok") and head.startswith("NODE")
    assert [row.split()[0] for row in rows] == [node.name for node in view.cluster.nodes]
    assert not any("?" in row or "no link" in row for row in rows)
    assert max(map(cell_len, (headline, head, *rows))) <= 80


def test_a_cable_that_is_out_and_a_node_that_is_off_are_seen_in_their_cells() -> None:
    view = healthy("dual")
    cut = dark(dark(view, "spark-1", "enp1s0f1np1"), "spark-2", "enp1s0f1np1")
    headline, head, first, _ = table(cut)
    assert "DEGRADED" in headline
    at = head.index("p1 RAIL A")
    assert first[at:].startswith("no link") and first[head.index("p1 RAIL B") :].startswith("ok")

    gone = snapshot("spark-2", questions(view.cluster, view.fabric)["spark-2"], "")  # as of a node that said nothing
    off = replace(view, facts={**view.facts, "spark-2": gone}, silent={"spark-2": "no answer within 10 s"})
    headline, _, _, second = table(off)
    assert "DEGRADED" in headline and second.split() == ["spark-2", "1", "off", "?", "?", "?", "?"]


def test_a_wrong_mtu_is_named_and_a_netdev_or_unit_that_is_not_there_is_no_question() -> None:
    view = healthy("dual")
    netdevs = view.facts["spark-1"].netdevs
    assert isinstance(netdevs, Known)
    small = {**netdevs.value, "enp1s0f1np1": replace(netdevs.value["enp1s0f1np1"], mtu=1500)}
    del small["enP2p1s0f1np1"]
    facts = replace(view.facts["spark-1"], netdevs=Known(small), unit=Absent("no unit"))
    row = table(replace(view, facts={**view.facts, "spark-1": facts}))[2]
    assert "rail-mtu" in row and "no netdev" in row and "absent" in row
