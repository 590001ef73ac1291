"""The way back waits for nothing that a fault prevents: neither a node that is silent nor an engine without its cable."""

from __future__ import annotations

import pytest

from sparkctl.commands import systemd
from sparkctl.commands.base import lines, program
from sparkctl.errors import RollbackIncomplete
from sparkctl.inventory.names import ONLY
from tests.scenario.rig import Rig, up
from tests.scenario.transport import Fault, Wire
from tests.scenario.world import Said

NETDEV = "enp1s0f1np1"
SYSTEMD = """set -e
mkdir -p /run/played /var/lib/sparkctl/run/before /var/lib/sparkctl/baseline
: >/run/played/asked
printf '#!/bin/sh\\necho "$*" >>/run/played/asked\\n[ "$1" != is-active ] || echo STATE\\n' >/run/played/systemctl
printf '#!/bin/sh\\necho looked >>/run/played/asked\\n' >/run/played/ss
printf '#!/bin/sh\\n' >/run/played/sleep
chmod 755 /run/played/systemctl /run/played/ss /run/played/sleep
: >/var/lib/sparkctl/run/before/net.NETDEV
ip link set NETDEV up
ip link set FAR CABLE
PATH=/run/played:$PATH
"""


def back(rig: Rig, words: tuple[str, ...], state: str, cable: str) -> tuple[Said, list[str]]:
    """How a step of the way back ends on the head while its unit is in `state`, and what it asked meanwhile."""
    rig.world.reset(rig.base)
    head = rig.names[0]
    far = rig.world.run(head, f"read -r n </sys/class/net/{NETDEV}/iflink; for d in /sys/class/net/far*; do read -r i <$d/ifindex; [ $i != $n ] || echo ${{d##*/}}; done").out.strip()
    before = SYSTEMD.replace("STATE", state).replace("NETDEV", NETDEV).replace("FAR", far).replace("CABLE", cable)
    said = rig.world.run(head, before + "set +e\n" + program(lines([words])))
    asked = rig.world.run(head, f"cat /run/played/asked; ip link set {far} up")
    return said, asked.out.splitlines()


AGAIN = systemd.undo(ONLY.unit, ONLY.container, True, True)


def test_an_engine_that_waits_for_its_cable_is_on_its_way(direct: Rig) -> None:
    said, asked = back(direct, AGAIN, "activating", "down")
    assert said.status == 0 and asked.count(f"is-active {ONLY.unit}") == 1, (said, asked)
    assert f"start --no-block {ONLY.unit}" in asked


def test_with_its_cable_it_is_waited_for_and_so_not_for_ever(direct: Rig) -> None:
    said, asked = back(direct, AGAIN, "activating", "up")
    assert said.status == 0 and asked.count(f"is-active {ONLY.unit}") == 100


@pytest.mark.parametrize(("state", "looks"), [("failed", 1), ("inactive", 100)])
def test_one_that_does_not_start_again_fails_the_way_back(direct: Rig, state: str, looks: int) -> None:
    said, asked = back(direct, AGAIN, state, "down")
    assert said.status != 0 and "does not start again" in said.err and asked.count(f"is-active {ONLY.unit}") == looks


@pytest.mark.parametrize(("cable", "looked"), [("down", False), ("up", True)])
def test_nobody_looks_for_the_port_of_an_engine_without_its_cable(direct: Rig, cable: str, looked: bool) -> None:
    said, asked = back(direct, systemd.ready(ONLY.unit, 7100, back=True), "activating", cable)
    assert said.status == 0 and ("looked" in asked) == looked


def test_a_silent_node_holds_up_no_other(direct: Rig) -> None:
    """The worker was changed last, so its turn comes first; it takes 20 s to be given up."""
    head, worker = direct.names
    direct.world.reset(direct.base)
    healthy = direct.run(up)
    at = next(n for n, e in enumerate(healthy.events) if (e.title, e.node) == ("engine, workers", worker))
    direct.controllers = 0
    direct.world.reset(direct.base)
    wire = Wire(direct.world, Fault("SSH_LOST", at))
    told: dict[str, float] = {}
    wire.delays[(worker, "put everything back")] = 20.0
    wire.before[(worker, "engine, workers")] = lambda: told.update(lost=direct.world.now)
    wire.before[(head, "put everything back")] = lambda: told.update(head=direct.world.now)
    outcome = direct.run(up, wire=wire)
    assert told["head"] - told["lost"] < 5, told
    assert outcome.error is not None and not isinstance(outcome.error, RollbackIncomplete), outcome.error
