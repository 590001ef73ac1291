"""Listening on nodes that no inventory names yet: nobody is logged in to whose host key is not pinned."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sparkctl.discovery.cabling import Seen
from sparkctl.errors import AccessRefused, Unreachable
from sparkctl.execute import listen
from sparkctl.facts.neighbours import Hello
from sparkctl.outcome import Failed, Known, Ok, Result, Unknown
from sparkctl.ssh.fleet import Fleet
from sparkctl.ssh.host_keys import Standing
from sparkctl.ssh.login import Login
from tests.unit.test_load_run import Scripted

LOGINS = [Login(name, f"192.0.2.{i}", 22, "me", None, None) for i, name in enumerate(("a", "b"), 11)]


def standing(node: str, state: Any, pins: tuple[Path, ...] = (), port: int = 22) -> Standing:
    """As `look` makes it of a node that showed a key."""
    route: Any = SimpleNamespace(user=f"user-of-{node}", pins=pins, port=port, written=node)
    return Standing(node, state, route)


class Told(Scripted):
    """Writes down connections, too."""

    async def renew(self) -> None:
        self.ran.append("connect")

    async def close(self) -> None:
        self.ran.append("close")


def played(monkeypatch: pytest.MonkeyPatch, *standings: Standing, **answers: Result) -> dict[str, Told]:
    """Nodes in memory, their keys looked at already."""
    nodes = {node: Told(lambda _, node=node: answers[node]) for node in answers}

    async def look(logins: object) -> list[Standing]:
        return list(standings)

    monkeypatch.setattr(listen, "look", look)
    monkeypatch.setattr(Fleet, "of", lambda logins, observer: Fleet(nodes))
    return nodes


def discovered() -> tuple[Seen, ...]:
    return asyncio.run(listen.discover(LOGINS))


@pytest.mark.parametrize("state", ["pinned", "authority"])
def test_nodes_that_are_trusted_are_asked(monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    nodes = played(monkeypatch, standing("a", state), standing("b", "pinned"), a=Ok(""), b=Ok(""))
    seen = discovered()
    assert [(one.address, one.user, one.port) for one in seen] == [("192.0.2.11", "user-of-a", 22), ("192.0.2.12", "user-of-b", 22)]
    assert all(isinstance(one.hellos, Unknown) and one.hostname == "" for one in seen)
    for node in nodes.values():
        assert (node.ran[0], len(node.ran), node.ran[-1]) == ("connect", 3, "close"), "all call at the same time, and nothing stays open"


@pytest.mark.parametrize(("state", "said"), [("new", "no key of it is known"), ("revoked", "REVOKED"), ("changed", "HAS CHANGED")])
def test_nobody_is_asked_while_one_key_is_not_trusted(monkeypatch: pytest.MonkeyPatch, state: str, said: str) -> None:
    nodes = played(monkeypatch, standing("a", "pinned"), standing("b", state), a=Ok(""), b=Ok(""))
    with pytest.raises(AccessRefused, match=said) as refused:
        discovered()
    assert "b:" in refused.value.message and "a:" not in refused.value.message
    assert refused.value.remedy.endswith("accept it: ssh user-of-b@b true")
    assert not any(node.ran for node in nodes.values())


def test_a_node_that_shows_no_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = Standing("b", "silent", problem=Unreachable("b: cannot be reached", "is it on?"))
    nodes = played(monkeypatch, standing("a", "new"), silent, a=Ok(""), b=Ok(""))
    with pytest.raises(AccessRefused, match="b: cannot be reached") as refused:
        discovered()
    assert "switched on" in refused.value.remedy and not any(node.ran for node in nodes.values())


def test_the_command_that_accepts_a_key_is_for_the_file_that_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for pins, words in (((Path("/x/keys"),), "ssh -o UserKnownHostsFile=/x/keys -p 2222 "), ((Path("/x/known_hosts"),), "ssh -p 2222 ")):
        played(monkeypatch, standing("a", "new", pins, 2222))
        with pytest.raises(AccessRefused) as refused:
            discovered()
        assert f"accept it: {words}user-of-a@a true" in refused.value.remedy
    played(monkeypatch, Standing("a", "new"))
    with pytest.raises(AccessRefused, match="no key of it is known") as refused:
        discovered()
    assert refused.value.remedy.endswith("ssh USER@HOST")


def test_a_node_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = played(monkeypatch, standing("a", "pinned"), standing("b", "pinned"), a=Ok(""), b=Failed(1, "", "no sudo"))
    with pytest.raises(AccessRefused, match="b: no sudo") as refused:
        discovered()
    assert "a:" not in refused.value.message and nodes["a"].ran[-1] == "close"


def test_a_host_name_is_bounded() -> None:
    assert listen._hostname({"hostname": Known(" spark-1\n")}) == "spark-1"
    assert len(listen._hostname({"hostname": Known("x" * 999)})) == listen.LONGEST
    assert listen._hostname({"hostname": Unknown("no")}) == listen._hostname({}) == ""


def test_calls_are_named_by_the_node_that_they_came_from() -> None:
    """A call of somebody else's run is no neighbour."""
    rows = [{"netdev": "enp1s0f0np0", "node": label, "sender": "enp1s0f1np1"} for label in ("n2", "n9")]
    hellos = {"hellos": Known("".join(f"{json.dumps(row)}\n" for row in rows))}
    seen = listen._seen(LOGINS[0], "me", "a", hellos, {"n1": "a", "n2": "b"})
    assert seen.hellos == Known((Hello("enp1s0f0np0", "b", "enp1s0f1np1"),))
    garbage = listen._seen(LOGINS[0], "me", "a", {"hellos": Known("?")}, {})
    assert isinstance(garbage.hellos, Unknown) and isinstance(garbage.lldp, Unknown)
