"""Finds the templates, playbooks and pages: inside the wheel, or in the checkout for an editable install."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = {"templates": "templates", "playbooks": "playbooks", "rules": "docs/rules", "checks": "docs/checks"}


def share(kind: str) -> Path:
    """Folder of `kind` (templates, playbooks, rules or checks); KeyError for any other."""
    relative = _CHECKOUT[kind]
    installed = _PACKAGE / "_share" / kind
    return installed if installed.is_dir() else _PACKAGE.parent / relative
