"""What perftest says: its JSON, the JSON of older releases that is none, its text; and why it said nothing."""

from __future__ import annotations

import base64
import json
import math
import re
from dataclasses import dataclass

from sparkctl.facts.base import number, parsed
from sparkctl.facts.perftest_tool import PORT
from sparkctl.inventory.words import quoted
from sparkctl.loadtest.results import Lane, Measure
from sparkctl.outcome import Absent, Fact, Known, Unknown

MOST = 65536
"""Characters; a report has 2,000."""
BANDWIDTH_COLUMNS, LATENCY_COLUMNS = 5, 9
NO_TOOL, BUSY, STOPPED, SLOW, KILLED = 127, 75, 76, 124, 137
WAITED = Unknown("stopped, because the other end had failed")
UNREACHED = Unknown("perftest's TCP port on the peer cannot be reached: does a firewall block it?")
BLOCKED = "is UDP port 4791 blocked by a firewall?"
UNANSWERED = f"no write was answered: {BLOCKED}"
SILENT = f"{BLOCKED} Or TCP from {PORT} on, which perftest itself needs?"
"""An end that hung may have hung in connect(), whose packets a filter dropped."""
_PAIR = re.compile(r"^[ \t]{0,16}([A-Za-z_][\w.]{0,40}) {0,8}: {0,8}([^{}]{0,80}?),?$", re.MULTILINE)
_TITLE = re.compile(r"^ {0,8}(\w[\w .*#]{0,30}?)[ \t]{1,20}: (.{0,60}?)(?:\t|$)")
_STATUS = re.compile(r"Failed status (\d{1,3})")
_UNREACHED = "Couldn't connect to"
_LEFT_ALONE = (
    "Couldn't read remote address",
    "Couldn't read reports",
    "Failed to exchange data",
    "Failed to close connection",
    "socket/rdma_cm",
)
"""What an end says whose peer has ended and closed the connection (perftest_communication.c)."""
RETRIES = "12"
"""IBV_WC_RETRY_EXC_ERR: the peer answered nothing (libibverbs, enum ibv_wc_status)."""


def parse(text: str) -> Measure:
    """A report in any of its three forms; ValueError or KeyError for one that is cut off or says no number."""
    text = text[:MOST].strip()
    return _json(text) if text.startswith("{") else _text(text)


def _json(text: str) -> Measure:
    try:
        parts = json.loads(text)
    except (ValueError, RecursionError):
        return _measure(_pairs(text))
    return _measure({name: str(value) for part in ("test_info", "results") for name, value in parts[part].items()})


def _pairs(text: str) -> dict[str, str]:
    """Older releases: names without quotes and a comma before every brace."""
    if not re.search(r"^\},?\s*^\}$", text, re.MULTILINE):
        raise ValueError("the report is cut off")
    return {name: value.strip().strip('"') for name, value in _PAIR.findall(text)}


def _text(text: str) -> Measure:
    lines = text.splitlines()
    columns = [line.lstrip()[:6] for line in lines].index("#bytes")
    row = lines[columns + 1].split()
    if not any(line.startswith("-----") for line in lines[columns + 2 :]):
        raise ValueError("the report is cut off")
    found = {m[1].strip().replace(" ", "_"): m[2] for line in lines[:columns] if (m := _TITLE.match(line))}
    found["n_iterations"] = row[1]
    if "BW average[Gb/sec]" in lines[columns] and len(row) == BANDWIDTH_COLUMNS:
        found["BW_average"] = row[3]
    elif "t_typical[usec]" in lines[columns] and len(row) == LATENCY_COLUMNS:
        found["t_typical"] = row[4]
    return _measure(found)


def _measure(found: dict[str, str]) -> Measure:
    gid, mtu = _whole(found.get("GID_index")), _whole(found.get("Mtu"))
    iterations = number(found["n_iterations"])
    if "t_typical" in found:
        return Measure("latency", None, _number(found["t_typical"]), gid, mtu, iterations)
    return Measure("bandwidth", _number(found["BW_average"]), None, gid, mtu, iterations)


def _number(text: str) -> float | None:
    """None for the `inf` and `nan` that perftest writes when it could not calibrate its clock."""
    value = float(text)
    if value < 0:
        raise ValueError(f"not a measure: {quoted(text)}")
    return value if math.isfinite(value) else None


def _whole(text: str | None) -> int | None:
    """`4096[B]` is 4096."""
    found = re.match(r"[0-9]{1,9}", text or "")
    return int(found[0]) if found else None


@dataclass(frozen=True)
class Spoken:
    """What one end of a lane left: exit status, report, stderr."""

    status: int
    report: str
    stderr: str


def ends(stdout: str) -> dict[int, Spoken]:
    """The output of the node's script by the lane's place in the trial; blank lines are its heartbeat."""
    found: dict[int, Spoken] = {}
    for line in stdout.splitlines():
        if line.startswith("lane "):
            _, key, status, report, said = line.split(" ")
            found[number(key)] = Spoken(number(status), _decoded(report), _decoded(said))
    return found


def _decoded(word: str) -> str:
    return base64.b64decode(word.removeprefix("="), validate=True).decode("utf-8", "replace")


def reason(status: int, stderr: str, seconds: float) -> Absent | Unknown:
    """Why a perftest that was given `seconds` said nothing; Absent where RDMA certainly does not work."""
    said = stderr[-MOST:]
    failed = _STATUS.search(said)
    missing = re.search(r"IB device (\S{1,40}) not found", said)
    if status == NO_TOOL:
        return Absent("perftest is not installed")
    if status == BUSY:
        return Unknown("another test under load runs here")
    if missing or "Unable to find the Infiniband" in said or "Did not detect devices" in said:
        return Absent(f"no RDMA device {missing[1]}" if missing else "no RDMA device")
    if status in (SLOW, KILLED):
        return Absent(f"not done within {seconds:.0f} s: {SILENT}")
    if failed:
        return Absent(UNANSWERED if failed[1] == RETRIES else f"a write failed with status {failed[1]}")
    return _local(status, said)


def _local(status: int, said: str) -> Absent | Unknown:
    """Reasons of this end alone."""
    if _UNREACHED in said:
        return UNREACHED
    if "Couldn't listen" in said or "Address already in use" in said:
        return Unknown("its port is taken: another perftest runs here")
    if "allocate MR" in said or "memory region" in said:
        return Unknown("memory could not be registered: raise the memlock limit")
    if any(words in said for words in _LEFT_ALONE):
        return WAITED
    last = next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "")
    return Unknown(last[:200] or f"perftest ended with status {status} and said nothing")


def outcome(lane: Lane, client: Fact[Spoken], server: Fact[Spoken], seconds: float) -> Fact[Measure]:
    """The client's report; where there is none, why, by the end that knows more, and which node that is."""
    if isinstance(client, Known) and client.value.status == 0:
        return _moved(lane, parsed(Known(client.value.report), parse))
    ends = ((lane.server.node, server), (lane.client.node, client))
    node, why = min(((node, _why(end, seconds)) for node, end in ends), key=lambda found: _vague(found[1]))
    return type(why)(f"{node}: {why.reason}")


def _moved(lane: Lane, found: Fact[Measure]) -> Fact[Measure]:
    """A test for so many seconds ends well although no write was done (seen with UDP dropped)."""
    idle = isinstance(found, Known) and not found.value.iterations
    return Absent(f"{lane.server.node}: {UNANSWERED}") if idle else found


def _why(end: Fact[Spoken], seconds: float) -> Absent | Unknown:
    if not isinstance(end, Known):
        return end
    return reason(end.value.status, end.value.stderr, seconds) if end.value.status else WAITED


def _vague(why: Absent | Unknown) -> int:
    """A refusal or a timeout only says that the other end was not there."""
    return 2 if why == WAITED else int(why == UNREACHED or "within" in why.reason)
