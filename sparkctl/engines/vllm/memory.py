"""What vLLM does with memory: its share, what it makes of a model's files, and how it divides the layers."""

from __future__ import annotations

from sparkctl.engines.base import Argument, EngineMemory
from sparkctl.engines.flags import argument
from sparkctl.engines.vllm.spelling import base_name
from sparkctl.inventory.model import EngineIntent

UTILISATION = 0.92  # vLLM's own default (facts A1)


def memory(intent: EngineIntent) -> EngineMemory:
    """A share of all the memory, wanted at the start unless bytes are given (facts F2)."""
    return EngineMemory(
        share=utilisation(intent),
        claimed=argument(intent, "kv-cache-memory-bytes") is None,
        kv_dtype=str(_value(intent, "kv-cache-dtype") or "auto"),
        quantised=argument(intent, "quantization") or argument(intent, "q"),
        altered=next((found for name in ("hf-overrides", "cpu-offload-gb") if (found := _set(intent, name))), None),
        requests=argument(intent, "max-num-seqs"),
        spread=True,
    )


def utilisation(intent: EngineIntent) -> float:
    """A flag wins over the key, and vLLM has a default of its own."""
    for name in ("gpu-memory-utilization", "device-memory-utilization"):
        given = _value(intent, name)
        if isinstance(given, int | float) and 0 < given <= 1:
            return float(given)
    return intent.gpu_memory_utilization or UTILISATION


def _value(intent: EngineIntent, name: str) -> object:
    found = argument(intent, name)
    return found.value if found else None


def _set(intent: EngineIntent, name: str) -> Argument | None:
    """The flag or a key of it, unless it is 0."""
    written = (Argument(flag, value) for flag, value in intent.args.items() if base_name(flag) == name)
    return next((found for found in written if found.value not in (None, 0)), None)


def stage_layers(layers: int, pipeline: int, partition: str = "") -> list[int]:
    """Layers of every stage, as vLLM divides them: what is left over goes to the last but one, and on to the front."""
    written = partition.split(",")
    if len(written) == pipeline and all(part.strip().isdecimal() for part in written):
        given = [int(part[:9]) for part in written]
        if sum(given) == layers:
            return given
    stages = [layers // pipeline] * pipeline
    for i in range(2, layers % pipeline + 2):
        stages[-i] += 1
    return stages
