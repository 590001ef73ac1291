"""The mutants that are remembered: every safety device taken out, one at a time, and the test that must fail then.

`tests/mutants` tries them, with those that it derives by itself.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SUITE = "tests/scenario/test_safety.py"
STANDIN = "tests/scenario/test_standin.py"
Edit = tuple[int, int, str]
"""Part of a function's text, and what stands there instead."""


class GoneError(Exception):
    """A device is no longer where it was, or there are two of them."""


# --- functions, wherever they are ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Function:
    """A function of the program or of the node's scripts: its file, and where in it its text is."""

    file: Path
    start: int
    text: str


def of_program(name: str) -> Function:
    """A function by its name, `Class.method` for a method; where modules have the same, `module.function`."""
    found = [f for full, qualified, f in _program() if full.endswith(f".{name}") and len(name) >= len(qualified)]
    return _one(found, f"function {name}")


def of_node(name: str) -> Function:
    """A shell function of the templates."""
    return _one([f for known, f in _scripts() if known == name], f"shell function {name}")


@cache
def _program() -> tuple[tuple[str, str, Function], ...]:
    files = sorted(path.relative_to(ROOT) for path in (ROOT / "sparkctl").rglob("*.py"))
    return tuple(row for file in files for row in _defined(file, (ROOT / file).read_text()))


def _defined(file: Path, source: str) -> Iterator[tuple[str, str, Function]]:
    module, starts = ".".join(file.with_suffix("").parts), _line_starts(source)
    for name, node in _functions(ast.parse(source), ""):
        assert node.end_lineno is not None
        start, end = starts[node.lineno - 1], starts[node.end_lineno]
        yield f"{module}.{name}", name, Function(file, start, source[start:end])


def _functions(tree: ast.AST, inside: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield inside + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node, f"{inside}{node.name}.")


def _line_starts(source: str) -> list[int]:
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    return starts


@cache
def _scripts() -> tuple[tuple[str, Function], ...]:
    files = sorted(path.relative_to(ROOT) for path in (ROOT / "templates").rglob("*.sh"))
    named = re.compile(r"^(\w+)\(\) (?:\{.*\}$|\{.*\n(?:.*\n)*?\}$)", re.M)
    matches = ((file, found) for file in files for found in named.finditer((ROOT / file).read_text()))
    return tuple((found[1], Function(file, found.start(), found[0])) for file, found in matches)


def _one(found: list[Function], what: str) -> Function:
    if len(found) != 1:
        raise GoneError(f"there are {len(found)} of {what}")
    return found[0]


# --- what is taken out of them ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mutant:
    """A device: the function that it is in, what is done to that, and the test that must fail then."""

    device: str
    find: Callable[[str], Function]
    function: str
    edit: Callable[[str], Edit]
    test: str
    suite: str = SUITE

    def mutated(self) -> tuple[Path, Edit]:
        """The file and what is done to its text; GoneError says why the device cannot be taken out."""
        where = self.find(self.function)
        try:
            start, end, left = self.edit(where.text)
        except GoneError as gone:
            raise GoneError(f"{self.function}: {gone}") from None
        return where.file, (where.start + start, where.start + end, left)


def never(word: str) -> Callable[[str], Edit]:
    """The one condition that says `word` does not hold."""
    return _python(_conditions, lambda node: _says(node, word), f"conditions that say {word}", lambda _: "False")


def drop(call: str, word: str = "") -> Callable[[str], Edit]:
    """The one call of `call` (with `word` in it) is left out, be it a statement, raised, or an element of a list."""
    return _python(_calls, lambda node: _called(node, call) and word in ast.unparse(node), f"calls of {call} {word}", _nothing)


def unwrap(call: str) -> Callable[[str], Edit]:
    """Instead of the one call of `call` there is what it is given."""
    return _python(ast.walk, lambda node: _is_call(node, call), f"calls of {call}", lambda node: ast.unparse(node.args[0]))  # type: ignore[attr-defined]


def forwards(variable: str) -> Callable[[str], Edit]:
    """The one place where `variable` is gone through backwards goes forwards."""
    return _python(ast.walk, lambda node: ast.unparse(node) == f"{variable}[::-1]", f"places with {variable}[::-1]", lambda _: variable)


def forgets(variable: str) -> Callable[[str], Edit]:
    """The one loop over a written-out tuple leaves `variable` out."""
    return _python(_loops, lambda node: _says(node, variable), f"loops over {variable}", lambda node: _but(node, variable))


def instead(name: str, other: str) -> Callable[[str], Edit]:
    """The one mention of `name` is one of `other`."""
    return _python(ast.walk, lambda node: isinstance(node, ast.Attribute) and ast.unparse(node) == name, f"mentions of {name}", lambda _: other)


def _python(
    parts: Callable[[ast.AST], Iterable[ast.AST]], right: Callable[[ast.AST], bool], what: str, left: Callable[[ast.AST], str]
) -> Callable[[str], Edit]:
    def edit(text: str) -> Edit:
        indent = len(text) - len(text.lstrip(" "))
        block = "if True:\n" + text if indent else text
        found = [node for node in parts(ast.parse(block)) if right(node)]
        if len(found) != 1:
            raise GoneError(f"there are {len(found)} {what}")
        start, end = (at - (len(block) - len(text)) for at in _span(block, found[0]))
        after = text[end:].startswith(",") and left(found[0]) == ""
        return start, end + after, left(found[0])

    return edit


def _span(source: str, node: ast.AST) -> tuple[int, int]:
    starts = _line_starts(source)
    at: list[int] = []
    for line, column in ((node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)):  # type: ignore[attr-defined]
        row = source[starts[line - 1] : starts[line]].encode()
        at.append(starts[line - 1] + len(row[:column].decode()))
    return at[0], at[1]


def _conditions(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, ast.If | ast.IfExp | ast.While):
            yield from _operands(node.test)


def _operands(test: ast.AST) -> Iterator[ast.AST]:
    for each in test.values if isinstance(test, ast.BoolOp) else ():
        yield from _operands(each)
    if not isinstance(test, ast.BoolOp):
        yield test


def _calls(tree: ast.AST) -> Iterator[ast.AST]:
    """What a call can be left out as: a statement, an element of a list, a list that is made by it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr | ast.Raise | ast.ListComp):
            yield node
        elif isinstance(node, ast.List):
            yield from node.elts


def _called(node: ast.AST, call: str) -> bool:
    inner = {ast.Expr: "value", ast.Raise: "exc", ast.ListComp: "elt"}.get(type(node))
    made = getattr(node, inner) if inner else node
    return _is_call(made.value if isinstance(made, ast.Await) else made, call)


def _is_call(node: ast.AST, call: str) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == call


def _nothing(node: ast.AST) -> str:
    return "pass" if isinstance(node, ast.Expr | ast.Raise) else "[]" if isinstance(node, ast.ListComp) else ""


def _loops(tree: ast.AST) -> Iterator[ast.AST]:
    return (node.iter for node in ast.walk(tree) if isinstance(node, ast.For) and isinstance(node.iter, ast.Tuple))


def _but(node: ast.AST, variable: str) -> str:
    return "".join(f"{ast.unparse(each)}, " for each in node.elts if not _says(each, variable)).join("()")  # type: ignore[attr-defined]


def _says(node: ast.AST, word: str) -> bool:
    return re.search(rf"\b{re.escape(word)}\b", ast.unparse(node)) is not None


def fails(word: str) -> Callable[[str], Edit]:
    """The one `[ ... ]` of a shell function that says `word` never holds."""
    return _shell(_test(word), "false")


def holds(word: str) -> Callable[[str], Edit]:
    """The one `[ ... ]` of a shell function that says `word` always holds."""
    return _shell(_test(word), "true")


def without(command: str, word: str = "", left: str = "true") -> Callable[[str], Edit]:
    """The one call of `command` in a shell function (with `word` in it) does nothing, and says that it did (or `left`)."""
    return _shell(rf"{_here(command)}(?=[ ;\n])(?:(?![;&|>\n]).)*?{re.escape(word)}(?:(?! ?[;&|>\n]).)*", left)


def bare(command: str) -> Callable[[str], Edit]:
    """The program that `command` (with its options) runs is run without it."""
    return _shell(rf"{_here(command)}(?: -\S+)+ ", "")


def _here(command: str) -> str:
    return rf"(?m)(?:(?<=[ (])|(?<=^)){re.escape(command)}"


def _test(word: str) -> str:
    return rf"\[ (?:(?! \][ ;\n]).)*{re.escape(word)}(?:(?! \][ ;\n]).)* \](?=[ ;\n])"


def _shell(pattern: str, left: str) -> Callable[[str], Edit]:
    def edit(text: str) -> Edit:
        code = re.sub(r"(?m)(?:^| )#.*$", lambda comment: " " * len(comment[0]), text)
        found = list(re.finditer(pattern, code))
        if len(found) != 1:
            raise GoneError(f"there are {len(found)} places for {pattern}")
        return found[0].start(), found[0].end(), left

    return edit


MUTANTS = (
    Mutant("gate", of_program, "Gate.run", never("ceiling"), "test_gate"),
    Mutant("lock", of_node, "lock", fails("until"), "test_lock"),
    Mutant("end of a lease", of_node, "lock", holds("until"), "test_lock_of_a_dead_controller_ends"),
    Mutant("stale check", of_program, "Runner._refuse_stale", never("moved"), "test_stale_check"),
    Mutant("knock", of_program, "_proofs_up", drop("kept_alive", "_unfiltered"), "test_knock_before_the_engine"),
    Mutant("timer", of_node, "arm", without("timer"), "test_checkpoint_is_armed_before_the_first_change"),
    Mutant("timer's revert", of_node, "timer", without("/bin/sh"), "test_checkpoint_puts_a_node_back_alone"),
    Mutant("boot hook", of_node, "arm", without("hook"), "test_boot_hook"),
    Mutant("fsync of before-images", of_node, "arm", without("find"), "test_fsync_of_what_is_put_back"),
    Mutant("head first", of_program, "way_back", forwards("others"), "test_reverse_order_of_nodes"),
    Mutant("engine's order on the way back", of_program, "way_back", forgets("starts"), "test_a_gang_that_ran_runs_again_its_head_first", STANDIN),
    Mutant("wait for the head's port", of_node, "await_port", holds("$4"), "test_a_head_that_does_not_listen_fails_the_run_before_any_worker_starts", STANDIN),
    Mutant("fsync of the state", of_node, "enter", without('dirty="$dirty', "$R/state $R"), "test_fsync_of_the_checkpoint"),
    Mutant("last first", of_program, "UnitChange.undo", instead("Undoing.STOP", "Undoing.START"), "test_reverse_order_on_a_node"),
    Mutant("digest check on teardown", of_program, "given_back", never("_edited"), "test_digest_check_on_teardown"),
    Mutant("digest check of before-images", of_node, "intact", without("has_digest"), "test_digest_check_of_before_images"),
    Mutant("new connections", of_program, "Runner._connect", drop("connect"), "test_confirm_over_new_connections"),
    Mutant("journal of the intention", of_program, "prepare", drop("journal"), "test_journal_of_the_intention"),
    Mutant("journal of the step", of_program, "commit", drop("journal", "started"), "test_journal_of_every_step"),
    Mutant("fsync of the journal", of_node, "journal", without("flush"), "test_journal_of_every_step"),
    Mutant("only our files", of_node, "put_file", without("ours"), "test_a_node_changes_only_what_is_sparkctls"),
    Mutant("only our units", of_node, "stop_unit", without("our_unit"), "test_a_node_changes_only_what_is_sparkctls"),
    Mutant("redaction", of_program, "files.probe", never("secret"), "test_redaction"),
    Mutant("hold", of_node, "hold", fails("$run"), "test_hold"),
    Mutant("hold after a boot", of_node, "hold", fails("$on"), "test_hold_after_a_boot"),
    Mutant("confirmed for good", of_program, "Runner.execute", never("confirmed"), "test_nothing_is_undone_after_the_confirmation"),
    Mutant("keepalive", of_program, "Runner.kept_alive", drop("_keep_alive"), "test_keepalive"),
    Mutant("keepalive of the look", of_program, "_right_roce", unwrap("kept_alive"), "test_keepalive_while_looking_at_roce"),
    Mutant("book", of_node, "keep_made", without("listed", left="false"), "test_a_run_finished_twice_keeps_the_same_book"),
    Mutant("wrong RoCE", of_program, "_right_roce", drop("StepFailed"), "test_wrong_roce_is_undone"),
    Mutant("detached apply", of_node, "apply_fully", bare("systemd-run"), "test_detached_apply"),
)
