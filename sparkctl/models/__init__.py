"""What is known of a model: from its own files, or from the table of models that sparkctl ships."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from sparkctl.engines import ENGINES
from sparkctl.inventory.model import EngineIntent, canonical
from sparkctl.models.config import read_config, shape_of
from sparkctl.models.reading import ModelUnreadable, present
from sparkctl.models.shape import Shape
from sparkctl.models.weights import Weights, estimated, measured

__all__ = ["Model", "ModelUnreadable", "Shape", "Weights", "find", "model_of", "names"]

TABLE = Path(__file__).with_name("known.json")


class Model(NamedTuple):
    """A model: its shape, its weights by part (None: their size is not known), and where both come from."""

    name: str
    shape: Shape
    form: str | None
    weights: Weights | None
    source: str

    @property
    def active_bytes(self) -> float | None:
        """Bytes of weights that one token of one request reads; None when they cannot be told from the others."""
        if self.weights is None or (self.shape.experts and not self.weights.experts):
            return None
        w = self.weights
        looked_up = 0.0 if self.shape.tied else w.embedding
        return w.total - looked_up - w.experts * (1 - self.shape.active_share)


def model_of(intent: EngineIntent) -> Model | None:
    """The model of an engine section, as its engine will load it; None when nothing is known of it.

    ModelUnreadable when its files are there and cannot be understood, or an argument makes it another model.
    """
    if intent.kind not in ENGINES:
        return None
    memory = ENGINES[intent.kind].memory(intent)
    if memory.altered is not None:
        name = canonical(memory.altered.flag)
        raise ModelUnreadable(f"`--{name}` changes what is loaded, so the arithmetic would not hold")
    model = find(intent.model, intent)
    if model is None or model.form != "bf16" or memory.quantised is None:
        return model  # of a quantised checkpoint, an engine takes no other format than its own
    if memory.quantised.value != "fp8" or model.weights is None:
        said = f"`--{canonical(memory.quantised.flag)} {memory.quantised.value}`"
        raise ModelUnreadable(f"{said} changes the size of the weights when they are loaded")
    weights = estimated(model.shape, "fp8", "fp8", f"{model.weights.basis}, as fp8")
    return model._replace(form="fp8", weights=weights)


def find(name: str, intent: EngineIntent | None = None) -> Model | None:
    """By its name on the hub, or by the folder that holds it; ModelUnreadable when its files make no sense."""
    if not name.startswith("/"):
        return _shipped(name)
    return next((_read(folder) for folder in _folders(name, intent) if present(folder / "config.json")), None)


def names() -> tuple[str, ...]:
    """The models of the table."""
    return tuple(sorted(_table()["models"]))


def _folders(name: str, intent: EngineIntent | None) -> list[Path]:
    """Where this machine may have the folder: where a volume comes from, or at the same path."""
    mapped = []
    for source, target in (intent.volumes if intent else {}).items():
        inside = target.split(":")[0].rstrip("/")
        if name == inside or name.startswith(f"{inside}/"):
            mapped.append(Path(source + name[len(inside) :]))
    return [*mapped, Path(name)]


def _read(folder: Path) -> Model:
    config, estimate = read_config(folder), None
    if config.known and config.form is not None:
        estimate = estimated(config.shape, config.form, config.attention, "estimated from config.json")
    weights = measured(folder, estimate) or estimate
    return Model(str(folder), config.shape, config.form, weights, f"config.json of {folder}")


def _shipped(name: str) -> Model | None:
    row = _table()["models"].get(name)
    if row is None:
        return None
    read = _table()["shapes"][row["shape"]]
    shape = shape_of(read, TABLE)
    form = row["format"]
    basis = f"{shape.parameters / 1e9:.1f} billion parameters as {form}"
    weights = estimated(shape, form, row.get("attention", form), basis)
    return Model(name, shape, form, weights, f"sparkctl's table: {read['source']}; {row['source']}")


@cache
def _table() -> Mapping[str, Mapping[str, dict[str, str]]]:
    """The table that is shipped; it is tested, so it is not judged again."""
    table: Mapping[str, Mapping[str, dict[str, str]]] = json.loads(TABLE.read_text(encoding="utf-8"))
    return table
