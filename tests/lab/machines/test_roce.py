"""RoCE v2 of real kernels: `cluster up` passes every check of it on two, three and four virtual machines; faults are named."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.lab.faults import catalog
from tests.lab.faults.site import Fault, Site, misnamed, wrong
from tests.lab.labs import LabKind, Labs, fabric

RDMA = ("roce-device", "rail-gid", "rail-bandwidth", "rails-bandwidth", "rail-duplex", "rail-latency", "rdma-counters")


def proven(site: Site, *words: str) -> Counter[str]:
    """How many times each check of RDMA passed in `up`; none of any check may be wrong."""
    up = site.cluster("up", "--yes", "--only", "network", "--json", *words)
    assert up.code == 0, up.err
    verdicts = up.json["verdicts"]
    assert isinstance(verdicts, list) and not wrong(verdicts)
    return Counter(v["id"] for v in verdicts if v["id"] in RDMA and v["state"] == "pass")


def machines(labs: Labs, example: str, user: str) -> Site:
    """Virtual machines cabled as an example says, blank."""
    rig = labs.of(LabKind(f"test-roce-{example}", fabric(example), backend="vm", used=False), user)
    return Site(rig.inventory, rig.name)


@pytest.fixture(scope="module")
def dual(labs: Labs, request: pytest.FixtureRequest) -> Site:
    """Two machines on one cable."""
    return machines(labs, "dual", request.node.nodeid)


@pytest.fixture(scope="module")
def goal(dual: Site) -> Counter[str]:
    """What `up` proved on them."""
    return proven(dual)


def test_up_proves_both_rails_of_a_cable_in_both_directions(dual: Site, goal: Counter[str]) -> None:
    assert goal == {
        "roce-device": 4,
        "rail-gid": 4,
        "rail-bandwidth": 4,
        "rails-bandwidth": 2,
        "rail-duplex": 2,
        "rail-latency": 4,
        "rdma-counters": 4,
    }
    for node in ("spark-1", "spark-2"):
        assert not dual.root(node, "pgrep -x 'ib_write_bw|ib_write_lat' || true"), "perftest was left running"


FAULTS = tuple(catalog.rdma())


@pytest.mark.parametrize("fault", [FAULTS[0], *(pytest.param(fault, marks=pytest.mark.more) for fault in FAULTS[1:])], ids=str)
def test_the_right_check_names_it(dual: Site, goal: Counter[str], fault: Fault) -> None:
    fault.plant(dual)
    try:
        problems = misnamed(fault, *dual.verify(*fault.words))
    finally:
        fault.mend(dual)
    assert not problems, "\n".join(problems)


LIMITED = r"""mv /usr/bin/ib_write_bw /usr/bin/ib_write_bw.real
cat >/usr/bin/ib_write_bw <<'END'
#!/bin/sh
# The real tool between the real ends. An emulator's rates are noise, so those of a port stand in the report: 109 Gb/s,
# and {0} each way while both are under way on a device.
for word; do case $word in --out_json_file=*) report=${word#*=} ;; esac; done
mine=/run/limited.$2. gbits=109
ib_write_bw.real "$@" & real=$!
: >"$mine$$"
trap 'kill $real; rm -f "$mine$$"' TERM INT
while kill -0 $real 2>/dev/null; do
  set -- "$mine"*
  [ $# -lt 2 ] || gbits={0}
  sleep 0.1
done
rm -f "$mine$$"
wait $real || exit
sed -i "s/\\(BW_average[\"]*: *\\)[0-9.]*/\\1$gbits/" "$report"
END
chmod 755 /usr/bin/ib_write_bw"""
FREE = "mv /usr/bin/ib_write_bw.real /usr/bin/ib_write_bw"


@pytest.mark.parametrize(
    ("each_way", "state", "named", "remedy"),
    [
        (59.5, "warn", "degraded duplex state", "reboot both ends, spark-1 and spark-2"),
        pytest.param(106.5, "pass", "both ways at once", "", marks=pytest.mark.more),
    ],
)
def test_a_limit_on_both_ways_together_is_named(
    dual: Site, goal: Counter[str], each_way: float, state: str, named: str, remedy: str
) -> None:
    for node in ("spark-1", "spark-2"):
        dual.root(node, LIMITED.replace("{0}", str(each_way)))
    try:
        _, verdicts = dual.verify("--load", "--expect", "real", "--only", "rail-duplex")
    finally:
        for node in ("spark-1", "spark-2"):
            dual.root(node, FREE)
    assert [v["where"] for v in verdicts] == [f"spark-1:p1 <-> spark-2:p1 rail {rail}" for rail in "AB"]
    for v in verdicts:
        ways = f"{each_way:.2f} spark-1 -> spark-2 and {each_way:.2f} spark-2 -> spark-1 Gb/s; alone 109.00 and 109.00"
        assert (v["state"], v["message"]) == (state, named) and ways in v["measured"] and remedy in v["remedy"], v


@pytest.mark.more
def test_all_is_well_again(dual: Site, goal: Counter[str]) -> None:
    dual.look_healthy()


def test_down_leaves_nothing(dual: Site, goal: Counter[str]) -> None:
    down = dual.cluster("down", "--yes")
    assert down.code == 0, down.err
    for node in ("spark-1", "spark-2"):
        assert "sparkctl" not in dual.root(node, "ls /etc /var/lib /etc/netplan")


@pytest.mark.parametrize(
    ("example", "ends", "pairs", "load"),
    [
        ("mesh-3", 12, 3, "full"),
        ("quad-switch", 8, 4, "quick"),
        ("quad-switch", 8, 6, "full"),
    ],
)
@pytest.mark.long
def test_up_proves_every_port(
    labs: Labs, request: pytest.FixtureRequest, tmp_path: Path, example: str, ends: int, pairs: int, load: str
) -> None:
    """On a mesh each node has two ports; at a switch every node meets two others (`quick`), or all (`full`)."""
    playbook = tmp_path / "up.yaml"
    stages = f"stages: [{{stage: network, load: {load}, settle_timeout: 60}}]"
    playbook.write_text(f"apiVersion: sparkctl/v1\nkind: Playbook\nname: up\n{stages}\n")
    found = proven(machines(labs, example, request.node.nodeid), "--playbook", str(playbook))
    assert (found["roce-device"], found["rail-gid"], found["rdma-counters"]) == (ends, ends, ends)
    assert found["rail-bandwidth"] == 4 * pairs
    if load == "full":
        assert (found["rails-bandwidth"], found["rail-duplex"], found["rail-latency"]) == (2 * pairs, 2 * pairs, 4 * pairs)
