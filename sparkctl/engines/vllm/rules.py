"""What only vLLM refuses or warns about: its backends, flags, context parallelism, and what its key does not guard."""

from __future__ import annotations

from collections.abc import Iterator

from sparkctl.engines.flags import argument, flag_name
from sparkctl.engines.vllm.flag_lists import flags_of, knows, version_of, versions
from sparkctl.engines.vllm.spelling import base_name, long_name
from sparkctl.inventory.model import Cluster, EngineIntent
from sparkctl.inventory.words import nearest, quoted
from sparkctl.rule import Hit, Rule, arg_path, engine_rule, remove, rename

RULES: dict[str, Rule] = {}
_GANG = ("nnodes", "node-rank", "master-addr", "headless", "n", "r")
_BACKEND = "distributed-executor-backend"
_BACKENDS = {"vllm": "mp", "vllm-ray": "ray"}
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@engine_rule(
    "PAR005",
    "error",
    "a backend in args that contradicts the engine's kind",
    "facts A2: nnodes and Ray exclude each other",
    book=RULES,
)
def backend_agrees(cluster: Cluster, engine: EngineIntent) -> Iterator[Hit]:
    """vllm runs its own processes, vllm-ray runs on Ray."""
    for flag in contradictions(engine):
        name = flag_name(flag)
        if name == _BACKEND:
            value = quoted(engine.args[flag])
            said = f"`--{_BACKEND} {value}` contradicts kind `{engine.kind}`, which needs {_BACKENDS[engine.kind]}"
            yield Hit(arg_path(cluster, flag), said, remove("remove it, or change `engine.kind`"))
        else:
            said = f"`--{name}` belongs to vLLM's own multi-node mode and excludes Ray"
            yield Hit(arg_path(cluster, flag), said, remove("remove it, or write `kind: vllm`"))


def contradictions(engine: EngineIntent) -> tuple[str, ...]:
    """Flags, as they are spelled, that are for PAR005 rather than PAR006: not just what sparkctl sets, said again."""
    return tuple(flag for flag, value in engine.args.items() if _contradicts(engine, flag_name(flag), value))


def _contradicts(engine: EngineIntent, name: str, value: object) -> bool:
    if name == _BACKEND:
        return value is not None and engine.kind in _BACKENDS and value != _BACKENDS[engine.kind]
    return engine.kind == "vllm-ray" and name in _GANG


@engine_rule(
    "PAR007",
    "error",
    "a flag that the engine's version does not know",
    "facts A1; its parser",
    book=RULES,
)
def flags_are_known(cluster: Cluster, engine: EngineIntent) -> Iterator[Hit]:
    """The engine would stop with `unrecognized arguments`, on every node."""
    version = version_of(engine)
    if version is None or not engine.args:
        return
    flags = flags_of(version)
    for flag, value in engine.args.items():
        name = long_name(flag)
        asked = f"no-{name}" if value is False and "." not in name else name
        if value is None or not flags or knows(flags, asked):
            continue
        said = f"vLLM {version} has no flag {quoted('--' + asked)}"
        yield Hit(arg_path(cluster, flag), said, _flag_instead(name, asked, version))


def _flag_instead(name: str, asked: str, version: str) -> str:
    """What to do about a flag: another version has it, another flag was meant, or neither."""
    having = [other for other in versions() if knows(flags_of(other), asked)]
    guess = nearest(name, sorted(flags_of(version)))
    if having:
        return remove(f"remove it, or use vLLM {having[-1]}, which has it")
    whole = "".join((guess or "", *name.partition(".")[1:]))
    return rename(whole) if guess else f"`vllm serve --help` of {version} lists what it knows"


@engine_rule(
    "PAR012",
    "error",
    "a flag that is written twice",
    "facts A1; its parser",
    book=RULES,
)
def flags_are_written_once(cluster: Cluster, engine: EngineIntent) -> Iterator[Hit]:
    """Of a value and a key inside it, or of a short and a long name, vLLM takes one and drops the other."""
    given = [flag for flag, value in engine.args.items() if value is not None and engine.kind in _BACKENDS]
    first = {long_name(flag): flag for flag in reversed(given)}
    for flag in given:
        other = first.get(base_name(flag), flag) if first[long_name(flag)] == flag else first[long_name(flag)]
        if other != flag:
            said = f"{quoted(flag)} and {quoted(other)} set one flag: vLLM takes one of them and drops the other"
            yield Hit(arg_path(cluster, flag), said, f"write all of it at {quoted(other)}")


@engine_rule(
    "PAR011",
    "error",
    "context parallelism that does not fit the layout",
    "facts A2: it multiplies the ranks, or divides tensor",
    book=RULES,
)
def context_fits_layout(cluster: Cluster, engine: EngineIntent) -> Iterator[Hit]:
    """vLLM counts ranks as tensor x pipeline x prefill context; decode context divides the tensor ranks."""
    for flag, value in engine.args.items() if engine.kind in _BACKENDS else ():
        name = flag_name(flag)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            continue
        if name in ("prefill-context-parallel-size", "pcp") and value > 1:
            said = f"`--{name} {value}` makes {engine.parallel.size * value} ranks of the {engine.parallel.size} nodes"
            cure = remove("remove it: a Spark has one GPU, and `engine.parallel` uses it")
            yield Hit(arg_path(cluster, flag), said, cure)
        elif name in ("decode-context-parallel-size", "dcp") and engine.parallel.tensor % value:
            said = f"`--{name} {value}` does not divide tensor {engine.parallel.tensor}"
            yield Hit(arg_path(cluster, flag), said, "write a divisor of the tensor size, or leave it out")


@engine_rule(
    "SEC003",
    "warning",
    "an engine whose key does not guard every path",
    "facts A9",
    book=RULES,
)
def key_guards_everything(cluster: Cluster, engine: EngineIntent) -> Iterator[Hit]:
    """vLLM asks for its key below /v1, and not at /invocations, which infers all the same."""
    if engine.kind != "vllm" or engine.api_key_file is None:
        return
    host = argument(engine, "host")
    if host is None or host.value not in _LOOPBACK:
        said = "vLLM's /invocations answers without the key, and it does inference; so do /tokenize and /metrics"
        remedy = "put a proxy that passes only /v1 in front, and let vLLM listen there: `args: {host: 127.0.0.1}`"
        yield Hit(("engine", "api_key_file"), said, remedy)
