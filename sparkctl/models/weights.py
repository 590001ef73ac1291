"""The bytes of a model's weights, by part: from safetensors headers, from an index, or from its shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from sparkctl.inventory.words import counted, quoted
from sparkctl.models.reading import HEADERS, ModelUnreadable, mapping, present, read_json, whole
from sparkctl.models.shape import BYTES_PER_PARAMETER, WIDE, Shape

INDEX = "model.safetensors.index.json"
_INDEX_BYTES = 64 << 20  # DeepSeek-V3's, of 91,991 tensors, is 9 MB
_FILES = 2000  # the largest hub models have a few hundred files
_EMBEDDING = (".embed_tokens.", ".wte.", ".word_embeddings.")
_HEAD = ".lm_head."


class Weights(NamedTuple):
    """Bytes by part; `experts` are the routed ones, `rest` is what no other part has; `basis` says how it is known."""

    embedding: float
    head: float
    experts: float
    rest: float
    basis: str

    @property
    def total(self) -> float:
        """All bytes."""
        return self.embedding + self.head + self.experts + self.rest

    @property
    def layers(self) -> float:
        """The bytes that a pipeline divides."""
        return self.experts + self.rest

    def scaled(self, total: float, basis: str) -> Weights:
        """The same proportions with another total."""
        by = total / self.total
        return Weights(self.embedding * by, self.head * by, self.experts * by, self.rest * by, basis)


def estimated(shape: Shape, form: str, attention: str, basis: str) -> Weights:
    """From the shape: linear layers in `form`, attention in `attention`, embedding and head in bf16."""
    each = BYTES_PER_PARAMETER[form]
    rest = shape.attention * BYTES_PER_PARAMETER[attention] + shape.mlp * (each if attention == form else WIDE)
    return Weights(shape.embedding * WIDE, shape.head * WIDE, shape.routed * each, rest, basis)


def measured(folder: Path, estimate: Weights | None) -> Weights | None:
    """From the files in `folder`: all headers when all files are there, else the index; None when there is neither."""
    index = folder / INDEX
    listed = _index(index) if present(index) else None
    names = sorted(listed[1]) if listed else sorted(path.name for path in _files(folder))
    if names and len(names) <= _FILES and all(present(folder / name) for name in names):
        return _summed(folder, names)
    if listed is None or not listed[0]:
        return None
    return _indexed(listed[0], estimate)


def _files(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.glob("*.safetensors") if present(path)]
    except OSError as error:
        raise ModelUnreadable(f"{folder} cannot be listed: {error.strerror}") from None


def _indexed(total: int, estimate: Weights | None) -> Weights:
    """The index says the total alone; the config says how it is divided."""
    basis = f"metadata.total_size of {INDEX}"
    if estimate is None or not estimate.total:
        return Weights(0, 0, 0, total, basis)
    return estimate.scaled(total, basis)


def _index(path: Path) -> tuple[int, set[str]]:
    """Total size (0: not said) and the names of the files."""
    read = read_json(path, _INDEX_BYTES)
    names = mapping(read.get("weight_map"), "weight_map", path)
    files = {str(name) for name in names.values()}
    strange = next((name for name in files if Path(name).name != name), None)
    if strange is not None:
        raise ModelUnreadable(f"{path}: weight_map names {quoted(strange)}, which is not a file beside it")
    said = mapping(read.get("metadata"), "metadata", path).get("total_size", 0)
    return whole(said, "metadata.total_size", path), files


def _summed(folder: Path, names: list[str]) -> Weights:
    """The bytes of every tensor of every file, by its name."""
    parts = {"embedding": 0, "head": 0, "experts": 0, "rest": 0}
    left = HEADERS
    for name in names:
        header, size = _header(folder / name, left)
        left -= size
        for part, count in _tensors(header, folder / name):
            parts[part] += count
    return Weights(**parts, basis=f"headers of {counted(len(names), 'safetensors file')}")


def _header(path: Path, limit: int) -> tuple[Mapping[str, object], int]:
    """The JSON before the tensors, and its length: 8 bytes, little-endian, say how long it is."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
    except OSError as error:
        raise ModelUnreadable(f"{path} cannot be read: {error.strerror}") from None
    if not 2 <= length <= limit:
        raise ModelUnreadable(f"{path}: its header would be {length} bytes: not a safetensors file, or a hostile one")
    return read_json(path, length, skip=8), length


def _tensors(header: Mapping[str, object], path: Path) -> Iterator[tuple[str, int]]:
    for name, described in header.items():
        if name == "__metadata__":
            continue
        offsets = mapping(described, "a tensor", path).get("data_offsets")
        if not isinstance(offsets, list) or len(offsets) != 2:
            raise ModelUnreadable(f"{path}: a tensor without data_offsets")
        start, end = (whole(offset, "data_offsets", path) for offset in offsets)
        if end < start:
            raise ModelUnreadable(f"{path}: a tensor that ends before it begins")
        yield _part(name), end - start


def _part(name: str) -> str:
    dotted = f".{name}"
    if ".experts." in dotted:
        return "experts"
    if any(word in dotted for word in _EMBEDDING):
        return "embedding"
    return "head" if _HEAD in dotted else "rest"
