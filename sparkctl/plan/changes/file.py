"""Write or remove one file."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import model_validator

from sparkctl.commands import files
from sparkctl.commands.base import Words, functions
from sparkctl.facts.record import Frozen, Record
from sparkctl.inventory.names import NETPLAN, is_owner, may_change
from sparkctl.plan.changes.base import ABSENT, ChangeKind, Undoing

_UNENDED = "\\ No newline at end of file"


class FileImage(Frozen):
    """A file's digest, mode, owner, and content (None for what stays on the node or in a secret's file)."""

    digest: str
    mode: int
    uid: int = 0
    gid: int = 0
    content: str | None = None


class FileChange(ChangeKind):
    """Write or remove one file. `source`: a secret's path on the controller; `baseline`: a kept before-image.

    `aside`: the node itself makes the new content, the old one without the stanzas of these netdevs. ValueError for a
    path or mode that sparkctl has no business with.
    """

    kind: Literal["file"] = "file"
    path: str
    before: FileImage | None
    after: FileImage | None
    source: str | None = None
    baseline: str | None = None
    aside: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _ours(self) -> FileChange:
        if not may_change(self.path, self.after.mode if self.after else 0, self.baseline or "x"):
            raise ValueError(f"{self.path} is not a file of sparkctl, or has a mode that none of them has")
        if is_owner(self.path) and not (self.after is None if self.aside else self.baseline):
            raise ValueError(f"{self.path} is somebody else's: it goes aside and comes back, and is never written")
        return self

    @property
    def _cut(self) -> bool:
        """Whether the node makes what is left: of a netplan file. An owner of another kind goes whole."""
        return bool(self.aside) and not is_owner(self.path)

    @property
    def summary(self) -> str:
        """One line for people."""
        if self.aside:
            return f"move {'all' if self.after is None else 'the fabric stanzas'} of {self.path} aside"
        verb = "create" if self.before is None else "remove" if self.after is None else "change"
        mode = f" ({self.after.mode:04o})" if self.after and self.after.mode else ""
        return f"{verb} {self.path}{mode}{f' from {self.source}' if self.source else ''}"

    def details(self) -> Iterator[str]:
        """Unified diff; a secret or a kept before-image shows no content."""
        if self.source is not None:
            yield "(a secret: its content is never shown)"
        elif self.aside:
            yield "(its content never leaves the node; teardown puts it back)"
        elif self.baseline is not None:
            yield "(the node's own before-image comes back)"
        else:
            before, after = ((image.content or "" if image else "") for image in (self.before, self.after))
            yield from difference(before, after)[2:]

    def members(self, number: int, secrets: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
        """Its content, or the program that makes it there."""
        if self._cut:
            yield "foreign.py", functions("facts/foreign.py").encode()
            yield f"after/{number}", b""
        elif self.after is not None and self.baseline is None:
            content = self.after.content
            yield f"after/{number}", secrets[self.path] if content is None else content.encode()

    def saves(self, number: int) -> Iterator[Words]:
        """As ChangeKind.saves."""
        yield files.save(self.path, number, _digest(self.before))

    def drafts(self, number: int) -> Iterator[Words]:
        """As ChangeKind.drafts."""
        if self._cut:
            yield files.set_aside(self.path, number, _digest(self.after), NETPLAN, self.aside)

    def blob(self, number: int) -> str:
        """Where its content lies, below /var/lib/sparkctl; empty when it goes."""
        if self.after is None:
            return ""
        return files.baseline(self.baseline) if self.baseline else files.after(number)

    def steps(self, number: int) -> Iterator[Words]:
        """As ChangeKind.steps."""
        if self.after is None:
            yield files.drop(self.path)
        elif self.baseline is not None:
            yield files.restore(self.path, self.baseline, self.after.digest)
        else:
            yield files.put(self.path, self.after.mode, number)

    def undo(self, number: int) -> Iterator[tuple[Undoing, Words]]:
        """As ChangeKind.undo."""
        part = Undoing.NETWORK_FILES if self.stage == "network" else Undoing.ENGINE_FILES
        yield part, files.undo(self.path, number, _digest(self.before))

    def keeps(self, number: int, record: Record | None) -> Iterator[Words]:
        """As ChangeKind.keeps; nothing of what the run gave back."""
        kept = record.files.get(self.path) if record else None
        if kept is not None and kept.baseline is not None:
            yield files.keep(number, kept.baseline)


def difference(before: str, after: str, old: str = "", new: str = "") -> tuple[str, ...]:
    """Unified; the first two lines name the two. Only a newline ends a line, and that it is missing is a line."""
    return tuple(difflib.unified_diff(_lines(before), _lines(after), old, new, lineterm="", n=2))


def _lines(text: str) -> list[str]:
    *ended, last = text.split("\n")
    return [*ended, last, _UNENDED] if last else ended


def _digest(image: FileImage | None) -> str:
    return image.digest if image else ABSENT
