"""One node against what it should be: what stops a plan, what is written, given back, lost, and what stays."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from sparkctl.facts.baseline import ALL, Baseline
from sparkctl.facts.files import SPECIAL, FileState
from sparkctl.facts.foreign import ForeignFile, ForeignStanza
from sparkctl.facts.record import FileRecord, Record, RunState
from sparkctl.facts.routes import parse
from sparkctl.facts.snapshot import NodeFacts
from sparkctl.inventory.names import NETPLAN
from sparkctl.outcome import Absent, Fact, Known, Unknown
from sparkctl.plan.changes import FileChange, FileImage, NetdevTarget, NetworkChange
from sparkctl.plan.diff import (
    INTERRUPTED,
    Wishes,
    edits,
    file_changes,
    given_back,
    image_change,
    in_the_way,
    losses,
    network_change,
    obstacles,
    routes_that_go,
    same_variables,
    set_aside,
)
from sparkctl.render.artifact import API_KEY, ENGINE_ENV, ENGINE_UNIT, NCCL_ENV
from tests.unit.test_plan import FABRIC, FakeNode, desired, settled

HEAD = "spark-1"
DEV, OTHER = (a.netdev for a in FABRIC.of(HEAD))
CX7 = "/etc/netplan/40-cx7.yaml"
BLANK, SETTLED = FakeNode(HEAD).facts(), settled()[HEAD].facts()
OVER, FORCED = Wishes(take_over=True), Wishes(force=frozenset({NCCL_ENV}))


def stanza(**fields: Any) -> ForeignStanza:
    return replace(ForeignStanza("ethernets", DEV, (DEV,), (), "is its name", "dhcp4"), **fields)


def foreign(**fields: Any) -> ForeignFile:
    file = ForeignFile(CX7, "d0", 0o600, 0, 0, (stanza(),), "NVIDIA Sync", True, "", "absent")
    return replace(file, **fields)


def record(facts: NodeFacts = SETTLED) -> Record:
    assert isinstance(facts.record, Known)
    return facts.record.value


def recorded(path: str, facts: NodeFacts = SETTLED, **fields: Any) -> NodeFacts:
    """With other fields of a path on record."""
    base = record(facts).files.get(path) or FileRecord(digest="d", mode=0o600, stage="network")
    files = record(facts).files | {path: base.model_copy(update=fields)}
    return replace(facts, record=Known(record(facts).model_copy(update={"files": files})))


def with_file(path: str, state: FileState | None, facts: NodeFacts = SETTLED) -> NodeFacts:
    fact: Fact[FileState] = Known(state) if state else Absent()
    return replace(facts, files={**facts.files, path: fact})


def state(facts: NodeFacts, path: str) -> FileState:
    fact = facts.file(path)
    assert isinstance(fact, Known)
    return fact.value


def altered(path: str, facts: NodeFacts = SETTLED, **fields: Any) -> NodeFacts:
    """With a file that is another one."""
    return with_file(path, replace(state(facts, path), **fields), facts)


# --- obstacles ----------------------------------------------------------------------------------------------------

LINK = FileState(0, 0, 0, SPECIAL)
IN_THE_WAY = f"{CX7} (NVIDIA Sync) also defines {DEV}: dhcp4. netplan would join both. "
NOT_PLAIN = f"{NCCL_ENV} is not a plain file of root's (it or its folder is a link, or is somebody else's): move it away"


@pytest.mark.parametrize(
    ("facts", "wishes", "said"),
    [
        (BLANK, Wishes(), []),
        (SETTLED, Wishes(), []),
        (replace(BLANK, netdevs=Unknown("no ip")), Wishes(), ["netdevs: no ip"]),
        (replace(BLANK, missing_tools=Unknown("no sh")), Wishes(), ["tools: no sh"]),
        (replace(BLANK, foreign=Unknown("no python")), Wishes(), ["foreign netplan files: no python"]),
        (replace(BLANK, record=Unknown("cut off")), Wishes(), ["record: cut off"]),
        (replace(BLANK, run=Unknown("cut off")), Wishes(), ["run: cut off"]),
        (replace(BLANK, baseline=Unknown("cut off")), Wishes(), ["before-images: cut off"]),
        (replace(BLANK, missing_tools=Known(("docker", "jq"))), Wishes(), ["missing on the node: docker, jq"]),
        (
            replace(BLANK, run=Known(RunState("armed", (), None))),
            Wishes(),
            [f"an interrupted run is on this node (state armed): {INTERRUPTED}"],
        ),
        (
            replace(BLANK, record=Known(Record(cluster="other"))),
            Wishes(),
            ["the node belongs to cluster 'other'; tear that down first"],
        ),
        (
            replace(BLANK, foreign=Known((foreign(),))),
            Wishes(),
            [IN_THE_WAY + "--take-over moves these stanzas aside until teardown"],
        ),
        (replace(BLANK, foreign=Known((foreign(),))), OVER, []),
        (replace(BLANK, foreign=Known((foreign(movable=False, why_not="bind it"),))), OVER, [IN_THE_WAY + "bind it"]),
        (with_file(NCCL_ENV, LINK, BLANK), Wishes(), [NOT_PLAIN]),
        (with_file(NCCL_ENV, LINK), Wishes(), []),
        (with_file(NCCL_ENV, LINK), FORCED, [NOT_PLAIN]),
        (SETTLED, FORCED, []),
    ],
)
def test_what_stops_a_plan_for_a_node(facts: NodeFacts, wishes: Wishes, said: list[str]) -> None:
    """A link on a path that sparkctl wrote is a later edit, which wins."""
    assert list(obstacles("dual", facts, FABRIC.of(HEAD), wishes)) == said


@pytest.mark.parametrize(
    "facts", [replace(SETTLED, foreign=Known((foreign(),))), with_file(NCCL_ENV, LINK, BLANK), with_file(NCCL_ENV, LINK)]
)
def test_what_stands_where_nothing_is_written_stops_no_teardown(facts: NodeFacts) -> None:
    assert list(obstacles("dual", facts, ())) == []


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (foreign(who=""), f"{CX7} also defines {DEV}: dhcp4."),
        (foreign(), f"{CX7} (NVIDIA Sync) also defines {DEV}: dhcp4."),
        (foreign(stanzas=()), f"{CX7} (NVIDIA Sync) also defines what sparkctl's file does."),
        (foreign(stanzas=(stanza(says=""),)), f"also defines {DEV}. netplan"),
        (
            foreign(stanzas=(stanza(id="rail", how="matches name en*", netdevs=(DEV, OTHER)), stanza(netdevs=(DEV, OTHER)))),
            f"also defines {DEV}, {OTHER} (as rail: matches name en*): dhcp4; {DEV}, {OTHER} (as {DEV}: is its name): dhcp4.",
        ),
    ],
)
def test_a_foreign_file_is_named_with_what_it_defines(file: ForeignFile, words: str) -> None:
    assert words in in_the_way(file)


# --- files --------------------------------------------------------------------------------------------------------


def reasons(facts: NodeFacts, wishes: Wishes = Wishes()) -> dict[str, str]:
    return {change.path: change.reason for change in file_changes(desired()[HEAD], facts, wishes)}


MINE = FileState(0o644, 0, 0, "mine", "# mine\n")


@pytest.mark.parametrize(
    ("facts", "wishes", "found"),
    [
        (SETTLED, Wishes(), {}),
        (with_file(NCCL_ENV, None), Wishes(), {NCCL_ENV: "removed by somebody else"}),
        (with_file(NCCL_ENV, MINE), Wishes(), {}),
        (with_file(NCCL_ENV, MINE), FORCED, {NCCL_ENV: "edited by somebody else (--force-path)"}),
        (recorded(NCCL_ENV, with_file(NCCL_ENV, MINE), digest="mine"), Wishes(), {NCCL_ENV: "content differs"}),
        (recorded(NCCL_ENV, with_file(NCCL_ENV, MINE), digest="mine"), FORCED, {NCCL_ENV: "content differs"}),
        (altered(NCCL_ENV, mode=0o600), Wishes(), {NCCL_ENV: "mode 0600, owner 0:0"}),
        (altered(NCCL_ENV, uid=7), Wishes(), {NCCL_ENV: "mode 0644, owner 7:0"}),
        (altered(API_KEY, gid=8), Wishes(), {API_KEY: "mode 0600, owner 0:8"}),
        (altered(API_KEY, digest="mine"), Wishes(), {}),
        (recorded(CX7, aside=True), Wishes(), {}),
        (
            recorded(CX7, replace(SETTLED, netplan_files=Known({CX7: FileState(0o600, 0, 0, "d")}))),
            Wishes(),
            {CX7: "it was not there before sparkctl"},
        ),
    ],
)
def test_which_files_of_a_settled_node_change_and_why(facts: NodeFacts, wishes: Wishes, found: dict[str, str]) -> None:
    assert reasons(facts, wishes) == found


def test_a_blank_node_gets_every_file_and_its_own_file_goes_aside() -> None:
    facts = with_file(NCCL_ENV, MINE, BLANK)
    every = dict.fromkeys(record().files, "not on the node")
    assert reasons(BLANK) == every and reasons(facts) == every | {NCCL_ENV: "content differs"}
    change = next(c for c in file_changes(desired()[HEAD], facts) if c.path == NCCL_ENV)
    assert change.before == FileImage(digest="mine", mode=0o644, content="# mine\n")


@pytest.mark.parametrize(
    ("file", "wishes", "after"),
    [
        (foreign(mode=0o100640, after="d1"), OVER, FileImage(digest="d1", mode=0o640)),
        (foreign(mode=0o100640), OVER, None),
        (foreign(), Wishes(), "nothing"),
    ],
)
def test_foreign_stanzas_go_aside_where_that_is_wished(file: ForeignFile, wishes: Wishes, after: FileImage | str | None) -> None:
    found = list(set_aside(desired()[HEAD], replace(BLANK, foreign=Known((file,))), wishes))
    if after == "nothing":
        assert found == []
        return
    (change,) = found
    assert (change.path, change.stage, change.after, change.aside) == (CX7, "network", after, (DEV, OTHER))
    assert change.before == FileImage(digest="d0", mode=file.mode) and change.reason == f"it also defines {DEV}"


def test_without_foreign_files_nothing_goes_aside() -> None:
    assert list(set_aside(desired()[HEAD], replace(BLANK, foreign=Absent()), OVER)) == []


OWNED = "/etc/systemd/network/05-fabric.network"


def test_an_owner_of_another_kind_is_named_goes_whole_and_comes_back_only_from_a_baseline() -> None:
    owner = foreign(path=OWNED, who="", stanzas=(stanza(kind="network", says=""),))
    assert f"{OWNED} also has {DEV}. " in in_the_way(owner) and "moves it aside" in in_the_way(owner)
    (change,) = set_aside(desired()[HEAD], replace(BLANK, owners=Known((owner,))), OVER)
    assert (change.after, change.reason) == (None, f"it also has {DEV}")
    old = FileRecord(digest="d1", mode=0, stage="network", aside=True)
    facts = recorded(OWNED, with_file(OWNED, replace(MINE, digest="d1")), **old.model_dump())
    assert list(given_back(OWNED, old, facts, FORCED)) == []
    old = old.model_copy(update={"baseline": "owner.d0", "baseline_digest": "d0"})
    (back,) = given_back(OWNED, old, facts, FORCED)
    assert (back.baseline, back.summary) == ("owner.d0", f"change {OWNED}")


# --- variables ----------------------------------------------------------------------------------------------------


def change_of(path: str, content: str, mode: int = 0o644) -> FileChange:
    after = FileImage(digest="new", mode=mode, content=content)
    return FileChange(stage="engine", path=path, before=None, after=after, reason="x")


NCCL = state(SETTLED, NCCL_ENV).content or ""


@pytest.mark.parametrize(
    ("facts", "change", "same"),
    [
        (SETTLED, change_of(NCCL_ENV, f"# comment=1\nno variable\n{NCCL}"), True),
        (SETTLED, change_of(NCCL_ENV, NCCL + "MORE=1\n"), False),
        (SETTLED, change_of(NCCL_ENV, ""), False),
        (SETTLED, change_of(NCCL_ENV, NCCL, 0o600), False),
        (with_file(ENGINE_ENV, None), change_of(NCCL_ENV, NCCL), False),
        (replace(with_file(ENGINE_ENV, None), record=Absent()), change_of(NCCL_ENV, NCCL), False),
        (replace(SETTLED, record=Absent()), change_of(NCCL_ENV, NCCL), False),
        (altered(ENGINE_ENV, content=None), change_of(NCCL_ENV, NCCL), False),
        (altered(ENGINE_ENV, digest="mine"), change_of(NCCL_ENV, NCCL), False),
    ],
)
def test_variables_are_the_same_only_where_both_files_are_known_to_say_so(
    facts: NodeFacts, change: FileChange, same: bool
) -> None:
    assert same_variables((change,), facts) is same


# --- the way back -------------------------------------------------------------------------------------------------

KEPT = FileRecord(digest="d1", mode=0o640, stage="network", baseline="etc_nccl.d0", baseline_digest="d0")
NONE_BEFORE = KEPT.model_copy(update={"baseline": None, "baseline_digest": None, "stage": "engine"})
OURS = FileState(0o640, 0, 0, "d1")


def goes_back(old: FileRecord, now: FileState | None, wishes: Wishes, *lost: str) -> list[FileChange]:
    facts = replace(with_file(NCCL_ENV, now), record=Known(Record(cluster="dual", files={NCCL_ENV: old})))
    return list(given_back(NCCL_ENV, old, facts, wishes, lost))


@pytest.mark.parametrize(
    ("old", "now", "wishes", "reason"),
    [
        (KEPT, OURS, Wishes(), "it was there before sparkctl"),
        (KEPT, MINE, FORCED, "it was there before sparkctl"),
        (KEPT, None, FORCED, "it was there before sparkctl"),
        (NONE_BEFORE, OURS, Wishes(), "it was not there before sparkctl"),
        (NONE_BEFORE, MINE, FORCED, "it was not there before sparkctl"),
    ],
)
def test_a_file_goes_back_to_what_it_was(old: FileRecord, now: FileState | None, wishes: Wishes, reason: str) -> None:
    (change,) = goes_back(old, now, wishes)
    assert (change.reason, change.stage, change.baseline) == (reason, old.stage, old.baseline)
    assert change.after == (FileImage(digest="d0", mode=0o640) if old.baseline else None)


@pytest.mark.parametrize("old", [KEPT, NONE_BEFORE])
@pytest.mark.parametrize("now", [MINE, None])
def test_a_later_edit_is_not_given_back(old: FileRecord, now: FileState | None) -> None:
    assert goes_back(old, now, Wishes()) == []


def test_what_is_lost_only_goes() -> None:
    (change,) = goes_back(KEPT, OURS, Wishes(), NCCL_ENV)
    assert (change.after, change.baseline, change.reason) == (None, None, "what was there before sparkctl is lost")
    assert goes_back(KEPT, OURS, Wishes(), ENGINE_ENV) == goes_back(KEPT, OURS, Wishes())
    assert goes_back(NONE_BEFORE, None, FORCED) == [], "it is not there, and was not"


def had(path: str, **fields: Any) -> NodeFacts:
    """A settled node where something was at `path` before sparkctl, and is kept whole."""
    return recorded(path, with_baseline(), baseline="before.d0", baseline_digest="d0", **fields)


def with_baseline(images: dict[str, str] | None = None, refused: dict[str, str] | None = None) -> NodeFacts:
    images = {"before.d0": "d0"} if images is None else images
    return replace(SETTLED, baseline=Known(Baseline(images, refused or {}, {})))


def kept(facts: NodeFacts, images: dict[str, str] | None = None, refused: dict[str, str] | None = None) -> NodeFacts:
    return replace(facts, baseline=with_baseline(images, refused).baseline)


GONE, DAMAGED = "its before-image is gone", "its before-image is damaged (its digest differs)"
REFUSES = "netplan refuses what was there before sparkctl: no"
REFUSES_ALL = "netplan refuses the node's other files: no"


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        (had(NCCL_ENV), {}),
        (SETTLED, {}),
        (replace(SETTLED, baseline=Absent()), {}),
        (replace(had(NCCL_ENV), baseline=Absent()), {NCCL_ENV: GONE}),
        (kept(had(NCCL_ENV), {}), {NCCL_ENV: GONE}),
        (kept(had(NCCL_ENV), {"before.d0": "d9"}), {NCCL_ENV: DAMAGED}),
        (kept(had(NETPLAN), None, {"before.d0": "no"}), {NETPLAN: REFUSES}),
        (kept(had(NETPLAN), {"before.d0": "d9"}, {"before.d0": "no"}), {NETPLAN: DAMAGED}),
        (kept(SETTLED, None, {ALL: "no"}), {NETPLAN: REFUSES_ALL}),
        (kept(had(NETPLAN), {}, {ALL: "no"}), {NETPLAN: REFUSES_ALL}),
        (kept(altered(NCCL_ENV, had(NCCL_ENV), digest="mine"), {}), {}),
    ],
)
def test_what_cannot_come_back_and_why(facts: NodeFacts, found: dict[str, str]) -> None:
    """Of a later edit nothing is put back, so nothing can be lost."""
    assert dict(losses(facts)) == found


@pytest.mark.parametrize(
    ("facts", "paths"),
    [
        (SETTLED, ()),
        (BLANK, ()),
        (with_file(NCCL_ENV, MINE), (NCCL_ENV,)),
        (with_file(NCCL_ENV, None), (NCCL_ENV,)),
        (recorded(CX7, digest="absent"), ()),
        (recorded(CX7, digest="left"), (CX7,)),
    ],
)
def test_edits_are_what_is_not_as_it_was_written(facts: NodeFacts, paths: tuple[str, ...]) -> None:
    assert edits(facts) == paths


# --- the network --------------------------------------------------------------------------------------------------


def netdev(facts: NodeFacts = SETTLED, name: str = DEV, **fields: Any) -> NodeFacts:
    assert isinstance(facts.netdevs, Known)
    return replace(facts, netdevs=Known({**facts.netdevs.value, name: replace(facts.netdevs.value[name], **fields)}))


def without(*names: str) -> NodeFacts:
    assert isinstance(SETTLED.netdevs, Known)
    return replace(SETTLED, netdevs=Known({n: d for n, d in SETTLED.netdevs.value.items() if n not in names}))


def moved() -> NodeFacts:
    """An earlier inventory had a cable in the other port."""
    old = "enp1s0f0np0"
    named = replace(SETTLED, record=Known(record().model_copy(update={"netdevs": (*record().netdevs, old)})))
    assert isinstance(named.netdevs, Known)
    links = {**named.netdevs.value, old: replace(named.netdevs.value[DEV], name=old)}
    return replace(named, netdevs=Known(links))


NETPLAN_FILE = FileChange(stage="network", path=CX7, before=None, after=None, reason="x")
ENGINE_FILE = FileChange(stage="engine", path=ENGINE_UNIT, before=None, after=None, reason="x")
KERNEL, FILES = "kernel", "file"
BOTH = (DEV, OTHER)


@pytest.mark.parametrize(
    ("facts", "files", "reason", "names"),
    [
        (SETTLED, (), "", ()),
        (SETTLED, (ENGINE_FILE,), "", ()),
        (SETTLED, (ENGINE_FILE, NETPLAN_FILE), FILES, BOTH),
        (netdev(mtu=1500), (), KERNEL, BOTH),
        (netdev(name=OTHER, mtu=1500), (NETPLAN_FILE,), KERNEL, BOTH),
        (netdev(up=False), (), KERNEL, BOTH),
        (netdev(addresses=()), (), KERNEL, BOTH),
        (netdev(addresses=(str(FABRIC.of(HEAD)[0].address), "10.9.9.9/24")), (), KERNEL, BOTH),
        (netdev(carrier=False), (), "", ()),
        (without(DEV), (), "", ()),
        (replace(without(DEV), record=Absent()), (NETPLAN_FILE,), FILES, (OTHER,)),
        (replace(SETTLED, netdevs=Absent("no ip")), (), "", ()),
        (replace(SETTLED, netdevs=Unknown("no ip")), (NETPLAN_FILE,), FILES, ()),
        (moved(), (), KERNEL, (*BOTH, "enp1s0f0np0")),
        (moved(), (NETPLAN_FILE,), KERNEL, (*BOTH, "enp1s0f0np0")),
    ],
)
def test_when_the_network_changes_and_which_netdevs(
    facts: NodeFacts, files: tuple[FileChange, ...], reason: str, names: tuple[str, ...]
) -> None:
    change = network_change(desired()[HEAD], facts, files)
    said = [word for word in (KERNEL, FILES) if change and word in change.reason.split()]
    assert (said, change.names if change else ()) == ([reason] if reason else [], names)


def test_a_target_says_what_was_and_what_comes() -> None:
    change = network_change(desired()[HEAD], moved(), ())
    assert change is not None
    here = FABRIC.of(HEAD)[0]
    at = (str(here.address),)
    assert change.netdevs[0] == NetdevTarget(
        netdev=DEV, before_mtu=9000, before_addresses=at, after_mtu=here.mtu, after_address=at[0]
    )
    assert (change.netdevs[2].after_mtu, change.netdevs[2].after_address) == (None, None)


ROUTES = [
    {"dst": "10.5.0.0/16", "dev": DEV, "protocol": "static"},
    {"dst": "10.6.0.0/16", "dev": DEV, "protocol": "kernel"},
    {"dst": "10.7.0.0/16", "dev": DEV, "protocol": "dhcp"},
    {"dst": "10.8.0.0/16", "dev": "enP7s7", "protocol": "static"},
]


@pytest.mark.parametrize("known", [True, False])
def test_routes_go_that_nothing_makes_again(known: bool) -> None:
    routes = parse(json.dumps(ROUTES))
    change = network_change(desired()[HEAD], netdev(mtu=1500), ())
    assert isinstance(change, NetworkChange)
    facts = replace(SETTLED, routes=Known(routes) if known else Unknown("no ip"))
    assert list(routes_that_go(change, facts)) == ([str(routes[0])] if known else [])


@pytest.mark.parametrize(
    ("image", "fact", "fetched"),
    [
        ("vllm:1", Absent("no"), True),
        ("vllm:1", Known("sha256:1"), False),
        ("vllm:1", Unknown("no docker"), False),
        (None, Absent("the engine uses no image"), False),
    ],
)
def test_an_image_is_fetched_where_it_is_known_to_be_missing(image: str | None, fact: Fact[str], fetched: bool) -> None:
    change = image_change(replace(desired()[HEAD], image=image), replace(BLANK, image=fact))
    assert (change is not None) is fetched and (change is None or change.image == image)


def test_digests_of_the_tests_are_those_of_the_files() -> None:
    """What the tables above call settled is what is rendered."""
    for file in desired()[HEAD].rendering.files:
        assert state(SETTLED, file.path).digest == hashlib.sha256(file.content.encode()).hexdigest() == file.digest
