"""However a run ends: the nodes are as before, or of each is said what its timer does and when."""

from __future__ import annotations

import asyncio
import base64
from unittest.mock import patch

import pytest

from sparkctl.errors import ApplyFailed, RollbackIncomplete, SparkctlError
from sparkctl.execute import apply as applying
from sparkctl.execute.site import Site
from sparkctl.execute.undo import Interrupted, Undo
from sparkctl.outcome import Ok, Result
from tests.scenario.cells import settled
from tests.scenario.rig import Outcome, Rig, up
from tests.scenario.transport import Wire

ANY = (KeyError, MemoryError, RecursionError, UnicodeDecodeError, OSError, asyncio.CancelledError, KeyboardInterrupt, TimeoutError)
GARBAGE = (
    base64.b64encode(b"\xff\xfe 0 4\nbody\n").decode(),
    base64.b64encode(b"links 0 " + b"9" * 5000 + b"\n").decode(),
    base64.b64encode(b"links 0 9000\n" + b"[" * 9000).decode(),
    "\x00\x1b[2J\u202e",
    "",
)


def planted(kind: type[BaseException]) -> BaseException:
    return UnicodeDecodeError("utf-8", b"\xff", 0, 1, "planted") if kind is UnicodeDecodeError else kind("planted")


@pytest.fixture
def rig(direct: Rig) -> Rig:
    direct.controllers = 0
    direct.world.reset(direct.base)
    return direct


def as_before(rig: Rig) -> bool:
    return all(settled(rig.world.look(node)) == settled(rig.world.look(node, state)) for node, state in rig.base.items())


@pytest.mark.parametrize("kind", ANY)
def test_what_breaks_while_the_network_settles_is_undone(rig: Rig, kind: type[BaseException]) -> None:
    with patch.object(applying, "judge", side_effect=planted(kind)):
        outcome = rig.run(up)
    assert as_before(rig)
    assert type(outcome.error) is SparkctlError and outcome.error.exit_code == 1
    assert isinstance(outcome.error.bug, kind)
    assert "every node was put back and is as before" in outcome.error.message


def test_who_watches_cannot_end_an_undo(rig: Rig) -> None:
    """A terminal that fails at one moment, and at all that is told from then on."""
    ends: dict[str, int] = {}

    def failing_from(moment: int) -> tuple[Outcome, int]:
        told = 0

        def failing(event: object) -> None:
            nonlocal told
            told += 1
            if told > moment:
                raise OSError("no space left on the terminal")

        async def watched(site: Site) -> None:
            site.fleet.observer = failing
            await up(site)

        rig.controllers = 0
        rig.world.reset(rig.base)
        return rig.run(watched), told

    healthy, all_told = failing_from(10_000)
    assert healthy.error is None and all_told > 20
    for moment in range(all_told):
        outcome, _ = failing_from(moment)
        if isinstance(outcome.error, OSError):
            assert not any(event.title == "lock" for event in outcome.events), "nothing was sent that changes anything"
            continue
        assert isinstance(outcome.error, SparkctlError) and isinstance(outcome.error.bug, OSError)
        end = "confirmed" if "all is as planned and confirmed" in outcome.error.message else "undone"
        assert end == "confirmed" or as_before(rig)
        ends[end] = ends.get(end, 0) + 1
    assert ends["undone"] > 10 and ends["confirmed"] > 1, ends


def fates(outcome: Outcome, rig: Rig) -> list[str]:
    """What is said of each node, in their order."""
    assert isinstance(outcome.error, SparkctlError)
    lines = outcome.error.message.splitlines()
    return [next(line.partition(": ")[2] for line in lines if line.startswith(f"  {node}: ")) for node in rig.names]


@pytest.mark.parametrize("kind", ANY)
def test_an_undo_that_breaks_says_what_each_timer_does(rig: Rig, kind: type[BaseException]) -> None:
    with patch.object(applying, "judge", side_effect=KeyError("first")), patch.object(Undo, "all", side_effect=planted(kind)):
        outcome = rig.run(up)
    assert isinstance(outcome.error, RollbackIncomplete) and isinstance(outcome.error.bug, kind)
    assert all("its own timer begins to put it back at " in said and "at the latest" in said for said in fates(outcome, rig))
    rig.world.advance(600)
    assert as_before(rig), "the timers did it"


def test_who_leaves_at_once_is_told_the_same(rig: Rig) -> None:
    async def left(site: Site) -> None:
        def twice(*_: object) -> None:
            site.interruption.asked.set()
            raise asyncio.CancelledError

        with patch.object(applying, "judge", side_effect=twice):
            await up(site)

    outcome = rig.run(left)
    assert isinstance(outcome.error, Interrupted) and outcome.error.exit_code == 130 and outcome.error.bug is None
    assert all("its own timer begins to put it back at " in said for said in fates(outcome, rig))
    rig.world.advance(600)
    assert as_before(rig)


class Babbling(Wire):
    """One node answers garbage to every question, from its first change to its undo."""

    garbage = ""

    def done(self, node: str, command: object, script: str) -> Result:
        result = super().done(node, command, script)  # type: ignore[arg-type]
        titles = [event.title for event in self.events if event.node == node]
        asked = titles[-1] == "read facts" and "prepare" in titles and "put everything back" not in titles
        return Ok(self.garbage) if asked and node == "spark-2" else result


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_a_node_that_answers_garbage_while_the_network_settles_is_an_unreadable_node(rig: Rig, garbage: str) -> None:
    wire = Babbling(rig.world)
    wire.garbage = garbage
    outcome = rig.run(up, wire=wire)
    assert isinstance(outcome.error, ApplyFailed), outcome.error
    assert "spark-2" in outcome.error.message and outcome.error.bug is None
    assert as_before(rig)


def test_every_node_ends_a_step_before_the_undo_begins(rig: Rig) -> None:
    """A bug about one node does not leave another one's step running beside its undo."""
    order: list[str] = []

    class Slow(Wire):
        def sent(self, node: str, command: object) -> Result:
            title: str = command.title  # type: ignore[attr-defined]
            if title == "prepare" and node == "spark-1":
                raise KeyError("planted")
            order.append(f"{title} {node}")
            return super().sent(node, command)  # type: ignore[arg-type]

    wire = Slow(rig.world)
    wire.delays["spark-2", "prepare"] = 20
    outcome = rig.run(up, wire=wire)
    assert isinstance(outcome.error, SparkctlError) and isinstance(outcome.error.bug, KeyError)
    assert order.index("prepare spark-2") < min(n for n, said in enumerate(order) if said.startswith("put everything back"))
    assert as_before(rig)


