"""Recorded ground: what every verb plans, shows and sends on every example is as it was; `make golden` rewrites it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.ground import (
    HISTORIES,
    VERBS,
    Site,
    again,
    always,
    body,
    carried,
    changed,
    first,
    reached,
    scripts,
    sent,
    told,
)

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT / "tests" / "cases" / "ground"
INVENTORIES = sorted((ROOT / "inventories").glob("*.yaml"))
MINIMAL = ROOT / "inventories" / "minimal.yaml"
Golden = Callable[[Path, str], None]


def edited(inventory: Path, folder: Path) -> Path:
    """The same inventory with another MTU and another port of the API."""
    text = re.sub(r"\n  (mtu|port): \d+[^\n]*", "", inventory.read_text())
    text, once = re.subn(r"fabric: \{", "fabric: {mtu: 4200, ", text)
    text, many = re.subn(r"\nfabric:\n", "\nfabric:\n  mtu: 4200\n", text)
    text, ports = re.subn(r"\nengine:[^\n]*\n", r"\g<0>  port: 8001\n", text)
    assert (once + many, ports) == (1, 1)
    path = folder / inventory.name
    path.write_text(text)
    return path


def recabled(inventory: Path, folder: Path) -> Path:
    """The same inventory, its cable in the other port of each node."""
    path = folder / inventory.name
    path.write_text(inventory.read_text().replace(":p1", ":p0"))
    return path


@pytest.mark.parametrize("inventory", INVENTORIES, ids=lambda path: path.stem)
def test_every_verb_of_an_example(inventory: Path, golden: Golden) -> None:
    site = Site.of(inventory)
    for verb, made in VERBS.items():
        golden(CASES / inventory.stem / f"{verb}.txt", told(site, made(site)))


@pytest.mark.parametrize("inventory", INVENTORIES, ids=lambda path: path.stem)
def test_nothing_to_do_leaves_the_records_as_they_are(inventory: Path) -> None:
    site = Site.of(inventory)
    assert again(site).empty and again(site).records == first(site).records


@pytest.mark.parametrize("inventory", INVENTORIES, ids=lambda path: path.stem)
def test_up_after_an_edit_of_the_inventory(inventory: Path, golden: Golden, tmp_path: Path) -> None:
    before, after = Site.of(inventory), Site.of(edited(inventory, tmp_path))
    golden(CASES / inventory.stem / "up-changed.txt", told(after, changed(before, after), was=before, diffs=True))


def test_up_after_a_cable_was_moved(golden: Golden, tmp_path: Path) -> None:
    before, after = Site.of(MINIMAL), Site.of(recabled(MINIMAL, tmp_path))
    golden(CASES / "minimal" / "up-recabled.txt", told(after, changed(before, after), was=before, diffs=True))


@pytest.mark.parametrize("moment", HISTORIES)
def test_nodes_with_a_history(moment: str, golden: Golden) -> None:
    site = Site.of(MINIMAL)
    golden(CASES / "minimal" / f"{moment}.txt", told(site, HISTORIES[moment](site), diffs=True))


def test_what_every_run_sends(golden: Golden) -> None:
    text = "".join(
        f"# {command.title}: {command.effect.name}, at most {command.timeout:.0f} s\n" + "\n".join(body(command.script)) + "\n"
        for command in always(Site.of(MINIMAL))
    )
    golden(CASES / "every-run.txt", text)


def every_script() -> list[tuple[str, str]]:
    """Title and text of all kinds of script."""
    site = Site.of(MINIMAL)
    plans = [first(site), *(made(site) for made in HISTORIES.values())]
    commands = [command for plan in plans for node in site.names for command in sent(site, plan, node)]
    return list(scripts([*always(site), *commands]))


def test_the_functions_that_scripts_bring_along(golden: Golden) -> None:
    """Here alone it shows when the node's functions are cut into other files."""
    found: dict[tuple[str, ...], list[str]] = {}
    for title, script in every_script():
        found.setdefault(carried(script), []).append(title)
    text = "".join(f"# {'; '.join(sorted(set(t)))}\n" + "\n".join(names) + "\n" for names, t in sorted(found.items()))
    golden(CASES / "functions.txt", text)


def test_a_script_brings_along_whatever_it_calls() -> None:
    """At once or by way of other functions: a node has no others."""
    for title, script in every_script():
        assert reached(script) <= set(carried(script)), title
    lock, revert = dict(every_script())["lock"], dict(every_script())["revert.sh"]
    assert "await_written" in reached(revert) and "await_written" not in reached(lock)
    cut = lock.replace("\nwrite_lock() {", "\nwrite_luck() {")
    assert reached(cut) - set(carried(cut)) == {"write_lock"}


def test_no_case_has_lost_its_verb() -> None:
    kept = {path.relative_to(CASES).as_posix() for path in CASES.rglob("*") if path.is_file()}
    verbs = {f"{path.stem}/{verb}.txt" for path in INVENTORIES for verb in (*VERBS, "up-changed")}
    histories = {f"minimal/{moment}.txt" for moment in (*HISTORIES, "up-recabled")}
    assert kept == verbs | histories | {"every-run.txt", "functions.txt"}
