"""Finds the templates, playbooks and pages: inside the wheel, or in the checkout for an editable install."""

from __future__ import annotations

import re
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_PAGES = {kind: f"docs/{kind}" for kind in ("rules", "checks", "facts")}
_CHECKOUT = {"templates": "templates", "playbooks": "playbooks", **_PAGES}
_LINK = re.compile(r"\[([^]]+)\]\((?!https?:)[^)]*\)")  # to another page


def share(kind: str) -> Path:
    """Folder of `kind` (templates, playbooks, rules, checks or facts); KeyError for any other."""
    relative = _CHECKOUT[kind]
    installed = _PACKAGE / "_share" / kind
    return installed if installed.is_dir() else _PACKAGE.parent / relative


def page(kind: str, name: str) -> str:
    """The page `name` of `kind` for where no link can be followed: a fact's id stands in place of the link to it."""
    return _LINK.sub(r"\1", (share(kind) / f"{name}.md").read_text(encoding="utf-8"))
