"""config.json to a Shape and the format of the weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from sparkctl.models.reading import CONFIG, ModelUnreadable, mapping, read_json, whole
from sparkctl.models.shape import Shape

# Those whose parameters follow from the shape; of others, only weight files tell the size.
KNOWN = frozenset(
    f"{name}ForCausalLM"
    for name in ("DeepseekV3", "GptOss", "Llama", "Mistral", "Mixtral", "Qwen2", "Qwen3", "Qwen3Moe")
)
_PACKED = {
    "nvfp4-pack-quantized": "nvfp4",
    "float-quantized": "fp8",
    "naive-quantized": "fp8",
    "pack-quantized": "int4",
}


class Config(NamedTuple):
    """`form` None: a quantisation that is not known. `attention` is its format there. `known`: see KNOWN."""

    shape: Shape
    form: str | None
    attention: str
    known: bool


def read_config(folder: Path) -> Config:
    """The config.json of `folder`; ModelUnreadable when it is not one."""
    path = folder / "config.json"
    whole_file = read_json(path, CONFIG)
    inner = mapping(whole_file.get("text_config"), "text_config", path)
    both = {**whole_file, **inner}
    form = _format(mapping(both.get("quantization_config"), "quantization_config", path))
    names = both.get("architectures")
    known = isinstance(names, list) and bool(names) and all(str(name) in KNOWN for name in names)
    # gpt-oss quantises its experts alone: quantization_config.modules_to_not_convert of its config.json.
    return Config(shape_of(both, path), form, "bf16" if form == "mxfp4" else form or "bf16", known)


def shape_of(read: Mapping[str, object], path: Path) -> Shape:
    """The shape that the keys of a config.json describe."""
    hidden, heads = _needed(read, "hidden_size", path), _needed(read, "num_attention_heads", path)
    layers = _needed(read, "num_hidden_layers", path)
    experts = _first(read, ("num_experts", "num_local_experts", "n_routed_experts"), path)
    intermediate = _first(read, ("intermediate_size",), path)
    full, window = _windows(read, layers, path)
    return Shape(
        hidden=hidden,
        layers=layers,
        heads=heads,
        kv_heads=_first(read, ("num_key_value_heads",), path) or heads,
        head_size=_first(read, ("head_dim",), path) or hidden // heads,
        vocabulary=_first(read, ("vocab_size",), path),
        intermediate=intermediate,
        context=_first(read, ("max_position_embeddings",), path),
        tied=read.get("tie_word_embeddings") is True,
        experts=experts,
        experts_per_token=_first(read, ("num_experts_per_tok", "experts_per_token"), path),
        expert_size=(_first(read, ("moe_intermediate_size",), path) or intermediate) if experts else 0,
        shared_experts=_first(read, ("n_shared_experts",), path),
        dense_layers=min(layers, _first(read, ("first_k_dense_replace",), path)) if experts else 0,
        q_rank=_first(read, ("q_lora_rank",), path),
        kv_rank=_first(read, ("kv_lora_rank",), path),
        rope_size=_first(read, ("qk_rope_head_dim",), path),
        nope_size=_first(read, ("qk_nope_head_dim",), path),
        v_size=_first(read, ("v_head_dim",), path),
        window=window,
        full_layers=full,
    )


def _needed(read: Mapping[str, object], name: str, path: Path) -> int:
    value = _first(read, (name,), path)
    if not value:
        raise ModelUnreadable(f"{path}: {name} is missing")
    return value


def _first(read: Mapping[str, object], names: tuple[str, ...], path: Path) -> int:
    """The first of the keys that has a value; 0 when none has."""
    return next((whole(read[name], name, path) for name in names if read.get(name) is not None), 0)


def _windows(read: Mapping[str, object], layers: int, path: Path) -> tuple[int, int]:
    """How many layers keep every token (-1: all), and the window of the others."""
    kinds = read.get("layer_types")
    if not isinstance(kinds, list) or len(kinds) != layers:
        return -1, 0
    full = sum(1 for kind in kinds if kind == "full_attention")
    return full, _first(read, ("sliding_window",), path) if full < layers else 0


def _format(quantised: Mapping[str, object]) -> str | None:
    """The format of the linear layers."""
    method = quantised.get("quant_method")
    if not quantised:
        return "bf16"
    if method in ("mxfp4", "fp8"):
        return str(method)
    if method in ("awq", "gptq"):
        return "int4" if quantised.get("bits", quantised.get("w_bit")) == 4 else None
    if method == "modelopt":
        return {"NVFP4": "nvfp4", "FP8": "fp8"}.get(str(quantised.get("quant_algo")))
    return _PACKED.get(str(quantised.get("format"))) if method == "compressed-tensors" else None
