"""Mutants of a Python file: every condition, comparison, refusal, guard and step of its functions, but no words.

| operator | what becomes of it |
|---|---|
| never, always | the condition of an if, while, conditional expression or filter is False, True |
| answers | a function that answers with a bool says True, or False, at once |
| but | one operand of `and`, `or` or of a union is left out, but no text (`who or "nobody"`: what is told, or a type) |
| flipped | == and !=, in and not in, is and is not outside of conditions; < and <=, > and >= everywhere |
| denied | `not` is left out, outside of conditions; a constant that is returned or given by name is the other |
| dropped | a call, a raise, a `yield`, an assignment to an attribute or a key, += and the like |
| unhandled | an except clause raises again; one of several exceptions is not in it any more |
| unguarded | what a `finally` does, or a context manager without a name, is left out |
| swapped | any and all, min and max |
| forwards | [::-1] is left out |
| forgets | one call, or one starred, of a list |

Left out are texts: f-strings, what is given to an exception that is raised, notes for people.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from tests.mutants.mutant import ROOT, Mutant, numbered, shortened

WORDS = ("observer", "Note", "LogLine", "Phase", "Ended", "print", "echo", "complain")
FLIPS = {
    ast.Eq: "!=", ast.NotEq: "==", ast.In: "not in", ast.NotIn: "in", ast.Is: "is not", ast.IsNot: "is",
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">",
}  # fmt: skip
BOUNDS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
SWAPS = {"any": "all", "all": "any", "min": "max", "max": "min"}
NOTHING = '__import__("contextlib").nullcontext()'
Edit = tuple[str, int, int, str, ast.AST, bool]
"""Operator, start, end, what stands there instead, whose lines reach it, whether it refused something."""


def derive(file: str) -> list[Mutant]:
    """All mutants of `file`, in its order."""
    return list(numbered(mutant for function in every(file) for mutant in function.mutants()))


def every(file: str) -> list[Function]:
    """The functions of `file`."""
    source = (ROOT / file).read_text()
    return [Function(file, source, name, node) for name, node in functions(ast.parse(source), "")]


def functions(tree: ast.AST, inside: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """The outermost functions and the methods, by their qualified names."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield inside + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, f"{inside}{node.name}.")


@dataclass
class Function:
    """An outermost function or a method, and the text that it is in."""

    file: str
    source: str
    name: str
    node: ast.FunctionDef | ast.AsyncFunctionDef

    def __post_init__(self) -> None:
        self.starts = [0]
        for line in self.source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))

    def mutants(self) -> Iterator[Mutant]:
        """All of its mutants."""
        within = self.source[slice(*self.span(self.node))]
        for operator, start, end, left, node, refusal in self._edits():
            lines = node.lineno, node.end_lineno or node.lineno  # type: ignore[attr-defined]
            said = shortened(self.source[slice(*self.span(node))] if start == end else self.source[start:end])
            told = f"{said} -> {shortened(left)}" if operator in ("but", "unhandled", "forgets", "answers") else said
            yield Mutant(self.file, self.name, operator, told, start, end, left, lines, refusal, within)

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Where the text of a node is."""
        ends = (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]
        first, last = (self.starts[row - 1] + len(self._line(row).encode()[:column].decode()) for row, column in ends)
        return first, last

    def _line(self, row: int) -> str:
        return self.source[self.starts[row - 1] : self.starts[row]]

    def _edit(self, operator: str, node: ast.AST, left: str, *, refusal: bool = False) -> Edit:
        return operator, *self.span(node), left, node, refusal

    def _edits(self) -> Iterator[Edit]:
        if isinstance(self.node.returns, ast.Name) and self.node.returns.id == "bool":
            first = self.node.body[1] if ast.get_docstring(self.node) and len(self.node.body) > 1 else self.node.body[0]
            at = self.span(first)[0]
            for answer in (a for a in ("True", "False") if ast.unparse(first) != f"return {a}"):
                yield "answers", at, at, f"return {answer}\n{' ' * first.col_offset}", first, True
        for statement in self.node.body:
            yield from self._of(statement)

    def _of(self, node: ast.AST, *, asked: bool = False) -> Iterator[Edit]:
        """Edits of a node and of what is in it. `asked`: it is (a part of) a condition."""
        if isinstance(node, ast.JoinedStr | ast.Constant) or _words(node):
            return
        if isinstance(node, ast.stmt):
            yield from self._statement(node)
        yield from self._expression(node, asked=asked)
        yield from self._conditions(node)
        for child in _inside(node):
            deeper = isinstance(node, ast.BoolOp | ast.UnaryOp) and asked
            yield from self._of(child, asked=deeper or child in _tests(node))

    def _conditions(self, node: ast.AST) -> Iterator[Edit]:
        refuses = isinstance(node, ast.If) and any(map(_refuses, node.body))
        for test in _tests(node):
            if not isinstance(test, ast.Constant):
                yield self._edit("never", test, "False", refusal=refuses)
                if not isinstance(node, ast.While):
                    yield self._edit("always", test, "True")

    def _expression(self, node: ast.AST, *, asked: bool) -> Iterator[Edit]:
        if isinstance(node, ast.BoolOp):
            for each in (v for v in node.values if not _text(v)):
                rest = ast.BoolOp(node.op, [v for v in node.values if v is not each])
                yield self._edit("but", node, f"({ast.unparse(rest)})")
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            yield self._edit("but", node, f"({ast.unparse(node.left)})")
            yield self._edit("but", node, f"({ast.unparse(node.right)})")
        elif isinstance(node, ast.Compare) and len(node.ops) == 1 and (not asked or isinstance(node.ops[0], BOUNDS)):
            left, right = ast.unparse(node.left), ast.unparse(node.comparators[0])
            yield self._edit("flipped", node, f"({left} {FLIPS[type(node.ops[0])]} {right})")
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not) and not asked:
            yield self._edit("denied", node, f"({ast.unparse(node.operand)})")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SWAPS:
            yield self._edit("swapped", node.func, SWAPS[node.func.id])
        elif isinstance(node, ast.Subscript) and ast.unparse(node.slice) == "::-1":
            yield self._edit("forwards", node, ast.unparse(node.value))
        elif isinstance(node, ast.List) and len(node.elts) > 1:
            yield from self._elements(node)
        elif isinstance(node, ast.keyword) and isinstance(node.value, ast.Constant) and node.arg != "strict":
            yield from self._constant(node.value)

    def _elements(self, node: ast.List) -> Iterator[Edit]:
        for each in node.elts:
            if isinstance(each, ast.Call | ast.Starred):
                rest = ", ".join(ast.unparse(e) for e in node.elts if e is not each)
                yield self._edit("forgets", node, f"[{rest}]")

    def _constant(self, node: ast.expr | None) -> Iterator[Edit]:
        if isinstance(node, ast.Constant) and isinstance(node.value, bool):
            yield self._edit("denied", node, str(not node.value))

    def _statement(self, node: ast.stmt) -> Iterator[Edit]:
        if isinstance(node, ast.Raise):
            yield self._edit("dropped", node, "pass", refusal=True)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Yield | ast.YieldFrom):
            yield self._edit("dropped", node, "if False: yield")
        elif isinstance(node, ast.Expr) or (isinstance(node, ast.Assign) and not isinstance(node.targets[0], ast.Name | ast.Tuple)) or isinstance(node, ast.AugAssign):
            yield self._edit("dropped", node, "pass")
        elif isinstance(node, ast.Return):
            yield from self._constant(node.value)
        elif isinstance(node, ast.With | ast.AsyncWith):
            for item in node.items:
                if item.optional_vars is None:
                    yield self._edit("unguarded", item.context_expr, NOTHING)
        elif isinstance(node, ast.Try):
            yield from self._try(node)

    def _try(self, node: ast.Try) -> Iterator[Edit]:
        for handler in node.handlers:
            if not isinstance(handler.body[0], ast.Raise):
                yield "unhandled", self.span(handler.body[0])[0], self.span(handler.body[-1])[1], "raise", handler.body[0], False
            if isinstance(handler.type, ast.Tuple):
                for each in handler.type.elts:
                    rest = ", ".join(ast.unparse(e) for e in handler.type.elts if e is not each)
                    yield self._edit("unhandled", handler.type, f"({rest},)")
        if node.finalbody:
            yield "unguarded", self.span(node.finalbody[0])[0], self.span(node.finalbody[-1])[1], "pass", node.finalbody[0], False


def _tests(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        return [node.test]
    return node.ifs if isinstance(node, ast.comprehension) else []


def _refuses(node: ast.stmt) -> bool:
    return isinstance(node, ast.Raise | ast.Return)


def _text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _words(node: ast.AST) -> bool:
    """Whether it is only for people: the docstring, a note."""
    value = node.value if isinstance(node, ast.Expr) else node
    if isinstance(value, ast.Constant):
        return True
    return isinstance(value, ast.Call) and ast.unparse(value.func).rpartition(".")[2] in WORDS


def _inside(node: ast.AST) -> Iterator[ast.AST]:
    """What is looked at in a node: no annotations, decorators, kinds of exceptions, nor words."""
    if isinstance(node, ast.Raise):
        return
    types = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("isinstance", "issubclass")
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type", "type_params", "args") and (name != "args" or types or not isinstance(node, ast.Call)):
            continue
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, ast.AST):
                yield each
