"""Which flags a version of an engine knows, where its own parser has been asked (tests/truth/vllm_flags.py)."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

from sparkctl.inventory.model import EngineIntent

LISTS = Path(__file__).with_name("known")
# vLLM's own image, whatever mirror it comes from, with or without a variant behind the version; others may be patched.
_IMAGE = re.compile(r"(?:^|/)vllm/vllm-openai:v(\d+\.\d+\.\d+)(?:-[A-Za-z0-9._-]+)?(?:@|$)")


def version_of(intent: EngineIntent) -> str | None:
    """The version that an image's name tells; None for a venv and for images that others have built."""
    found = _IMAGE.search(intent.runtime.docker or "")
    return found[1] if found and intent.kind in ("vllm", "vllm-ray") else None


@cache
def flags_of(version: str) -> frozenset[str]:
    """All spellings, without dashes in front; empty when nobody has asked this version."""
    if version not in versions():
        return frozenset()
    return frozenset(json.loads((LISTS / f"vllm-{version}.json").read_text(encoding="utf-8"))["flags"])


def knows(flags: frozenset[str], name: str) -> bool:
    """Whether the parser takes `name` (without dashes): argparse takes beginnings, vLLM dotted keys of JSON."""
    base = name.partition(".")[0]
    return base in flags or any(flag.startswith(base) for flag in flags)


@cache
def versions() -> tuple[str, ...]:
    """Those whose parser was asked, oldest first."""
    found = (path.stem.removeprefix("vllm-") for path in LISTS.glob("vllm-*.json"))
    return tuple(sorted(found, key=lambda version: [int(part) for part in version.split(".")]))
