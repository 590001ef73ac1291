"""Nodes as commit d0ab016 left them, laid down on played nodes: this code tears them down, recovers and upgrades them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparkctl.errors import Refused
from sparkctl.execute.plan_verbs import plan_up
from sparkctl.execute.recover import found as dead_run
from sparkctl.execute.recover import recover as end_it
from sparkctl.execute.site import Site
from sparkctl.plan.plan import Plan
from sparkctl.render.artifact import NCCL_ENV
from sparkctl.study import study
from tests.fixtures import laying
from tests.fixtures.laying import HERE, OURS, Recorded, states
from tests.scenario.cells import settled
from tests.scenario.rig import BASE, BOOKS, Outcome, Rig, down, recover, reprovision, up
from tests.scenario.world import World, folder

COMMIT = "d0ab016"
UP = ("prepare", "network-workers", "network-head", "engine-workers", "engine-head", "before-confirm")
DOWN = ("down-engine", "down-files", "down-network-workers", "down-network-head")
ENDS = dict.fromkeys(UP, "blank") | dict.fromkeys(DOWN, "idle") | {"confirmed": "idle", "down-confirmed": "blank"}
"""Where a run that died at this place must end."""
PLACES = [(kind, moment) for kind in ("serving", "bare") for moment in ENDS if kind == "serving" or not re.search("engine|files", moment)]
"""Of a cluster with an engine, and of one that is a network alone."""
MIXED = (
    ("confirmed", "before-confirm", "blank"),
    ("before-confirm", "confirmed", "blank"),
    ("confirmed", "idle", "idle"),
    ("idle", "confirmed", "idle"),
    ("down-confirmed", "blank", "blank"),
    ("blank", "down-confirmed", "blank"),
    ("down-confirmed", "down-network-head", "idle"),
)
"""What the head and the worker were when the controller died, and where both must end."""
LEASE_AND_ROOM = 400
NO_LINK_LOCAL = {"addr_gen_mode 0": "addr_gen_mode 1"}
"""Links of played nodes make no addresses of their own, for those would be others in every run."""


class Cluster:
    """Two played nodes, and the states of the recorded ones."""

    def __init__(self, rig: Rig, kind: str) -> None:
        self.rig, self.world, self.kind = rig, rig.world, kind
        for node in rig.names:
            self._furnish(node, self.recorded("blank")[node])
        self.blank = self.world.states()

    def recorded(self, moment: str) -> dict[str, Recorded]:
        """Both nodes at one moment."""
        return laying.recorded(f"{COMMIT}/{self.kind}", moment, NO_LINK_LOCAL)

    def _furnish(self, node: str, blank: Recorded) -> None:
        """A node as its owner had it, its ports as those of the recorded node were."""
        said = self.world.run(node, BASE.replace("ADDRESS", self.rig.cluster.node(node).address))
        assert said.status == 0, said
        self.world.boot(node)
        for netdev, link in blank.shown["links"].items():
            assert link["addresses"] == []
            self.world.run(node, f"ip link set dev {netdev} mtu {link['mtu']} {'up' if link['up'] else 'down'}")
        sysctls = _sysctls(self.recorded("idle")[node]).items()
        self.world.run(node, "".join(f"echo {value} 2>/dev/null >{path}\n" for path, value in sysctls))

    def lay(self, *moments: str) -> None:
        """Every node as it was recorded: all in the same state, or each in its own."""
        self.rig.controllers = 20
        self.world.reset(self.blank)
        for number, node in enumerate(self.rig.names):
            self._lay(node, self.recorded(moments[number % len(moments)])[node])

    def _lay(self, node: str, wanted: Recorded) -> None:
        machine = self.world.machines[node]
        clock = int(self.world.now) - machine.booted_at
        said = self.world.run(node, wanted.script(f"boot-{machine.boot}", clock))
        assert said.status == 0, said
        assert self.links(node) == wanted.shown["links"], "played links are not as recorded"
        for path, entry in wanted.files.items():
            if "@" not in entry[4] or entry[4].count("@") == 1:
                assert self.world.look(node)["tree"][path] == list(entry), path

    def links(self, node: str) -> dict[str, object]:
        """Those that the recorded node had, as fold.py shows them."""
        found, net = {}, self.world.look(node)["net"]
        for netdev in self.recorded("blank")[node].shown["links"]:
            addresses = [a.split()[1] for a in net[netdev]["addresses"] if a.startswith("inet ")]
            found[netdev] = {"mtu": net[netdev]["mtu"], "up": net[netdev]["up"], "addresses": addresses}
        return found

    def run(self, verb: object) -> Outcome:
        """A verb of this code; it must end well."""
        outcome = self.rig.run(verb)  # type: ignore[arg-type]
        assert outcome.error is None, (outcome.error, outcome.notes)
        return outcome

    def broken(self) -> None:
        """`recover --break-lock`."""
        self.run(_break)

    def plan(self) -> Plan:
        """What `up` would do."""
        made: list[Plan] = []

        async def verb(site: Site) -> None:
            made.append((await plan_up(site, BOOKS["up"])).plan)

        self.run(verb)
        return made[0]

    def ended(self, end: str) -> None:
        """Every node is as the recorded one: blank, or at the goal."""
        for node in self.rig.names:
            {"blank": self._blank, "idle": self._idle}[end](node)

    def _blank(self, node: str) -> None:
        was, now = settled(self.world.look(node, self.blank[node])), settled(self.world.look(node))
        assert now["tree"] == was["tree"], self.world.differences(node, self.blank[node])
        assert self.links(node) == self.recorded("blank")[node].shown["links"]
        for path, value in _sysctls(self.recorded("idle")[node]).items():
            shown = [link["sysctls"][path] for link in now["net"].values() if path in link["sysctls"]]
            assert shown in ([], [value]), path

    def _idle(self, node: str) -> None:
        wanted, tree = self.recorded("idle")[node], self.world.look(node)["tree"]
        ours = {path for path in tree if path.startswith(OURS)}
        assert ours == set(wanted.files)
        for path, entry in wanted.files.items():
            assert path.endswith("/journal") or tree[path] == list(entry), path
        assert self.links(node) == wanted.shown["links"]
        assert ("/run/scenario/active/sparkctl-engine.service" in tree) == wanted.engine
        assert not self.world.timers(node)


def _sysctls(idle: Recorded) -> dict[str, str]:
    """What the recorded node kept of its ports before sparkctl came."""
    kept = (entry[4] for path, entry in idle.files.items() if "/baseline/net." in path)
    return dict(line.split(" ", 2)[1:] for text in kept for line in text.splitlines() if re.match(r"sysctl \S+ \S", line))  # type: ignore[misc]


def opened(kind: str) -> Iterator[Cluster]:
    """Two nodes under the recorded inventory, as a lab without RDMA plays it."""
    with folder() as name:
        path = Path(name, "recorded.yaml")
        text = (HERE / COMMIT / kind / "recorded.yaml").read_text()
        path.write_text(text.replace("transport: roce", "transport: tcp").replace("secrets/api.key", "api.key"))
        Path(name, "api.key").write_text("key-of-a-recorded-lab\n")
        Path(name, "api.key").chmod(0o600)
        found = study(path)
        assert found.cluster is not None and found.fabric is not None and not found.errors, found.findings
        world = World.of(found.fabric, [node.name for node in found.cluster.nodes], Path(name))
        try:
            yield Cluster(Rig(world, path), kind)
        finally:
            world.close()


@pytest.fixture(scope="module")
def serving() -> Iterator[Cluster]:
    """With an engine."""
    yield from opened("serving")


@pytest.fixture(scope="module")
def bare() -> Iterator[Cluster]:
    """A network alone."""
    yield from opened("bare")


@pytest.fixture
def cluster(kind: str, request: pytest.FixtureRequest) -> Cluster:
    """The one that the test names."""
    found: Cluster = request.getfixturevalue(kind)
    return found


both = pytest.mark.parametrize("kind", ["serving", "bare"])


@both
def test_every_moment_is_recorded(kind: str) -> None:
    """What a run leaves is there to be read: lock, journal, before-images, the two ways on, the timer."""
    places = [moment for of, moment in PLACES if of == kind]
    assert set(states(f"{COMMIT}/{kind}")) == {*places, "idle", "blank"}
    run = "/var/lib/sparkctl/run"
    for moment in places:
        for node in laying.recorded(f"{COMMIT}/{kind}", moment).values():
            kept = {f"{run}/{name}" for name in ("state", "until", "run.json", "record.json", "revert.sh", "finish.sh")}
            assert kept | {"/var/lib/sparkctl/lock", "/var/lib/sparkctl/journal"} <= set(node.files), moment
            assert bool(node.shown["timer"]) == ("confirmed" not in moment.split("-")), moment
    idle = laying.recorded(f"{COMMIT}/{kind}", "idle").values()
    assert all(any("/baseline/net." in path for path in node.files) for node in idle)
    assert {node.engine for node in idle} == {kind == "serving"}


@pytest.mark.parametrize(("kind", "moment"), PLACES)
def test_a_dead_run_is_recovered_at_once(cluster: Cluster, moment: str) -> None:
    cluster.lay(moment)
    cluster.broken()
    cluster.ended(ENDS[moment])


@pytest.mark.parametrize(("kind", "moment"), PLACES)
def test_a_dead_run_ends_by_its_own_timers(cluster: Cluster, moment: str) -> None:
    """The recorded scripts put the nodes back; what was confirmed waits for `recover`."""
    cluster.lay(moment)
    cluster.world.advance(LEASE_AND_ROOM)
    if "confirmed" not in moment.split("-"):
        cluster.ended(ENDS[moment])
    cluster.run(recover)
    cluster.ended(ENDS[moment])


@pytest.mark.parametrize(("kind", "moment"), [place for place in PLACES if place[0] == "serving" and place[1] not in ("prepare", "confirmed")])
def test_a_dead_run_ends_by_the_next_boot(cluster: Cluster, moment: str) -> None:
    """The recorded unit of the boot; files alone, for a boot makes the links."""
    cluster.lay(moment)
    for node in cluster.rig.names:
        cluster.world.boot(node)
    cluster.world.advance(LEASE_AND_ROOM)
    cluster.run(recover)
    wanted = cluster.recorded(ENDS[moment])
    for node in cluster.rig.names:
        tree = cluster.world.look(node)["tree"]
        assert {path for path in tree if path.startswith(OURS)} == {path for path in wanted[node].files if path != "/var/lib/sparkctl/lock"}
        assert not cluster.world.timers(node)


@pytest.mark.parametrize("kind", ["serving"])
@pytest.mark.parametrize(("head", "worker", "end"), MIXED)
def test_nodes_that_a_dead_run_left_unlike_end_alike(cluster: Cluster, head: str, worker: str, end: str) -> None:
    cluster.lay(head, worker)
    cluster.broken()
    cluster.ended(end)


@pytest.mark.parametrize(("kind", "moment"), [place for place in PLACES if place[0] == "serving"])
def test_nothing_is_begun_where_a_run_died(cluster: Cluster, moment: str) -> None:
    cluster.lay(moment)
    before = cluster.world.states()
    for verb in (up, down, reprovision, recover):
        outcome = cluster.rig.run(verb)
        assert isinstance(outcome.error, Refused), (verb, outcome.error)
        assert cluster.world.states() == before


@both
def test_a_running_cluster_is_torn_down(cluster: Cluster) -> None:
    cluster.lay("idle")
    cluster.run(down)
    cluster.ended("blank")


@pytest.mark.parametrize(("kind", "moment"), [place for place in PLACES if ENDS[place[1]] == "idle"])
def test_a_recovered_cluster_is_torn_down(cluster: Cluster, moment: str) -> None:
    cluster.lay(moment)
    cluster.broken()
    cluster.run(down)
    cluster.ended("blank")


@both
def test_a_running_cluster_is_upgraded(cluster: Cluster) -> None:
    """Its netdevs are left alone; nccl.env loses the variable of an engine. What this code does, it can take back."""
    cluster.lay("idle")
    made = cluster.plan()
    changed = {change.path for node in made.nodes for change in made.files(node) if change.stage == "network"}
    assert changed == {NCCL_ENV} and not any(made.network(node) for node in made.nodes)
    assert {step.stage for step in made.steps} == ({"network", "engine"} if cluster.kind == "serving" else {"network"})
    cluster.run(up)
    assert cluster.plan().empty
    for node in cluster.rig.names:
        assert cluster.links(node) == cluster.recorded("idle")[node].shown["links"]
    cluster.run(down)
    cluster.ended("blank")


@both
def test_the_network_of_a_running_cluster_is_changed(cluster: Cluster) -> None:
    """Another MTU over recorded baselines: they are not replaced by what sparkctl had made of the ports."""
    cluster.lay("idle")
    smaller = _edited(cluster.rig, "mtu: 9000", "mtu: 4200")
    outcome = smaller.run(up)
    assert outcome.error is None, outcome.error
    changed = {link["mtu"] for node in smaller.names for link in cluster.links(node).values()}  # type: ignore[index]
    assert changed == {4200}
    assert smaller.run(down).error is None
    cluster.ended("blank")


def _edited(rig: Rig, old: str, new: str) -> Rig:
    text = rig.path.read_text()
    assert text.count(old) == 1
    path = rig.path.with_name("edited.yaml")
    path.write_text(text.replace(old, new))
    return Rig(rig.world, path, rig.base, rig.controllers)


@both
def test_a_new_node_joins_a_recorded_cluster(cluster: Cluster) -> None:
    cluster.lay("idle", "blank")
    cluster.run(reprovision)
    head, worker = cluster.rig.names
    trees = {node: cluster.world.look(node)["tree"] for node in cluster.rig.names}
    assert {path for path in trees[worker] if path.startswith(OURS)} == set(cluster.recorded("idle")[worker].files)
    assert trees[head]["/etc/netplan/95-sparkctl.yaml"] == list(cluster.recorded("idle")[head].files["/etc/netplan/95-sparkctl.yaml"])
    cluster.run(down)
    cluster.ended("blank")


def test_a_recorded_lock_is_respected_and_ends(serving: Cluster) -> None:
    """Its lease is counted on the node's own clock, in the boot in which it began."""
    serving.lay("before-confirm")
    assert "locked by me@here" in str(serving.rig.run(recover).error)
    serving.world.advance(LEASE_AND_ROOM)
    serving.run(up)
    serving.run(down)
    serving.ended("blank")


def test_a_recorded_revert_takes_no_later_hand(serving: Cluster) -> None:
    """This is no check that cannot fail: a before-image that is broken stays where it is, and the node says so."""
    serving.lay("down-network-head")
    head = serving.rig.names[0]
    serving.world.run(head, "for file in /var/lib/sparkctl/run/before/[0-9]*; do echo broken >$file; done")
    outcome = serving.rig.run(_break)
    assert outcome.error is not None and "not recovered" in str(outcome.error)
    assert "/var/lib/sparkctl/run/state" in serving.world.look(head)["tree"]


async def _break(site: Site) -> None:
    found, silent = await dead_run(site)
    assert found is not None and not silent
    await end_it(site, found, silent, break_lock=True)
