"""What `verify` is made of: what was asked for, the run, the report in every form that was asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sparkctl import __version__
from sparkctl.checks import CHECKS, UNDER_LOAD
from sparkctl.checks.base import TCP_REASON
from sparkctl.checks.thresholds import DEFAULTS, Thresholds
from sparkctl.cli import places, terminal
from sparkctl.cli.desk import Desk
from sparkctl.cli.opening import run
from sparkctl.cli.planning import show_completion
from sparkctl.errors import ChecksFailed, Refused, UsageError
from sparkctl.execute.verify import Verified, verify
from sparkctl.inventory.words import listed, nearest, quoted, visible
from sparkctl.report import compare, measures
from sparkctl.report.door import emit, say
from sparkctl.report.html import page
from sparkctl.report.junit import verdicts_as_junit
from sparkctl.report.saved import VERDICTS, files
from sparkctl.report.verdicts import failure, print_verdicts, wrong
from sparkctl.report.verification import Proof, as_values, only

if TYPE_CHECKING:
    from sparkctl.execute.site import Site
    from sparkctl.outcome import Verdict

Strength = Literal["none", "quick", "full"]


@dataclass(frozen=True)
class Wish:
    """The command line, checked before any node is asked."""

    load: Strength
    expect: Literal["real", "lab"]
    thresholds: Thresholds
    only: tuple[str, ...]
    save: Path | None
    html: Path | None
    old: compare.Old | None

    @classmethod
    def of(
        cls,
        load: bool,
        quick: bool,
        expect: str | None,
        lab: bool,
        limits: Sequence[str],
        ids: Sequence[str],
        save: Path | None,
        html: Path | None,
        old: Path | None,
    ) -> Wish:
        """UsageError for what cannot be."""
        if quick and not load:
            raise UsageError("--quick says how long the tests under load are", "add --load")
        strength: Strength = "none" if not load else "quick" if quick else "full"
        expected: Literal["real", "lab"] = "lab" if (expect or ("lab" if lab else "real")) == "lab" else "real"
        if ids and not load and set(checks(ids)) <= UNDER_LOAD:
            raise UsageError(f"{listed(ids)}: only tests under load measure that", "add --load")
        if save is not None:
            places.empty(save)
        if html is not None:
            places.writable(html)
        before = None if old is None else older(old)
        return cls(strength, expected, thresholds(limits), checks(ids), save, html, before)


def thresholds(limits: Sequence[str]) -> Thresholds:
    """The defaults with `NAME=VALUE` put in; UsageError for another name, or what is no number from 0 on."""
    known = [field.name for field in fields(Thresholds)]
    given: dict[str, float] = {}
    for limit in limits:
        name, _, value = limit.partition("=")
        if name not in known:
            meant = nearest(name, known)
            raise UsageError(
                f"no threshold is called {quoted(name)}", f"do you mean {meant}?" if meant else _all(known)
            )
        given[name] = _number(name, value)
    return replace(DEFAULTS, **given)


def _all(known: Sequence[str]) -> str:
    return f"choose from {listed(sorted(known), 'or', limit=len(known))}"


def _number(name: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise UsageError(
            f"{quoted(value)} is not a value of {name}", f"write --threshold {name}={getattr(DEFAULTS, name):g}"
        )
    return number


def checks(ids: Sequence[str]) -> tuple[str, ...]:
    """`ids`, all of them of checks; UsageError otherwise."""
    for id in ids:
        if id not in CHECKS:
            meant = nearest(id, CHECKS)
            raise UsageError(f"no check is called {quoted(id)}", f"do you mean {meant}?" if meant else _all([*CHECKS]))
    return tuple(dict.fromkeys(ids))


def older(path: Path) -> compare.Old:
    """The report at `path`, or in the folder that --save made there; UsageError when it is none."""
    file = path / VERDICTS if places.folder(path) else path
    remedy = "name the JSON of `sparkctl cluster verify --json`, or a folder of its --save"
    try:
        if file.stat().st_size > compare.LARGEST:
            raise ValueError("it is far too large")
        return compare.parse(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}", remedy) from None
    except ValueError as error:
        raise UsageError(f"{file} cannot be compared with: {error}", remedy) from None


def prove(wish: Wish, desk: Desk) -> None:
    """Run it all; ends with the exit code."""

    async def work(opened: Site) -> None:
        site = replace(opened, expect=wish.expect)
        _see_older(wish, site)
        written = _text(desk.inventory) if wish.save is not None else ""
        found = await verify(opened, load=wish.load, thresholds=wish.thresholds, expect=wish.expect)
        proof = _proof(site, wish, found)
        _show(proof, desk)
        lost = _keep(proof, wish, site, found, desk, written)
        show_completion(site, found.answer, desk)
        _conclude(proof, wish, lost)

    run("verify", desk, work)


def _see_older(wish: Wish, site: Site) -> None:
    """What an emulated machine is not judged by makes no baseline of a real one."""
    if wish.old is None:
        return
    if wish.old.cluster != site.cluster.name:
        said = f"the older report is of cluster {quoted(wish.old.cluster)}, not of {quoted(site.cluster.name)}"
        raise UsageError(said, "compare with a report of the same cluster")
    if wish.old.expect not in ("", wish.expect):
        said = f"the older report was made with --expect {quoted(wish.old.expect)}, and this one is with {wish.expect}"
        raise UsageError(said, "compare with a report of the same machines")


def _text(inventory: Path) -> str:
    """As it is now: it may be another one, or gone, when the tests have ended."""
    try:
        return inventory.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"{inventory} cannot be read: {error.strerror}", "--save keeps a copy of it") from None


def _proof(site: Site, wish: Wish, found: Verified) -> Proof:
    taken, verdicts = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC", only(found.verdicts, wish.only)
    made = Proof(site.cluster, site.fabric, verdicts, wish.thresholds, wish.expect, taken, __version__)
    since = None if wish.old is None else _since(wish.old, wish.only, verdicts, found)
    return replace(made, overlays=site.overlays, load=found.load, since=since)


def _since(
    old: compare.Old, ids: Sequence[str], verdicts: tuple[Verdict, ...], found: Verified
) -> compare.Comparison:
    """With --only the other checks are not gone: they were not asked for."""
    like = replace(old, verdicts=only(old.verdicts, ids))
    return compare.compare(like, verdicts, None if found.load is None else measures.rows(found.load))


def _show(proof: Proof, desk: Desk) -> None:
    """The report, for a program and for people."""
    desk.fields |= as_values(proof)
    if desk.junit:
        emit(verdicts_as_junit(proof.cluster.name, proof.verdicts))
    if proof.since is not None:
        say(desk.people, *compare.pieces(proof.since), end="", wrap=False)
    print_verdicts(proof.verdicts, desk.people, every=desk.verbose)


def _keep(
    proof: Proof, wish: Wish, site: Site, found: Verified, desk: Desk, inventory: str
) -> list[UsageError]:
    """The files that were asked for, the most complete first; why one of them could not be written."""
    lost: list[UsageError] = []
    if wish.save is not None:
        with _noted(lost):
            places.save(wish.save, files(proof, found.raw, inventory, _secrets(site)))
            say(desk.progress, f"saved in {wish.save}")
    if wish.html is not None:
        with _noted(lost):
            places.write(wish.html, page(proof))
    return lost


@contextmanager
def _noted(lost: list[UsageError]) -> Iterator[None]:
    try:
        yield
    except UsageError as error:
        lost.append(error)


def _secrets(site: Site) -> Iterator[str]:
    """What this machine knows to be secret; a file that cannot be read here is on no node because of us."""
    for node in site.cluster.nodes:
        held: Mapping[str, bytes] = {}
        try:
            held = site.secrets(node.name)
        except Refused:
            continue
        yield from (content.decode("utf-8", "replace") for content in held.values())


def _conclude(proof: Proof, wish: Wish, lost: Sequence[UsageError]) -> None:
    """What is wrong with the cluster counts most; that a report could not be written is said in any case."""
    said = [*lost, *_failures(proof, wish)]
    for error in said[:-1]:
        terminal.complain(error)
    if said:
        raise said[-1]


def _failures(proof: Proof, wish: Wish) -> Iterator[ChecksFailed]:
    """Something is not right, or nothing was judged: that proves nothing."""
    bad = wrong(proof.verdicts)
    if bad:
        yield failure(bad)
        return
    skipped = all(v.state == "skipped" and v.message != TCP_REASON for v in proof.verdicts)
    if skipped and (wish.only or not proof.verdicts):
        why = f": {visible(proof.verdicts[0].message)}" if proof.verdicts else ""
        yield ChecksFailed(f"{listed(wish.only)} judged nothing in this cluster{why}", "name other checks, or none")
