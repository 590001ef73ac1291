"""SEC: secrets in the file, secrets that others can read, and an engine that anyone can use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from sparkctl.engines import ENGINES
from sparkctl.inventory.model import Cluster, EngineIntent, Path
from sparkctl.inventory.shapes import TOKENS
from sparkctl.inventory.words import quoted
from sparkctl.rule import Hit, arg_path, engine_rule, remove, rule
from sparkctl.rules.values import values

_SHAPES = {
    **TOKENS,
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY",
    "a password in a URL": r"://[^/\s:@]*:[^/\s:@]+@",
    "a bearer token": r"\b(?i:bearer|basic) [A-Za-z0-9+/=._-]{16,}",
}
_SHAPE = re.compile("|".join(f"(?P<k{i}>{pattern})" for i, pattern in enumerate(_SHAPES.values())))
# Names of secrets; `tokens`, `tokenizer` and names that end in file or path are not.
_NAME = re.compile(
    r"(^|[_.-])(token|passwords?|passwd|passphrase|secrets?|credentials?|api_?keys?|access_?key|private_?key|auth_?key)"
    r"([_.-](id|value|str|string|text))?$"
)
_PLAIN = re.compile(r"|true|false|yes|no|on|off|none|null|auto|[0-9]{1,4}|~?\.{0,2}/.*", re.IGNORECASE)
_EVERYWHERE = ("0.0.0.0", "::")
_PRIVILEGES = ("privileged", "cap-add", "security-opt", "device", "pid", "userns")
_GIVE_AWAY = ("/", "/dev", "/proc", "/sys", "/etc", "/root", "/boot", "/var/lib/docker")
_SOCKET = re.compile(r"/(var/)?run/(docker|containerd/containerd|podman/podman)\.sock")


@rule("SEC001", "error", "a secret in the file", "facts ff42 and G13")
def no_secrets(cluster: Cluster) -> Iterator[Hit]:
    """An inventory is shared and kept in git; what is secret lies in a file of its own."""
    seen: set[Path] = set()
    for path, name, text in _texts(cluster):
        found = _SHAPE.search(text)
        kind = list(_SHAPES)[int((found.lastgroup or "k0")[1:])] if found else _named(name, text)
        if kind and path not in seen:
            seen.add(path)
            remedy = (
                "keep it in a file of its own: `engine.api_key_file`, or a volume; and replace it, now that it leaked"
            )
            yield Hit(path, f"the value looks like {kind}; it is not shown here", remedy)


def _named(name: str, text: str) -> str | None:
    """What a name says that its value is; numbers, booleans and paths are none."""
    said = _NAME.search(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
    return f"a secret (`{name[:40]}`)" if said and not _PLAIN.fullmatch(text) else None


def _texts(cluster: Cluster) -> Iterator[tuple[Path, str, str]]:
    """Every text of the file with its place and the name that it has there."""
    for value in values(cluster):
        named = value.path[:2] in (("engine", "env"), ("fabric", "nccl")) and value.kind in ("text", "nccl value")
        yield value.path, str(value.path[-1]) if named else "", value.text
    for flag, argument in cluster.engine.args.items() if cluster.engine is not None else ():
        for name, text in _named_texts(flag, argument):
            yield arg_path(cluster, flag), name, text


def _named_texts(name: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _named_texts(str(key), item)
    elif isinstance(value, list):
        for item in value:
            yield from _named_texts(name, item)
    elif isinstance(value, str):
        yield name, value


@engine_rule("SEC002", "warning", "an engine that anyone in the network may use", "facts A9")
def api_has_a_key(cluster: Cluster, engine: EngineIntent) -> Iterator[Hit]:
    """The API listens on all interfaces, and without a key it answers everyone."""
    kept = engine.kind not in ENGINES or engine.api_key_file is not None
    if not kept and ENGINES[engine.kind].listens_at(engine) in _EVERYWHERE:
        said = "the API listens on all interfaces and has no `api_key_file`: whoever reaches the head may use it"
        remedy = "add `api_key_file: secrets/api.key`, or listen on the head alone with `args: {host: 127.0.0.1}`"
        yield Hit(("engine", "api_key_file"), said, remedy)


@rule("SEC004", "error", "a secret file that others can read", "OpenSSH: a key must be the owner's alone")
def secrets_are_kept(cluster: Cluster) -> Iterator[Hit]:
    """Only of files that are on this machine; what is not there says nothing."""
    named: list[tuple[Path, str | None]] = [(("ssh", "identity_file"), cluster.ssh.identity_file)]
    if cluster.engine is not None:
        named.append((("engine", "api_key_file"), cluster.engine.api_key_file))
    for path, file in named:
        if file in cluster.exposed:
            yield Hit(path, f"{quoted(file)} can be read by others than its owner", f"chmod 600 {file}")


@engine_rule(
    "SEC005",
    "warning",
    "a container that could take over its node",
    "facts pp5.4: gh:eugr/spark-vllm-docker#51",
)
def containers_are_contained(cluster: Cluster, engine: EngineIntent) -> Iterator[Hit]:
    """RDMA needs /dev/infiniband and IPC_LOCK, which sparkctl gives; nothing needs --privileged."""
    if engine.runtime.docker is None:
        return
    for flag in engine.args:
        if flag.lstrip("-").replace("_", "-").lower() in _PRIVILEGES:
            said = f"`--{flag.lstrip('-')}` is Docker's and asks for privileges; `args` are the engine's own flags"
            yield Hit(arg_path(cluster, flag), said, remove("remove it: the container has what RDMA needs"))
    for source, target in engine.volumes.items():
        path = source.rstrip("/") or "/"
        if _SOCKET.fullmatch(path) or (path in _GIVE_AWAY and not target.endswith(":ro")) or path == "/":
            said = f"the volume {quoted(source)} gives the container the node itself"
            yield Hit(("engine", "volumes", source), said, "mount only the folder that the model needs, with `:ro`")
