"""`sparkctl topology`: every node, cable and finding is in every drawing, and no drawing can be broken by a file."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

import pytest
import typer
from click.testing import Result
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from typer.testing import CliRunner

from sparkctl.cli.topology import topology
from sparkctl.inventory.model import Cluster, LinkEnd
from sparkctl.inventory.resolve import Controller
from sparkctl.report.drawing import Sketch, as_dot, as_mermaid, as_svg, as_text, sketch
from sparkctl.report.drawing.layout import places
from sparkctl.report.drawing.text import loop
from sparkctl.study import study_text

ROOT = Path(__file__).parents[2]
CASES = {path.parent.name: path for path in sorted((ROOT / "tests/cases/findings").glob("*/inventory.yaml"))}
EXAMPLES = {path.stem: path for path in sorted((ROOT / "inventories").glob("*.yaml"))}
DESK = Controller("nvidia", PurePosixPath("/home/nvidia"), PurePosixPath("/cluster"))
DRAW: dict[str, Callable[[Sketch], str]] = {"text": as_text, "mermaid": as_mermaid, "svg": as_svg, "dot": as_dot}
CRS804 = "{name: sw1, model: mikrotik-crs804-4ddq, address: 192.0.2.2, l2mtu: 9216}"
every_format = pytest.mark.parametrize("format", DRAW)


def inventory(nodes: int, links: list[str], fabric: str, switches: str = "") -> str:
    named = "".join(f"  - {{name: spark-{i + 1}, address: 192.0.2.{11 + i}}}\n" for i in range(nodes))
    return (
        f"apiVersion: sparkctl/v1\nkind: Cluster\nmetadata: {{name: demo}}\nnodes:\n{named}"
        f"links: [{', '.join(links)}]\nswitches: [{switches}]\nfabric: {{{fabric}}}\n"
    )


def circle(nodes: int) -> list[str]:
    return [f"[spark-{i + 1}:p0, spark-{(i + 1) % nodes + 1}:p1]" for i in range(nodes)]


def star(nodes: int) -> list[str]:
    return [f"[spark-{i + 1}:p0, 'sw1:qsfp56-dd-{i // 2 + 1}-{1 + 4 * (i % 2)}']" for i in range(nodes)]


SHAPES = {
    "direct": inventory(2, ["[spark-1:p1, spark-2:p1]"], "topology: direct"),
    "two-cables": inventory(2, ["[spark-1:p1, spark-2:p1]", "[spark-1:p0, spark-2:p0]"], "topology: direct"),
    "rail-a": inventory(2, ["[spark-1:p1, spark-2:p0]"], "topology: direct, rails: A, mtu: 1500"),
    "mesh": inventory(3, circle(3), "topology: mesh"),
    **{f"ring-{n}": inventory(n, circle(n), "topology: ring") for n in (4, 5, 8)},
    **{f"switch-{n}": inventory(n, star(n), "topology: switch", CRS804) for n in (2, 3, 4, 5, 8)},
    "two-switches": inventory(
        4,
        [*star(2), "[spark-3:p0, 'sw2:1']", "[spark-4:p1, 'sw2:2']", "['sw1:qsfp56-dd-4-1', 'sw2:3']"],
        "topology: switch",
        f"{CRS804}, {{name: sw2, l2mtu: 9000}}",
    ),
    "two-cables-to-a-switch": inventory(
        2, [*star(2), "[spark-1:p1, 'sw1:qsfp56-dd-3-1']", "[spark-2:p1, 'sw1:qsfp56-dd-3-5']"], "topology: switch", CRS804
    ),
    "nobody-there": inventory(2, ["[spark-1:p9, spark-7:p1]"], "topology: direct"),
    "to-itself": inventory(2, ["[spark-1:p0, spark-1:p1]", "[spark-1:p0, spark-1:p0]"], "topology: direct"),
    "chain": inventory(3, circle(3)[:2], "topology: mesh"),
    "mixed": inventory(3, [*star(2), "[spark-2:p1, spark-3:p1]"], "topology: switch", CRS804),
    "two-rings": inventory(
        6, [*circle(3), "[spark-4:p0, spark-5:p1]", "[spark-5:p0, spark-6:p1]", "[spark-6:p0, spark-4:p1]"], "topology: ring"
    ),
    "no-cables": inventory(2, [], "topology: direct"),
}
SOURCES = {**SHAPES, **{name: path.read_text() for name, path in EXAMPLES.items()}}


def drawn(text: str) -> Sketch | None:
    found = study_text(text.encode(), "x.yaml", DESK)
    return None if found.cluster is None else sketch(found.cluster, found.fabric, found.findings)


SKETCHES = {name: one for name, text in SOURCES.items() if (one := drawn(text))}
every_sketch = pytest.mark.parametrize("one", SKETCHES.values(), ids=SKETCHES)


def shape(name: str) -> Sketch:
    return SKETCHES[name]


def ran(*words: str) -> Result:
    app = typer.Typer()
    app.command()(topology)
    return CliRunner().invoke(app, list(words))


def shown(format: str, text: str) -> str:
    """What a reader of the drawing sees of its words."""
    if format == "svg":
        return "\n".join(ElementTree.fromstring(text).itertext())
    unquoted = re.sub(r"#(\d+);", lambda m: chr(int(m[1])), text)
    return unquoted.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">").replace("&#x27;", "'").replace("&quot;", '"')


@every_sketch
@every_format
def test_everything_is_in_every_drawing(one: Sketch, format: str) -> None:
    text = shown(format, DRAW[format](one))
    for box in one.boxes:
        assert box.name in text
        assert all(end.address in text and end.netdev in text for port in box.ports for end in port.rails)
    for wire in one.wires:
        assert f"cable {wire.index}" in text
        assert all(network in text for _, network in wire.rails)
        assert wire.speed in text
        assert all(finding.id in text for finding in wire.findings)
    assert text.isprintable() or "\n" in text


@every_sketch
def test_mermaid_is_well_formed(one: Sketch) -> None:
    lines = as_mermaid(one).splitlines()
    assert lines[0] == lines[2] == "---"
    assert re.fullmatch(r"flowchart (LR|TB)", lines[3])
    label = r'"[^"\\`]*"'
    node = rf"    n\d+(\[{label}\]|\[\[{label}\]\]|\(\[{label}\]\))(:::(error|warning|info))?"
    edge = rf"    n\d+ ---\|{label}\| n\d+"
    rest = r"    (linkStyle \d+|classDef \w+) stroke:#\w+,stroke-width:3px"
    assert all(re.fullmatch(f"{node}|{edge}|{rest}", line) for line in lines[4:])
    assert sum(bool(re.fullmatch(node, line)) for line in lines) == len(one.boxes)
    ends = [re.findall(r"^    n(\d+) .* n(\d+)$", line) for line in lines]
    assert [e for found in ends for e in found] == [(str(w.a[0]), str(w.b[0])) for w in one.wires]


@every_sketch
def test_dot_is_well_formed(one: Sketch) -> None:
    lines = as_dot(one).splitlines()
    assert (lines[0].startswith('graph "'), lines[0].endswith("{"), lines[-1]) == (True, True, "}")
    tables = [m[1] for line in lines if (m := re.fullmatch(r"    n\d+ \[label=<(<TABLE.*</TABLE>)>\];", line))]
    edges = [m for line in lines if (m := re.fullmatch(r"    n(\d+):c(\d+) -- n(\d+):c(\d+) \[label=<(.*)>, .*\];", line))]
    assert (len(tables), len(edges)) == (len(one.boxes), len(one.wires))
    cells = [[cell.get("PORT") for cell in ElementTree.fromstring(table).iter("TD")] for table in tables]
    for edge in edges:
        assert f"c{edge[2]}" in cells[int(edge[1])]
        assert f"c{edge[4]}" in cells[int(edge[3])]
        ElementTree.fromstring(f"<x>{edge[5]}</x>")


@every_sketch
def test_svg_stands_alone_and_is_described(one: Sketch) -> None:
    text = as_svg(one)
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.find("{*}title[@id='title']") is not None
    described = root.findtext("{*}desc[@id='desc']") or ""
    assert described.count("Cable ") == len(one.wires)
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"href|url\(|@import|<script|<image|<foreignObject| on\w+=", text)
    assert text.count("http") == 1
    assert all(element.tag.rpartition("}")[2] in SVG for element in root.iter())


SVG = {"svg", "title", "desc", "style", "g", "rect", "line", "circle", "text"}


@every_sketch
def test_boxes_do_not_overlap_and_stay_inside(one: Sketch) -> None:
    at = places(one)
    areas = list(at.areas.values())
    assert len(areas) == len(one.boxes)
    for n, a in enumerate(areas):
        assert a.x >= 0
        assert a.y >= 0
        assert a.x + a.width <= at.width
        for b in areas[n + 1 :]:
            apart = a.x + a.width <= b.x or b.x + b.width <= a.x or a.y + a.height <= b.y or b.y + b.height <= a.y
            assert apart
    assert len(at.wires) == len(one.wires)


def test_every_case_of_the_rules_can_be_drawn() -> None:
    sketches = [one for path in CASES.values() if (one := drawn(path.read_text()))]
    assert len(sketches) > len(CASES) // 2
    for one in sketches:
        test_mermaid_is_well_formed(one)
        test_dot_is_well_formed(one)
        test_svg_stands_alone_and_is_described(one)
        test_boxes_do_not_overlap_and_stay_inside(one)
        for format in DRAW:
            test_everything_is_in_every_drawing(one, format)


@pytest.mark.parametrize("nodes", [2, 3, 4, 5, 8])
def test_cables_to_a_switch_are_upright_and_apart(nodes: int) -> None:
    at = places(shape(f"switch-{nodes}"))
    assert all(a[0] == b[0] for a, b in at.wires)
    assert len({(a, b) for a, b in at.wires}) == nodes


@pytest.mark.parametrize("name", ["direct", "mesh", "ring-4", "ring-8", "switch-2", "switch-8", "two-switches"])
def test_a_terminal_of_80_columns_is_enough(name: str) -> None:
    assert max(cell_len(line) for line in as_text(shape(name)).splitlines()) <= 80


def test_direct_in_a_terminal() -> None:
    assert as_text(shape("direct")) == (
        "demo\n"
        "direct, 2 nodes, 1 cable, 2 subnets, both rails, RoCE, MTU 9000\n"
        "\n"
        "┌──────────────────────┐                         ┌──────────────────────┐\n"
        "│ spark-1 (head)       │                         │ spark-2 (rank 1)     │\n"
        "│ 192.0.2.11 on enP7s7 │                         │ 192.0.2.12 on enP7s7 │\n"
        "│ p1 A enp1s0f1np1     │      cable 0, 200G      │ p1 A enp1s0f1np1     │\n"
        "│      10.20.0.11      ├── A 10.20.0.0/24 100G ──┤      10.20.0.12      │\n"
        "│    B enP2p1s0f1np1   │                         │    B enP2p1s0f1np1   │\n"
        "│      10.20.1.11      ├── B 10.20.1.0/24 100G ──┤      10.20.1.12      │\n"
        "│ p0 free              │                         │ p0 free              │\n"
        "└──────────────────────┘                         └──────────────────────┘\n"
    )


def test_a_pair_shows_every_port_of_both() -> None:
    one = drawn(SHAPES["direct"].replace("spark-1:p1", "spark-1:p9"))
    assert one is not None
    text = as_text(one)
    assert (text.count("p0 free"), text.count("p1 free"), text.count("p9")) == (2, 1, 1)


def test_a_mesh_in_a_terminal_is_a_loop() -> None:
    lines = as_text(shape("mesh")).splitlines()
    assert [line.strip("│ ") for line in lines if "cable " in line] == [
        "cable 0, 200G   A 10.20.0.0/24 100G   B 10.20.1.0/24 100G",
        "cable 1, 200G   A 10.20.2.0/24 100G   B 10.20.3.0/24 100G",
        "└─ cable 2, 200G   A 10.20.4.0/24 100G   B 10.20.5.0/24 100G",
    ]
    assert [line[:8] for line in lines if line[:1] in set("┌├└")] == ["┌──┤ p1 ", "├──┤ p0 ", "└─ cable"]


def test_loops_are_found_and_nothing_else_is_one() -> None:
    for name, nodes in (("mesh", 3), ("ring-4", 4), ("ring-8", 8)):
        order = loop(shape(name))
        assert [wire.index for wire in order] == [*range(nodes)]
        assert all({*a.a[:1], *a.b[:1]} & {*b.a[:1], *b.b[:1]} for a, b in pairwise(order))
    assert [loop(shape(name)) for name in ("direct", "chain", "two-rings", "to-itself", "no-cables")] == [()] * 5


def test_speeds_are_those_of_the_switch_port() -> None:
    quarters = [f"[spark-{i + 1}:p0, 'sw1:qsfp56-dd-1-{1 + 2 * i}']" for i in range(4)]
    slow = drawn(inventory(4, quarters, "topology: switch", CRS804))
    assert slow is not None
    assert {(wire.speed, wire.rail_speed) for wire in slow.wires} == {("100G", "50G")}
    assert {(wire.speed, wire.rail_speed) for wire in shape("switch-4").wires} == {("200G", "100G")}


def test_findings_are_marked_where_they_are() -> None:
    one = drawn(SHAPES["nobody-there"].replace("spark-2, address: 192.0.2.12", "spark-2, address: 192.0.2.11"))
    assert one is not None
    assert [{f.id for f in wire.findings} for wire in one.wires] == [{"TOP001"}]
    assert [{f.id for f in box.findings} for box in one.boxes] == [set(), {"INV007"}, set()]
    pills = [e.get("class") for e in ElementTree.fromstring(as_svg(one)).iter() if e.get("class")]
    assert "pill error" in pills
    assert "card node error" in pills
    assert 'n1["spark-2 (rank 1)' in as_mermaid(one)
    assert re.search(r'n1\[.*INV007 error"\]:::error', as_mermaid(one))
    assert "linkStyle 0 stroke:#cf222e" in as_mermaid(one)
    assert '<FONT COLOR="#cf222e"><B>TOP001</B></FONT>' in as_dot(one)
    assert re.search(r"spark-1:p9 ── cable 0 ── spark-7:p1 TOP001$", as_text(one), re.MULTILINE)


def test_links_10_is_not_links_1() -> None:
    one = drawn(inventory(12, [*circle(12)[:10], "[spark-11:p7, spark-12:p1]"], "topology: ring"))
    assert one is not None
    assert [wire.index for wire in one.wires if "TOP001" in {f.id for f in wire.findings}] == [10]


HOSTILE = st.text(st.characters(codec="utf-8") | st.sampled_from("<>&\"'#;`\\\n\r\x00\x1b]|[(){}%"), min_size=1, max_size=12)


@settings(max_examples=150, deadline=None)
@given(name=HOSTILE, port=HOSTILE, model=HOSTILE)
def test_no_name_breaks_a_drawing(name: str, port: str, model: str) -> None:
    found = study_text(SHAPES["switch-2"].encode(), "x.yaml", DESK)
    assert found.cluster is not None
    hostile = sketch(renamed(found.cluster, name, port, model), None, found.findings)
    for check in (test_mermaid_is_well_formed, test_dot_is_well_formed, test_svg_stands_alone_and_is_described):
        check(hostile)
    assert as_text(hostile).count("\n") == as_text(sketch(found.cluster, None, found.findings)).count("\n")


def renamed(cluster: Cluster, name: str, port: str, model: str) -> Cluster:
    """The cluster with names, a port and a model that no rule has looked at."""
    link = replace(cluster.links[0], a=LinkEnd(name, "p0"), b=LinkEnd("sw1", port))
    nodes = (replace(cluster.nodes[0], name=name, address=model), *cluster.nodes[1:])
    switches = (replace(cluster.switches[0], model=model),)
    return replace(cluster, name=name, nodes=nodes, links=(link, *cluster.links[1:]), switches=switches)


@every_format
def test_the_command(format: str, tmp_path: Path) -> None:
    (tmp_path / "in.yaml").write_text(SHAPES["direct"] + "ssh: {user: nvidia}\n")
    result = ran(str(tmp_path / "in.yaml"), "--format", format)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == DRAW[format](shape("direct"))
    assert ran(str(tmp_path / "in.yaml"), "--format", format, "-o", str(tmp_path / "x")).stdout == ""
    assert (tmp_path / "x").read_text() == result.stdout


def test_an_inventory_with_errors_is_drawn_and_ends_with_3(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(SHAPES["nobody-there"])
    result = ran(str(tmp_path / "x.yaml"))
    assert result.exit_code == 3
    assert "spark-7 (unknown)" in result.stdout
    assert "error TOP001" in result.stderr


def test_what_cannot_be_read_is_not_drawn(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("a: [")
    result = ran(str(tmp_path / "x.yaml"))
    assert (result.exit_code, result.stdout) == (3, "")
    assert "error INV001" in result.stderr


def test_a_file_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    result = ran(str(EXAMPLES["dual"]), "-o", str(tmp_path / "none" / "x.svg"))
    assert result.exit_code == 2
    assert "cannot write" in result.stderr
