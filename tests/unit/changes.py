"""One change of a frozen view, named by a path such as `spark-1.survey.ethernet.enp1s0f1np1.speed`.

Steps are attributes, keys of a mapping (a key may contain dots; a pair is `netdev=peer`) and positions in a tuple; `*`
is every one of them. The first step is a node, or a field of the view. Facts are looked through.
  {path: P, to: VALUE}        the value, read as the type that stands there (a new key makes a new entry)
  {path: P, add: VALUE}       one more in a tuple
  {path: P, remove: true}     the key or position is gone
  {path: P, unread: ROW}      one row of what is known could not be read
  {path: P, absent: REASON}   {path: P, unknown: REASON}    the fact is not known
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter

from sparkctl.checks import View
from sparkctl.outcome import Absent, Known, Unknown

GONE = object()
Change = dict[str, Any]


def changed(view: View, change: Change) -> View:
    """`view` with one change; KeyError where the path leads nowhere."""
    path = str(change["path"])
    head = path.partition(".")[0]
    whole = f"facts.{path}" if head in view.facts or head == "*" else path
    made = _at(view, View, whole, change)
    assert isinstance(made, View)
    return made


def _at(here: Any, kind: Any, path: str, change: Change) -> Any:
    """`here`, declared as `kind`, with the change made at `path` below it."""
    if not path:
        return _end(here, kind, change)
    if isinstance(here, Known):
        return replace(here, value=_at(here.value, _inside(kind), path, change))
    if isinstance(here, Mapping):
        return _in_mapping(here, kind, path, change)
    if isinstance(here, tuple):
        return _in_tuple(here, kind, path, change)
    return _in_dataclass(here, path, change)


def _end(here: Any, kind: Any, change: Change) -> Any:
    if "absent" in change:
        return Absent(str(change["absent"]))
    if "unread" in change:
        return replace(here, unread=(*here.unread, str(change["unread"])))
    if "unknown" in change:
        return Unknown(str(change["unknown"]))
    if "remove" in change:
        return GONE
    if "add" in change:
        inner = _inside(kind)
        more = (
            *(here.value if isinstance(here, Known) else here or ()),
            _read(get_args(inner or kind)[0], change["add"]),
        )
        return Known(more) if inner else more
    inner = _inside(kind)
    return Known(_read(inner, change["to"])) if inner else _read(kind, change["to"])


def _in_dataclass(here: Any, path: str, change: Change) -> Any:
    name, _, rest = path.partition(".")
    if not is_dataclass(here) or name not in {f.name for f in fields(here)}:
        raise KeyError(f"{type(here).__name__} has no {name}")
    made = _at(getattr(here, name), _hints(type(here))[name], rest, change)
    return replace(here, **{name: made})  # type: ignore[type-var]


def _in_mapping(here: Mapping[Any, Any], kind: Any, path: str, change: Change) -> Any:
    inner = get_args(_inside(kind) or kind)[-1]
    if path.partition(".")[0] == "*":
        rest = path.partition(".")[2]
        return {key: _at(value, inner, rest, change) for key, value in here.items()}
    key, rest = _key(here, path)
    made = _at(here.get(key), inner, rest, change)
    return {k: v for k, v in {**here, key: made}.items() if v is not GONE}


def _key(here: Mapping[Any, Any], path: str) -> tuple[Any, str]:
    """The longest key that the path begins with; a new one takes all of the path."""
    named = {_name(key): key for key in here}
    fitting = [name for name in named if path == name or path.startswith(f"{name}.")]
    if not fitting:
        return path, ""
    name = max(fitting, key=len)
    return named[name], path[len(name) + 1 :]


def _name(key: Any) -> str:
    if isinstance(key, tuple):
        return "=".join(map(str, key))
    return f"{key.tool} {' + '.join(map(str, key.lanes))}" if hasattr(key, "lanes") else str(key)


def _in_tuple(here: tuple[Any, ...], kind: Any, path: str, change: Change) -> Any:
    inner = get_args(_inside(kind) or kind)[0]
    step, _, rest = path.partition(".")
    chosen = range(len(here)) if step == "*" else (int(step),)
    made = [_at(item, inner, rest, change) if i in chosen else item for i, item in enumerate(here)]
    if step != "*" and int(step) >= len(here):
        raise KeyError(f"there is no {path}")
    return tuple(item for item in made if item is not GONE)


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _inside(kind: Any) -> Any:
    """T of Fact[T]; None for what is no fact."""
    return next((get_args(each)[0] for each in get_args(kind) if get_origin(each) is Known), None)


def _read(kind: Any, value: Any) -> Any:
    if get_origin(kind) is Literal:
        assert value in get_args(kind), value
        return value
    plain = is_dataclass(kind)
    return TypeAdapter(kind, config=None if plain else ConfigDict(arbitrary_types_allowed=True)).validate_python(value)
