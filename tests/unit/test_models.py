"""Models: what a folder or the table says of one, whatever is in the files, and the arithmetic of whether it fits."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkctl import models
from sparkctl.engines.vllm.memory import stage_layers
from sparkctl.inventory.model import (
    Cluster,
    EngineIntent,
    FabricIntent,
    Node,
    Parallel,
    Runtime,
    Source,
    SshAccess,
)
from sparkctl.models import Model, ModelUnreadable, find, model_of, names
from sparkctl.models.config import read_config
from sparkctl.models.fit import BANDWIDTH, GIB, OVERHEAD, USABLE, Fit, fit, usable_memory
from sparkctl.models.shape import Shape
from sparkctl.models.weights import Weights

TABLE: dict[str, dict[str, Any]] = json.loads(models.TABLE.read_text())
LLAMA70, OSS = "meta-llama/Llama-3.3-70B-Instruct", "openai/gpt-oss-120b"
AWQ405 = "hugging-quants/Meta-Llama-3.1-405B-Instruct-AWQ-INT4"
FP4_480 = "nvidia/Qwen3-Coder-480B-A35B-Instruct-NVFP4"
R1 = "deepseek-ai/DeepSeek-R1-0528"
SMALL: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 64,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "num_hidden_layers": 6,
    "vocab_size": 100,
    "intermediate_size": 128,
    "max_position_embeddings": 4096,
}
MOE = {**SMALL, "num_local_experts": 4, "num_experts_per_tok": 1, "architectures": ["MixtralForCausalLM"]}


def known(name: str) -> Model:
    found = find(name)
    assert found is not None
    return found


def intent(model: str = LLAMA70, parallel: Parallel = Parallel(2), **others: Any) -> EngineIntent:
    share = {"gpu_memory_utilization": 0.8, **others}
    return EngineIntent("vllm", Runtime(docker="i/i:1"), model, parallel, **share)


def judged(model: str, parallel: Parallel, installed: float = 128, **others: Any) -> Fit:
    engine = intent(model, parallel, **others)
    nodes = tuple(Node(f"n{i}", f"192.0.2.{i}", i, 22, "u", "enP7s7") for i in range(parallel.size))
    cluster = Cluster("c", SshAccess("u"), nodes, (), (), FabricIntent("switch"), engine, Source("x", {}))
    found = model_of(engine)
    assert found is not None
    return fit(cluster, engine, found, installed)


def folder(path: Path, config: object, index: object = None, **tensors: object) -> Path:
    (path / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    if index is not None:
        (path / "model.safetensors.index.json").write_text(json.dumps(index))
    for name, header in tensors.items():
        content = json.dumps(header).encode()
        (path / f"{name}.safetensors").write_bytes(len(content).to_bytes(8, "little") + content)
    return path


def tensor(size: int) -> dict[str, object]:
    return {"dtype": "BF16", "shape": [size // 2], "data_offsets": [0, size]}


# The table


@pytest.mark.parametrize("name", names())
def test_the_shapes_of_the_table_make_the_published_parameters(name: str) -> None:
    row = TABLE["models"][name]
    published = TABLE["shapes"][row["shape"]]["published"]
    shape = known(name).shape
    assert shape.parameters == pytest.approx(published["parameters"], rel=0.005)
    # Model cards round, and count the embedding or do not.
    assert shape.active == pytest.approx(published.get("active", shape.active), rel=0.08)
    assert row["source"]
    assert TABLE["shapes"][row["shape"]]["source"]


def test_the_weights_of_the_table_are_those_that_were_published() -> None:
    published = {OSS: 60.8, AWQ405: 203, LLAMA70: 131.4}  # GiB: the models' own cards; 70.55 billion times 2
    for name, size in published.items():
        weights = known(name).weights
        assert weights is not None
        assert weights.total / GIB == pytest.approx(size, rel=0.005)


def test_every_shape_of_the_table_is_used() -> None:
    assert {row["shape"] for row in TABLE["models"].values()} == TABLE["shapes"].keys()


def test_an_unknown_name_is_not_guessed() -> None:
    assert find("openai/gpt-oss-121b") is None
    assert find("/models/gpt-oss-120b") is None


# Folders


def test_headers_tell_what_one_token_reads(tmp_path: Path) -> None:
    index = {"metadata": {"total_size": 999}, "weight_map": {"a": "m1.safetensors", "b": "m2.safetensors"}}
    one = {"__metadata__": {"format": "pt"}, "model.embed_tokens.weight": tensor(100), "lm_head.weight": tensor(100)}
    two = {"model.layers.0.mlp.experts.w1": tensor(400), "model.layers.0.self_attn.q_proj.weight": tensor(60)}
    found = known(str(folder(tmp_path, MOE, index, m1=one, m2=two)))
    assert found.weights == Weights(100, 100, 400, 60, "headers of 2 safetensors files")
    assert found.active_bytes == 100 + 100 + 60


def test_an_index_without_its_files_tells_the_total(tmp_path: Path) -> None:
    index = {"metadata": {"total_size": 10**9}, "weight_map": {"a": "gone.safetensors"}}
    weights = known(str(folder(tmp_path, MOE, index))).weights
    assert weights is not None
    assert weights.total == pytest.approx(10**9)
    assert weights.experts > weights.rest > 0


def test_a_config_alone_is_enough_for_a_known_architecture(tmp_path: Path) -> None:
    found = known(str(folder(tmp_path, SMALL)))
    assert found.shape.parameters == 2 * 100 * 64 + 6 * (2 * 64 * 8 * (8 + 4) + 3 * 64 * 128)
    assert found.weights is not None
    assert found.weights.total == 2 * found.shape.parameters


def test_of_an_unknown_architecture_only_files_tell_the_size(tmp_path: Path) -> None:
    where = folder(tmp_path, {**SMALL, "architectures": ["NewForCausalLM"]})
    assert known(str(where)).weights is None
    folder(tmp_path, {**SMALL, "architectures": ["NewForCausalLM"]}, model={"x": tensor(500)})
    weights = known(str(where)).weights
    assert weights is not None
    assert weights.total == 500


def test_a_volume_leads_to_the_folder(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    folder(tmp_path / "mine", SMALL)
    found = model_of(intent("/models/mine", volumes={str(tmp_path): "/models:ro"}))
    assert found is not None
    assert found.shape.layers == 6
    assert model_of(intent("/models/other", volumes={str(tmp_path): "/models:ro"})) is None


@pytest.mark.parametrize(
    ("quantised", "form"),
    [
        (None, "bf16"),
        ({"quant_method": "mxfp4"}, "mxfp4"),
        ({"quant_method": "fp8"}, "fp8"),
        ({"quant_method": "awq", "bits": 4}, "int4"),
        ({"quant_method": "gptq", "bits": 8}, None),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "nvfp4"),
        ({"quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized"}, "nvfp4"),
        ({"quant_method": "compressed-tensors", "format": "float-quantized"}, "fp8"),
        ({"quant_method": "bitsandbytes"}, None),
    ],
)
def test_formats(tmp_path: Path, quantised: object, form: str | None) -> None:
    config = read_config(folder(tmp_path, {**SMALL, "quantization_config": quantised}))
    assert config.form == form


def test_a_text_model_inside_and_windows(tmp_path: Path) -> None:
    kinds = ["sliding_attention", "full_attention"] * 3
    inner = {**SMALL, "layer_types": kinds, "sliding_window": 128}
    shape = read_config(folder(tmp_path, {"architectures": ["X"], "text_config": inner})).shape
    assert (shape.full_layers, shape.window) == (3, 128)
    assert shape.tokens_kept(6, 1000) == 3 * 1000 + 3 * 128
    assert shape.tokens_kept(6, 100) == 600


HOSTILE_CONFIGS = [
    "",
    "[]",
    "{",
    "[" * 100_000,
    '{"hidden_size": 1' + "0" * 5000 + "}",
    {},
    {**SMALL, "num_attention_heads": 0},
    {**SMALL, "num_hidden_layers": -1},
    {**SMALL, "hidden_size": "64"},
    {**SMALL, "vocab_size": True},
    {**SMALL, "num_key_value_heads": 1.5},
    {**SMALL, "quantization_config": []},
    {**SMALL, "text_config": 3},
]


@pytest.mark.parametrize("config", HOSTILE_CONFIGS, ids=range(len(HOSTILE_CONFIGS)))
def test_a_hostile_config_is_refused_in_words(tmp_path: Path, config: object) -> None:
    with pytest.raises(ModelUnreadable, match=r"config\.json"):
        find(str(folder(tmp_path, config)))


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00" * 8, b"\xff" * 8, (10**9).to_bytes(8, "little"), (50).to_bytes(8, "little") + b"{}", b"12345678[]"]
    + [(len(t)).to_bytes(8, "little") + t for t in (b"[]", b'{"a":1}', b'{"a":{"data_offsets":[5,1]}}')]
    + [(len(t)).to_bytes(8, "little") + t for t in (b'{"a":{}}', b'{"a":{"data_offsets":[0,1e400]}}', b"\xff\xfe")],
)
def test_a_hostile_weight_file_is_refused_in_words(tmp_path: Path, content: bytes) -> None:
    folder(tmp_path, SMALL)
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelUnreadable, match=r"model\.safetensors"):
        find(str(tmp_path))


@pytest.mark.parametrize(
    "index",
    [
        [],
        {"weight_map": []},
        {"weight_map": {"a": "../../etc/passwd"}},
        {"metadata": {"total_size": "x"}},
        {"metadata": 1},
    ],
)
def test_a_hostile_index_is_refused_in_words(tmp_path: Path, index: object) -> None:
    with pytest.raises(ModelUnreadable, match=r"index\.json"):
        find(str(folder(tmp_path, SMALL, index)))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from([*MOE, "layer_types", "kv_lora_rank", "head_dim", "sliding_window"]), JSON))
def test_any_config_is_a_model_or_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, changes: dict[str, object]
) -> None:
    where = folder(tmp_path_factory.mktemp("m"), {**MOE, **changes})
    try:
        found = find(str(where))
        assert found is not None
        if found.weights is not None:
            shown = judged(str(where), Parallel(2, 2))
            assert shown.longest(3) >= 0
            assert shown.tokens_per_second is None or shown.tokens_per_second > 0
    except ModelUnreadable as refusal:
        assert "config.json" in str(refusal)


@pytest.mark.parametrize("name", ["/" + "a" * 5000, "/a\0b", "/dev/null", "/proc/self/mem", "/"])
def test_a_path_that_holds_no_model_is_no_model(name: str) -> None:
    assert find(name) is None


def test_a_pipe_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    assert find(str(tmp_path)) is None
    (tmp_path / "config.json").unlink()
    os.mkfifo(tmp_path / "model.safetensors")
    assert known(str(folder(tmp_path, SMALL))).source == f"config.json of {tmp_path}"


@pytest.mark.parametrize("args", [{"hf-overrides": "{}"}, {"--cpu_offload_gb": 10}, {"quantization": "bitsandbytes"}])
def test_arguments_that_change_the_size_are_not_judged(args: dict[str, Any]) -> None:
    with pytest.raises(ModelUnreadable, match="--"):
        model_of(intent(args=args))


def test_fp8_on_the_way_in_halves_the_linear_layers() -> None:
    plain, small = model_of(intent()), model_of(intent(args={"quantization": "fp8"}))
    assert plain is not None
    assert small is not None
    assert plain.weights is not None
    assert small.weights is not None
    assert small.weights.rest == plain.weights.rest / 2
    assert small.weights.embedding == plain.weights.embedding


# The arithmetic


def test_480_billion_at_4_bits_do_not_fit_two_nodes() -> None:
    shown = judged(FP4_480, Parallel(2))
    assert shown.certain_no
    assert shown.hopeless
    assert shown.nodes_for_weights == 3
    assert not judged(FP4_480, Parallel(4)).certain_no


def test_405_billion_at_4_bits_fit_two_nodes_with_a_small_cache() -> None:
    assert judged(AWQ405, Parallel(2)).certain_no
    assert not judged(AWQ405, Parallel(2)).hopeless
    shown = judged(AWQ405, Parallel(2), gpu_memory_utilization=0.87)
    assert not shown.certain_no
    assert 4 * GIB < shown.fullest.left < 6 * GIB
    assert shown.longest(1) == 0
    assert 10_000 < shown.longest(1, overhead=0) < 30_000


def test_llama_70b_in_bf16_decodes_at_2_tokens_per_second() -> None:
    one = judged(LLAMA70, Parallel())
    assert one.certain_no
    assert one.tokens_per_second == pytest.approx(2.0, abs=0.1)
    two = judged(LLAMA70, Parallel(2))
    assert two.tokens_per_second == pytest.approx(3.9, abs=0.1)
    assert two.tokens_per_second_of_one == pytest.approx(one.tokens_per_second)
    assert judged(LLAMA70, Parallel(1, 2)).tokens_per_second == pytest.approx(one.tokens_per_second)


def test_the_numbers_add_up() -> None:
    shown = judged(LLAMA70, Parallel(2))
    node = shown.fullest
    assert node.budget == 0.8 * USABLE * GIB
    assert node.weights == pytest.approx(70.55e9, rel=0.001)
    assert node.kv_room == node.left - OVERHEAD
    assert shown.kv_bytes(node, 1) == 80 * 4 * 2 * 128 * 2
    assert shown.longest(1) == int(node.kv_room // shown.kv_bytes(node, 1))
    assert shown.requests(shown.longest(3)) >= 3 > shown.requests(shown.longest(3) + 1)


def test_kv_heads_are_copied_and_mla_is_not_divided() -> None:
    gqa = Shape(64, 1, 8, 4, 16, 10, 10)
    assert gqa.kv_per_layer(2, "auto") == 2 * 2 * 16 * 2
    assert gqa.kv_per_layer(8, "auto") == 1 * 2 * 16 * 2
    assert gqa.kv_per_layer(2, "fp8_e4m3") == 2 * 2 * 16
    assert gqa.kv_per_layer(2, "nvfp4") == 2 * 2 * 16 * 0.5625
    mla = known(R1).shape
    assert mla.kv_per_layer(1, "auto") == mla.kv_per_layer(8, "auto") == (512 + 64) * 2


@pytest.mark.parametrize(
    ("layers", "pipeline", "stages"),
    [(80, 1, [80]), (80, 3, [27, 27, 26]), (81, 2, [41, 40]), (62, 4, [15, 16, 16, 15]), (36, 3, [12, 12, 12])],
)
def test_stages_are_vllms(layers: int, pipeline: int, stages: list[int]) -> None:
    assert stage_layers(layers, pipeline) == stages


def test_a_written_partition_counts() -> None:
    assert stage_layers(80, 3, "30,30,20") == [30, 30, 20]
    assert stage_layers(80, 3, "30,30") == stage_layers(80, 3, "9,9,9") == stage_layers(80, 3, "a,b,c") == [27, 27, 26]
    shown = judged(LLAMA70, Parallel(1, 2), env={"VLLM_PP_LAYER_PARTITION": "50,30"})
    assert [node.layers for node in shown.nodes] == [50, 30]
    assert shown.fullest.name == "n0"


def test_all_weights_are_somewhere() -> None:
    weights = known(OSS).weights
    assert weights is not None
    for parallel in (Parallel(4), Parallel(2, 2), Parallel(1, 4)):
        held = sum(node.weights for node in judged(OSS, parallel).nodes)
        assert held == pytest.approx(weights.total), parallel
    twice = sum(node.weights for node in judged(OSS, Parallel(2, 1, 2)).nodes)
    assert twice == pytest.approx(2 * (weights.total - weights.experts) + weights.experts)


def test_ranks_of_a_stage_are_neighbours() -> None:
    assert [node.stage for node in judged(OSS, Parallel(2, 2)).nodes] == [0, 0, 1, 1]
    assert [node.stage for node in judged(OSS, Parallel(1, 2, 2)).nodes] == [0, 1, 0, 1]


def test_replicas_serve_more_requests() -> None:
    assert judged(OSS, Parallel(2, 1, 2)).requests(32768) > judged(OSS, Parallel(2)).requests(32768)


def test_a_64_gb_machine_lacks_as_much() -> None:
    assert usable_memory(64) == pytest.approx((64 - 6.31) * GIB)
    assert judged(OSS, Parallel(2), installed=64).fullest.kv_room < judged(OSS, Parallel(2)).fullest.kv_room


def test_the_flag_wins_over_the_key() -> None:
    assert judged(OSS, Parallel(2), args={"gpu_memory_utilization": 0.5}).memory.share == 0.5
    assert judged(OSS, Parallel(2), args={"gpu-memory-utilization": "much"}).memory.share == 0.8
    assert judged(OSS, Parallel(2), gpu_memory_utilization=None).memory.share == 0.92


def test_without_the_experts_no_speed_is_claimed() -> None:
    model = known(OSS)
    assert model.weights is not None
    flat = model._replace(weights=Weights(0, 0, 0, model.weights.total, "index"))
    assert flat.active_bytes is None
    assert model.active_bytes == pytest.approx(BANDWIDTH / 54.6, rel=0.01)
