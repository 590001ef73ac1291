"""One lab of the fault matrix: brings its nodes to where a cell begins, plants the fault, and judges the nodes afterwards."""

from __future__ import annotations

import difflib
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.cluster.matrix.cells import Cell, Outcome, State, staged
from tests.lab.cluster.matrix.driver import SLOWEST, Event, Kind, Order, events
from tests.lab.labs import CAPTURE, ROOT, LabKind, Rig, booted, fabric, same, sparkctl, use, used

EXAMPLES = {"direct": "dual", "mesh": "mesh-3", "switch": "quad-switch"}
PLANNED = ("up", "down", "reprovision")
REST = """
for i in $(seq 600); do
  [ -d /var/lib/sparkctl/run ] || break
  case $(cat /var/lib/sparkctl/run/state 2>/dev/null) in armed | reverting) ;; *) break ;; esac
  sleep 0.1
done
cat /var/lib/sparkctl/run/state 2>/dev/null || if [ -e /var/lib/sparkctl/lock ]; then echo locked; else echo rest; fi
"""
# As a node is that was set up anew: nothing of sparkctl, and its fabric ports as a boot leaves them.
WIPE = """
rm -rf /var/lib/sparkctl /etc/sparkctl /etc/netplan/95-sparkctl.yaml
netplan apply
for dev in /sys/class/net/en*np*; do ip addr flush dev ${dev##*/}; ip link set ${dev##*/} mtu 1500; ip link set ${dev##*/} down; done
"""
# What a boot of an emulated node changes, whoever is there: the queue that a netdev has only once it was up (`noop`
# before), the number of the outer end of its wires, the address that Docker gives its own bridge.
OF_A_BOOT = re.compile(r'^ *"(?:qdisc": |link_index": |address": "02:42:).*\n', re.M)

# Journal, record and the netdevs' history differ from run to run; what they must be is seen by `down` at the latest.
OF_A_RUN = re.compile(r"^[0-9a-f]{64}  /var/lib/sparkctl/(?:journal|record\.json|baseline/net\..*)\n", re.M)


def comparable(text: str) -> str:
    """A capture without what any boot or run makes anew, and its routes in an order of their own."""
    before, routes, after = re.split(r"^# (?:route|units)\n", OF_A_RUN.sub("", OF_A_BOOT.sub("", text)), flags=re.M)
    return before + "\n".join(sorted(json.dumps(route) for route in json.loads(routes))) + "\n" + after


@dataclass
class Course:
    """One running lab. `now` is what its nodes are; `known` what every node looks like in each state."""

    rig: Rig
    topology: str
    folder: Path
    now: State | None = "blank"
    known: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    healthy: dict[str, dict[str, list[Event]]] = field(default_factory=dict)
    turn: int = 0
    slowest: float = 0.0
    last: dict[str, str] = field(default_factory=dict)

    @property
    def nodes(self) -> list[str]:
        """Names, in rank order."""
        return [node.name for node in self.rig.state.nodes]

    # --- running the CLI -----------------------------------------------------------------------------------------

    def words(self, verb: str) -> list[str]:
        """The command line of a verb."""
        book = self.rig.quick if verb in PLANNED else ["--break-lock"]
        return ["cluster", verb, str(self.rig.inventory), "--lab", "--yes", *book]

    def struck(self, verb: str, kind: Kind, place: Event | None = None, step: int = 0, late: bool = False) -> tuple[int, str, list[Event]]:
        """Run `verb` with one fault at `place`; exit code, what it said, and its commands."""
        self.turn += 1
        log, order = self.folder / f"{self.turn}.log", self.folder / f"{self.turn}.json"
        where = (place.title, place.node, place.at) if place else ("", "", 0)
        log.unlink(missing_ok=True)
        Order(self.rig.name, str(log), kind, *where, step, late).save(order)
        line = [sys.executable, "-m", "tests.lab.cluster.matrix.driver", str(order), *self.words(verb)]
        done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=300)
        return done.returncode, done.stdout + done.stderr, events(log)

    def well(self, verb: str, name: str = "") -> None:
        """Run `verb` without a fault; its commands are the places of the faults."""
        code, said, passed = self.struck(verb, "NONE")
        assert code == 0, f"{verb} without a fault ended with {code}: {said}"
        self.slowest = max(self.slowest, float((self.folder / f"{self.turn}{SLOWEST}").read_text()))
        self.healthy.setdefault(name or verb, staged(passed))

    # --- the nodes -----------------------------------------------------------------------------------------------

    def each(self, script: str, timeout: float = 90) -> dict[str, str]:
        """Run `script` on all nodes at once."""
        return self.rig.each(script, timeout)

    def capture(self) -> dict[str, str]:
        """What every node is."""
        return {node: comparable(text) for node, text in self.each(CAPTURE).items()}

    def fault(self, verb: str, node: str) -> str:
        """Carry out a fault from outside; its message."""
        return sparkctl("lab", "fault", str(self.rig.inventory), verb, node, timeout=90).err

    def learn(self) -> None:
        """What the nodes look like blank (fresh from a boot, and used), at the goal and wiped; a healthy run of each verb."""
        self._remember("blank")
        used(self.rig)
        self._remember("blank")
        self.well("up")
        self._remember("goal")
        self.rig.root(self.nodes[1], WIPE)
        self._remember("wiped")
        self.well("reprovision")
        self.well("down")
        self._dies(finish=False)
        self.well("recover")
        self._dies(finish=True)
        self.well("recover", "finish")
        self.now = "goal"

    def _remember(self, state: State) -> None:
        for node, text in self.capture().items():
            kept = self.known.setdefault(state, {}).setdefault(node, [])
            if text not in kept:
                kept.append(text)

    def matching(self, found: Mapping[str, str], states: tuple[str, ...]) -> str:
        """The one state that all nodes are in; AssertionError shows the shortest difference."""
        fits = {n: [s for s in states if text in self.known[s].get(n, [])] for n, text in found.items()}
        common = [state for state in states if all(state in fit for fit in fits.values())]
        if common:
            return common[0]
        lines = "".join(f"\n{node}: {fits[node] or self._unlike(node, text, states)}" for node, text in found.items())
        raise AssertionError(f"not all nodes are in one of the states {states}:{lines}")

    def _unlike(self, node: str, text: str, states: tuple[str, ...]) -> str:
        diffs = []
        for state in states:
            for known in self.known[state].get(node, []):
                diffs.append("\n".join(difflib.unified_diff(known.splitlines(), text.splitlines(), state, "found", n=1, lineterm="")))
        return "\n" + min(diffs, key=len)[:4000]

    # --- a cell --------------------------------------------------------------------------------------------------

    def go(self, state: State) -> None:
        """Bring the nodes to where a cell begins."""
        if self.now == state:
            return
        self.last = {}
        if state == "blank":
            self.well("down")
        elif self.now == "wiped":
            self.well("reprovision")
        elif self.now == "blank":
            self.well("up")
        self.now = "goal" if state != "blank" else "blank"
        if state == "wiped":
            self.rig.root(self.nodes[1], WIPE)
            self.now = "wiped"

    def place(self, cell: Cell) -> Event:
        """Where the fault of `cell` comes, in a healthy run: the head's command where it has one, else the first."""
        found = self.healthy["finish" if cell.finish else cell.verb].get(cell.stage)
        assert found, f"a healthy {cell.verb} has no command of stage {cell.stage!r}"
        # A node that loses its power before it was armed keeps the link state of the boot: the workers' ports are down then, too.
        head = cell.stage == "head" or (cell.kind != "NODE_KILLED" and sum(str(cell).encode()) % 3 == 0)
        wanted = self.nodes[0] if head else self.nodes[-1]
        return next((e for e in found if e.node == wanted), found[0])

    def run(self, cell: Cell) -> Outcome:
        """Play one cell; whatever goes wrong is in its outcome."""
        begun, outcome = time.monotonic(), Outcome(cell)
        try:
            self.go(cell.begin)
            if cell.verb == "recover":
                self._dies(cell.finish)
            self._play(cell, outcome)
        except (AssertionError, subprocess.SubprocessError, OSError) as error:
            outcome.wrong.append(f"{type(error).__name__}: {error}")
            self._clean()
        outcome.seconds = round(time.monotonic() - begun, 1)
        return outcome

    def _dies(self, finish: bool) -> None:
        """A run whose controller was killed: before anybody had confirmed, or after everybody had."""
        place = self.healthy["up"]["record" if finish else "settle"][0]
        code, said, passed = self.struck("up", "CONTROLLER_KILLED", place)
        assert code == -9 and any(e.fired for e in passed), said

    def _play(self, cell: Cell, outcome: Outcome) -> None:
        place = self.place(cell)
        code, said, passed = self.struck(cell.verb, cell.kind, place, cell.step, cell.late)
        fired = [e for e in passed if e.fired]
        assert fired, f"the fault never fired at {place.title!r} on {place.node} (exit {code}): {said}"
        outcome.fired, outcome.code = f"{place.title} on {place.node}", code
        assert "Traceback" not in said, said
        if cell.kind == "CONTROLLER_KILLED":
            assert code == -9, said
        else:
            assert code in (0, 4, 5, 6), f"exit code {code}: {said}"
        self._powered(cell, place.node)
        self._rest(cell, outcome)
        states = tuple(dict.fromkeys((cell.begin, cell.goal)))
        if cell.verb == "recover":
            states = (cell.goal,)
        after = self.capture()
        outcome.ended = self.matching(after, states)
        if self.last and outcome.ended == cell.begin and cell.kind != "NODE_KILLED" and cell.verb in PLANNED:
            same(self.last, after)
        self.last = after
        self.now = outcome.ended  # type: ignore[assignment]
        assert code != 0 or outcome.ended == cell.goal, f"it said that all is well: {said}"
        assert code not in (4, 5) or cell.verb == "recover" or outcome.ended == cell.begin, f"it said that all is as before: {said}"
        if cell.kind == "NODE_KILLED" and self.now == "blank":
            use(self.rig, place.node, "up" if place.node == self.nodes[0] else "down")
            self.last = {}

    def _powered(self, cell: Cell, node: str) -> None:
        """The driver may have ended before it could give back what it took."""
        if cell.kind == "SSH_LOST":
            self.fault("join", node)
        if cell.kind == "NODE_KILLED":
            self.fault("boot", node)

    def _rest(self, cell: Cell, outcome: Outcome) -> None:
        """Nodes that nobody leads any more come to rest by themselves; what a timer cannot end, `recover` does."""
        dead = cell.kind == "CONTROLLER_KILLED"
        if dead and not cell.wait:
            self._recover(outcome)
        found = self.each(REST)
        # A recovery that is refused leaves the dead run where it was.
        if outcome.code in (0, 5) or (outcome.code == 4 and cell.verb != "recover"):
            assert set(found.values()) == {"rest\n"}, f"ended with {outcome.code}, and the nodes are not at rest: {found}"
        if set(found.values()) != {"rest\n"}:
            self._recover(outcome)
            found = self.each(REST)
        assert set(found.values()) == {"rest\n"}, f"not at rest: {found}"

    def _recover(self, outcome: Outcome) -> None:
        code, said, _ = self.struck("recover", "NONE")
        assert code == 0, f"recover ended with {code}: {said}"
        outcome.recovered = next((w for w in ("finished", "undone") if f"{w}:" in said), "nothing to do")

    def _clean(self) -> None:
        """After a cell that went wrong: blank nodes, by force, so that the next ones mean something."""
        for node in self.nodes:
            self.fault("join", node)
            self.fault("boot", node)
        self.struck("recover", "NONE")
        self.struck("down", "NONE")
        self.each(f"systemctl stop sparkctl-revert.timer 2>/dev/null; {WIPE}")
        used(self.rig)
        self.now, self.last = "blank", {}


@contextmanager
def running(topology: str, folder: Path, name: str) -> Iterator[Course]:
    """Boot a lab of the example of `topology`; down at the end, whatever happened."""
    folder.mkdir()
    kind = LabKind(name, fabric(EXAMPLES[topology]))
    try:
        yield Course(booted(kind, folder), topology, folder)
    finally:
        sparkctl("lab", "down", folder / f"{name}.yaml")
