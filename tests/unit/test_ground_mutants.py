"""The list of mutants: every safety device is still where its mutant looks for it, and every operator takes out what it says."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Callable

import pytest

from tests.mutation import (
    MUTANTS,
    ROOT,
    Edit,
    GoneError,
    Mutant,
    bare,
    drop,
    fails,
    forgets,
    forwards,
    holds,
    instead,
    never,
    of_node,
    of_program,
    unwrap,
    without,
)

PROGRAM = """    async def run(self):
        for wave in (head, workers):
            if self.broken or (self.é and wave):
                raise Wrong("é", self.list([lock(1), unlock(2)]))
        await kept(self.look())
        self.seen = order[::-1]
        return [stop(each) for each in wave]
"""
SCRIPT = """run() { # a comment: [ "$x" ] && sync
  if [ "$on" != "$(boot)" ] && [ -f "$S/x" ]; then hook "$1"; fi
  sync "$a" && mv "$a" "$b" && sync "$b" || return
  cat "$a" | sort -u >"$b"
  runner --quiet --unit=x netplan apply && return
}"""


def left(edit: Callable[[str], Edit], text: str) -> str:
    """The text with the edit made."""
    start, end, new = edit(text)
    return text[:start] + new + text[end:]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.device)
def test_a_mutant_applies(mutant: Mutant) -> None:
    """Its device is there once, what is left can be read, and the test that must fail is there."""
    file, edit = mutant.mutated()
    before = (ROOT / file).read_text()
    text = left(lambda _: edit, before)
    assert text != before
    if file.suffix == ".py":
        assert ast.dump(ast.parse(text)) != ast.dump(ast.parse(before))
    else:
        subprocess.run(["sh", "-n"], input=text, text=True, check=True)
    assert f"\ndef {mutant.test}(" in (ROOT / mutant.suite).read_text()


def test_no_device_has_left_the_list() -> None:
    """What this list was made with: a safety device that is given up is a decision of its own."""
    assert len({mutant.device for mutant in MUTANTS}) == len(MUTANTS) >= 26


@pytest.mark.parametrize(
    ("edit", "old", "new"),
    [
        (never("é"), "self.é and", "False and"),
        (never("broken"), "self.broken or", "False or"),
        (drop("unlock"), "lock(1), unlock(2)", "lock(1), "),
        (drop("lock"), "lock(1), ", " "),
        (drop("Wrong"), 'raise Wrong("é", self.list([lock(1), unlock(2)]))', "pass"),
        (drop("kept"), "await kept(self.look())", "pass"),
        (drop("stop"), "[stop(each) for each in wave]", "[]"),
        (unwrap("kept"), "kept(self.look())", "self.look()"),
        (forgets("head"), "(head, workers)", "(workers, )"),
        (forwards("order"), "order[::-1]", "order"),
        (instead("self.seen", "self.lost"), "self.seen", "self.lost"),
    ],
)
def test_operators_on_the_program(edit: Callable[[str], Edit], old: str, new: str) -> None:
    assert left(edit, PROGRAM) == PROGRAM.replace(old, new)


@pytest.mark.parametrize(
    ("edit", "old", "new"),
    [
        (fails("$on"), '[ "$on" != "$(boot)" ]', "false"),
        (holds("-f"), '[ -f "$S/x" ]', "true"),
        (without("hook"), 'hook "$1"', "true"),
        (without("sync", "$b"), 'sync "$b"', "true"),
        (without("sync", "$a"), 'sync "$a"', "true"),
        (bare("runner"), "runner --quiet --unit=x netplan", "netplan"),
    ],
)
def test_operators_on_the_scripts_of_a_node(edit: Callable[[str], Edit], old: str, new: str) -> None:
    assert left(edit, SCRIPT) == SCRIPT.replace(old, new, 1)


@pytest.mark.parametrize("edit", [never("nothing"), never("self"), drop("run"), unwrap("look2"), forgets("wave"), forwards("head")])
def test_what_is_not_there_once_is_gone(edit: Callable[[str], Edit]) -> None:
    with pytest.raises(GoneError, match="there are"):
        edit(PROGRAM)


@pytest.mark.parametrize("edit", [fails("$x"), fails("$"), without("sync"), without("mv", "$c"), bare("mv")])
def test_the_same_in_a_script(edit: Callable[[str], Edit]) -> None:
    with pytest.raises(GoneError, match="there are"):
        edit(SCRIPT)


def test_functions_are_found_wherever_they_are() -> None:
    """By name alone; a name that several modules have says which."""
    assert of_program("Gate.run").text.lstrip().startswith("async def run(")
    assert of_node("hold").text.startswith("hold() {") and of_node("hold").text.endswith("\n}")
    assert re.match(r"err\(\) \{.*\}$", of_node("err").text)
    for find, name in ((of_program, "probe"), (of_program, "Gate.walk"), (of_program, "execute"), (of_node, "walk")):
        with pytest.raises(GoneError):
            find(name)
