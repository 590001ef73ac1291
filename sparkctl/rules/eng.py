"""ENG: what holds for the section of any engine; what only one of them can know, it says itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from sparkctl.engines import ENGINES, Engine, remedy
from sparkctl.engines.base import HUB_CACHE, home, targets
from sparkctl.fabric.model import Fabric
from sparkctl.inventory.model import Cluster, EngineIntent, Node, Path
from sparkctl.inventory.words import quoted
from sparkctl.rule import Hit, arg_path, fabric_rule, rule
from sparkctl.rules.nccl import BARE

# The hub's own library expands its variables; an engine may do so with those that begin with its name.
_EXPANDED = "HF_"
_WAITING = re.compile(r"\$[A-Za-z_]\w*|(?:^|(?<=[:,=]))~(?=/|$)")
_SNAPSHOT = re.compile(r"(.*)/models--([^/]+)/snapshots(?:/[^/]+)?/?")


@rule("ENG001", "error", "an engine kind that this version cannot render", "sparkctl")
def kind_is_rendered(cluster: Cluster) -> Iterator[Hit]:
    """The format knows kinds of later versions."""
    if cluster.engine is not None and cluster.engine.kind not in ENGINES:
        yield Hit(("engine", "kind"), f"engine kind {cluster.engine.kind} is not yet supported", remedy())


@rule("ENG002", "error", "an engine variable that cannot be one value for all ranks", "facts A5")
def variables_are_shared(cluster: Cluster) -> Iterator[Hit]:
    """An address must be local to each node, and a key in engine.env could be read by all."""
    intent = cluster.engine
    if intent is None or intent.kind not in ENGINES:
        return
    why = _reserved(ENGINES[intent.kind])
    for name in sorted(why.keys() & intent.env.keys()):
        yield Hit(("engine", "env", name), f"{name} {why[name]}", f"remove {name}")


def _reserved(engine: Engine) -> Mapping[str, str]:
    own = dict.fromkeys(engine.address_variables, "is another address on every node, and sparkctl sets it")
    secret = "is a secret and would stand in a file that all can read; use engine.api_key_file"
    return own | {engine.api_key_variable: secret}


@rule("ENG003", "warning", "a model path that the container may not see", "docker: a container sees only its volumes")
def model_is_seen(cluster: Cluster) -> Iterator[Hit]:
    """A path on the node is none in the container, unless a volume leads there or the image holds it."""
    intent = cluster.engine
    if intent is None or intent.kind not in ENGINES or intent.runtime.docker is None or intent.model[:1] != "/":
        return
    if _on_a_volume(intent.model, targets(intent)):
        return
    said = f"{intent.model} lies on none of engine.volumes: the container sees it only if the image holds it"
    snapshot = _SNAPSHOT.fullmatch(intent.model)
    folder = snapshot[1] if snapshot else intent.model
    cure = f'add a volume, for example volumes: {{"{folder}": "{folder}:ro"}}'
    yield Hit(("engine", "model"), said, f"write model: {_hub_name(snapshot)}, or {cure}" if snapshot else cure)


def _on_a_volume(path: str, volumes: set[str]) -> bool:
    return any(path == target or path.startswith(f"{target}/") for target in volumes)


def _hub_name(snapshot: re.Match[str]) -> str:
    return snapshot[2].replace("--", "/", 1)


@fabric_rule("ENG004", "error", "engine.env overrides the interfaces of the fabric", "facts C1, C2 and C3")
def interfaces_are_left_alone(cluster: Cluster, fabric: Fabric) -> Iterator[Hit]:
    """engine.env is read last, and has one value for all nodes; sparkctl has one for each."""
    for name in BARE:
        value = cluster.engine.env.get(name) if cluster.engine is not None else None
        if value is None:
            continue
        for node in cluster.nodes:
            hit = _override(name, value, fabric, node)
            if hit is not None:
                yield hit
                break


def _override(name: str, value: str, fabric: Fabric, node: Node) -> Hit | None:
    """Netdevs of the plan do harm where another one is ours; RDMA devices and subnets are another way to say it."""
    ours, cabled = fabric.endpoints[node.name].netdev, fabric.of(node.name)
    netdevs = {node.management, *(attachment.netdev for attachment in cabled)}
    other_ways = {attachment.half.rdma for attachment in cabled} | {"all"}
    items = [item for item in value.split(",") if item.partition(":")[0] not in other_ways and "/" not in item]
    strange = [item for item in items if item not in netdevs]
    if value == ours or not items:
        return None
    which = f"{quoted(strange[0])}, no interface of the plan," if strange else "another interface of the plan"
    said = f"on node `{node.name}`, {name}={value} puts {which} in the place of {ours}, which sparkctl sets there"
    remedy = "remove it: sparkctl sets it for each node"
    return Hit(("engine", "env", name), said, remedy, None if strange else "warning")


@rule("ENG005", "warning", "a value that waits for an expansion", "docker and systemd read it as it stands")
def values_are_written_out(cluster: Cluster) -> Iterator[Hit]:
    """No shell reads engine.env or the arguments; `${HOME}` and the like are INV009's."""
    intent = cluster.engine
    for path, text in _texts(cluster, intent) if intent is not None else ():
        found = _WAITING.search(text)
        if found:
            said = f"nothing expands `{found[0]}` in {quoted(text)}: the program gets it as it stands"
            yield Hit(path, said, "write the whole path" if found[0] == "~" else "write its value")


def _texts(cluster: Cluster, intent: EngineIntent) -> Iterator[tuple[Path, str]]:
    """Variables but those whose reader expands them, and of the arguments what is a path."""
    own = (_EXPANDED, f"{intent.kind.upper()}_")
    yield from ((("engine", "env", name), value) for name, value in intent.env.items() if not name.startswith(own))
    for flag, value in intent.args.items():
        if isinstance(value, str) and value.startswith(("~/", "$")):
            yield arg_path(cluster, flag), value


@rule("ENG006", "warning", "a cache of models that lies on no volume", "docker: a container sees only its volumes")
def cache_is_kept(cluster: Cluster) -> Iterator[Hit]:
    """The container is removed when it ends: a model of 100 GB would be loaded again at every start."""
    intent = cluster.engine
    if intent is None or intent.kind not in ENGINES or intent.runtime.docker is None or intent.model[:1] == "/":
        return
    name = next((name for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME") if intent.env.get(name)), None)
    folder = intent.env[name].rstrip("/") if name else ""
    if name is None or folder[:1] != "/" or _on_a_volume(folder, targets(intent) | {HUB_CACHE}):
        return
    said = f"{name}={folder} lies on none of engine.volumes: the model is loaded again at every start"
    source = f"{home(cluster.head.user)}/.cache/huggingface{'' if name == 'HF_HOME' else '/hub'}"
    yield Hit(("engine", "env", name), said, f'remove it, or add a volume: volumes: {{"{source}": "{folder}"}}')


@rule("ENG007", "error", "a snapshot of the hub that is mounted alone", "the files of a snapshot are links to blobs")
def snapshots_are_mounted_whole(cluster: Cluster) -> Iterator[Hit]:
    """Its files are links to `../../blobs`, and newer caches link those on into the hub's own folder."""
    intent = cluster.engine
    for source in intent.volumes if intent is not None else ():
        found = _SNAPSHOT.fullmatch(source)
        if found:
            said = f"{source} is a snapshot of the hub: its files are links to blobs outside of it, and lead nowhere"
            cure = f'mount the hub: volumes: {{"{found[1]}": "{found[1]}:ro"}}'
            yield Hit(("engine", "volumes", source), said, f"{cure}, or write model: {_hub_name(found)}")
