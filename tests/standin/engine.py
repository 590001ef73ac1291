"""An engine that differs from vLLM in every hook: the proof that a folder and a name are all that an engine is.

Head first, another key variable, two ports, another answer, no restart, memory of what is left, no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from sparkctl.engines.base import (
    LAB_FOLDER,
    CarriedNccl,
    Engine,
    EngineMemory,
    EnginePort,
    EngineProbe,
    LabTwin,
    Rank,
    RestartPolicy,
    TwinBuild,
    Wave,
)
from sparkctl.engines.flags import argument, flag_name, merged, words_of
from sparkctl.inventory.model import Cluster, EngineIntent, Runtime
from sparkctl.rule import Hit, Rule, arg_path, engine_rule

MEET, SIDE = 7100, 7101
RULES: dict[str, Rule] = {}
OWNED = {"rank": "", "ranks": "", "meet-at": "", "serve": "engine.port", "model": "engine.model"}
BUILD = TwinBuild(
    image="sparkctl-lab/standin:1",
    about="a stand-in of 5 KB",
    files={
        "bin/standin": f"#!{LAB_FOLDER}/bin/python\n"
        + Path(__file__).with_name("program.py").read_text(encoding="utf-8"),
        "hello": "a file for the end\n",
    },
    finish="cp hello said\n",
    made="said",
)


@engine_rule("ENG901", "error", "a room that is no share", "tests/standin", book=RULES)
def room_is_a_share(cluster: Cluster, engine: EngineIntent) -> Iterator[Hit]:
    """Its own rule, of its own argument."""
    given = argument(engine, "room") if engine.kind == "standin" else None
    if given is not None and not (isinstance(given.value, float) and 0 < given.value < 1):
        yield Hit(arg_path(cluster, given.flag), "`--room` is no share", "write a number between 0 and 1")


class StandIn:
    """`kind: standin`."""

    kind = "standin"
    api_key_variable = "STANDIN_TOKEN"
    address_variables: tuple[str, ...] = ("STANDIN_ADDRESS",)
    one_environment = True
    nccl_releases: Mapping[str, str] = {}
    nccl_path_variables: tuple[str, ...] = ("STANDIN_NCCL",)
    restart_policy = RestartPolicy(
        restart="no",
        why="A rank that comes back alone is refused by the head.",
        pause=0,
        stop=10,
        why_stop="It ends at once.",
    )
    lab_build = BUILD

    def rules(self) -> tuple[Rule, ...]:
        """One."""
        return tuple(RULES.values())

    def owned(self, intent: EngineIntent) -> Mapping[str, str]:
        """What follows from the inventory."""
        return OWNED

    def words(self, rank: Rank) -> tuple[str, ...]:
        """Without a subcommand: `standin --model ...`."""
        venv = rank.intent.runtime.venv
        own = {"model": rank.intent.model, "ranks": len(rank.cluster.nodes), "meet-at": rank.meeting_place}
        ports = {"meet-port": MEET, "side-port": SIDE}
        role = {"rank": rank.node.rank, **({"serve": rank.intent.port} if rank.is_head else {})}
        program = "standin" if venv is None else f"{venv}/bin/standin"
        return (program, *words_of(merged({**own, **ports}, rank.intent.args)), *words_of(role))

    def environment(self, rank: Rank) -> dict[str, str]:
        """Nothing of its own."""
        return dict(rank.intent.env)

    def start_order(self, cluster: Cluster, intent: EngineIntent) -> tuple[Wave, ...]:
        """Head first: a worker that finds none ends."""
        workers = tuple(node.name for node in cluster.nodes[1:])
        head = Wave((cluster.head.name,), (self.ports(intent)[0].number,))
        return (head, Wave(workers)) if workers else (head,)

    def ports(self, intent: EngineIntent) -> tuple[EnginePort, ...]:
        """Two, and one of them on every rank."""
        given = [intent.args.get(name, default) for name, default in (("meet-port", MEET), ("side-port", SIDE))]
        meet, side = (
            value if isinstance(value, int) else default for value, default in zip(given, (MEET, SIDE), strict=True)
        )
        return (
            EnginePort(meet, "the head waits for its workers there", "meet-port"),
            EnginePort(side, "each rank is asked there", "side-port", everywhere=True),
        )

    def listens_at(self, intent: EngineIntent) -> str:
        """Everywhere."""
        return "0.0.0.0"

    def probe(self, intent: EngineIntent, tokens: int = 1) -> EngineProbe:
        """Its own API."""
        return EngineProbe(
            host="127.0.0.1",
            port=intent.port,
            model=intent.model,
            version_path="/about",
            completion_path="/complete",
            completion={"most": tokens},
            text="result.0.outputs.said",
            tokens="used.made",
            version="about.release",
        )

    def memory(self, intent: EngineIntent) -> EngineMemory:
        """A share of what the weights leave; it asks for none at its start."""
        return EngineMemory(share=0.9, of="left", claimed=False)

    def stage_layers(self, intent: EngineIntent, layers: int) -> list[int]:
        """What is left over goes to the first."""
        count = intent.parallel.pipeline
        return [layers // count + (stage < layers % count) for stage in range(count)]

    def carried_nccl(self, intent: EngineIntent) -> CarriedNccl | None:
        """None: it has no NCCL."""
        return None

    def python_for_tests(self, intent: EngineIntent) -> str | None:
        """None: it has no torch."""
        return None

    def lab_twin(self, intent: EngineIntent) -> LabTwin:
        """Itself."""
        docker = intent.runtime.docker is not None
        mounts = {"/usr": "/usr:ro", LAB_FOLDER: f"{LAB_FOLDER}:ro"} if docker else {}
        runtime = Runtime(docker=BUILD.image) if docker else Runtime(venv=LAB_FOLDER)
        kept = {flag: value for flag, value in intent.args.items() if flag_name(flag) in ("meet-port", "side-port")}
        made = replace(intent, runtime=runtime, volumes=mounts, env={}, args=kept, accelerator="cpu")
        return LabTwin(made, "the stand-in itself")


ENGINE: Engine = StandIn()
