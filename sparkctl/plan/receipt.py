"""A saved plan: a receipt of what was shown, to be compared with a plan made anew; it is never run itself."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import ValidationError

from sparkctl.errors import Refused, UsageError
from sparkctl.facts.record import Frozen
from sparkctl.inventory.words import quoted
from sparkctl.plan.diff import Wishes
from sparkctl.plan.plan import Plan
from sparkctl.plan.playbook import Playbook

LARGEST = 16 << 20
"""Bytes that a saved plan may have; one of 16 nodes has about 200 KB (2026-11)."""
MAKE = "make one with `sparkctl cluster plan -o plan.json`"
AGAIN = "make a new one with `sparkctl cluster plan -o plan.json`; nothing was changed"


class Receipt(Frozen):
    """Version 2. `inventory`: digest of the inventory and of what a lab changed of it; `playbook`, `wishes`: as asked.

    In the file a `seal`, the digest of all the rest, tells a file that was edited or cut.
    """

    version: Literal[2] = 2
    inventory: str
    playbook: Playbook
    wishes: Wishes
    plan: Plan

    def text(self) -> str:
        """The file, as JSON."""
        fields = self.model_dump(mode="json")
        return json.dumps({**fields, "seal": _seal(fields)}, indent=1) + "\n"

    def strange(self, cluster: str, inventory: str, nodes: tuple[str, ...]) -> str:
        """Why it cannot be a plan of `up` for this inventory, in words; empty when it may be one."""
        if self.plan.action != "up":
            return f"one of {quoted(self.plan.action)}, not of 'up'"
        if self.plan.cluster != cluster:
            return f"for cluster {quoted(self.plan.cluster)}, not {quoted(cluster)}"
        if self.plan.nodes != nodes:
            return f"for the nodes {', '.join(self.plan.nodes) or '(none)'}, not {', '.join(nodes)}"
        same = self.inventory == inventory
        return "" if same else "of another inventory: the file was edited since, or --lab was given only once"


def read(content: bytes, name: str) -> Receipt:
    """The receipt in the file `name`. UsageError: no saved plan. Refused: of another version, or edited since."""
    try:
        fields = json.loads(content)
        if not isinstance(fields, dict) or "version" not in fields:
            raise ValueError("no version in it")
        if fields["version"] != 2:
            raise Refused(f"{name}: a saved plan of version {quoted(fields['version'])}, not of version 2", AGAIN)
        if fields.pop("seal", None) != _seal(fields):
            raise Refused(f"{name}: not as sparkctl wrote it: its seal does not fit", AGAIN)
        return Receipt.model_validate_json(json.dumps(fields))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise Refused(f"{name}: {place}: {first['msg']}", AGAIN) from None
    except (ValueError, RecursionError) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(f"{name}: not a saved plan: {reason}", MAKE) from None


def _seal(fields: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
