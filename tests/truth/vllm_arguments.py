"""Run by the Python of a real vLLM: its own parser, and the configuration that it makes of every argument list.

    python vllm_arguments.py FOLDER < lists.json

FOLDER gets the config of a small Llama, which stands in for the model so that no weights are needed. For each list of
words after `vllm serve`, stdout has a JSON line: what vLLM understood, or {"error": what it said}.
"""

import argparse
import contextlib
import io
import json
import sys
from pathlib import Path

from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.entrypoints.cli.serve import ServeSubcommand
from vllm.utils.argparse_utils import FlexibleArgumentParser

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "vocab_size": 512,
    "max_position_embeddings": 262144,
    "torch_dtype": "bfloat16",
}


def understood(words: list[str], model: str) -> dict[str, object]:
    """As `vllm serve` goes about it: parse, validate, and for this rank make the engine's configuration."""
    parser = FlexibleArgumentParser()
    serve = ServeSubcommand()
    serve.subparser_init(parser.add_subparsers(dest="subparser"))
    args = parser.parse_args(["serve", *words])
    serve.validate(args)
    asked = {"model": args.model_tag, "port": args.port, "host": args.host, "headless": args.headless}
    asked |= {"speculative": args.speculative_config, "additional": args.additional_config}
    args.model = model
    config = AsyncEngineArgs.from_cli_args(args).create_engine_config(headless=args.headless)
    asked |= {"fused": args.compilation_config.pass_config.fuse_allreduce_rms, "level": args.optimization_level}
    return {**asked, **parallel(config.parallel_config), "context": config.model_config.max_model_len}


def parallel(config: object) -> dict[str, object]:
    """What the ranks must agree on, and the rank."""
    names = ("nnodes", "node_rank", "master_addr", "master_port", "world_size", "distributed_executor_backend")
    sizes = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")
    return {name: getattr(config, name) for name in names + sizes}


def judged(words: list[str], model: str) -> dict[str, object]:
    """A refusal is an answer too; argparse says its own on stderr."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return understood(words, model)
    except SystemExit:
        return {"error": said.getvalue()}
    except (ValueError, argparse.ArgumentError) as error:
        return {"error": str(error)}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / "config.json").write_text(json.dumps(LLAMA))
    answers = [judged(words, str(folder)) for words in json.load(sys.stdin)]
    sys.stdout.write("".join(f"{json.dumps(answer)}\n" for answer in answers))
