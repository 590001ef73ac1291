"""Derived mutants: every operator makes what it says, texts for people have none, and names are names."""

from __future__ import annotations

import ast
import subprocess

import pytest

from tests.mutants import program, shell
from tests.mutants.mutant import ROOT, Mutant
from tests.mutants.reviewed import MOST, Review, wrong
from tests.mutants.run import derived, remembered

PROGRAM = '''class Gate:
    async def run(self, seen):
        """Words if any."""
        if self.broken or not seen:
            raise Wrong("é" if seen else "è")
        try:
            with self.guard():
                found = [each for each in seen if each < 3]
        except (OSError, ValueError):
            found = []
        finally:
            self.close()
        self.ready = any(found[::-1])
        self.name = self.given or "nobody"
        note(f"{len(found) > 3}")
        self.observer(Note("x" if found else ""))
        return [lock(1), *unlock(2)], self.a | self.b, not seen, keep(now=True)

    def held(self) -> bool:
        return self.run == "a"

    def never(self) -> bool:
        return False
'''
MADE = {
    "always: self.broken or not seen": 1, "always: each < 3": 1, "never: self.broken or not seen": 1, "never: each < 3": 1,
    "but: self.broken or not seen -> (self.broken)": 1, "but: self.broken or not seen -> (not seen)": 1, "flipped: each < 3": 1,
    'dropped: raise Wrong("é" if seen else "è")': 1, "unguarded: self.guard()": 1, "unguarded: self.close()": 1, "unhandled: found = [] -> raise": 1,
    "unhandled: (OSError, ValueError) -> (OSError,)": 1, "unhandled: (OSError, ValueError) -> (ValueError,)": 1, "dropped: self.close()": 1,
    'dropped: self.name = self.given or "nobody"': 1, 'but: self.given or "nobody" -> (\'nobody\')': 1, "answers: return False -> return True": 1,
    "denied: False": 1, "dropped: self.ready = any(found[::-1])": 1, "swapped: any": 1, "forwards: found[::-1]": 1, 'dropped: note(f"{len(found) > 3}")': 1,
    "forgets: [lock(1), *unlock(2)] -> [*unlock(2)]": 1, "forgets: [lock(1), *unlock(2)] -> [lock(1)]": 1, "but: self.a | self.b -> (self.a)": 1,
    "but: self.a | self.b -> (self.b)": 1, "denied: not seen": 1, "denied: True": 1, 'flipped: self.run == "a"': 1,
    'answers: return self.run == "a" -> return True': 1, 'answers: return self.run == "a" -> return False': 1,
}  # fmt: skip
SCRIPT = """run() { # a comment: [ "$x" ] && sync
  if [ "$on" -gt 3 ] && foreign "$1"; then err "no || return"; return 75; fi
  ! listed "$a" "$(cat "$b" && x)" || return
  case $(state "$1") in active | *ting) stop "$1" ;; *) return 1 ;; esac
  while read -r line; do echo "$line"; done <<END
$(cat "$a" | sort)
END
  sync "$a" && [ -f 'a && b' ] || { x=1; return 5; }
}
"""
OF_SCRIPT = [
    'holds: [ "$on" -gt 3 ]', 'fails: [ "$on" -gt 3 ]', "flipped: -gt", 'holds: foreign "$1"', 'fails: foreign "$1"', "left out: return 75", "denied: !",
    'holds: listed "$a" "$(cat "$b" && x)"', 'fails: listed "$a" "$(cat "$b" && x)"', "left out: return", "no case: active", "no case: *ting",
    'left out: stop "$1"', "no case: *", "left out: return 1", 'left out: sync "$a"', "holds: [ -f 'a && b' ]", "fails: [ -f 'a && b' ]", "left out: return 5",
]  # fmt: skip


def test_operators_on_the_program() -> None:
    """Each where it is once; none for what is only told."""
    every = [m for name, node in program.functions(ast.parse(PROGRAM), "") for m in program.Function("x.py", PROGRAM, name, node).mutants()]
    assert sorted(f"{m.operator}: {m.said}" for m in every) == sorted(MADE)
    for mutant in every:
        left = PROGRAM[: mutant.start] + mutant.left + PROGRAM[mutant.end :]
        assert ast.dump(ast.parse(left)) != ast.dump(ast.parse(PROGRAM)), mutant.name
    refusals = {m.said for m in every if m.refusal}
    assert refusals >= {"self.broken or not seen", 'raise Wrong("é" if seen else "è")'}


def test_operators_on_the_scripts_of_a_node() -> None:
    """Nothing of what is quoted, substituted or a comment."""
    edits = list(shell.edits(shell.masked(SCRIPT)))
    assert [f"{operator}: {' '.join(SCRIPT[start:end].split())}" for operator, start, end, _ in edits] == OF_SCRIPT
    for _, start, end, left in edits:
        subprocess.run(["sh", "-n"], input=SCRIPT[:start] + left + SCRIPT[end:], text=True, check=True)


@pytest.fixture(scope="module")
def every() -> list[Mutant]:
    return derived()


@pytest.mark.more
def test_every_mutant_can_be_read(every: list[Mutant]) -> None:
    """At least 600; each has a name of its own and is another program."""
    assert len({m.name for m in every}) == len(every) >= 600
    for mutant in [*every, *remembered()]:
        text = mutant.text()
        assert text != (ROOT / mutant.file).read_text(), mutant.name
        if not mutant.shell:
            ast.parse(text)


def test_every_script_can_be_run(every: list[Mutant]) -> None:
    """In one shell: what sh cannot read would be killed by that alone."""
    scripts = [m.text() for m in every if m.shell]
    asked = "".join(f"sh -n <<'MUTANT' || echo {n}\n{text}MUTANT\n" for n, text in enumerate(scripts))
    assert subprocess.run(["sh"], input=asked, text=True, capture_output=True).stdout == ""


def test_the_list_of_the_reviewed_is_looked_at(every: list[Mutant]) -> None:
    """What is no mutant, no reason, a refusal, or too much, is a fault."""
    plain = [m for m in every if not m.refusal]
    refusal = next(m for m in every if m.refusal)
    assert wrong(every, {plain[0].name: Review("equivalent", "it is")}) == []
    assert wrong(every, {refusal.name: Review("open", "yet to come")}) == []
    assert wrong(every, {refusal.name: Review("equivalent", "it is")}) == [f"a refusal has no reason to live: {refusal.name}"]
    assert wrong(every, {"none": Review("words", "a note")}) == ["no such mutant: none"]
    assert wrong(every, {plain[0].name: Review("lazy", "no")}) == [f"no reason: {plain[0].name}"]
    assert wrong(every, {plain[0].name: Review("words", "")}) == [f"no reason: {plain[0].name}"]
    many = {m.name: Review("words", "a note") for m in plain[: int(MOST * len(every)) + 1]}
    assert [fault for fault in wrong(every, many) if "more than" in fault]
