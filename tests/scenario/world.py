"""The world of a scenario: one clock, nodes in namespaces, their timers, and the memory of what every script did in every state."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sparkctl.fabric.model import Fabric
from tests.scenario.agent import difference

HERE = Path(__file__).resolve().parent
STARTED_AT = 1000
"""Seconds since the nodes' boot when a cell begins."""
BOOT_SECONDS = 40
"""A node that was killed answers again after this; longer than any single command may wait."""
State = dict[str, Any]


@dataclass(frozen=True)
class Said:
    """How a script ended."""

    status: int
    out: str
    err: str


class Sandbox:
    """The namespaces of one node, and the agent in them."""

    def __init__(self, name: str, folder: Path) -> None:
        root = folder / name
        root.mkdir()
        enter = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child"]
        words = [*enter, sys.executable, "-I", str(HERE / "agent.py"), str(root), str(HERE / "played")]
        self._agent = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.name, self.asked = name, 0
        self.first: str = self._heard()["state"]

    def ask(self, verb: str, **request: Any) -> State:
        """One request to the agent."""
        self.asked += 1
        assert self._agent.stdin is not None
        self._agent.stdin.write(json.dumps({"verb": verb, **request}) + "\n")
        self._agent.stdin.flush()
        return self._heard()

    def _heard(self) -> State:
        assert self._agent.stdout is not None
        line = self._agent.stdout.readline()
        assert line, f"the agent of {self.name} has died"
        said: State = json.loads(line)
        assert "error" not in said, f"{self.name}: {said['error']}"
        return said

    def close(self) -> None:
        """End the agent; its namespaces go with it."""
        assert self._agent.stdin is not None and self._agent.stdout is not None
        self._agent.stdin.close()
        self._agent.wait(20)
        self._agent.stdout.close()


@dataclass
class Machine:
    """One node: where it is now, and until when it does not answer."""

    sandbox: Sandbox
    state: str
    boot: int = 1
    booted_at: int = 0
    away_until: float = 0.0


@dataclass
class World:
    """All nodes and their clock. A script is run in earnest once per state; the same again is remembered."""

    fabric: Fabric
    machines: dict[str, Machine]
    now: float = STARTED_AT
    memory: dict[tuple[str, ...], tuple[Said, str]] = field(default_factory=dict)
    shown: dict[str, State] = field(default_factory=dict)
    fired: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, fabric: Fabric, names: Iterable[str], folder: Path) -> World:
        """New nodes, just unpacked."""
        sandboxes = [Sandbox(name, folder) for name in names]
        return cls(fabric, {s.name: Machine(s, s.first) for s in sandboxes})

    def close(self) -> None:
        """End every node."""
        for machine in self.machines.values():
            machine.sandbox.close()

    def reset(self, states: Mapping[str, str], clock: float = STARTED_AT) -> None:
        """Every node into one of its states, and the clock to a given time."""
        self.now = clock
        self.fired.clear()
        for name, state in states.items():
            self.machines[name] = Machine(self.machines[name].sandbox, state)

    def states(self) -> dict[str, str]:
        """Where every node is."""
        return {name: machine.state for name, machine in self.machines.items()}

    def run(self, node: str, script: str, stdin: bytes = b"") -> Said:
        """Run a script as root on `node`, now."""
        return self._asked(node, "run", script=script, stdin=base64.b64encode(stdin).decode())

    def boot(self, node: str, *, cut: bool = False) -> Said:
        """The node loses power or is reset, and boots; `cut`: what was not flushed is lost."""
        machine = self.machines[node]
        machine.boot, machine.booted_at = machine.boot + 1, int(self.now)
        machine.away_until = self.now + BOOT_SECONDS
        return self._asked(node, "boot", cut=cut)

    def track(self, node: str) -> None:
        """From now on it is written down what `node` flushes."""
        self.machines[node].state = self.machines[node].sandbox.ask("track", **self._where(node))["state"]

    def _where(self, node: str) -> State:
        machine = self.machines[node]
        return {"from": machine.state, "clock": int(self.now) - machine.booted_at, "boot": f"boot-{machine.boot}"}

    def _asked(self, node: str, verb: str, **request: Any) -> Said:
        where = self._where(node) | {"cables": self._cables(node)}
        key = (node, verb, hashlib.sha256(json.dumps([where, request]).encode()).hexdigest())
        if key not in self.memory:
            said = self.machines[node].sandbox.ask(verb, **where, **request)
            self.memory[key] = (Said(said["status"], said["out"], said["err"]), said["state"])
        answer, self.machines[node].state = self.memory[key]
        return answer

    def _cables(self, node: str) -> str:
        """What the far end of every cable has just now: for the played ping."""
        rows = []
        for near in self.fabric.of(node):
            for far in self.fabric.peers(near):
                shown = self.look(far.node)["net"][far.netdev]
                if shown["up"] and far.node in self.machines:
                    addresses = (a.split()[1].split("/")[0] for a in shown["addresses"])
                    rows += [f"{near.netdev} {address} {shown['mtu']}\n" for address in addresses]
        return "".join(rows)

    def look(self, node: str, state: str | None = None) -> State:
        """Files and netdevs of `node`, now or in another of its states."""
        name = state or self.machines[node].state
        if name not in self.shown:
            self.shown[name] = self.machines[node].sandbox.ask("show", **{"from": name})["state"]
        return self.shown[name]

    def timers(self, node: str) -> dict[str, tuple[int, int, list[str]]]:
        """Timers by name: when (on the world's clock), how often again, and what they start."""
        found = {}
        for path, entry in self.look(node)["tree"].items():
            if re.fullmatch(r"/run/scenario/timers/.+", path):
                due, every, *words = entry[4].splitlines()
                found[path] = (int(due) + self.machines[node].booted_at, int(every), words)
        return found

    def advance(self, seconds: float) -> None:
        """Let time pass; every timer fires when it is due."""
        until = self.now + seconds
        while (due := self._next()) is not None and due[0] <= until:
            self.now = max(self.now, due[0])
            self._fire(*due[1:])
        self.now = until

    def _next(self) -> tuple[int, str, str, int, list[str]] | None:
        all_ = [(due, node, path, every, words) for node in self.machines for path, (due, every, words) in self.timers(node).items()]
        return min(all_, default=None)

    def _fire(self, node: str, path: str, every: int, words: list[str]) -> None:
        """A timer that repeats is due again after its command, unless that stopped it."""
        self.fired.append(node)
        quoted = " ".join("'" + word.replace("'", "'\\''") + "'" for word in words)
        once = f"rm -f {path}\n{quoted}\n"
        again = f"read -r up _ </proc/uptime; {quoted}; [ ! -e {path} ] || sed -i \"1s/.*/$((${{up%%.*}} + {every}))/\" {path}\n"
        self.run(node, again if every else once)

    def differences(self, node: str, state: str) -> list[str]:
        """How `node` differs from one of its states."""
        return difference(self.look(node, state), self.look(node))


def folder() -> tempfile.TemporaryDirectory[str]:
    """Where the roots of nodes are mounted, in their own namespaces."""
    return tempfile.TemporaryDirectory(prefix="sparkctl-scenario-")

