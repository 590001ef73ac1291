"""The longest answer that is read, and the worst: parsed in 5 s of CPU and 300 MB, by limits of size alone."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest

from sparkctl.commands.base import MOST_SAID
from sparkctl.facts.base import MOST_ANSWERED, MOST_ANSWERS, answers
from sparkctl.outcome import Known, Unknown
from tests.unit.test_facts_cases import CASES

SECONDS, MEGABYTES = 5.0, 300.0
DECODED = MOST_SAID // 4 * 3
PARSE = """
import json, re, sys, time
from sparkctl.facts.snapshot import snapshot
from sparkctl.facts.survey import skew
from tests.unit.test_facts_hostile import QUESTIONS
stdout, begun = sys.stdin.read(), time.process_time()
facts = snapshot("spark-1", QUESTIONS, stdout)
skew(stdout, 1.0, 2.0)
most = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())  # ru_maxrss is inherited from who started this
print(json.dumps([time.process_time() - begun, int(most[1]) / 1024]))
"""


def filled(piece: str, head: str = "", tail: str = "") -> bytes:
    """The longest answer that is read, of one piece again and again."""
    room = MOST_ANSWERED - len(head.encode()) - len(tail.encode())
    return head.encode() + piece.encode() * (room // len(piece.encode())) + tail.encode()


def recorded(fact: str, case: str) -> str:
    return (CASES / fact / case / "input.txt").read_text(errors="replace").rstrip("\n") + "\n"


def framed(name: str, body: bytes) -> bytes:
    return f"{name} 0 {len(body)}\n".encode() + body + b"\n"


RULES = "ufw absent\n== nft\ntable ip a {\nchain b {\n"
WORST = {
    "netplan-files": filled("\n"),
    "gids": filled("a\t0\t::\tx\ty\n"),
    "gpus": filled(recorded("gpus", "hostile-name")),
    "ways": filled("[]"),
    "hellos": filled("{}\n"),
    "links": filled("[],", "[", "[]]"),
    "release": filled("a", "NAME='"),
    "firewall": filled(": ", RULES, "\n}\n}\n== end\n"),
    "lldp": filled('{"a":'),
    "space": filled("1 /a\n"),
    "foreign": filled("{},", "[", "{}]"),
    "owners": filled("{},", "[", "{}]"),
    "counters": filled(recorded("counters", "hostile-bytes")),
    "system": filled("9"),
}


def whole(*names: str) -> bytes:
    """As much of the worst answers to these as one command may say."""
    return b"".join(framed(name, WORST[name]) for name in names)[:DECODED]


BATCHES = {
    "slowest": whole("netplan-files", "gids", "gpus", "ways", "hellos", "links"),
    "others": whole("release", "firewall", "lldp", "space", "foreign", "owners", "counters", "system"),
    "headers": b"a 0 0\n\n" * (DECODED // 7),
    "names": b"".join(b"%06d 0 0\n\n" % n for n in range(DECODED // 12)),
    "one": framed("links", b"[" * (DECODED - 20)),
    "no header": b"9" * DECODED,
    "no text": b"\xff\n" * (DECODED // 2),
}


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
def test_the_worst_answer_is_parsed_in_time_and_memory(batch: bytes) -> None:
    stdout = base64.b64encode(batch)
    assert 0.9 * MOST_SAID < len(stdout) <= MOST_SAID
    ran = subprocess.run([sys.executable, "-c", PARSE], input=stdout, capture_output=True, timeout=120, cwd=Path(__file__).parents[2])
    assert ran.returncode == 0, ran.stderr.decode()[-2000:]
    seconds, megabytes = json.loads(ran.stdout)
    assert seconds < SECONDS and megabytes < MEGABYTES, (seconds, megabytes)


def said(*parts: bytes) -> dict[str, object]:
    return dict(answers(base64.b64encode(b"".join(parts)).decode()))


@pytest.mark.parametrize("size", ["9" * 5000, "9" * 9, "-1", "1e3", "\u0663", ""])
def test_a_size_that_is_no_size_ends_the_batch(size: str) -> None:
    broken = f"links 0 {size}\nbody\n".encode()
    assert said(framed("gids", b"x"), broken, framed("lldp", b"y")) == {"gids": Known("x")}


@pytest.mark.parametrize("head", [b"\xff\xfe 0 4\nbody\n", b"links \xd9\xa3 4\nbody\n", b"\x1b[2J 0 4\nbody\n", b"a" * 5000 + b" 0 4\nbody\n"])
def test_a_header_that_is_no_header_ends_the_batch(head: bytes) -> None:
    assert said(framed("gids", b"x"), head) == {"gids": Known("x")}


def test_an_answer_that_is_too_long_is_unknown_and_the_next_is_read() -> None:
    found = said(framed("links", b"x" * (MOST_ANSWERED + 1)), framed("gids", b"y" * MOST_ANSWERED))
    assert found["links"] == Unknown(f"links: {MOST_ANSWERED + 1} bytes are too many: not read")
    assert found["gids"] == Known("y" * MOST_ANSWERED)


def test_there_are_only_so_many_answers() -> None:
    assert len(said(*(framed(f"n{n}", b"") for n in range(MOST_ANSWERS + 5)))) == MOST_ANSWERS
