"""Hostile text through every door: nothing that a terminal obeys or hides, no line that is not ours, no markup."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from sparkctl.cli import asking, inventory, planning, repair, terminal
from sparkctl.errors import SparkctlError
from sparkctl.facts.files import parse as parse_file
from sparkctl.facts.foreign import parse as parse_foreign
from sparkctl.facts.record import Record, RunHeader
from sparkctl.inventory.words import visible
from sparkctl.outcome import Failed, Finding, Location, Verdict
from sparkctl.plan.changes import FileChange
from sparkctl.plan.changes.file import FileImage, difference
from sparkctl.plan.drift import Drift
from sparkctl.plan.plan import Plan, Step
from sparkctl.plan.recovery import Recovery
from sparkctl.render import render
from sparkctl.report import compare
from sparkctl.report.console import ConsoleObserver
from sparkctl.report.door import emit, lines, say
from sparkctl.report.drawing import as_dot, as_mermaid, as_svg, as_text, sketch
from sparkctl.report.drift import print_drift
from sparkctl.report.events import Ended, LogLine, Note, Phase
from sparkctl.report.findings import annotation, as_json, plain, print_findings
from sparkctl.report.fit import unjudged
from sparkctl.report.html import page
from sparkctl.report.junit import as_junit, verdicts_as_junit
from sparkctl.report.plan import print_plan
from sparkctl.report.sarif import as_sarif
from sparkctl.report.verdicts import print_verdicts
from sparkctl.rules import rules
from sparkctl.ssh.host_keys import Standing
from tests.unit.judged import judged
from tests.unit.test_report_formats import PAGES
from tests.unit.test_topology import renamed

HOSTILE = {
    "escape": "\x1b[2J\x1b[1;1H\x1b]0;owned\x07\x1b]8;;http://192.0.2.1\x07x",
    "C1": "\x9b31mred\x9d0;x\x9c",
    "return": "spark-2\rnothing to do",
    "newline": "x\nnothing to do: dual is as it should be",
    "other newlines": "a\x0bb\x0cc\x85d\u2028e\u2029f\x1cg",
    "bidi": "\u202egnp.9000\u202c \u2066x\u2069 \u200f\u200e\u061c",
    "invisible": "90\u200b00\u2060\ufeff\u00ad\u115f\u3164\ufe0f\U000e0041\u034f\u2800",
    "surrogates": "\udcff\ud83d\udc1b",
    "nul": "\x00\x08\x08\x7f\t",
    "markup": "[/] [bold]x[/bold] [link=http://192.0.2.1]x[/link] [@click=app.bell]x[/] \\[x]",
    "emoji": ":smile: :skull:",
    "html": "</text></td><script>alert(1)</script><img src=x onerror=alert(1)> &lt; \"'",
    "command": "::error file=x::pwned ::stop-commands::x %0A%0D",
    "fence": "``` \" ] --> n9[\"x\"] %%{init: {}}%% ; { } <B>",
}
WORD = "word"


def hidden(text: str) -> set[str]:
    """Characters that a terminal obeys, or that nobody sees."""
    return {character for character in text if character != "\n" and visible(character) != character}


def shown(show: Callable[[Console], object]) -> str:
    """What people see on a terminal that breaks no line."""
    console = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=100_000, legacy_windows=False)
    show(console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def flat(said: str) -> str:
    """As a name that the inventory allowed, or the reason of a command: those have no newline."""
    return said.replace("\n", " ")


def finding(said: str) -> Finding:
    """Its path is one that a file could have: no NUL, and no half of a character but those of Python's own making."""
    path = said.replace("\0", "").replace("\ud83d", "\udcfe").replace("\udc1b", "\udcfd")
    return Finding("TOP001", "error", said, Location(path, 1, 1), said, said)


def verdict(said: str) -> Verdict:
    """Its remedy has one step."""
    return Verdict("files", "fail", said, said, said, said, flat(said).replace(";", ","))


def plan(said: str, **more: Any) -> Plan:
    image = FileImage(digest="0" * 64, mode=0o600, content=f"{flat(said)}\n")
    change = FileChange(stage="network", reason=said, path="/etc/sparkctl/nccl.env", before=image, after=replace_image(image))
    fields = {"action": "up", "cluster": "dual", "nodes": (flat(said),), "fingerprints": {}, "records": {}, "notes": (said,)}
    steps = (Step(stage="network", title=flat(said), changes={flat(said): (change,)}),)
    return Plan(**{**fields, "steps": steps, **more})


def replace_image(image: FileImage) -> FileImage:
    return image.model_copy(update={"digest": "1" * 64, "content": f"{image.content}more\n"})


def drift(said: str) -> Drift:
    return Drift(flat(said), said, "edited", said, said, said, difference("one\n", flat(said), said, said)[2:])


def header(said: str) -> Recovery:
    """What a journal that was believed says; the parser lets no such name through, which is tested apart."""
    head = RunHeader.model_construct(run=said, action=said, owner=said)
    return Recovery("undo", said, (said,), head, {})


def compared(said: str) -> compare.Comparison:
    turn = compare.Turn("files", said, "pass", "fail", said)
    return compare.Comparison(said, (turn,), (compare.Difference("files", said, said, said),))


def told(events: list[Any], *, verbose: bool = True) -> Callable[[Console], None]:
    def show(console: Console) -> None:
        for event in events:
            ConsoleObserver(console, verbose=verbose)(event)

    return show


def at_desk(show: Callable[[Any], object]) -> Callable[[Console], object]:
    return lambda console: show(SimpleNamespace(people=console, progress=console, fields={}, quiet=False))


def complained(said: str, capsys: pytest.CaptureFixture[str]) -> str:
    terminal.complain(SparkctlError(said, said))
    terminal.confess(ValueError(said))
    return capsys.readouterr().err


ANSWER = SimpleNamespace(text=WORD, tokens=1, seconds=1.0)
PEOPLE: dict[str, Callable[[str], Callable[[Console], object]]] = {
    "end of a phase": lambda s: told([Ended(WORD, flat(s), 1.0)]),
    "problem": lambda s: told([Ended(WORD, WORD, 1.0, flat(s))], verbose=False),
    "log": lambda s: told([LogLine(WORD, s)], verbose=False),
    "plan": lambda s: lambda c: print_plan(plan(s), c),
    "short plan": lambda s: lambda c: print_plan(plan(s), c, short=True),
    "drift": lambda s: lambda c: print_drift([drift(s)], 1, c),
    "verdicts": lambda s: lambda c: print_verdicts([verdict(s)], c, every=True),
    "findings": lambda s: lambda c: print_findings([finding(s)], c),
    "comparison": lambda s: lambda c: say(c, *compare.pieces(compared(s)), end="", wrap=False),
    "recovery": lambda s: at_desk(lambda d: repair._show(header(flat(s)), d)),
    "completion": lambda s: at_desk(lambda d: planning.show_completion(SimpleNamespace(cluster=SimpleNamespace(nodes=[1])), replace_text(s), d)),  # type: ignore[arg-type]
    "silent": lambda s: at_desk(lambda d: planning.show_silent({WORD: flat(s)}, d)),
    "host keys": lambda s: lambda c: inventory.show([Standing(WORD, "silent", problem=SparkctlError(flat(s)))], c),
}
"""Where one line of ours is shown as one line; what comes from a node in one of several lines has no newline of its own."""


def replace_text(said: str) -> Any:
    return SimpleNamespace(**{**vars(ANSWER), "text": said})


@pytest.mark.parametrize("said", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("door", PEOPLE.values(), ids=PEOPLE)
def test_people_see_what_was_said_and_nothing_else(door: Callable[[str], Callable[[Console], object]], said: str) -> None:
    text, harmless = shown(door(said)), shown(door(WORD))
    assert hidden(text) == set()
    assert text.count("\n") == harmless.count("\n"), "a line that is not ours"
    if said == HOSTILE["markup"]:
        assert "[/] [bold]x[/bold] [link=http://192.0.2.1]x[/link] [@click=app.bell]x[/]" in text.replace("\\\\", "\\")
    if said == HOSTILE["emoji"]:
        assert ":smile:" in text


@pytest.mark.parametrize("said", HOSTILE.values(), ids=HOSTILE)
def test_messages_keep_their_lines_and_nothing_else(said: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(told([Note(said), Phase(said, (said,))])) + complained(said, capsys)
    emit(said)
    text += capsys.readouterr().out.replace("\t", " ")
    assert hidden(text) == set()
    assert visible(said.split("\n")[0]) in text


FORMATS: dict[str, Callable[[str], str]] = {
    "json": lambda s: as_json({s: [finding(s)]}),
    "sarif": lambda s: as_sarif({finding(s).location.path: [finding(s)]}, rules(), PAGES, "1"),
    "junit of findings": lambda s: as_junit({s: [finding(s)]}),
    "junit of verdicts": lambda s: verdicts_as_junit(s, [verdict(s), replace(verdict(s), state="skipped")]),
    "text": lambda s: plain(finding(s)),
    "github": lambda s: annotation(finding(s)),
    "html": lambda s: page(replace(judged("dual"), verdicts=(verdict(s),), since=compared(s), overlays=(s,), taken=s)),
    "svg": lambda s: as_svg(named(s)),
    "dot": lambda s: as_dot(named(s)),
    "mermaid": lambda s: as_mermaid(named(s)),
    "topology": lambda s: as_text(named(s)),
    "model fit": lambda s: unjudged(None, s, s, machine=False),  # type: ignore[arg-type]  # people are told no question
}


def named(said: str) -> Any:
    proof = judged("quad-switch")
    return sketch(renamed(proof.cluster, said, said, said), None, (finding(said),))


@pytest.mark.parametrize("said", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_quotes_by_its_own_rules(name: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = FORMATS[name](said)
    assert hidden(text) == set()
    if name not in ("svg", "html"):  # a drawing breaks what is long, a page has more for what is wrong
        assert text.count("\n") == FORMATS[name](WORD).count("\n"), "a line that is not ours"
    if name in ("json", "sarif"):
        assert json.loads(text)
    elif name.startswith("junit") or name == "svg":
        assert not [e for e in ElementTree.fromstring(text).iter() if str(e.tag).endswith(("script", "img"))]
    elif name == "html":
        assert "<script" not in text and "<img" not in text
    elif name == "github":
        assert text.startswith("::error file=") and text.count("\n") == 0 and "%0A" not in text.replace("%250A", "")
    emit(text, end="")
    assert capsys.readouterr().out == text, "the door changes nothing of what is quoted"


def scripts(port: str) -> list[str]:
    """Of a switch with a cable in a port of this name, which no rule has looked at."""
    proof = judged("quad-switch")
    links = tuple(replace(link, b=replace(link.b, port=port)) for link in proof.cluster.links[:1]) + proof.cluster.links[1:]
    made = render(replace(proof.cluster, links=links), proof.fabric)
    return [file.content for switch in made.switches.values() for file in switch.files]


@pytest.mark.parametrize("said", HOSTILE.values(), ids=HOSTILE)
def test_a_switch_is_given_nothing_that_routeros_might_obey(said: str) -> None:
    assert "qsfp56-dd-2-1" in "".join(scripts("qsfp56-dd-2-1")), "a bare word is written"
    assert not any(said in text or hidden(text.replace("\t", " ")) for text in scripts(said))


@given(st.text())
def test_lines_are_idempotent_and_hide_nothing(text: str) -> None:
    once = lines(text)
    assert hidden(once) == set() and lines(once) == once and once.count("\n") == text.count("\n")


@given(st.recursive(st.none() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5))
def test_json_passes_as_it_is(value: object) -> None:
    assert lines(json.dumps(value, indent=1)) == json.dumps(value, indent=1)


def test_a_plan_shows_every_line_that_changes() -> None:
    """What begins like a header of a diff, ends with a return or lacks its newline is shown as well."""
    before, after = "-- keep\n-- gone\nmtu: 1500\nend", "-- keep\n++ new\nmtu: 9000\rmtu: 1500\nend\n"
    before_image = FileImage(digest="0" * 64, mode=0o600, content=before)
    change = FileChange(stage="network", reason="x", path="/etc/sparkctl/nccl.env", before=before_image, after=FileImage(digest="1" * 64, mode=0o600, content=after))
    said = list(change.details())
    assert "--- gone" in said and "+++ new" in said and "+mtu: 9000\rmtu: 1500" in said
    assert "-\\ No newline at end of file" in said
    text = shown(lambda console: print_plan(plan(WORD, steps=(Step(stage="network", title=WORD, changes={WORD: (change,)}),)), console))
    assert "+mtu: 9000\\rmtu: 1500\n" in text


@pytest.mark.parametrize("silent", [(), ("spark-2",)])
def test_a_node_that_was_not_read_is_in_no_headline_of_success(silent: tuple[str, ...]) -> None:
    empty = plan("spark-1", steps=(), notes=())
    text = shown(lambda console: print_plan(empty, console, silent=silent))
    assert ("as it should be" in text) == (not silent)
    assert ("spark-2" in text) == bool(silent)


@pytest.mark.parametrize(
    ("action", "record", "claim"),
    [("up", Record(cluster="dual"), "as it should be"), ("down", None, "nothing of sparkctl is on"), ("down", Record(cluster="dual"), "nothing more can be put back")],
)
def test_a_headline_claims_what_is_so(action: str, record: Record | None, claim: str) -> None:
    empty = plan("spark-1", steps=(), notes=()).model_copy(update={"action": action, "records": {"spark-1": record}})
    text = shown(lambda console: print_plan(empty, console))
    claims = ("as it should be", "nothing of sparkctl is on", "nothing more can be put back")
    assert [each for each in claims if each in text] == [claim]


def test_a_question_on_a_terminal_is_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    import os
    import pty

    outer, inner = pty.openpty()
    monkeypatch.setattr(asking.sys, "stdin", os.fdopen(os.dup(inner)))
    os.write(outer, b"")
    loop = asyncio.new_event_loop()
    asked = loop.create_task(asking.ask(HOSTILE["escape"]))
    loop.call_later(0.2, lambda: os.write(outer, b"yes\n"))
    assert loop.run_until_complete(asked) == "yes"
    loop.close()
    assert b"\x1b" not in os.read(outer, 4096)


def test_what_a_command_complained_is_one_line() -> None:
    for said in HOSTILE.values():
        assert "\n" not in Failed(1, "", said).reason


def test_names_from_a_journal_and_of_stanzas_have_one_line() -> None:
    for said in HOSTILE.values():
        if visible(said) != said:
            with pytest.raises(ValueError):
                RunHeader(run=said, action="up", cluster="x", owner="x", nodes=(), fingerprint="x")
    stanza = {"kind": "k", "id": "a\nb", "netdevs": ["x"], "others": [], "how": "\x1b", "says": "\u202e"}
    file = {"path": "/etc/netplan/x.yaml", "digest": "d", "mode": "600", "uid": 0, "gid": 0, "stanzas": [stanza], "who": "a\nb", "movable": True, "why_not": "", "after": "x"}
    (found,) = parse_foreign(json.dumps(file))
    assert (found.who, found.stanzas[0].id, found.stanzas[0].says) == ("a\\nb", "a\\nb", "\\u202e")
    for name in ("path", "digest", "who"):
        with pytest.raises(TypeError):
            parse_foreign(json.dumps(file | {name: {"x": 1}}))


@pytest.mark.parametrize("mode", ["9", "-1", "7" * 9, "", "0x1"])
def test_a_mode_is_octal(mode: str) -> None:
    with pytest.raises(ValueError):
        parse_file(f"{mode} 0 0 digest\n")


