"""`sparkctl cluster verify`: every check, on request under load, and its reports."""

from __future__ import annotations

from sparkctl.cli.desk import Desk, at_a_desk
from sparkctl.cli.options import (
    CompareWith,
    Expected,
    Format,
    HtmlFile,
    Load,
    OnlyChecks,
    Quick,
    SaveFolder,
    Threshold,
    VerdictsFormat,
)
from sparkctl.cli.terminal import reported
from sparkctl.errors import UsageError


@at_a_desk
def verify(
    desk: Desk,
    load: Load = False,
    quick: Quick = False,
    expect: Expected = None,
    threshold: Threshold = None,
    only: OnlyChecks = None,
    format: Format = VerdictsFormat.table,
    html: HtmlFile = None,
    save: SaveFolder = None,
    compare: CompareWith = None,
) -> None:
    """Prove the cluster: cabling, rails, RoCE, hosts, engine; what is wrong is named, with what to do; exit 7 then.

    Without --load it only reads and pings. With it rails are tested one after another wherever they would disturb one
    another; an engine that is serving slows down meanwhile.

    Examples:

      sparkctl cluster verify

      sparkctl cluster verify --load  # after every cabling change and update

      sparkctl cluster verify --load --save after-move  # keep what was found, for later

      sparkctl cluster verify --load --compare after-move  # what changed since

      sparkctl cluster verify --html report.html  # a page with the fabric drawn

      sparkctl cluster verify --format junit  # for GitLab and Jenkins

      sparkctl cluster verify --load --threshold rail_pass=100
    """
    with reported():
        from sparkctl.cli.proving import Wish, prove

        if desk.json and format is VerdictsFormat.junit:
            raise UsageError("--json and --format junit both want stdout", "leave one of them out")
        desk.json = desk.json or format is VerdictsFormat.json
        desk.junit = format is VerdictsFormat.junit
        wish = Wish.of(load, quick, expect, desk.lab, threshold or (), only or (), save, html, compare)
    prove(wish, desk)
