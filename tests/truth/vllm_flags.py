"""Run by the Python of a real vLLM: every flag that the parser of its `vllm serve` has.

    python vllm_flags.py > sparkctl/engines/vllm/known/vllm-VERSION.json

test_vllm_flags.py holds the file of the lab's version to what this says.
"""

import json
import sys

from vllm import __version__
from vllm.entrypoints.cli.serve import ServeSubcommand
from vllm.utils.argparse_utils import FlexibleArgumentParser


def flags() -> list[str]:
    """Long and short, without dashes in front: the words that `engine.args` may have as keys."""
    serve = ServeSubcommand().subparser_init(FlexibleArgumentParser().add_subparsers(dest="subparser"))
    # Not the actions' own spellings: 0.33 still takes the older ones, and shows them nowhere.
    return sorted({word.lstrip("-").replace("_", "-") for word in serve._option_string_actions})


if __name__ == "__main__":
    release = __version__.partition("+")[0]
    sys.stdout.write(json.dumps({"version": release, "flags": flags()}, indent=1) + "\n")
