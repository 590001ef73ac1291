"""Run by the Python of a real vLLM: every flag that the parser of its `vllm serve` has.

    python vllm_flags.py > sparkctl/engines/vllm/known/vllm-VERSION.json

test_vllm_flags.py holds the file of the lab's version to what this says.
"""

import json
import sys
from argparse import Action

from vllm import __version__
from vllm.entrypoints.cli.serve import ServeSubcommand
from vllm.utils.argparse_utils import FlexibleArgumentParser


def actions() -> dict[str, Action]:
    """Every spelling, with its dashes, and what it stands for."""
    serve = ServeSubcommand().subparser_init(FlexibleArgumentParser().add_subparsers(dest="subparser"))
    # Not the actions' own spellings: 0.33 still takes the older ones, and shows them nowhere.
    return serve._option_string_actions


def flags() -> list[str]:
    """Long and short, without dashes in front: the words that `engine.args` may have as keys."""
    return sorted({word.lstrip("-").replace("_", "-") for word in actions()})


def short() -> dict[str, list[str]]:
    """Names with one dash, and the spellings of the same flag."""
    return {word[1:]: action.option_strings for word, action in actions().items() if word[:2] != "--"}


if __name__ == "__main__":
    release = __version__.partition("+")[0]
    answer = {"version": release, "flags": flags()}
    sys.stdout.write(json.dumps({**answer, "short": short()} if "short" in sys.argv else answer, indent=1) + "\n")
