"""`sparkctl topology`: the fabric drawn, without a network."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparkctl.cli.terminal import NoColor, console, reported
from sparkctl.cli.typed import InventoryPath
from sparkctl.errors import InventoryError, UsageError
from sparkctl.report.door import emit, say

if TYPE_CHECKING:
    from sparkctl.report.drawing import Sketch
    from sparkctl.study import Study


class Drawing(StrEnum):
    """How the fabric is drawn."""

    text = "text"
    mermaid = "mermaid"
    svg = "svg"
    dot = "dot"


Format = Annotated[Drawing, typer.Option("--format", help="A picture of characters, or for another program.")]
Output = Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write to FILE instead.")]


def topology(
    inventory: InventoryPath,
    format: Format = Drawing.text,
    output: Output = None,
    no_color: NoColor = False,
) -> None:
    """Draw nodes, cables, rails, subnets and addresses, with findings marked where they are; no network is used.

    An inventory with errors is drawn as far as it can be; the exit code is 3 then, as of `validate`.

    Examples:

      sparkctl topology  # in the terminal

      sparkctl topology --format svg -o dual.svg  # for a browser or a README, light and dark

      sparkctl topology --format mermaid  # for Markdown on GitHub and GitLab

      sparkctl topology --format dot  # for Graphviz
    """
    with reported():
        found, drawn = _sketched(inventory)
        if output is not None:
            _write(output, _drawn(drawn, format))
        elif format is Drawing.text and sys.stdout.isatty():
            _print_styled(drawn, no_color)
        else:
            emit(_drawn(drawn, format), end="")
        _show_findings(found)
        if found.errors:
            raise typer.Exit(InventoryError.exit_code)


def _sketched(inventory: Path) -> tuple[Study, Sketch]:
    from sparkctl.report.drawing import sketch
    from sparkctl.study import study

    found = study(inventory)
    if found.cluster is None:
        raise InventoryError(found.findings)
    return found, sketch(found.cluster, found.fabric, found.findings)


def _show_findings(found: Study) -> None:
    from sparkctl.report.findings import print_findings

    if found.findings:  # rich is slow to import
        print_findings(found.findings, console(stderr=True))


def _drawn(drawn: Sketch, format: Drawing) -> str:
    from sparkctl.report import drawing as formats

    draw = {
        Drawing.text: formats.as_text,
        Drawing.mermaid: formats.as_mermaid,
        Drawing.svg: formats.as_svg,
        Drawing.dot: formats.as_dot,
    }
    return draw[format](drawn)


def _print_styled(drawn: Sketch, no_color: bool) -> None:
    from sparkctl.report.drawing import as_pieces

    out = console(no_color=no_color)
    say(out, *as_pieces(drawn), end="\n" if drawn.findings else "", wrap=False)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}", "name another file") from None
