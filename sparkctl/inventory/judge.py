"""Checks plain values against the format and says in plain words what is wrong and where (INV003, INV004, INV005)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sparkctl.inventory.model import Path, Source, where
from sparkctl.inventory.parse import FINDINGS, Parsed
from sparkctl.inventory.raw import (
    RawAddresses,
    RawEnds,
    RawEngine,
    RawFabric,
    RawInventory,
    RawManagement,
    RawMetadata,
    RawNode,
    RawParallel,
    RawRails,
    RawRuntime,
    RawSsh,
    RawSwitch,
    layout,
)
from sparkctl.inventory.strangers import stranger
from sparkctl.inventory.words import counted, described, listed, nearest, quoted
from sparkctl.outcome import Finding

_MODELS: Mapping[tuple[str, ...], type[BaseModel]] = {
    (): RawInventory,
    ("metadata",): RawMetadata,
    ("ssh",): RawSsh,
    ("nodes", "*"): RawNode,
    ("nodes", "*", "management"): RawManagement,
    ("nodes", "*", "addresses"): RawAddresses,
    ("nodes", "*", "addresses", "p0"): RawRails,
    ("nodes", "*", "addresses", "p1"): RawRails,
    ("links", "*"): RawEnds,
    ("switches", "*"): RawSwitch,
    ("fabric",): RawFabric,
    ("engine",): RawEngine,
    ("engine", "runtime"): RawRuntime,
    ("engine", "parallel"): RawParallel,
}
_NETDEV = re.compile(r"en(P2)?p1s0f([01])np[01]")
_EXPECTED = {
    "string_type": "text",
    "int_type": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def judge(parsed: Parsed, kinds: tuple[str, ...]) -> tuple[RawInventory | None, tuple[Finding, ...]]:
    """The raw inventory, or None and why; one finding per place, those of the parser first. `kinds`: of engines."""
    strange = None if parsed.findings else stranger(parsed.document)
    if strange is not None:
        return None, (parsed.source.finding("INV001", "error", (), *strange),)
    try:
        return RawInventory.model_validate(parsed.document, context=kinds), parsed.findings
    except ValidationError as error:
        details = error.errors(include_url=False)[:FINDINGS]
    seen = {f.where for f in parsed.findings if f.id != "INV004" or f.where not in _worded(details, parsed)}
    found = [_finding(detail, parsed) for detail in _once(details, parsed)]
    kept = [finding for finding in parsed.findings if finding.where in seen]
    return None, (*kept, *(finding for finding in found if finding.where not in seen))


def _worded(details: Sequence[ErrorDetails], parsed: Parsed) -> set[str]:
    """Places where one of some words belongs: which, is more than that YAML reads yes and no in two ways."""
    kinds = ("literal_error", "bool_type")
    return {where(_walk(detail, parsed.document)[0]) for detail in details if detail["type"] in kinds}


def _once(details: Sequence[ErrorDetails], parsed: Parsed) -> Iterator[ErrorDetails]:
    """Without the missing keys that an unknown key of their section was meant to be."""
    places = {id(detail): _walk(detail, parsed.document)[0] for detail in details}
    unknown = [places[id(detail)] for detail in details if detail["type"] == "extra_forbidden"]
    meant = {(*path[:-1], nearest(str(path[-1]), _keys(path[:-1]))) for path in unknown}
    yield from (d for d in details if d["type"] != "missing" or places[id(d)] not in meant)


def _finding(detail: ErrorDetails, parsed: Parsed) -> Finding:
    path, value = _walk(detail, parsed.document)
    if detail["type"] == "extra_forbidden":
        return _unknown_key(path, parsed.source)
    rule = "INV005" if path in (("apiVersion",), ("kind",)) and detail["type"] == "literal_error" else "INV004"
    message, remedy = _plain_words(detail, path, value)
    return parsed.source.finding(rule, "error", path, message, remedy)


def _walk(detail: ErrorDetails, document: object) -> tuple[Path, object]:
    """The error's place in the file: pydantic's own names for the members of a union are left out."""
    path: Path = ()
    value = document
    for part in detail["loc"]:
        inside = _items(value)
        if part in inside:
            value, path = inside[part], (*path, part)
    if detail["type"] == "missing":
        path = (*path, detail["loc"][-1])
    return path, value


def _items(value: object) -> Mapping[object, object]:
    if isinstance(value, dict):
        return value
    return dict(enumerate(value)) if isinstance(value, list) else {}


def _unknown_key(path: Path, source: Source) -> Finding:
    parent, key = path[:-1], str(path[-1])
    known = _keys(parent)
    section = f"in `{where(parent)}`" if parent else "at the top level"
    guess = nearest(key, known) or _port(parent, key) or _elsewhere(key)
    remedy = f"did you mean `{guess}`?" if guess else f"known keys here: {listed(known, limit=20)}"
    return source.finding("INV003", "error", path, f"unknown key {quoted(key)} {section}", remedy)


def _keys(parent: Path) -> tuple[str, ...]:
    pattern = tuple("*" if isinstance(part, int) else part for part in parent)
    model = _MODELS.get(pattern)
    return tuple(model.model_fields) if model else ()


def _port(parent: Path, key: str) -> str | None:
    """Linux' name of a netdev where a port and a rail are meant."""
    found = _NETDEV.fullmatch(key) if parent[2:] == ("addresses",) else None
    return f"p{found[2]}: {{{'B' if found[1] else 'A'}: ...}}" if found else None


def _elsewhere(key: str) -> str | None:
    """A known key stands in the wrong section."""
    for path, model in _MODELS.items():
        if key in model.model_fields:
            return ".".join([part for part in path if part != "*"] + [key])
    return None


def _plain_words(detail: ErrorDetails, path: Path, value: object) -> tuple[str, str]:
    code, context = detail["type"], detail.get("ctx", {})
    if code == "missing":
        return f"`{path[-1]}` is missing", f"add `{path[-1]}:`{_hint(path)}"
    key, meant = _name(path), _meant(code, path, value)
    if code in _EXPECTED:
        expected = _EXPECTED[code]
        quotes = expected == "text" and isinstance(value, (int, float))
        remedy = meant or ("put it in quotes" if quotes else f"write {expected}{_hint(path)}")
        return f"{key}: expected {expected}, got {described(value)}", remedy
    if code == "literal_error":
        return _choice(key, str(context["expected"]), value)
    if code == "value_error":
        got = "" if isinstance(value, (dict, list)) else f", got {described(value)}"
        return f"{key}: {context['error']}{got}", meant or f"write another value{_hint(path)}"
    return f"{key}: {_limit(code, context, value)}", meant or f"write another value{_hint(path)}"


def _name(path: Path) -> str:
    """The key as people search it: with its section, where it has one."""
    return f"`{where(path[-2:] if len(path) > 1 and isinstance(path[-2], str) else path)}`"


def _meant(code: str, path: Path, value: object) -> str:
    """What to write where the value tells what was meant; else nothing."""
    text = str(value).strip()
    percent = re.fullmatch(r"([0-9]{1,2}(?:\.[0-9]+)?|100) ?%?", text)
    if path[-1:] == ("parallel",) and code in ("value_error", "string_type"):
        spelt = f"TP{text}" if text.isdecimal() else re.sub(r"[^A-Z0-9]", "", text.upper())
        return f"write `{spelt}`" if layout(spelt) else ""
    if percent and code in ("less_than_equal", "float_type") and path[-1:] == ("gpu_memory_utilization",):
        return f"it is a fraction: write {float(percent[1]) / 100:.2f}"
    if code in ("int_type", "float_type") and isinstance(value, str):
        found = re.fullmatch(r"([0-9]{1,9})([kK]?)", text)
        return f"write {int(found[1]) * (1024 if found[2] else 1)}, without quotes" if found else ""
    switched = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(text.lower())
    return f"write {switched}" if code == "bool_type" and switched else ""


def _choice(key: str, expected: str, value: object) -> tuple[str, str]:
    names = [name.strip(" '") for name in expected.replace(" or ", ",").split(",")]
    guess = nearest(value, names) if isinstance(value, str) else None
    remedy = f"did you mean `{guess}`?" if guess else f"write {listed((f'`{name}`' for name in names), last='or')}"
    return f"{key}: expected {listed(names, last='or')}, got {described(value)}", remedy


def _limit(code: str, context: Mapping[str, Any], value: object) -> str:
    if code == "string_too_short":
        return "expected text, got an empty one"
    if code in ("too_short", "too_long"):
        wanted = context.get("max_length", context.get("min_length"))
        amount = "exactly 2 items" if wanted == 2 else f"at least {counted(wanted, 'item')}"  # 2: the ends of a cable
        return f"expected {amount}, got {len(value) if isinstance(value, list) else 0}"
    bounds = {"gt": "more than", "ge": "at least", "le": "at most"}
    bound = next((f"{word} {context[key]}" for key, word in bounds.items() if key in context), None)
    return f"expected a number of {bound}, got {quoted(value)}" if bound else f"not acceptable: {described(value)}"


def _hint(path: Path) -> str:
    """An example of what belongs at `path`, from the format's own description."""
    pattern = tuple("*" if isinstance(part, int) else part for part in path)
    model = _MODELS.get(pattern[:-1]) if path else None
    field = model.model_fields.get(str(path[-1])) if model else None
    return f", for example {field.examples[0]}" if field is not None and field.examples else ""
