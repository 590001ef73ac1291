"""YAML text to a tree with places: iterative and bounded, so that no file can exhaust the stack or the memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml

from sparkctl.inventory.words import visible

DEPTH = 32  # the format itself is 4 deep; an engine's JSON argument may nest some more
ITEMS = 100_000  # a file for 2,000 nodes has about 25,000

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Mark: TypeAlias = tuple[int, int]


class Unreadable(Exception):
    """The text is not YAML that an inventory may use; `mark` is (line, column) from 1."""

    def __init__(self, mark: Mark, message: str, remedy: str) -> None:
        super().__init__(message)
        self.mark, self.message, self.remedy = mark, message, remedy


@dataclass(slots=True)
class Leaf:
    """A scalar; `plain` means that it was written without quotes."""

    mark: Mark
    text: str
    plain: bool


@dataclass(slots=True)
class Sequence:
    """A list."""

    mark: Mark
    items: list[Tree] = field(default_factory=list)


@dataclass(slots=True)
class Table:
    """A mapping, duplicates included; `key` waits for its value while the table is being read."""

    mark: Mark
    items: list[tuple[Tree, Tree]] = field(default_factory=list)
    key: Tree | None = None


@dataclass(slots=True)
class Reference:
    """An alias."""

    mark: Mark
    target: Tree


Tree: TypeAlias = Leaf | Sequence | Table | Reference


def compose(text: str) -> Tree | None:
    """The tree of the only document in `text`, None when there is nothing; raises Unreadable."""
    composer = _Composer()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            composer.take(event)
    except RecursionError:
        raise _too_deep((1, 1)) from None
    except yaml.YAMLError as error:
        raise _explained(error, text) from None
    return composer.root


class _Composer:
    """Takes the parser's events one by one."""

    def __init__(self) -> None:
        self.root: Tree | None = None
        self._open: list[Sequence | Table] = []
        self._anchors: dict[str, Tree] = {}
        self._count = 0

    def take(self, event: yaml.Event) -> None:
        """Put one event in its place."""
        mark = _mark(event.start_mark)
        if isinstance(event, yaml.NodeEvent):
            self._node(event, mark)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._open.pop()
        elif isinstance(event, yaml.DocumentStartEvent) and self.root is not None:
            raise Unreadable(mark, "a second YAML document starts here", "keep one cluster per file")

    def _node(self, event: yaml.NodeEvent, mark: Mark) -> None:
        if isinstance(event, yaml.AliasEvent):
            self._add(self._reference(event, mark))
            return
        tree = self._tree(event, mark)
        self._add(tree)
        if event.anchor is not None:
            self._anchors[event.anchor] = tree
        if not isinstance(tree, Leaf):
            self._descend(tree)

    def _tree(self, event: yaml.NodeEvent, mark: Mark) -> Leaf | Sequence | Table:
        if isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)) and event.tag is not None:
            raise Unreadable(
                mark,
                f"the tag '{visible(event.tag[:60])}' is not supported",
                "remove the tag; quote the value if it is text",
            )
        if isinstance(event, yaml.ScalarEvent):
            return Leaf(mark, event.value, plain=not event.style)
        return Sequence(mark) if isinstance(event, yaml.SequenceStartEvent) else Table(mark)

    def _reference(self, event: yaml.AliasEvent, mark: Mark) -> Reference:
        anchor = event.anchor or ""
        name, target = visible(anchor[:60]), self._anchors.get(anchor)
        if target is None:
            raise Unreadable(mark, f"the alias *{name} has no anchor &{name} before it", "write the value here")
        if any(target is tree for tree in self._open):
            raise Unreadable(mark, f"the alias *{name} contains itself", "write the value here")
        return Reference(mark, target)

    def _descend(self, tree: Sequence | Table) -> None:
        if len(self._open) >= DEPTH:
            raise _too_deep(tree.mark)
        self._open.append(tree)

    def _add(self, tree: Tree) -> None:
        self._count += 1
        if self._count > ITEMS:
            raise Unreadable(tree.mark, f"more than {ITEMS} items", "split the file: one cluster each")
        parent = self._open[-1] if self._open else None
        if parent is None:
            self.root = tree
        elif isinstance(parent, Sequence):
            parent.items.append(tree)
        elif parent.key is None:
            parent.key = tree
        else:
            parent.items.append((parent.key, tree))
            parent.key = None


def _mark(mark: Any) -> Mark:
    return (1, 1) if mark is None else (mark.line + 1, mark.column + 1)


def _too_deep(mark: Mark) -> Unreadable:
    return Unreadable(mark, f"nested more than {DEPTH} levels deep", "an inventory needs four levels")


def _explained(error: yaml.YAMLError, text: str) -> Unreadable:
    """The parser's complaint in words that say what to do."""
    place = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if place is None:
        return Unreadable((1, 1), "not YAML", "an inventory is a YAML mapping in UTF-8")
    line, column = _mark(place)
    # Some parsers give up on brackets by themselves, each in words of its own, before the events get this far.
    before = text[: place.index]
    if sum(map(before.count, "[{")) - sum(map(before.count, "]}")) > DEPTH:
        return _too_deep((line, column))
    if _starts_with_tab(text, line, column):
        return Unreadable((line, column), "a tab, where YAML wants spaces", "indent with spaces")
    said = visible(str(getattr(error, "problem", None) or getattr(error, "context", None) or "it cannot be parsed"))
    return Unreadable(
        (line, column),
        f"not valid YAML: {said}",
        "mind the indentation, colons, brackets and quotes here and on the line before",
    )


def _starts_with_tab(text: str, line: int, column: int) -> bool:
    lines = text.split("\n", line)
    here = lines[line - 1] if len(lines) >= line else ""
    before = here[: column - 1]
    return here[column - 1 : column] == "\t" or (before.isspace() and "\t" in before)
