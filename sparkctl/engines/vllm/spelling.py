"""Flags as vLLM's parser reads them: short names, and keys behind a dot, which reach into the JSON value of a flag."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from sparkctl.engines.flags import words_of
from sparkctl.inventory.model import ArgValue, canonical

# With one dash; with two they are no flags (facts A1; tests/truth/test_vllm_flags.py asks the parser).
SHORT = {
    "O": "optimization-level",
    "ac": "attention-config",
    "asc": "api-server-count",
    "cc": "compilation-config",
    "dc": "diffusion-config",
    "dcp": "decode-context-parallel-size",
    "dp": "data-parallel-size",
    "dpa": "data-parallel-address",
    "dpb": "data-parallel-backend",
    "dpe": "data-parallel-external-lb",
    "dph": "data-parallel-hybrid-lb",
    "dpl": "data-parallel-size-local",
    "dpm": "data-parallel-multi-port-external-lb",
    "dpn": "data-parallel-rank",
    "dpp": "data-parallel-rpc-port",
    "dpr": "data-parallel-start-rank",
    "ep": "enable-expert-parallel",
    "h": "help",
    "n": "nnodes",
    "pcp": "prefill-context-parallel-size",
    "pp": "pipeline-parallel-size",
    "q": "quantization",
    "r": "node-rank",
    "sc": "speculative-config",
    "tp": "tensor-parallel-size",
}
# What behind a dot is nothing but text; vLLM tries JSON first, then numbers such as 80g, and takes the rest as it is.
_TEXT = re.compile(r"(?!(?:true|false|null|NaN|Infinity)\Z)[A-Za-z_/][A-Za-z0-9_./:@-]*")


def long_name(flag: str) -> str:
    """The canonical long name: `-cc.pass_config` is `compilation-config.pass_config`."""
    base, dot, key = canonical(flag).partition(".")
    return f"{SHORT.get(base, base)}{dot}{key}"


def base_name(flag: str) -> str:
    """The long name of the flag itself, without the keys behind its dot."""
    return long_name(flag).partition(".")[0]


def words(flags: Mapping[str, ArgValue]) -> tuple[str, ...]:
    """All flags as words, in order; names are long ones."""
    return tuple(word for name, value in flags.items() for word in _words(name, value))


def _words(name: str, value: ArgValue) -> tuple[str, ...]:
    if "." not in name:
        return words_of({name: value})
    if not name.endswith("+"):
        return (f"--{name}", _value(value))
    items = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
    texts = [item for item in items if isinstance(item, str) and "," not in item]
    # `+` adds texts alone, divided by commas; a list as JSON is added to what is there, too, and keeps its types.
    return (f"--{name}", ",".join(texts)) if texts == items else (f"--{name[:-1]}", json.dumps(items))


def _value(value: ArgValue) -> str:
    """One word that vLLM reads back as `value`."""
    if isinstance(value, str) and _TEXT.fullmatch(value):
        return value
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
