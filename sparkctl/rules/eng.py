"""ENG: what holds for the section of any engine; what only one of them can know, it says itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from sparkctl.engines import ENGINES, Engine, remedy
from sparkctl.engines.base import HUB_CACHE, home, targets
from sparkctl.fabric.model import Fabric
from sparkctl.inventory.model import Cluster, EngineIntent, Node, Path
from sparkctl.inventory.words import quoted
from sparkctl.rule import Hit, arg_path, engine_rule, fabric_rule, remove
from sparkctl.rules.nccl import BARE

# The hub's own library expands its variables; an engine may do so with those that begin with its name.
_EXPANDED = "HF_"
_VOLUMES = "docker: a container sees only its volumes"
_WAITING = re.compile(r"\$[A-Za-z_]\w*|(?:^|(?<=[:,=]))~(?=/|$)")
_SNAPSHOT = re.compile(r"(.*)/models--([^/]+)/snapshots(?:/[^/]+)?/?")


@engine_rule("ENG001", "error", "an engine kind that this version cannot render", "sparkctl")
def kind_is_rendered(cluster: Cluster, engine: EngineIntent) -> Iterator[Hit]:
    """The format knows kinds of later versions."""
    if engine.kind not in ENGINES:
        yield Hit(("engine", "kind"), f"engine kind {engine.kind} is not yet supported", remedy())


@engine_rule("ENG002", "error", "an engine variable that cannot be one value for all ranks", "facts A5")
def variables_are_shared(cluster: Cluster, engine: EngineIntent) -> Iterator[Hit]:
    """An address must be local to each node, and a key in engine.env could be read by all."""
    why = _reserved(ENGINES[engine.kind]) if engine.kind in ENGINES else {}
    for name in sorted(why.keys() & engine.env.keys()):
        yield Hit(("engine", "env", name), f"{name} {why[name]}", remove(f"remove {name}"))


def _reserved(engine: Engine) -> Mapping[str, str]:
    own = dict.fromkeys(engine.address_variables, "is another address on every node, and sparkctl sets it")
    secret = "is a secret and would stand in a file that all can read; use engine.api_key_file"
    return own | {engine.api_key_variable: secret}


@engine_rule("ENG003", "warning", "a model path that the container may not see", _VOLUMES)
def model_is_seen(cluster: Cluster, engine: EngineIntent) -> Iterator[Hit]:
    """A path on the node is none in the container, unless a volume leads there or the image holds it."""
    if engine.kind not in ENGINES or engine.runtime.docker is None or engine.model[:1] != "/":
        return
    if _on_a_volume(engine.model, targets(engine)):
        return
    said = f"{engine.model} lies on none of engine.volumes: the container sees it only if the image holds it"
    snapshot = _SNAPSHOT.fullmatch(engine.model)
    folder = snapshot[1] if snapshot else engine.model
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
    remedy = remove("remove it: sparkctl sets it for each node")
    return Hit(("engine", "env", name), said, remedy, None if strange else "warning")


@engine_rule("ENG005", "warning", "a value that waits for an expansion", "docker and systemd read it as it stands")
def values_are_written_out(cluster: Cluster, engine: EngineIntent) -> Iterator[Hit]:
    """No shell reads engine.env or the arguments; `${HOME}` and the like are INV009's."""
    for path, text in _texts(cluster, engine):
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


@engine_rule("ENG006", "warning", "a cache of models that lies on no volume", _VOLUMES)
def cache_is_kept(cluster: Cluster, engine: EngineIntent) -> Iterator[Hit]:
    """The container is removed when it ends: a model of 100 GB would be loaded again at every start."""
    if engine.kind not in ENGINES or engine.runtime.docker is None or engine.model[:1] == "/":
        return
    name = next((name for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME") if engine.env.get(name)), None)
    folder = engine.env[name].rstrip("/") if name else ""
    if name is None or folder[:1] != "/" or _on_a_volume(folder, targets(engine) | {HUB_CACHE}):
        return
    said = f"{name}={folder} lies on none of engine.volumes: the model is loaded again at every start"
    source = f"{home(cluster.head.user)}/.cache/huggingface{'' if name == 'HF_HOME' else '/hub'}"
    yield Hit(("engine", "env", name), said, f'remove it, or add a volume: volumes: {{"{source}": "{folder}"}}')


@engine_rule(
    "ENG007", "error", "a snapshot of the hub that is mounted alone", "the files of a snapshot are links to blobs"
)
def snapshots_are_mounted_whole(cluster: Cluster, engine: EngineIntent) -> Iterator[Hit]:
    """Its files are links to `../../blobs`, and newer caches link those on into the hub's own folder."""
    for source in engine.volumes:
        found = _SNAPSHOT.fullmatch(source)
        if found:
            said = f"{source} is a snapshot of the hub: its files are links to blobs outside of it, and lead nowhere"
            cure = f'mount the hub: volumes: {{"{found[1]}": "{found[1]}:ro"}}'
            yield Hit(("engine", "volumes", source), said, f"{cure}, or write model: {_hub_name(found)}")
