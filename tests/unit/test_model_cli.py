"""`sparkctl model fit`: what it says, how it ends, and that no input ends in a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from sparkctl.cli.model import app

DUAL = str(Path(__file__).parents[2] / "inventories/dual.yaml")
FP4_480 = "nvidia/Qwen3-Coder-480B-A35B-Instruct-NVFP4"
AWQ405 = "hugging-quants/Meta-Llama-3.1-405B-Instruct-AWQ-INT4"
CONFIG = {"hidden_size": 64, "num_attention_heads": 8, "num_hidden_layers": 2, "vocab_size": 100}
CASE = "tests/cases/findings/MEM002--405b-at-087/inventory.yaml"


def ran(*words: str) -> Result:
    return CliRunner().invoke(app, ["fit", *words])


def said(*words: str, code: int = 0) -> str:
    result = ran(*words)
    assert result.exit_code == code, result.output
    return result.stdout


def test_the_example_fits() -> None:
    shown = said(DUAL)
    assert "\nVerdict: openai/gpt-oss-120b fits 2 nodes: 53.0 GiB per node, for the KV cache\n" in shown
    assert "spark-2      0      36         97.4 GiB  30.3 GiB  67.0 GiB  53.0 GiB\n" in shown
    assert "Longest context of 1 request: 131072 tokens (the model's own limit: 131072)\n" in shown


def test_assumptions_are_printed_and_legends_are_not() -> None:
    shown = said(DUAL)
    for each in ("121.7 GiB usable", "0.8 of it", "15 GB", "273 GB/s", "NVFP4 0.5625", "window keep 128 tokens"):
        assert each in shown.partition("Assumed:")[2]
    for legend in ("NVLink", "900", "GPUDirect"):
        assert legend not in shown


def test_480_billion_do_not_fit() -> None:
    shown = said(DUAL, "--model", FP4_480, code=3)
    assert f"Verdict: {FP4_480} does not fit 2 nodes: the weights need 127.0 GiB on spark-1" in shown
    assert "No setting helps" in shown
    assert "Longest context" not in shown


def test_405_billion_fit_with_a_small_cache() -> None:
    assert "at 0.87 it would, only with a small KV cache (at most 4.7 GiB" in said(DUAL, "--model", AWQ405, code=3)
    shown = said(str(Path(__file__).parents[2] / CASE))
    assert "fits 2 nodes only with a small KV cache: at most 4.7 GiB per node" in shown
    assert "were there no overhead, it would be" in shown


def test_70_billion_in_bf16_are_slow() -> None:
    shown = said(DUAL, "--model", "meta-llama/Llama-3.3-70B-Instruct")
    assert "at most 3.9 tokens/s as TP2; one node's\n  bandwidth gives 2.0 tokens/s" in shown


def test_users_and_context() -> None:
    shown = said(DUAL, "--model", "meta-llama/Llama-3.3-70B-Instruct", "--users", "8", "--context", "8192")
    assert "Longest context of 8 requests: 14479 tokens" in shown
    assert "At 8192 tokens each: 14 requests at a time" in shown


def test_64_gb_machines() -> None:
    shown = said(DUAL, "--memory", "64")
    assert "only with a small KV cache: 1.8 GiB per node" in shown
    assert "64 GiB installed and 57.7 GiB usable (6.31 GiB less, as with 128)" in shown


def test_a_max_model_len_that_has_no_room(tmp_path: Path) -> None:
    text = Path(DUAL).read_text().replace("openai/gpt-oss-120b", "meta-llama/Llama-3.3-70B-Instruct")
    path = tmp_path / "x.yaml"
    path.write_text(text.replace("max_model_len: 32768", "max_model_len: 131072"))
    assert "one request of max_model_len 131072 has no room there" in said(str(path))


def test_json() -> None:
    shown = json.loads(said(DUAL, "--json"))
    assert (shown["version"], shown["judged"], shown["answer"], shown["layout"]) == (1, True, "fits", "TP2")
    assert [node["name"] for node in shown["nodes"]] == ["spark-1", "spark-2"]
    assert shown["nodes"][0]["left"] == shown["nodes"][0]["budget"] - shown["nodes"][0]["weights"]
    assert shown["model"]["weights"] == sum(node["weights"] for node in shown["nodes"])
    assert shown["assumptions"]
    assert json.loads(said(DUAL, "--json", "--model", FP4_480, code=3))["answer"] == "no"


def test_an_unknown_model_is_not_judged() -> None:
    shown = said(DUAL, "--model", "openai/gpt-oss-120")
    assert "cannot judge openai/gpt-oss-120: nothing is known of it; the table has openai/gpt-oss-120b" in shown
    assert "needed: a folder with config.json" in shown
    assert json.loads(said(DUAL, "--json", "--model", "acme/x"))["judged"] is False


def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    assert "the size of the weights" in said(DUAL, "--model", str(tmp_path))
    header = json.dumps({"lm_head.weight": {"data_offsets": [0, 1 << 33]}}).encode()
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    assert "8.0 GiB of weights (headers of 1 safetensors file)" in said(DUAL, "--model", str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 20)
    assert "cannot judge" in said(DUAL, "--model", str(tmp_path))


@pytest.mark.parametrize("words", [["--users", "0"], ["--memory", "nan"], ["--memory", "4"], ["--context", "-1"]])
def test_options_have_limits(words: list[str]) -> None:
    assert ran(DUAL, *words).exit_code == 2


def test_an_inventory_with_errors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(Path(DUAL).read_text().replace("parallel: TP2", "parallel: TP4"))
    result = ran(str(path))
    assert result.exit_code == 3
    assert "PAR001" in result.stderr
    path.write_text(Path(DUAL).read_text().partition("\nengine:")[0])
    assert ran(str(path)).exit_code == 2
