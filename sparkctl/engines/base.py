"""What an engine is: one pure object that turns an inventory's `engine` section into words, variables and probes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from sparkctl.errors import SparkctlError
from sparkctl.fabric.model import Fabric
from sparkctl.inventory.model import ArgValue, Cluster, EngineIntent, Node
from sparkctl.inventory.names import ONLY, EngineNames
from sparkctl.inventory.words import quoted
from sparkctl.rule import Rule

LAB_FOLDER = "/opt/sparkctl-lab/engine"
"""Where emulated nodes and their containers see the folder of a twin, read-only."""
HUB_CACHE = "/root/.cache/huggingface"
"""Where a container keeps models of the hub, unless its environment says otherwise."""
_INSIDE = re.compile(r"[A-Za-z_]\w*(\.\w+)*", re.ASCII)


def home(user: str) -> str:
    """A home as useradd makes it; not asked for, so that what is rendered depends on the inventory alone."""
    return "/root" if user == "root" else f"/home/{user}"


def targets(intent: EngineIntent) -> set[str]:
    """The paths in the container at which volumes lie."""
    return {target.split(":")[0].rstrip("/") for target in intent.volumes.values()}


@dataclass(frozen=True)
class Rank:
    """One rank of the gang: the node it runs on, and all that it may know."""

    cluster: Cluster
    fabric: Fabric
    node: Node
    intent: EngineIntent

    @property
    def is_head(self) -> bool:
        """True for rank 0, the one that serves."""
        return self.node.rank == 0

    @property
    def user(self) -> str:
        """Whose engine it is: the login user that the inventory names, else root; never whoever runs sparkctl."""
        written = {("ssh", "user"), ("nodes", self.node.rank, "user")} & self.cluster.source.places.keys()
        return self.node.user if written else "root"

    @property
    def names(self) -> EngineNames:
        """What its engine is called on the node."""
        return ONLY

    @property
    def address(self) -> str:
        """Its own address where the ranks talk to one another: on the fabric, or management on a mesh or ring."""
        return self.fabric.endpoints[self.node.name].address

    @property
    def meeting_place(self) -> str:
        """The address at which the ranks find the head."""
        return self.fabric.endpoints[self.cluster.head.name].address


@dataclass(frozen=True)
class EngineProbe:
    """How to ask the head whether it serves, and where in the answers (JSON) that is said.

    The first three paths are of HTTP on `host`:`port`, as seen on the head itself; no `version_path`: it tells none.
    `text`, `tokens` and `version` name a value inside: keys and indexes with dots between, as in `choices.0.text`.
    """

    host: str
    port: int
    model: str
    version_path: str
    completion_path: str
    completion: dict[str, object]
    text: str = "choices.0.text"
    tokens: str = "usage.completion_tokens"
    version: str = "version"

    def __post_init__(self) -> None:
        for place in (self.text, self.tokens, self.version):
            if not _INSIDE.fullmatch(place):
                raise SparkctlError(
                    f"{quoted(place)} names no place in an answer", "write keys and indexes, as `a.0.b`"
                )


class EnginePort(NamedTuple):
    """A TCP port where ranks find one another; `flag` of `engine.args` moves it, and `everywhere`: all ranks listen."""

    number: int
    use: str
    flag: str = ""
    everywhere: bool = False


class Wave(NamedTuple):
    """Nodes that start together. The next wave starts when their units are up and all of them listen at `ready`."""

    nodes: tuple[str, ...]
    ready: tuple[int, ...] = ()


class RestartPolicy(NamedTuple):
    """What systemd does about a rank that ended (seconds between tries), how long a stop may take, and why both."""

    restart: Literal["always", "on-failure", "no"]
    why: str
    pause: int
    stop: int
    why_stop: str


class Argument(NamedTuple):
    """One of `engine.args`: its flag as the file spells it, and its value."""

    flag: str
    value: ArgValue


class EngineMemory(NamedTuple):
    """What an engine does with a node's memory and with a model's files, as far as its section says it.

    share: of all the memory, or of what the weights leave. claimed: it refuses to start with less available.
    quantised: the format that it makes of a bf16 checkpoint. altered: what makes another model of the files.
    requests: how many it works on at a time. spread: routed experts are divided over data-parallel ranks too.
    """

    share: float
    of: Literal["total", "left"] = "total"
    claimed: bool = True
    kv_dtype: str = "auto"
    quantised: Argument | None = None
    altered: Argument | None = None
    requests: Argument | None = None
    spread: bool = False


class CarriedNccl(NamedTuple):
    """A release of an engine, with its name, and the version of NCCL inside its image."""

    release: str
    version: str


@dataclass(frozen=True)
class TwinBuild:
    """How the folder of a twin is made, once for a machine: an environment for the Python of the emulated nodes.

    image: its name as a container image there. about: what people are told while it is built. lock: JSON, lines for pip
    with hashes by part: `packages`, and torch as `cpu` or else as `cuda`. renamed: a distribution, the name under which
    it looks up its version, and that. files: text by path; those in bin/ are programs, others are for
    `finish` alone: shell without single quotes, run in the folder on a node's root, where "$0" is Python. made: a
    file that is there in the end.
    """

    image: str
    about: str
    lock: str = ""
    renamed: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    finish: str = ""
    made: str = ""


class LabTwin(NamedTuple):
    """What plays an engine on emulated nodes: the section it runs by, what it is in words, and how it is made."""

    intent: EngineIntent
    said: str


class Engine(Protocol):
    """One kind of engine; pure, and it never sees a transport."""

    kind: str
    """As in the inventory."""
    api_key_variable: str
    """The variable that it reads its API key from."""
    address_variables: tuple[str, ...]
    """Variables that hold the rank's own address; sparkctl sets them."""
    one_environment: bool
    """Whether it hands the head's variables to all ranks, so that a netdev needs one name on all nodes."""
    nccl_releases: Mapping[str, str]
    """Releases, with the engine's name, and the version of NCCL that each carries; oldest first."""
    nccl_path_variables: tuple[str, ...]
    """Variables of its images that name the libnccl it loads."""
    restart_policy: RestartPolicy
    """What becomes of a rank that ended."""
    lab_build: TwinBuild
    """How the lab makes the folder of its twin."""

    def rules(self) -> tuple[Rule, ...]:
        """Its own reasons to refuse or to warn. They see every cluster, and look at the kind themselves."""

    def owned(self, intent: EngineIntent) -> Mapping[str, str]:
        """Flags (canonical, short forms too) that only sparkctl sets, and the key to write instead; or an empty text.

        Without those that the engine's own rules refuse with a better reason.
        """

    def words(self, rank: Rank) -> tuple[str, ...]:
        """Program and arguments of the rank. No two ranks differ but where the engine's own roles need it."""

    def environment(self, rank: Rank) -> dict[str, str]:
        """Variables with one value for all ranks, without those of the fabric (nccl.env) and without secrets."""

    def start_order(self, cluster: Cluster, intent: EngineIntent) -> tuple[Wave, ...]:
        """Every node once, in the order of their starts."""

    def ports(self, intent: EngineIntent) -> tuple[EnginePort, ...]:
        """Beside the one that serves. At the first the ranks meet. Never raises for an argument that is no port."""

    def listens_at(self, intent: EngineIntent) -> str:
        """The address or name that the API is bound to."""

    def probe(self, intent: EngineIntent, tokens: int = 1) -> EngineProbe:
        """The canary: a real completion of at most `tokens`, because a health page answers 200 with a dead worker."""

    def memory(self, intent: EngineIntent) -> EngineMemory:
        """What it does with memory."""

    def stage_layers(self, intent: EngineIntent, layers: int) -> list[int]:
        """How many of a model's layers each stage of the pipeline holds."""

    def carried_nccl(self, intent: EngineIntent) -> CarriedNccl | None:
        """The NCCL inside the image; None when its name does not tell."""

    def python_for_tests(self, intent: EngineIntent) -> str | None:
        """A program of its image or venv whose interpreter has torch with NCCL; None when there is none."""

    def lab_twin(self, intent: EngineIntent) -> LabTwin:
        """Its stand-in on nodes without a GPU, with the same layout, port and model name."""
