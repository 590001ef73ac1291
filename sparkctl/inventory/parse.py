"""The bytes of an inventory to plain values, with the place of every key and item, and what the file gets wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sparkctl.inventory.compose import DEPTH, Leaf, Mark, Reference, Sequence, Table, Tree, Unreadable, compose
from sparkctl.inventory.model import Path, Source, where
from sparkctl.inventory.scalars import doubt, scalar
from sparkctl.inventory.strangers import START, stranger
from sparkctl.inventory.words import quoted
from sparkctl.outcome import Finding, Location

SIZE = 1024 * 1024  # 1 MiB: our choice, many times the largest inventory
COPIES = 10_000  # items that aliases may add to what is written
FINDINGS = 100  # of one layer; nobody reads more, and a garbage file would give millions

# What YAML forbids, and the line breaks that only YAML counts as such: line numbers must be those of an editor.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]")


@dataclass(frozen=True)
class Parsed:
    """What the text says; `document` is None when it says nothing that could be read on."""

    document: dict[str, object] | None
    source: Source
    findings: tuple[Finding, ...]


def parse(content: bytes, path: str) -> Parsed:
    """Read YAML; every fault becomes a finding INV001, INV002, INV003 or INV004 with its place."""
    walk = _Walk(path)
    try:
        tree = compose(_text(content))
        document = _mapping(walk, tree)
    except Unreadable as error:
        return Parsed(None, Source(path, {}), (*walk.findings, unreadable(path, error)))
    return Parsed(document, Source(path, walk.places), tuple(walk.findings[:FINDINGS]))


def unreadable(path: str, error: Unreadable) -> Finding:
    """The finding for a file that cannot be read as an inventory."""
    return Finding("INV001", "error", ".", Location(path, *error.mark), error.message, error.remedy)


def _text(content: bytes) -> str:
    if len(content) > SIZE:
        raise Unreadable(
            (1, 1), f"larger than {SIZE // 1024} KiB", "an inventory is a small text file; is this the right one?"
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        mark = _place(content[: error.start].decode("utf-8-sig", "replace"))
        raise Unreadable(mark, "not UTF-8 text", "save the file as UTF-8; is this the right one?") from None
    found = _CONTROL.search(text)
    if found:
        said = f"a control character (U+{ord(found[0]):04X})"
        raise Unreadable(_place(text[: found.start()]), said, "remove it; is this a text file?")
    return text


def _place(before: str) -> Mark:
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _mapping(walk: _Walk, tree: Tree | None) -> dict[str, object]:
    if tree is None or (isinstance(tree, Leaf) and tree.plain and scalar(tree.text) is None):
        raise Unreadable((1, 1), "the file is empty", START)
    if not isinstance(tree, Table):
        raise Unreadable(tree.mark, *(stranger(walk.value(tree, ())) or ("not a YAML mapping", START)))
    return walk.table(tree, ())


class _Walk:
    """Turns the tree into plain values and notes places; its depth is bounded, so it may recurse."""

    def __init__(self, path: str) -> None:
        self.places: dict[Path, Mark] = {(): (1, 1)}
        self.findings: list[Finding] = []
        self._path = path
        self._copies = 0
        self._alias: Mark | None = None  # where the outermost alias being expanded is written

    def value(self, tree: Tree, path: Path) -> object:
        """The plain value of `tree`, which stands at `path`."""
        self._bound(tree, path)
        if isinstance(tree, Reference):
            return self._copy(tree, path)
        if isinstance(tree, Table):
            return self.table(tree, path)
        if isinstance(tree, Sequence):
            return [self._item(item, (*path, i)) for i, item in enumerate(tree.items)]
        return self._scalar(tree, path)

    def table(self, tree: Table, path: Path) -> dict[str, object]:
        """A mapping; of a key that is written twice the first counts."""
        content: dict[str, object] = {}
        for key_tree, value_tree in tree.items:
            key = self._key(key_tree, path)
            if key is None or self._is_repeated(key, key_tree, content, path):
                continue
            self.places[(*path, key)] = key_tree.mark
            content[key] = self.value(value_tree, (*path, key))
        return content

    def _item(self, tree: Tree, path: Path) -> object:
        self.places[path] = tree.mark
        return self.value(tree, path)

    def _copy(self, tree: Reference, path: Path) -> object:
        outer, self._alias = self._alias, self._alias or tree.mark
        value = self.value(tree.target, path)
        self._alias = outer
        return value

    def _scalar(self, leaf: Leaf, path: Path) -> object:
        unclear = doubt(leaf.text) if leaf.plain else None
        if unclear is not None:
            reason, remedy = unclear
            self._add("INV004", path, leaf.mark, f"{quoted(leaf.text)} {reason}", remedy)
            return leaf.text
        return scalar(leaf.text) if leaf.plain else leaf.text

    def _key(self, tree: Tree, path: Path) -> str | None:
        if not isinstance(tree, Leaf):
            self._add("INV004", path, tree.mark, "a key that is not plain text", "write the key as a word")
            return None
        if tree.plain and tree.text == "<<":
            self._add("INV003", path, tree.mark, "merge keys (`<<`) are not part of the format", "write the keys out")
            return None
        if tree.plain and (doubt(tree.text) or not isinstance(scalar(tree.text), str)):
            self._add("INV004", path, tree.mark, f"the key {quoted(tree.text)} is not text", "quote it")
        return tree.text

    def _is_repeated(self, key: str, tree: Tree, content: dict[str, object], path: Path) -> bool:
        if key not in content:
            return False
        first = self.places[(*path, key)][0]
        said = f"the key {quoted(key)} is written twice; the first is on line {first}"
        self._add("INV002", (*path, key), tree.mark, said, "keep one of them")
        return True

    def _bound(self, tree: Tree, path: Path) -> None:
        mark = self._alias or tree.mark
        if len(path) > DEPTH:
            raise Unreadable(mark, f"nested more than {DEPTH} levels deep", "an inventory needs four levels")
        self._copies += 1 if self._alias else 0
        if self._copies > COPIES:
            raise Unreadable(mark, f"aliases that expand to more than {COPIES} items", "write the values out")

    def _add(self, rule: str, path: Path, mark: Mark, message: str, remedy: str) -> None:
        if len(self.findings) < FINDINGS:
            self.findings.append(Finding(rule, "error", where(path), Location(self._path, *mark), message, remedy))
