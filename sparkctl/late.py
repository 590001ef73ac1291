"""Modules that are loaded when something of them is first asked for: most commands need few of all there are."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import LazyLoader, find_spec, module_from_spec
from types import ModuleType


def late(name: str) -> ModuleType:
    """The module `name`. Write it beside an import below TYPE_CHECKING, which is what mypy sees."""
    spec = None if name in sys.modules else find_spec(name)
    if spec is None or spec.loader is None:
        return import_module(name)
    spec.loader = LazyLoader(spec.loader)
    sys.modules[name] = module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
