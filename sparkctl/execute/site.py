"""A cluster as one command meets it: what it should be, and the way to its nodes. The verbs are functions of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from sparkctl.checks import View
from sparkctl.commands.canary import Answer
from sparkctl.errors import Refused
from sparkctl.execute.load import Expect
from sparkctl.execute.read_facts import gather, questions
from sparkctl.fabric.model import Fabric
from sparkctl.facts.snapshot import NodeFacts
from sparkctl.inventory.model import Cluster
from sparkctl.outcome import Absent, Fact, Known
from sparkctl.render import Rendering
from sparkctl.ssh.fleet import Fleet

LONGEST_KEY = 4096
"""Bytes: h11, which the engines' server reads with, takes 64 KiB of headers (2026-11); no key comes near that."""


@dataclass
class Interruption:
    """Whether somebody `asked` to stop, whether a run is `running`, and what the nodes are then or when it is over."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    running: bool = False
    nodes: str = "nothing was changed"

    @contextmanager
    def run(self) -> Iterator[None]:
        """A run changes nodes; when it was left, `running` stays True, and the nodes' timers guard it."""
        self.running, self.nodes = True, "the nodes' own timers put back whatever was not confirmed"
        yield
        self.running, self.nodes = False, "every change was made and confirmed"


@dataclass(frozen=True)
class Site:
    """A cluster, what it should be, and the way to its nodes. `inventory`: digest of the file and the overlays."""

    cluster: Cluster
    fabric: Fabric
    rendering: Rendering
    fleet: Fleet
    owner: str
    inventory: str = ""
    overlays: tuple[str, ...] = ()
    expect: Expect = "real"
    interruption: Interruption = field(default_factory=Interruption)

    @property
    def head(self) -> str:
        """The node of rank 0."""
        return self.cluster.head.name

    async def facts(
        self,
        nodes: Iterable[str] | None = None,
        *,
        pings: bool = False,
        survey: bool = False,
        knock: bool = False,
        routes: bool = False,
        baseline: bool = False,
        title: str = "read facts",
    ) -> dict[str, NodeFacts]:
        """One round trip per node (of `nodes`; all); the gates let only READ pass. AccessRefused: one is silent."""
        asked = questions(
            self.cluster, self.fabric, pings=pings, survey=survey, knock=knock, routes=routes, baseline=baseline
        )
        return await gather(self.fleet, {n: asked[n] for n in (asked if nodes is None else nodes)}, title)

    def secrets(self, node: str) -> Mapping[str, bytes]:
        """The secrets that go to `node`, by path; Refused when a file cannot be read here."""
        return {secret.path: _secret(secret.source) for secret in self.rendering.nodes[node].secrets}

    def view(
        self,
        facts: Mapping[str, NodeFacts],
        canary: Fact[Answer] | None = None,
        stages: Iterable[str] = (),
        silent: Mapping[str, str] = {},
    ) -> View:
        """What the checks see; of every stage, where none is named."""
        asked = canary if canary is not None else Absent("not asked")
        skews = {node: known.skew.value for node, known in facts.items() if isinstance(known.skew, Known)}
        chosen = frozenset(stages) or frozenset({"network", "host", "engine"})
        seen = View(self.cluster, self.fabric, self.rendering.nodes, facts, asked, self.overlays, chosen)
        return replace(seen, skews=skews, expect=self.expect, silent=silent)


def _secret(source: str) -> bytes:
    """One line of a plain file, whatever else is named there; Refused, before a node is asked."""
    alone = "write the key alone into a file of its own, mode 0600, and name that file"
    try:
        held = _plain(Path(source))
    except OSError as error:
        raise Refused(f"the secret {source} cannot be read: {error.strerror}", alone) from None
    if held is None:
        raise Refused(f"the secret {source} is not a plain file of at most {LONGEST_KEY} bytes", alone)
    if b"PRIVATE KEY-----" in held or not re.fullmatch(rb"[!-~](?:[ -~]*[!-~])?\s*", held):
        raise Refused(f"the secret {source} is not an API key: that is one line of printable ASCII", alone)
    return held


def _plain(path: Path) -> bytes | None:
    """The content of a short file; None for devices, pipes, what the kernel makes as it is read, and what is long."""
    if not path.is_file() or path.resolve().is_relative_to("/proc") or path.resolve().is_relative_to("/sys"):
        path.stat()
        return None
    with path.open("rb") as file:
        held = file.read(LONGEST_KEY + 1)
    return held if len(held) <= LONGEST_KEY else None
