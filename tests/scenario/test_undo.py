"""Teardown proves what it restores: damaged images, files that netplan refuses, and what the kernel had in its tables."""

from __future__ import annotations

import pytest

from sparkctl.cli.planning import left_for_later
from sparkctl.commands import files
from sparkctl.commands.base import functions, lines, program
from sparkctl.errors import Refused, StalePlan, Unfinished
from sparkctl.execute.apply import apply
from sparkctl.execute.plan_verbs import Planned, plan_down, plan_up
from sparkctl.execute.site import Site
from tests.scenario.rig import BOOKS, Rig, up
from tests.scenario.transport import Wire

NETPLAN = "/etc/netplan/95-sparkctl.yaml"
BASELINE = "/var/lib/sparkctl/baseline"
BEFORE = {
    "address": "ip addr add {address} dev {netdev}",
    "route": "ip link set {netdev} up; ip addr add 192.168.77.1/24 dev {netdev}; ip route add 10.99.0.0/16 via 192.168.77.2",
    "route of a table": "ip link set {netdev} up; ip addr add 192.168.77.1/24 dev {netdev}; "
    "ip route add 10.98.0.0/16 dev {netdev} table 77 metric 5",
    "IPv6 route": "ip link set {netdev} up; ip -6 route add fd00:77::/64 dev {netdev} metric 77",
    "rule of an address": "ip link set {netdev} up; ip addr add 192.168.77.1/24 dev {netdev}; ip rule add from 192.168.77.1 lookup 77 pref 900",
    "rule of a netdev": "ip rule add iif {netdev} lookup 77 pref 901",
    "neighbour": "ip link set {netdev} up; ip neigh add 192.168.77.9 lladdr 02:00:00:00:00:09 nud permanent dev {netdev}",
}
SHOWN = "ip -4 -o addr show dev {netdev}; ip route show table all dev {netdev} proto boot; ip -6 route show proto boot dev {netdev}; ip rule; ip neigh show dev {netdev} nud permanent"


def asked(rig: Rig, words: str) -> str:
    """What `words` say on the head, of the first netdev of the fabric."""
    at = rig.fabric.of(rig.names[0])[0]
    said = rig.world.run(rig.names[0], words.format(netdev=at.netdev, address=at.address))
    assert said.status == 0, said
    return said.out.replace(" linkdown", "")


async def down(site: Site, accepted: dict[str, set[str]] | None = None) -> None:
    planned = await plan_down(site, BOOKS["down"], accepted=accepted or {})
    left.clear()
    left.update(planned.left)
    if not planned.plan.empty:
        lost.append((await apply(site, planned)).lost)


left: dict[str, object] = {}
lost: list[tuple[str, ...]] = []


@pytest.mark.parametrize("kind", BEFORE)
def test_what_the_kernel_had_on_a_netdev_is_there_again(direct: Rig, kind: str) -> None:
    direct.world.reset(direct.base)
    asked(direct, BEFORE[kind])
    before = asked(direct, SHOWN)
    assert direct.run(up).error is None
    ended = direct.run(down)
    assert ended.error is None, ended.error
    assert asked(direct, SHOWN) == before and lost[-1] == ()


def set_up(rig: Rig, before: str, after: str = ":") -> None:
    """A cluster whose head had something before, and is meddled with afterwards."""
    rig.world.reset(rig.base)
    asked(rig, before)
    assert rig.run(up).error is None
    asked(rig, after)


def test_the_plan_says_which_address_and_route_go(direct: Rig) -> None:
    direct.world.reset(direct.base)
    asked(direct, BEFORE["route"])
    made: list[Planned] = []

    async def look(site: Site) -> None:
        made.append(await plan_up(site, BOOKS["up"]))

    assert direct.run(look).error is None
    (network,), at = made[0].plan.network(direct.names[0]), direct.fabric.of(direct.names[0])[0]
    assert f"192.168.77.1/24 becomes {at.address}" in network.summary
    assert [note for note in made[0].plan.notes if "10.99.0.0/16 via 192.168.77.2" in note and "goes" in note]


def test_one_damaged_image_keeps_one_file_back_and_nothing_else(direct: Rig) -> None:
    mine = "mkdir -p /etc/sparkctl; echo NCCL_DEBUG=INFO >/etc/sparkctl/nccl.env"
    set_up(direct, mine, f"for f in {BASELINE}/etc_sparkctl_nccl.env.*; do echo bad >$f; done")
    head, worker = direct.names
    assert direct.run(down).error is None and list(left) == [head]
    there = "[ -e /etc/sparkctl/nccl.env ] && [ -e /var/lib/sparkctl/record.json ] && [ ! -e {} ] && [ ! -e /etc/sparkctl/engine.env ]"
    assert direct.world.run(head, there.format(NETPLAN)).status == 0
    assert direct.world.run(worker, f"[ ! -e /var/lib/sparkctl ] && [ ! -e {NETPLAN} ]").status == 0
    states = direct.world.states()
    assert direct.run(down).error is None and list(left) == [head] and direct.world.states() == states, "once more: nothing"
    given_up = {head: {"/etc/sparkctl/nccl.env"}}
    assert direct.run(lambda site: down(site, given_up)).error is None and not left
    gone = "[ ! -e /etc/sparkctl/nccl.env ] && [ ! -e /var/lib/sparkctl ] && grep -q bad /etc/sparkctl/nccl.env.before-sparkctl"
    assert direct.world.run(head, gone).status == 0


def test_a_file_that_netplan_refuses_does_not_block_the_others(direct: Rig) -> None:
    bad = f"printf 'network: {{{{version: 2, ethernets: {{{{enp1s0f1np1: {{{{addresses: [nonsense]}}}}}}}}}}}}\\n' >{NETPLAN}; chmod 600 {NETPLAN}"
    set_up(direct, bad)
    head, worker = direct.names
    ended = direct.run(down)
    assert ended.error is None and list(left) == [head] and "nonsense" in str(left), (ended.error, left)
    assert direct.world.run(worker, "[ ! -e /var/lib/sparkctl ]").status == 0
    assert direct.world.run(head, f"grep -q 9000 {NETPLAN} && [ -e /var/lib/sparkctl/record.json ]").status == 0
    assert direct.run(lambda site: down(site, {head: {NETPLAN}})).error is None and not left
    gone = f"[ ! -e {NETPLAN} ] && [ ! -e /var/lib/sparkctl ] && grep -q nonsense {NETPLAN}.before-sparkctl"
    assert direct.world.run(head, gone).status == 0


ELSEWHERE = {
    "the folder is a link": "mkdir -p /home/user/ours; ln -s /home/user/ours /etc/sparkctl",
    "the folder is a user's": "mkdir /etc/sparkctl; chown 1000:1000 /etc/sparkctl",
    "a file is a link": f"mkdir -p /home/user; : >/home/user/net.yaml; ln -s /home/user/net.yaml {NETPLAN}",
    "a file is a link to nowhere": f"ln -s /home/user/nothing {NETPLAN}",
    "a file is a folder": "mkdir -p /etc/sparkctl/nccl.env",
    "a file is a pipe": "mkdir -p /etc/sparkctl; mkfifo /etc/sparkctl/engine.env",
}


@pytest.mark.parametrize("kind", ELSEWHERE)
def test_nothing_is_written_where_a_user_could_lead_it(direct: Rig, kind: str) -> None:
    direct.world.reset(direct.base)
    asked(direct, ELSEWHERE[kind])
    before = direct.world.states()
    ended = direct.run(up)
    assert isinstance(ended.error, Refused) and "is not a plain file of root's" in ended.error.message, ended.error
    assert direct.world.states() == before


@pytest.mark.parametrize(
    "words",
    [
        files.put("/etc/sparkctl/nccl.env", 0o644, 0),
        files.drop("/etc/sparkctl/nccl.env"),
        files.save("/etc/sparkctl/nccl.env", 0, "absent"),
        files.undo("/etc/sparkctl/nccl.env", 0, "absent"),
        files.restore("/etc/sparkctl/nccl.env", "x", "0" * 64),
    ],
    ids=lambda words: words[0],
)
@pytest.mark.parametrize("kind", list(ELSEWHERE)[:2])
def test_the_node_itself_writes_nothing_there(direct: Rig, words: tuple[str, ...], kind: str) -> None:
    direct.world.reset(direct.base)
    asked(direct, ELSEWHERE[kind])
    blob = "mkdir -p -m 0700 /var/lib/sparkctl/run/after && echo evil >/var/lib/sparkctl/run/after/0"
    said = direct.world.run(direct.names[0], f"{blob}\n{program(lines([words]))}")
    assert said.status == 78 and "not root's" in said.err, said
    assert direct.world.run(direct.names[0], "[ -z \"$(ls -A /etc/sparkctl/)\" ]").status == 0


@pytest.mark.parametrize("edit", ["mkdir -p /etc/sparkctl; echo A=1 >/etc/sparkctl/nccl.env", "sed -i 's,/24,/25,' /etc/netplan/01-management.yaml"])
def test_an_edit_between_lock_and_prepare_is_a_stale_plan(direct: Rig, edit: str) -> None:
    """Nothing of ours was changed, so nothing of theirs is called a failed undo, nor a script named that is gone."""
    direct.world.reset(direct.base)
    head = direct.names[0]
    wire = Wire(direct.world)
    wire.before[head, "prepare"] = lambda: asked(direct, edit) and None
    began = direct.world.now
    ended = direct.run(up, wire=wire)
    assert isinstance(ended.error, StalePlan) and ended.error.exit_code == 4, ended.error
    assert f"{head} changed since the plan was made" in ended.error.message and "revert.sh" not in ended.error.remedy
    assert direct.world.now - began < 20
    assert direct.world.run(head, f"[ ! -e /var/lib/sparkctl ] && [ ! -e {NETPLAN} ]").status == 0


def test_a_look_that_is_cut_off_leaves_nothing_on_the_node(direct: Rig) -> None:
    direct.world.reset(direct.base)
    struck = 'netplan_generate() { sh -c "kill -TERM \\$PPID"; sleep 1; }\nkept=/nowhere\n(refused_images /etc/netplan/95-sparkctl.yaml)\n'
    script = functions("checkpoint/network.sh") + functions("facts/baseline.sh") + struck
    said = direct.world.run(direct.names[0], script + "echo $?; ls -d /run/sparkctl.* 2>/dev/null; :")
    assert said.out == "143\n", said


def test_how_to_go_on_after_a_teardown_can_be_pasted() -> None:
    with pytest.raises(Unfinished) as left:
        left_for_later({}, {"spark-2": {NETPLAN: "its before-image is gone"}})
    assert left.value.remedy.endswith(f"`sparkctl cluster down --accept-loss spark-2:{NETPLAN}`")
