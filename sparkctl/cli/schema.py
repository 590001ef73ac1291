"""`sparkctl schema`: JSON Schemas, for editors."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from sparkctl.report.door import emit


class Subject(StrEnum):
    """What has a schema."""

    inventory = "inventory"
    playbook = "playbook"


Which = Annotated[Subject, typer.Argument(metavar="[inventory|playbook]", help="Which schema.")]


def schema(which: Which = Subject.inventory) -> None:
    """Print the JSON Schema of inventories or playbooks.

    Examples:

      sparkctl schema > inventory.schema.json  # for `# yaml-language-server: $schema=inventory.schema.json`

      sparkctl schema playbook
    """
    import json

    emit(json.dumps(_schema(which), indent=2))


def _schema(which: Subject) -> dict[str, Any]:
    if which is Subject.playbook:
        from sparkctl.plan import playbook

        return playbook.schema()
    from sparkctl.engines import kinds
    from sparkctl.inventory import raw

    return raw.schema(kinds())
