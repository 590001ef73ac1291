"""How a Python program on stdin runs where the engine of a rank would: in its image or venv, in its environment."""

from __future__ import annotations

from pathlib import PurePosixPath

from sparkctl.commands.base import functions
from sparkctl.commands.shell import quote
from sparkctl.engines import Rank, engine_of
from sparkctl.errors import Refused
from sparkctl.render.container import trial_words
from sparkctl.render.environment import text_of

NO_PYTHON = "the engine has no Python with torch, which the test runs on"


def trial_script(rank: Rank, name: str, argument: str) -> str:
    """A script that ends as the test does; in an image it is the container `name`. Refused where there is no Python."""
    program = engine_of(rank.intent.kind).python_for_tests(rank.intent)
    if program is None:
        raise Refused(NO_PYTHON)
    inside = ["/bin/sh", "-c", functions("load/python.sh"), program, argument]
    if rank.intent.runtime.docker is not None:
        words = [word for group in trial_words(rank, name, inside) for word in group]
        return "".join(map(_there, rank.intent.volumes)) + f"exec {quote(words)}\n"
    folder = str(PurePosixPath(program).parent)
    return text_of("load/venv.sh.j2", env_files=[rank.names.nccl, rank.names.environment], bin=folder, words=inside)


def _there(volume: str) -> str:
    """docker makes a folder that is not there; a test may not."""
    if not volume.startswith("/"):
        return ""
    complaint = quote(("echo", f"{volume}, one of engine.volumes, is not on the node"))
    return f"[ -e {quote((volume,))} ] || {{ {complaint} >&2; exit 1; }}\n"
