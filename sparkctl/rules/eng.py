"""ENG: what holds for the section of any engine; what only one of them can know, it says itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sparkctl.engines import ENGINES, Engine, remedy
from sparkctl.inventory.model import Cluster
from sparkctl.rule import Hit, rule


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
    targets = [target.split(":")[0].rstrip("/") for target in intent.volumes.values()]
    if any(intent.model == target or intent.model.startswith(f"{target}/") for target in targets):
        return
    said = f"{intent.model} lies on none of engine.volumes: the container sees it only if the image holds it"
    cure = f'add a volume, for example volumes: {{"{intent.model}": "{intent.model}:ro"}}'
    yield Hit(("engine", "model"), said, cure)
