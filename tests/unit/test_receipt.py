"""A saved plan is a receipt: whatever is changed in it, it is refused or has no say; what runs is planned anew."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from sparkctl.commands.base import Command, Effect
from sparkctl.errors import Refused, StalePlan, UsageError
from sparkctl.execute.plan_verbs import Planned, accept, plan_down, plan_up
from sparkctl.execute.site import Site
from sparkctl.outcome import Ok, Result
from sparkctl.plan.diff import Wishes
from sparkctl.plan.playbook import load
from sparkctl.plan.receipt import Receipt, _seal, read
from sparkctl.ssh.fleet import Fleet
from sparkctl.ssh.transport import Counters
from tests.unit.test_plan import CLUSTER, FABRIC, KEY, RENDERING, FakeNode, pair, settled

UP = load("up")
FILE = "plan.json"


@dataclass
class Answering:
    """A node that answers questions and keeps every command."""

    node: FakeNode
    sent: list[Command] = field(default_factory=list)
    counters: Counters = field(default_factory=Counters)

    async def run(self, command: Command, on_line: object = None) -> Result:
        """What it says, whatever it is told."""
        self.sent.append(command)
        return Ok(self.node.said(), "")

    async def renew(self) -> None:
        """Nothing to renew."""

    async def close(self) -> None:
        """Nothing to close."""


class Place(Site):
    """A site whose secret is at hand."""

    def secrets(self, node: str) -> Mapping[str, bytes]:
        """The key of the test."""
        return {secret.path: KEY for secret in self.rendering.nodes[node].secrets}


def place(nodes: Mapping[str, FakeNode], inventory: str = "digest") -> Place:
    fleet = Fleet({name: Answering(node) for name, node in nodes.items()})
    return Place(CLUSTER, FABRIC, RENDERING, fleet, "me@here", inventory)


def sent(site: Site) -> list[Command]:
    """Everything that any node was told."""
    return [command for transport in site.fleet.transports.values() for command in transport.sent]  # type: ignore[attr-defined]


def made(site: Site, stage: str | None = None, wishes: Wishes = Wishes()) -> Planned:
    return asyncio.run(plan_up(site, UP.only(stage), wishes))


def accepted(site: Site, receipt: Receipt) -> Planned:
    return asyncio.run(accept(site, receipt))


def fields(receipt: Receipt) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(receipt.text())
    return loaded


def written(changed: dict[str, Any], *, sealed: bool) -> bytes:
    """The file with these fields; `sealed`: by somebody who knows how the seal is made."""
    rest = {name: value for name, value in changed.items() if name != "seal"}
    return json.dumps({**rest, "seal": _seal(rest)} if sealed else changed).encode()


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every value in the file, the inner ones too."""
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield from places(inner, (*path, key))


def others(value: Any) -> Iterator[Any]:
    """Values of the same kind that are not this one, and one of another kind."""
    if isinstance(value, dict):
        yield from ({**value, "more": 1}, dict(list(value.items())[1:])) if value else ({"more": 1},)
    elif isinstance(value, list):
        yield from ([*value, *value[:1]], value[1:]) if value else (["more"],)
    elif isinstance(value, bool):
        yield not value
    else:
        yield f"{value}x" if isinstance(value, str) else "x" if value is None else value + 1
    yield None if value is not None else {}


def changes(whole: dict[str, Any]) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
    """The file with any one value changed, and where."""
    for path in places(whole):
        if not path:
            continue
        *way, last = path
        for other in others(_at(whole, path)):
            changed = copy.deepcopy(whole)
            _at(changed, way)[last] = other
            yield path, changed


def _at(value: Any, path: Any) -> Any:
    for key in path:
        value = value[key]
    return value


@pytest.fixture(params=[pair, settled], ids=["blank", "settled"])
def site(request: pytest.FixtureRequest) -> Place:
    return place(request.param())


def test_an_unchanged_receipt_gives_the_plan_made_anew(site: Place) -> None:
    """Equal to the saved one, with the facts it needs, and not one command that changes anything."""
    first = made(site)
    again = accepted(site, read(first.receipt(site).text().encode(), FILE))
    assert (again.plan, again.playbook, again.wishes) == (first.plan, first.playbook, first.wishes)
    assert set(again.facts) == {node.name for node in CLUSTER.nodes} and again.secrets == first.secrets
    assert {command.effect for command in sent(site)} == {Effect.READ}


def test_any_single_change_of_the_file_is_refused(site: Place) -> None:
    receipt = made(site).receipt(site)
    tried = 0
    for path, changed in changes(fields(receipt)):
        with pytest.raises((Refused, UsageError)):
            accepted(site, read(written(changed, sealed=False), FILE))
            pytest.fail(f"taken with another {path}")
        tried += 1
    assert tried > 100
    assert {command.effect for command in sent(site)} == {Effect.READ}


def test_a_sealed_change_of_any_field_is_refused_or_has_no_say(site: Place) -> None:
    """Only what was wished for and the playbook may differ, where today's plan for it is the one that was saved."""
    first = made(site)
    receipt, taken = first.receipt(site), 0
    for path, changed in changes(fields(receipt)):
        try:
            other = read(written(changed, sealed=True), FILE)
            again = accepted(site, other)
        except (Refused, UsageError):
            continue
        assert path[0] in ("playbook", "wishes") or other == receipt, path  # equal: a default that was left out
        assert again.plan == first.plan, path
        taken += 1
    assert taken < 20
    assert {command.effect for command in sent(site)} == {Effect.READ}


EVIL = {"digest": "0" * 64, "mode": 0o600, "uid": 0, "gid": 0, "content": "* * * * * root id\n"}


def more(path: str, **other: Any) -> dict[str, Any]:
    """One more file change, as somebody might write it into a saved plan."""
    return {"kind": "file", "stage": "network", "path": path, "before": None, "after": {**EVIL, **other}, "reason": "x"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (more("/etc/cron.d/evil"), "/etc/cron.d/evil is not a file of sparkctl"),
        (more("/etc/sparkctl/engine.sh", mode=0o4755), "or has a mode that none of them has"),
        (more("/etc/netplan/../cron.d/evil.yaml"), "is not a file of sparkctl"),
        (more("/etc/netplan/99-more.yaml"), "its steps differ"),
        ({"kind": "network", "netdevs": [{"netdev": "enP7s7", "before_mtu": 1500, "before_addresses": [], "after_mtu": 68,
          "after_address": None}], "reason": "x"}, "enP7s7 is not a netdev of the fabric"),
        ({"kind": "unit", "unit": "ssh.service", "container": "", "action": "stop", "was_enabled": True,
          "was_running": True, "reason": "x"}, "is not a unit of sparkctl"),
    ],
)  # fmt: skip
def test_what_somebody_put_into_the_file_is_never_a_change(change: dict[str, Any], said: str) -> None:
    """Two more file changes once wrote /etc/cron.d/evil and a setuid file."""
    site = place(pair())
    whole = fields(made(site).receipt(site))
    whole["plan"]["steps"][0]["changes"]["spark-2"].append(change)
    with pytest.raises(Refused, match=said):
        accepted(site, read(written(whole, sealed=True), FILE))
    assert {command.effect for command in sent(site)} == {Effect.READ}


def test_an_empty_plan_asks_the_nodes_all_the_same() -> None:
    """`nothing to do` is a claim about the nodes, and they are not as they were."""
    before = place(settled())
    receipt = made(before).receipt(before)
    assert receipt.plan.empty
    moved = place(pair())
    with pytest.raises(StalePlan, match="spark-1, spark-2 changed since"):
        accepted(moved, receipt)
    assert len(sent(moved)) == 2


def test_a_plan_of_one_stage_stays_one_of_that_stage(site: Place) -> None:
    first = made(site, "network")
    again = accepted(site, read(first.receipt(site).text().encode(), FILE))
    assert [stage.stage for stage in again.playbook.stages] == ["network"]
    assert again.plan == first.plan


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"action": "down"}, "one of 'down'"),
        ({"action": "reprovision"}, "one of 'reprovision'"),
        ({"cluster": "quad"}, "for cluster 'quad'"),
        ({"nodes": ("spark-1", "spark-3")}, "for the nodes spark-1, spark-3"),
        ({"nodes": ()}, r"for the nodes \(none\)"),
    ],
)
def test_a_plan_of_something_else_is_refused_before_a_node_is_asked(other: dict[str, Any], said: str) -> None:
    site = place(pair())
    receipt = made(site).receipt(site)
    asked = len(sent(site))
    with pytest.raises(Refused, match=said):
        accepted(site, receipt.model_copy(update={"plan": receipt.plan.model_copy(update=other)}))
    assert len(sent(site)) == asked


def test_a_plan_of_the_inventory_as_it_was_is_refused() -> None:
    receipt = made(place(pair())).receipt(place(pair()))
    with pytest.raises(Refused, match="of another inventory"):
        accepted(place(pair(), "another digest"), receipt)


def test_a_plan_to_tear_down_is_none_to_bring_up() -> None:
    site = place(settled())
    down = asyncio.run(plan_down(site, load("down")))
    assert down.secrets == {} and not down.plan.empty
    with pytest.raises(Refused, match="one of 'down', not of 'up'"):
        accepted(site, down.receipt(site))


@pytest.mark.parametrize("version", [1, 3, "2", None, 2.5])
def test_another_version_is_refused(version: object) -> None:
    site = place(pair())
    whole = {**fields(made(site).receipt(site)), "version": version}
    with pytest.raises(Refused, match="of version"):
        read(written(whole, sealed=True), FILE)


def test_a_plan_as_version_1_saved_it_is_refused() -> None:
    site = place(pair())
    with pytest.raises(Refused, match="of version 1, not of version 2"):
        read(made(site).plan.model_dump_json().encode(), FILE)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"version": 2', b"1" * 5000, b'{"version": 1' + b"0" * 5000,
     b"1", b"null", b'"version"', b'["version"]'],
)  # fmt: skip
def test_what_is_no_plan_is_said_so(content: bytes) -> None:
    with pytest.raises(UsageError, match="not a saved plan"):
        read(content, FILE)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("plan", "cluster"), 7, "plan.json: plan.cluster: "),
        (("playbook", "stages", 0, "settle_timeout"), 0, r"plan.json: playbook.stages.0.network.settle_timeout: "),
        (("plan", "cluster"), "\ud800", "plan.json: the file: "),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_its_place(path: tuple[str | int, ...], value: object, said: str) -> None:
    """Half a surrogate pair is no text, so that there is no JSON to have a place in."""
    site = place(pair())
    whole = fields(made(site).receipt(site))
    _at(whole, path[:-1])[path[-1]] = value
    with pytest.raises(Refused, match=said):
        read(written(whole, sealed=True), FILE)


def test_a_file_that_a_tool_wrote_in_another_order_is_the_same_plan(site: Place) -> None:
    receipt = made(site).receipt(site)
    for sort, indent in ((True, None), (False, 4)):
        assert read(json.dumps(fields(receipt), sort_keys=sort, indent=indent).encode(), FILE) == receipt


def test_a_secret_that_changed_since_is_another_plan() -> None:
    site = place(pair())
    receipt = made(site).receipt(site)

    class Other(Place):
        def secrets(self, node: str) -> Mapping[str, bytes]:
            return dict.fromkeys(super().secrets(node), b"another key\n")

    other = Other(**{f: getattr(site, f) for f in site.__dataclass_fields__})
    with pytest.raises(StalePlan, match="its records, steps differ"):
        accepted(replace(other), receipt)
