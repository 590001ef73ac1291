"""One test for each safety device; each fails when its device is taken out (`make mutation` takes them out)."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import pytest

from sparkctl.commands import files as files_of
from sparkctl.commands import lock, netplan, systemd
from sparkctl.commands.base import Effect, functions, lines, program, write
from sparkctl.errors import (
    AccessRefused,
    ApplyFailed,
    EffectRefused,
    Locked,
    Refused,
    RollbackIncomplete,
    StalePlan,
    Unfinished,
)
from sparkctl.execute.runner import Interrupted
from sparkctl.execute.site import Site
from sparkctl.facts import survey
from sparkctl.facts.knock import Knocks
from sparkctl.outcome import Ok
from sparkctl.ssh.fleet import Phase
from sparkctl.study import study
from tests.scenario.cells import settled
from tests.scenario.rig import BOOKS, Outcome, Rig, down, inventory, up
from tests.scenario.transport import Fault, Killed, Wire
from tests.scenario.world import World, folder

ROOT = Path(__file__).resolve().parents[2]
NETPLAN = "/etc/netplan/95-sparkctl.yaml"
NCCL = "/etc/sparkctl/nccl.env"
RUN = "/var/lib/sparkctl/run"
SECRET = "planted-key-8d1f40c2"
HEAD, WORKER = "spark-1", "spark-2"
NODE_LIBRARY = functions("checkpoint/node.sh")
WITHOUT_GIDS = """set -e
mkdir /dev/shm/class; cp -a /sys/class/net /dev/shm/class; mount -t tmpfs none /sys/class; mv /dev/shm/class/net /sys/class; rmdir /dev/shm/class; rm -r /run/mount
for device in rocep1s0f1 roceP2p1s0f1; do
  port=/sys/class/infiniband/$device/ports/1
  mkdir -p "$port"; echo '4: ACTIVE' >"$port/state"; echo Ethernet >"$port/link_layer"
done
"""


def made_rig(path: Path) -> Rig:
    """The nodes of an inventory, nothing on them yet."""
    found = study(path)
    assert found.cluster is not None and found.fabric is not None, found.findings
    return Rig(World.of(found.fabric, [node.name for node in found.cluster.nodes], path.parent), path)


@pytest.fixture(scope="module")
def made() -> Iterator[Rig]:
    """Two nodes with an engine that has an API key."""
    with folder() as name:
        path = Path(name, "direct.yaml")
        Path(name, "api.key").write_text(f"{SECRET}\n")
        Path(name, "api.key").chmod(0o600)
        path.write_text(inventory("direct", True) + "  api_key_file: api.key\n")
        rig = made_rig(path)
        try:
            rig.furnish()
            yield rig
        finally:
            rig.world.close()


@pytest.fixture
def rig(made: Rig) -> Rig:
    """The same as nodes that sparkctl never saw."""
    made.controllers = 0
    made.world.reset(made.base)
    return made


@pytest.fixture(scope="module")
def grown(made: Rig) -> dict[str, str]:
    """The states after a healthy `up`."""
    made.controllers = 0
    made.world.reset(made.base)
    assert made.run(up).error is None
    return made.world.states()


def place(outcome: Outcome, title: str, node: str) -> int:
    """The number of the first such event."""
    return next(at for at, e in enumerate(outcome.events) if (e.title, e.node) == (title, node))


def struck(rig: Rig, begin: dict[str, str], verb: object, title: str, node: str, *, step: int | None = None, track: bool = False) -> Outcome:
    """Kill the controller when `node` has done `title` (or before one of its steps)."""
    rig.controllers = 0
    rig.world.reset(begin)
    healthy = rig.run(verb)  # type: ignore[arg-type]
    at = place(healthy, title, node)
    rig.controllers = 0
    rig.world.reset(begin)
    if track:
        rig.world.track(node)
    outcome = rig.run(verb, Fault("CONTROLLER_KILLED", at, healthy.events[at].steps if step is None else step))  # type: ignore[arg-type]
    assert isinstance(outcome.error, Killed), outcome.error
    return outcome


def unchanged(rig: Rig, states: dict[str, str]) -> list[str]:
    """What differs from these states on any node, the text of the journal left out; none where all is as before."""
    alike = all(settled(rig.world.look(n)) == settled(rig.world.look(n, s)) for n, s in states.items())
    return [] if alike else [line for n, s in states.items() for line in rig.world.differences(n, s)]


def booted(rig: Rig, node: str, state: str) -> object:
    """What a boot makes of a state that sparkctl has nothing to do with any more."""
    rig.world.reset({node: state})
    rig.world.boot(node)
    return settled(rig.world.look(node))


def files(rig: Rig, node: str) -> dict[str, list[object]]:
    """The files of a node, now."""
    found: dict[str, list[object]] = rig.world.look(node)["tree"]
    return found


def test_the_tree_under_test_is_this_one() -> None:
    assert Path(str(__import__("sparkctl").__file__)).resolve().is_relative_to(ROOT)


def test_gate(rig: Rig) -> None:
    """While facts are gathered nothing that changes a node gets through, whoever sends it."""
    wire = Wire(rig.world)
    site = rig.site(wire)
    command = write("lock", [lock.lock("0a0a0a0a", 120, "somebody")])
    assert command.effect is Effect.WRITE

    async def both() -> None:
        await site.facts()
        with pytest.raises(EffectRefused):
            await site.fleet.gates[HEAD].run(command)

    asyncio.run(both())
    assert {sent.effect for _, sent in wire.commands} == {Effect.READ}
    assert unchanged(rig, rig.base) == []


def test_lock(rig: Rig) -> None:
    """A second run is told who holds the lock; nothing of it stays."""
    struck(rig, rig.base, up, "lock", WORKER)
    held = rig.world.states()
    second = rig.run(up)
    assert isinstance(second.error, Locked) and "me@here" in second.error.message, second.error
    assert unchanged(rig, held) == []


def test_lock_of_a_dead_controller_ends(rig: Rig) -> None:
    struck(rig, rig.base, up, "lock", WORKER)
    rig.world.advance(121)
    assert rig.run(up).error is None


def test_stale_check(rig: Rig) -> None:
    """The node was changed after the plan was shown."""
    wire = Wire(rig.world)
    wire.before[(HEAD, "lock")] = lambda: rig.world.run(WORKER, "ip link set dev enp1s0f1np1 mtu 1400") and None
    outcome = rig.run(up, wire=wire)
    assert isinstance(outcome.error, StalePlan) and WORKER in outcome.error.message, outcome.error
    assert [e.title for e in outcome.events if e.title != "read facts"] == ["lock", "lock", "unlock", "unlock"]
    assert not any("sparkctl" in path for node in rig.names for path in files(rig, node))


def test_checkpoint_is_armed_before_the_first_change(rig: Rig) -> None:
    struck(rig, rig.base, up, "network, workers", WORKER, step=0)
    for node in rig.names:
        (timer,) = rig.world.timers(node).values()
        assert timer[0] <= rig.world.now + 120 and timer[2][-2:] == [f"{RUN}/revert.sh", "timer"], timer
        assert NETPLAN not in files(rig, node)


def test_checkpoint_puts_a_node_back_alone(rig: Rig) -> None:
    """The controller is dead, the network is changed everywhere."""
    struck(rig, rig.base, up, "network, head", HEAD)
    assert all(NETPLAN in files(rig, node) for node in rig.names)
    rig.world.advance(300)
    assert unchanged(rig, rig.base) == []


def test_boot_hook(rig: Rig) -> None:
    """The node boots again in the middle, and nobody is there to tell it anything."""
    struck(rig, rig.base, up, "network, workers", WORKER)
    rig.world.boot(WORKER)
    rig.world.advance(30)
    ended = settled(rig.world.look(WORKER))
    assert ended == booted(rig, WORKER, rig.base[WORKER])


def test_fsync_of_what_is_put_back(rig: Rig, grown: dict[str, str]) -> None:
    """Power is cut when a teardown has removed the files: of everything, only what was flushed is there."""
    struck(rig, grown, down, "network, workers", WORKER, track=True)
    assert NETPLAN not in files(rig, WORKER)
    rig.world.boot(WORKER, cut=True)
    rig.world.advance(30)
    ended = settled(rig.world.look(WORKER))
    assert ended == booted(rig, WORKER, grown[WORKER])


def test_fsync_of_the_checkpoint(rig: Rig) -> None:
    """The same for a first `up`, cut at each step of the network stage."""
    right = None
    for step in (1, 3, 5, 9):
        struck(rig, rig.base, up, "network, workers", WORKER, step=step, track=True)
        rig.world.boot(WORKER, cut=True)
        rig.world.advance(30)
        ended = settled(rig.world.look(WORKER))
        right = right or booted(rig, WORKER, rig.base[WORKER])
        assert ended == right, f"cut before step {step}"


def test_reverse_order_of_nodes(rig: Rig) -> None:
    """The head was changed last, so it goes back first."""
    healthy = rig.run(up)
    rig.controllers = 0
    rig.world.reset(rig.base)
    at = place(healthy, "engine, head", HEAD)
    outcome = rig.run(up, Fault("FAIL", at, healthy.events[at].steps - 1))
    assert isinstance(outcome.error, ApplyFailed), outcome.error
    assert [e.node for e in outcome.events if e.title == "put everything back"] == [HEAD, WORKER]
    assert unchanged(rig, rig.base) == []


def test_reverse_order_on_a_node(rig: Rig) -> None:
    """The engine was started last, so it is down before its network goes."""
    planted = "#!/bin/sh\nsystemctl is-active sparkctl-engine.service >>/etc/scenario/seen\nexit 0\n"
    plant(rig, planted)
    struck(rig, rig.world.states(), up, "engine, head", HEAD)
    rig.world.advance(300)
    seen = str(files(rig, HEAD)["/etc/scenario/seen"][4]).split()
    assert len(seen) >= 1 and set(seen) == {"inactive"}, seen
    assert NETPLAN not in files(rig, HEAD)


def plant(rig: Rig, program: str) -> None:
    """A program that the played networkd and netplan of the head call before they change anything."""
    text = base64.b64encode(program.encode()).decode()
    said = rig.world.run(HEAD, f"mkdir /etc/scenario && echo {text} | base64 -d >/etc/scenario/apply && chmod 755 /etc/scenario/apply")
    assert said.status == 0, said


def test_digest_check_on_teardown(rig: Rig, grown: dict[str, str]) -> None:
    """A later edit of the user wins."""
    rig.world.reset(grown)
    rig.world.run(HEAD, f"echo '# mine' >>{NCCL}")
    assert rig.run(down).error is None
    assert "# mine" in str(files(rig, HEAD)[NCCL][4]) and NETPLAN not in files(rig, HEAD)
    assert NCCL not in files(rig, WORKER)


def test_digest_check_of_before_images(rig: Rig, grown: dict[str, str]) -> None:
    """An image that a bad disk changed is never put back; the node says so."""
    outcome = struck(rig, grown, down, "network, workers", WORKER)
    images = [p for p in files(rig, WORKER) if p.startswith(f"{RUN}/before/") and NETPLAN[-12:] in str(files(rig, WORKER)[p][4])]
    images = images or [p for p in files(rig, WORKER) if p.startswith(f"{RUN}/before/") and "/net." not in p]
    rig.world.run(WORKER, "".join(f"echo broken >{path}\n" for path in images))
    rig.world.advance(300)
    assert images and isinstance(outcome.error, Killed)
    broken = [path for path, entry in files(rig, WORKER).items() if entry[4] == "broken\n" and not path.startswith(RUN)]
    assert broken == []
    assert f"{RUN}/state" in files(rig, WORKER), "the run stays until somebody has looked"


def test_confirm_over_new_connections(rig: Rig) -> None:
    """Old connections live on, and nobody could log in any more: all nodes go back."""
    wire = Shut(rig.world)
    outcome = rig.run(up, wire=wire)
    assert isinstance(outcome.error, ApplyFailed | RollbackIncomplete), outcome.error
    assert "confirm" not in [e.title for e in outcome.events]
    rig.world.advance(600)
    assert unchanged(rig, rig.base) == []


@dataclass
class Shut(Wire):
    """The worker takes no new connection."""

    def opened(self, node: str) -> None:
        """As Wire.opened."""
        super().opened(node)
        if node == WORKER:
            raise AccessRefused(f"{node}: cannot be reached: planted", "is it switched on?")


def test_journal_of_the_intention(rig: Rig) -> None:
    """On disk before anything is looked at or armed."""
    struck(rig, rig.base, up, "prepare", WORKER, step=3, track=True)
    assert '"intended","step":"up"' in flushed_journal(rig).replace("state\":", "")


def test_journal_of_every_step(rig: Rig) -> None:
    """On disk before the step's first change."""
    struck(rig, rig.base, up, "network, workers", WORKER, step=3, track=True)
    assert NETPLAN not in files(rig, WORKER)
    assert '"started","step":"network, workers"' in flushed_journal(rig).replace("state\":", "")


def flushed_journal(rig: Rig) -> str:
    """The journal as a power cut would leave it."""
    tree = files(rig, WORKER)
    last = [line.split()[1] for line in str(tree["/tmp/durable/log"][4]).splitlines() if line.endswith(" /var/lib/sparkctl/journal") and line[0] == "F"][-1]
    return str(tree[f"/tmp/durable/{last}"][4])


def test_redaction(rig: Rig, grown: dict[str, str], tmp_path: Path) -> None:
    """The key goes over stdin to one file of mode 0600, and is nowhere else: no script, plan, answer, journal, record."""
    rig.world.reset(rig.base)
    wire = Spy(rig.world)
    assert rig.run(up, wire=wire).error is None
    assert any(SECRET.encode() in command.stdin for _, command in wire.commands)
    rekeyed = rig.path.parent / "api.key"
    rekeyed.write_text("another-key-77\n")
    try:
        second = Spy(rig.world)
        assert rig.run(up, wire=second).error is None
    finally:
        rekeyed.write_text(f"{SECRET}\n")
    shown = [text for w in (wire, second) for text in w.heard] + [repr(c) + c.script for _, c in wire.commands + second.commands]
    assert leaks(shown) == []
    told = {path: str(entry[4]) for node in rig.names for path, entry in files(rig, node).items() if path != "/etc/sparkctl/api.key"}
    assert leaks([text for path, text in told.items() if "/baseline/" not in path]) == []
    assert files(rig, HEAD)["/etc/sparkctl/api.key"][1] == 0o600


def leaks(texts: list[str]) -> list[str]:
    """Texts that hold the key, plain or in base64 at any of its three offsets."""
    forms = [SECRET] + [base64.b64encode(b"x" * n + SECRET.encode())[4 * bool(n) : -4].decode()[2:] for n in range(3)]
    return [text[:200] for text in texts if any(form in text for form in forms)]


@dataclass
class Spy(Wire):
    """Keeps every answer."""

    heard: list[str] = field(default_factory=list)

    def done(self, node: str, command: object, script: str) -> object:  # type: ignore[override]
        """As Wire.done."""
        result = super().done(node, command, script)  # type: ignore[arg-type]
        text = result.stdout + result.stderr if isinstance(result, Ok) else repr(result)
        self.heard += [text, *decoded(text)]
        return result


def decoded(text: str) -> list[str]:
    """Facts come in base64, and contents of files in base64 within."""
    found = []
    for word in text.split():
        try:
            inner = base64.b64decode(word, validate=True).decode()
        except ValueError:
            continue
        found += [inner, *decoded(inner)] if len(word) >= 16 else []
    return found


def test_hold(rig: Rig) -> None:
    """Somebody broke the lock while the run was on: it stops before it changes another thing."""
    wire = Wire(rig.world)
    theirs = "read -r on _ <LOCK; echo \"$on 9999 0b0b0b0b now somebody\" >LOCK".replace("LOCK", "/var/lib/sparkctl/lock")
    wire.before[(HEAD, "network, head")] = lambda: rig.world.run(HEAD, theirs) and None
    outcome = rig.run(up, wire=wire)
    assert isinstance(outcome.error, ApplyFailed | RollbackIncomplete), outcome.error
    assert "0b0b0b0b" in outcome.error.message
    assert "engine, head" not in [e.title for e in outcome.events]
    assert not any(NETPLAN in str(entry) for entry in outcome.notes if "'" in entry and "changed" in entry)
    assert NETPLAN not in files(rig, HEAD)


def test_hold_after_a_boot(rig: Rig) -> None:
    """The node was booted while the run was on, so its timer is gone: nothing more may be changed there."""
    wire = Wire(rig.world)
    booted_since = "sed -i 's/^[^ ]*/an-earlier-boot/' /var/lib/sparkctl/lock"
    wire.before[(HEAD, "network, head")] = lambda: rig.world.run(HEAD, booted_since) and None
    outcome = rig.run(up, wire=wire)
    assert isinstance(outcome.error, ApplyFailed | RollbackIncomplete), outcome.error
    assert "was booted again" in outcome.error.message
    assert NETPLAN not in files(rig, HEAD)


def test_nothing_is_undone_after_the_confirmation(rig: Rig) -> None:
    """A book that cannot be closed is no reason to take a proved change back."""
    wire = Wire(rig.world)
    wire.before[(HEAD, "record")] = lambda: rig.world.run(HEAD, f"echo exit 1 >{RUN}/finish.sh") and None
    outcome = rig.run(up, wire=wire)
    assert isinstance(outcome.error, Unfinished), outcome.error
    assert NETPLAN in files(rig, HEAD) and NETPLAN in files(rig, WORKER)


def test_an_undo_is_proved(rig: Rig) -> None:
    """Somebody changed a node after it was put back: it is not said to be as before."""
    healthy = rig.run(up)
    rig.controllers = 0
    rig.world.reset(rig.base)
    at = place(healthy, "engine, head", HEAD)
    wire = Wire(rig.world, Fault("FAIL", at, 0))
    late = {(WORKER, "read facts"): lambda: rig.world.run(WORKER, "ip link set dev enp1s0f1np1 mtu 1400") and None}
    wire.before[(WORKER, "put everything back")] = lambda: wire.before.update(late)
    outcome = rig.run(up, wire=wire)
    assert isinstance(outcome.error, RollbackIncomplete), outcome.error
    assert WORKER in outcome.error.message and f"{HEAD}:" not in outcome.error.message.partition("not proved")[2]


def test_an_interrupted_run_between_plan_and_lock(rig: Rig) -> None:
    """Its before-images are all that is left of what was there: nothing is locked, nothing is changed."""
    wire = Wire(rig.world)
    wire.before[(HEAD, "lock")] = lambda: rig.world.run(WORKER, f"mkdir -m 0700 -p {RUN}; chmod 0700 {RUN[:-4]}; echo mine >{RUN}/kept") and None
    outcome = rig.run(up, wire=wire)
    assert isinstance(outcome.error, Refused) and "an interrupted run is on this node" in outcome.error.message, outcome.error
    assert not any(e.title == "prepare" for e in outcome.events)
    assert files(rig, WORKER)[f"{RUN}/kept"][4] == "mine\n" and f"{RUN[:-4]}/lock" not in files(rig, WORKER)
    assert not any("sparkctl" in path for path in files(rig, HEAD))


def watched(rig: Rig, verb: Callable[[Site], Awaitable[None]], watch: Callable[[Site, str, Wire], None]) -> Outcome:
    """A run of which `watch` hears every phase before anything of it is sent."""
    wire = Wire(rig.world)

    async def seen(site: Site) -> None:
        site.fleet.observer = lambda event: watch(site, event.title, wire) if isinstance(event, Phase) else None
        await verb(site)

    return rig.run(seen, wire=wire)


BROKEN = "read -r on _ </var/lib/sparkctl/lock; echo \"$on 9999 0b0b0b0b now somebody\" >/var/lib/sparkctl/lock"
SETTLE = "settle and check"


def test_the_network_is_proved(rig: Rig) -> None:
    """Whatever the steps said: while a port is not as planned the run is not confirmed, and all is put back."""
    outcome = watched(rig, up, lambda site, title, wire: title == SETTLE and rig.world.run(WORKER, "ip link set dev enp1s0f1np1 mtu 1500") and None)
    assert isinstance(outcome.error, ApplyFailed) and "not right within" in outcome.error.message, outcome.error
    assert "confirm" not in [e.title for e in outcome.events]
    assert unchanged(rig, rig.base) == []


def test_a_network_may_take_a_moment(rig: Rig) -> None:
    """Wrong at the first look, right at the second, a moment later."""
    looks: list[float] = []

    def watch(site: Site, title: str, wire: Wire) -> None:
        if title == SETTLE:
            looks.append(rig.world.now)
            rig.world.run(WORKER, f"ip link set dev enp1s0f1np1 mtu {1500 if len(looks) == 1 else 9000}")

    outcome = watched(rig, up, watch)
    assert outcome.error is None, outcome.error
    assert len(looks) == 2 and looks[1] - looks[0] > 0.2


def test_a_teardown_is_proved(rig: Rig, grown: dict[str, str]) -> None:
    """A file that is there again when all was taken away: the run is not confirmed, and all is put back."""
    rig.world.reset(grown)
    outcome = watched(rig, down, lambda site, title, wire: title == SETTLE and rig.world.run(WORKER, f"echo '{{}}' >{NETPLAN}") and None)
    assert isinstance(outcome.error, ApplyFailed), outcome.error
    assert f"{WORKER}: {NETPLAN}" in outcome.error.message and "confirm" not in [e.title for e in outcome.events]
    assert unchanged(rig, grown) == []


def test_who_interrupts_knows_whether_a_run_is_on(rig: Rig) -> None:
    """From before the first lock to the end; of a run that failed the nodes' timers may have the rest."""
    said: dict[str, bool] = {}
    sites: list[Site] = []

    def watch(site: Site, title: str, wire: Wire) -> None:
        said[title] = site.interruption.running
        sites.append(site)

    assert watched(rig, up, watch).error is None
    assert all(running == (at >= list(said).index("lock")) for at, running in enumerate(said.values())), said
    assert not sites[-1].interruption.running
    rig.world.reset(rig.base)
    broken = watched(rig, up, lambda site, title, wire: sites.append(site) or wire.before.update({(HEAD, "network, head"): lambda: rig.world.run(HEAD, BROKEN) and None}))
    assert isinstance(broken.error, ApplyFailed | RollbackIncomplete) and sites[-1].interruption.running


@pytest.mark.parametrize("title", ["lock", "network, workers", "network, head", "engine, workers", "settle and check"])
def test_an_interruption_is_obeyed(rig: Rig, title: str) -> None:
    """Ctrl-C at any time before the confirmation: nothing more is begun, every node is as before, and it says so."""
    wire = Wire(rig.world)

    async def stopped(site: Site) -> None:
        def watch(event: object) -> None:
            if isinstance(event, Phase) and event.title == title:
                site.interruption.asked.set()

        site.fleet.observer = watch
        await up(site)

    outcome = rig.run(stopped, wire=wire)
    assert isinstance(outcome.error, Interrupted), outcome.error
    assert "is as before" in outcome.error.message
    sent = [e.title for e in outcome.events]
    assert "confirm" not in sent and "engine, head" not in sent
    assert unchanged(rig, rig.base) == []


def test_keepalive(rig: Rig) -> None:
    """A step that takes longer than the lease is no dead controller."""
    book = BOOKS["up"].model_copy(update={"confirm_timeout": 60})
    wire = Wire(rig.world)
    wire.delays[(WORKER, "network, workers")] = 110

    async def slowly(site: Site) -> None:
        await up(site, book)

    outcome = rig.run(slowly, wire=wire)
    assert outcome.error is None, outcome.error
    assert "keep the checkpoint" in [e.title for e in outcome.events]


def test_detached_apply(rig: Rig) -> None:
    """netplan is at work when everything of the SSH session is killed: it goes on to the end."""
    plant(rig, KILLS_THE_SESSION)
    rig.world.run(HEAD, "printf '#!/bin/sh\\nexit 1\\n' >/etc/scenario/reload && chmod 755 /etc/scenario/reload")
    begin = rig.world.states()
    struck(rig, begin, up, "network, head", HEAD)
    shown = rig.world.look(HEAD)
    assert "/etc/scenario/killed" in shown["tree"], "nothing was killed"
    assert shown["net"]["enp1s0f1np1"]["mtu"] == 9000


KILLS_THE_SESSION = """#!/bin/sh
[ ! -e /etc/scenario/killed ] && [ -e /etc/netplan/95-sparkctl.yaml ] || exit 0
: >/etc/scenario/killed
session() { cut -d ' ' -f 6 "/proc/$1/stat" 2>/dev/null; }
mine=$(session $$) agents=$(session 1) others=
for dir in /proc/[0-9]*; do
  found=$(session "${dir#/proc/}")
  case $found in "" | "$mine" | "$agents") ;; *) others="$others ${dir#/proc/}" ;; esac
done
if [ -n "$others" ]; then kill -9 $others; else kill -9 -$mine; fi
exit 0
"""


def test_a_run_finished_twice_keeps_the_same_book(rig: Rig, grown: dict[str, str]) -> None:
    """A node that dies while it records what was made does so again: each directory is there once."""
    rig.world.reset(grown)
    book = "/var/lib/sparkctl/baseline/made"
    before = files(rig, HEAD)[book]
    again = f"{NODE_LIBRARY}\nR=/tmp/run; mkdir $R; cat {book} >$R/made; keep_made && keep_made; status=$?; rm -r $R; exit $status"
    said = rig.world.run(HEAD, again)
    assert said.status == 0, said
    assert files(rig, HEAD)[book] == before and before[-1]


STRANGE = (
    files_of.save("/etc/cron.d/evil", 0, "absent"),
    files_of.put("/etc/cron.d/evil", 0o600, 0),
    files_of.put("/etc/sparkctl/engine.sh", 0o4755, 0),
    files_of.put("/etc/netplan/../cron.d/evil.yaml", 0o600, 0),
    files_of.put("/etc/systemd/system/ssh.service", 0o644, 0),
    files_of.drop("/etc/hostname"),
    files_of.restore("/etc/shadow", "x", "0" * 64),
    netplan.save_netdev("enP7s7"),
    systemd.stop("ssh.service", ""),
    systemd.start("ssh.service"),
)


@pytest.mark.parametrize("words", STRANGE, ids=lambda words: " ".join(words[:3]))
def test_a_node_changes_only_what_is_sparkctls(rig: Rig, words: tuple[str, ...]) -> None:
    """Whatever a controller sends: the node itself refuses, and nothing of it is there."""
    before = rig.world.states()
    blob = "mkdir -p -m 0700 /var/lib/sparkctl/run/after && echo evil >/var/lib/sparkctl/run/after/0"
    said = rig.world.run(HEAD, f"{blob}\n{program(lines([words]))}")
    cleaned = rig.world.run(HEAD, "rm -r /var/lib/sparkctl")
    assert (said.status, cleaned.status) == (78, 0), said
    assert "is no " in said.err or "no file of sparkctl has mode" in said.err
    assert unchanged(rig, before) == []


def test_knock_before_the_engine(rig: Rig) -> None:
    """Where knocks are not answered, no engine is started to wait for its peers: the nodes are as before."""
    ends = [str(a.address.ip) for a in rig.fabric.attachments if a.rail == "A"]
    silent = Knocks({(own, peer): {40000: "silent"} for own in ends for peer in ends if own != peer})
    with patch.dict(survey.PARSERS, knocks=lambda text: silent):
        outcome = rig.run(up)
    assert isinstance(outcome.error, ApplyFailed), outcome.error
    assert "ranks cannot reach one another" in outcome.error.message and "TCP 40000" in outcome.error.message
    assert not [e.title for e in outcome.events if e.title.startswith("engine")]
    assert unchanged(rig, rig.base) == []


@pytest.fixture(scope="module")
def deaf() -> Iterator[Rig]:
    """Two nodes whose RDMA devices are up and have no GID: only the look at RoCE inside the transaction sees it."""
    with folder() as name:
        path = Path(name, "direct.yaml")
        path.write_text(inventory("direct", engine=False).replace("transport: tcp", "transport: roce"))
        rig = made_rig(path)
        try:
            rig.furnish()
            for node in rig.names:
                said = rig.world.run(node, WITHOUT_GIDS)
                assert said.status == 0, said
            yield rig
        finally:
            rig.world.close()


def test_wrong_roce_is_undone(deaf: Rig) -> None:
    """RoCE that is not right when `up` looks at it fails the run, and the nodes are as before."""
    outcome = deaf.run(up)
    assert isinstance(outcome.error, ApplyFailed), outcome.error
    assert "RoCE is not right" in outcome.error.message
    assert unchanged(deaf, deaf.base) == []


def test_keepalive_while_looking_at_roce(deaf: Rig) -> None:
    """A look that takes longer than the lease: the nodes do not take it for a dead controller."""
    deaf.controllers = 0
    deaf.world.reset(deaf.base)
    book = BOOKS["up"].model_copy(update={"confirm_timeout": 60})
    wire = Wire(deaf.world)

    def watch(event: object) -> None:
        if isinstance(event, Phase):
            wire.delays[(WORKER, "read facts")] = 85 if event.title == "look at RoCE" else 0  # a look may take 90

    async def slowly(site: Site) -> None:
        site.fleet.observer = watch
        await up(site, book)

    outcome = deaf.run(slowly, wire=wire)
    assert isinstance(outcome.error, ApplyFailed), outcome.error
    assert "RoCE is not right" in outcome.error.message
    assert "keep the checkpoint" in [e.title for e in outcome.events]
