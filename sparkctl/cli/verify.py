"""`sparkctl cluster verify`: every check, on request under load, and its reports."""

from __future__ import annotations

import typer

from sparkctl.cli.options import (
    CompareWith,
    Expected,
    Format,
    HtmlFile,
    Lab,
    Load,
    OnlyChecks,
    Quick,
    Quiet,
    SaveFolder,
    Threshold,
    Verbose,
    VerdictsFormat,
)
from sparkctl.cli.terminal import InventoryPath, Json, NoColor, reported
from sparkctl.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add this verb to `sparkctl cluster`."""
    app.command("verify")(verify)


def verify(
    inventory: InventoryPath,
    load: Load = False,
    quick: Quick = False,
    expect: Expected = None,
    threshold: Threshold = None,
    only: OnlyChecks = None,
    format: Format = VerdictsFormat.table,
    html: HtmlFile = None,
    save: SaveFolder = None,
    compare: CompareWith = None,
    lab: Lab = False,
    json: Json = False,
    no_color: NoColor = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Prove the cluster: cabling, rails, RoCE, hosts, engine; what is wrong is named, with what to do; exit 7 then.

    Without --load it only reads and pings. With it rails are tested one after another wherever they would disturb one
    another; an engine that is serving slows down meanwhile.

    Examples:

      sparkctl cluster verify inventories/dual.yaml

      sparkctl cluster verify inventories/dual.yaml --load                        after every cabling change and update

      sparkctl cluster verify inventories/dual.yaml --load --save after-move      keep what was found, for later

      sparkctl cluster verify inventories/dual.yaml --load --compare after-move   what changed since

      sparkctl cluster verify inventories/dual.yaml --html report.html            a page with the fabric drawn

      sparkctl cluster verify inventories/dual.yaml --format junit                for GitLab and Jenkins

      sparkctl cluster verify inventories/dual.yaml --load --threshold rail_pass=100
    """
    with reported():
        from sparkctl.cli.proving import Wish, prove

        as_json = json or format is VerdictsFormat.json
        if json and format is VerdictsFormat.junit:
            raise UsageError("--json and --format junit both want stdout", "leave one of them out")
        wish = Wish.of(load, quick, expect, lab, threshold or (), only or (), save, html, compare)
    prove(wish, inventory, lab, as_json, format is VerdictsFormat.junit, no_color, quiet, verbose)
