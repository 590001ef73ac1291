"""Mutants of a script in POSIX sh: every test, condition, refusal, step and pattern of its functions.

| operator | what becomes of it |
|---|---|
| holds, fails | a `[ ... ]`, or a command that is asked (`if`, `while`, `elif`, a predicate), is true, false; no endless `while` |
| left out | any other command is `true`; `return` and `exit` too: it goes on |
| denied | `!` is left out |
| flipped | -gt and -ge, -lt and -le |
| no case | one pattern of a `case` never fits |

Left out are what is told to people (`err`), assignments, and what only moves arguments about.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.mutants.mutant import ROOT, Mutant, numbered, shortened

PLUMBING = ("err", "read", "shift", "set", ":", "true", "umask", "export", "break", "continue", "printf", "echo", "for")
PREDICATES = ("listed", "has_digest", "foreign_lock", "grep", "cmp", "has_carrier", "nm_answers", "command", "as_written")
ASKED = ("if", "elif", "while")
OPENING = (*ASKED, "then", "else", "do", "{", "!")
CLOSING = ("fi", "done", "esac", "}")
SEPARATORS = ("\n", ";", "&&", "||", "|", "&", ";;", "(", ")")
FLIPS = {"-gt": "-ge", "-ge": "-gt", "-lt": "-le", "-le": "-lt"}
TOKEN = re.compile(r"\n|;;|&&|\|\||[;|&()]|(?:[<>]&[\d-]|[^\s;|&()])+")
FUNCTION = re.compile(r"^(\w+)\(\) (?:\{.*\}$|\{.*\n(?:.*\n)*?\}$)", re.M)


def derive(file: str) -> list[Mutant]:
    """All mutants of `file`, in its order."""
    source = (ROOT / file).read_text()
    found = (m for match in FUNCTION.finditer(source) for m in _of_function(file, source, match))
    return list(numbered(found))


def _of_function(file: str, source: str, match: re.Match[str]) -> Iterator[Mutant]:
    code = masked(match[0])
    for operator, start, end, left in edits(code):
        at, line = match.start() + start, source.count("\n", 0, match.start() + start) + 1
        said = shortened(match[0][start:end])
        yield Mutant(file, match[1], operator, said, at, match.start() + end, left, (line, line), True, match[0])


def masked(text: str) -> str:
    """The text, as long as before, with what is quoted, substituted or a comment as `_` and blanks."""
    out, at = list(text), 0
    while at < len(text):
        end, mark = _opaque(text, at)
        for i in range(at, end):
            out[i] = mark
        at = max(end, at + 1)
    return "".join(out)


def _opaque(text: str, at: int) -> tuple[int, str]:
    """Where what begins at `at` ends, and what stands for it; `at` itself where nothing special begins."""
    if text[at] == "#" and (at == 0 or text[at - 1] in " \n"):
        return text.index("\n", at), " "
    if text.startswith("\\\n", at):
        return at + 2, " "
    if text.startswith("<<END", at):
        return text.index("\nEND\n", at) + 4, "_"
    return _quoted(text, at), "_"


def _quoted(text: str, at: int) -> int:
    """Where a quote or a substitution that begins at `at` ends."""
    if text[at] == "'":
        return text.index("'", at + 1) + 1
    if text[at] == '"':
        return _until(text, at + 1, '"')
    if text.startswith("$(", at):
        return _until(text, at + 2, ")")
    return _until(text, at + 2, "}") if text.startswith("${", at) else at


def _until(text: str, at: int, closing: str) -> int:
    depth = 0
    while text[at] != closing or depth:
        if text[at] == "\\":
            at += 2
            continue
        depth += {"(": 1, ")": -1}.get(text[at], 0) if closing == ")" else 0
        inner = at if closing == '"' and text[at] == "'" else _quoted(text, at)
        at = max(inner, at + 1)
    return at + 1


@dataclass
class _Command:
    """One simple command: its words, with what stands before it; `left`: the first word of what is left of `||`."""

    words: list[re.Match[str]]
    before: str
    asked: bool
    left: str

    @property
    def span(self) -> tuple[int, int]:
        return self.words[0].start(), self.words[-1].end()


def _asked(command: _Command) -> Iterator[tuple[str, int, int, str]]:
    if command.before != "while":
        yield "holds", *command.span, "true"
    yield "fails", *command.span, "false"


@dataclass
class _Parser:
    """Goes through the tokens of a function. `state`: empty where commands are, else what is waited for."""

    state: str = ""
    before: str = ""
    asked: bool = False
    left: str = ""
    current: _Command | None = None

    def found(self, token: re.Match[str]) -> Iterator[tuple[str, Any]]:
        """What a token completes: a `pattern`, a `!`, a `command`."""
        word = token[0]
        if self.state == "pattern":
            yield from self._pattern(token)
        elif self.state:
            self._header(word)
        elif word in SEPARATORS:
            yield from self._separated(word)
        elif self.current is not None:
            self.current.words.append(token)
        elif word in ("case", "for"):
            self.state = word
        elif word in (*OPENING, *CLOSING):
            self.asked = word in ASKED or (word == "!" and self.asked)
            self.before = word
            if word == "!":
                yield "!", token
        else:
            self.current = _Command([token], self.before, self.asked, self.left)

    def _pattern(self, token: re.Match[str]) -> Iterator[tuple[str, Any]]:
        if token[0] == "esac":
            self.state, self.before = "", "esac"
        elif token[0] == ")":
            self.state, self.before, self.asked = "", ";", False
        elif token[0] not in ("|", "\n", "("):
            yield "pattern", token

    def _header(self, word: str) -> None:
        """Of a `case` up to `in`, of a `for` up to `do`."""
        if self.state == "case":
            self.state = "pattern" if word == "in" else self.state
        elif word in ("do", "\n", ";"):
            self.state, self.before, self.asked = "", word, False

    def _separated(self, word: str) -> Iterator[tuple[str, Any]]:
        if self.current is not None:
            yield "command", self.current
            self.left, self.current = self.current.words[0][0], None
        self.asked = self.asked and word in ("&&", "||", "|")
        self.before = word
        if word == ";;":
            self.state = "pattern"


def _parsed(code: str) -> Iterator[tuple[str, Any]]:
    """The patterns, negations and simple commands of a function, in their order."""
    parser = _Parser()
    for token in TOKEN.finditer(code, code.index("{") + 1):
        yield from parser.found(token)


def edits(code: str) -> Iterator[tuple[str, int, int, str]]:
    """Operator, start, end and what stands there instead, for the masked text of a function."""
    for kind, item in _parsed(code):
        if kind == "pattern":
            yield "no case", item.start(), item.end(), "_never_"
        elif kind == "!":
            yield "denied", item.start(), item.end() + 1, ""
        else:
            yield from _of_command(item)


def _of_command(command: _Command) -> Iterator[tuple[str, int, int, str]]:
    first = command.words[0][0]
    if first == "[":
        yield from _asked(command)
        for word in command.words:
            if word[0] in FLIPS:
                yield "flipped", word.start(), word.end(), FLIPS[word[0]]
    elif first in ("return", "exit"):
        if not (command.before == "||" and command.left == "["):
            yield "left out", *command.span, "true"
    elif first in PLUMBING or re.match(r"\w+=|\d?[<>]|_", first):
        return
    elif command.asked or first in PREDICATES:
        yield from _asked(command)
    else:
        yield "left out", *command.span, "true"
