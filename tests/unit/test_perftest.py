"""What perftest says: three forms of report, cut off, odd, hostile; and why it says nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkctl.facts.base import parsed
from sparkctl.loadtest import perftest_output
from sparkctl.loadtest.perftest_output import (
    KILLED,
    NO_TOOL,
    SILENT,
    SLOW,
    UNANSWERED,
    UNREACHED,
    WAITED,
    Spoken,
    outcome,
)
from sparkctl.loadtest.results import Measure
from sparkctl.outcome import Absent, Fact, Known, Unknown
from tests.unit.healthy import healthy

RECORDED = {path.name: path.read_text() for path in sorted((Path(__file__).parents[1] / "recorded/perftest").iterdir())}


def test_the_three_forms_say_the_same() -> None:
    bandwidth = Measure("bandwidth", 0.33, None, 1, 4096, 1910)
    latency = Measure("latency", None, 22008.20, 1, 4096, 200)
    for name, expected in (("bw", bandwidth), ("lat", latency)):
        for kind in ("json", "txt"):
            assert perftest_output.parse(RECORDED[f"ib_write_{name}.{kind}"]) == expected
    assert perftest_output.parse(real_json(BW_average=111.71)) == replace(bandwidth, gbits=111.71)
    assert perftest_output.parse(real_json(indent=None)) == bandwidth, "on one line"


def real_json(indent: int | None = 2, **results: object) -> str:
    """As newer releases write it."""
    found = {"MsgSize": 65536, "n_iterations": 1910, "BW_peak": 0.0, "BW_average": 0.33, "MsgRate": 0.000636}
    shown = {"test": "RDMA_Write_BW_Test", "Device": "rocep1s0f1", "Mtu": "4096[B]", "GID_index": 1}
    return json.dumps({"test_info": shown, "results": {**found, **results}}, indent=indent)


@pytest.mark.parametrize("name", [name for name in RECORDED if name.endswith((".json", ".txt"))])
def test_a_report_that_is_cut_off_is_unknown(name: str) -> None:
    whole = RECORDED[name].rstrip()
    complete = parsed(Known(whole), perftest_output.parse)
    found = [parsed(Known(whole[:size]), perftest_output.parse) for size in range(len(whole))]
    assert all(fact == complete for fact in found if isinstance(fact, Known)), "never a number that is a part of one"
    assert isinstance(found[-85], Unknown)


@pytest.mark.parametrize("odd", ["-1.0", "-inf", "0,33", "", "0x10", "\x1b[31m"])
def test_a_number_that_is_none_is_unknown(odd: str) -> None:
    for name in ("ib_write_bw.json", "ib_write_bw.txt"):
        assert isinstance(parsed(Known(RECORDED[name].replace("0.33", odd)), perftest_output.parse), Unknown)


@pytest.mark.parametrize("odd", ["nan", "-nan", "inf", "1e999"])
def test_a_clock_that_cannot_be_calibrated_leaves_the_count(odd: str) -> None:
    for name in ("ib_write_bw.json", "ib_write_bw.txt"):
        found = perftest_output.parse(RECORDED[name].replace("0.33", odd))
        assert (found.gbits, found.iterations) == (None, 1910)


def test_another_unit_is_no_measure() -> None:
    odd = RECORDED["ib_write_bw.txt"].replace("BW average[Gb/sec]", "BW average[MiB/sec]")
    assert isinstance(parsed(Known(odd), perftest_output.parse), Unknown)


@given(st.text() | st.binary().map(lambda b: b.decode("utf-8", "replace")) | st.sampled_from(sorted(RECORDED.values())))
def test_whatever_perftest_prints_is_a_fact(output: str) -> None:
    assert isinstance(parsed(Known(output), perftest_output.parse), Known | Unknown)
    assert isinstance(parsed(Known(output), perftest_output.ends), Known | Unknown)
    assert perftest_output.reason(1, output, 14).reason


@given(st.data())
def test_a_report_with_a_hole_is_a_fact(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from(sorted(RECORDED.values())))
    at, to = sorted((data.draw(st.integers(0, len(whole))), data.draw(st.integers(0, len(whole)))))
    fact = parsed(Known(whole[:at] + data.draw(st.text(max_size=5)) + whole[to:]), perftest_output.parse)
    assert isinstance(fact, Known | Unknown)


@pytest.mark.parametrize(
    ("status", "stderr", "fact"),
    [
        (1, "ib_write_bw-baddev.stderr", Absent("no RDMA device mlx5_9")),
        (1, "ib_write_bw-refused.stderr", UNREACHED),
        (1, "ib_write_bw-taken.stderr", Unknown("its port is taken: another perftest runs here")),
        (1, "ib_write_bw-no-device.stderr", Absent("no RDMA device")),
        (NO_TOOL, "", Absent("perftest is not installed")),
        (SLOW, "", Absent(f"not done within 14 s: {SILENT}")),
        (KILLED, "", Absent(f"not done within 14 s: {SILENT}")),
        (1, " Failed status 12: wr_id 0 syndrom 0x81", Absent(UNANSWERED)),
        (1, " Failed status 5: wr_id 0 syndrom 0xf9", Absent("a write failed with status 5")),
        (1, "Unexpected CM event bl blka 8", Unknown("Unexpected CM event bl blka 8")),
        (1, "ethernet_read_keys: Couldn't read remote address\n Unable to read to socket/rdma_cm\n", WAITED),
        (1, "ethernet_read_data: Couldn't read reports\n", WAITED),
        (1, " Unable to write to socket/rdma_cm\n", WAITED),
        (1, "Couldn't allocate MR", Unknown("memory could not be registered: raise the memlock limit")),
        (3, "first\n  last  \n", Unknown("last")),
        (3, "", Unknown("perftest ended with status 3 and said nothing")),
    ],
)
def test_why_there_is_no_measure(status: int, stderr: str, fact: Fact[object]) -> None:
    assert perftest_output.reason(status, RECORDED.get(stderr, stderr), 14) == fact


GOOD = Known(Spoken(0, real_json(), ""))
REFUSED = Known(Spoken(1, "", RECORDED["ib_write_bw-refused.stderr"]))
ALONE = "ethernet_read_keys: Couldn't read remote address\n Failed to exchange data between server and clients\n"
LEFT = Known(Spoken(1, "", ALONE))


@pytest.mark.parametrize(
    ("client", "server", "said"),
    [
        (REFUSED, Known(Spoken(1, "", "IB device rocep1s0f1 not found")), Absent("spark-2: no RDMA device rocep1s0f1")),
        (Unknown("lost"), WAITED, Unknown("spark-1: lost")),
        (WAITED, Known(Spoken(NO_TOOL, "", "")), Absent("spark-2: perftest is not installed")),
        (Known(Spoken(NO_TOOL, "", "")), WAITED, Absent("spark-1: perftest is not installed")),
        (Known(Spoken(3, "", "broken")), Known(Spoken(SLOW, "", "")), Unknown("spark-1: broken")),
        (Known(Spoken(1, "", " Failed status 12: wr_id 0\n")), LEFT, Absent(f"spark-1: {UNANSWERED}")),
        (Known(Spoken(SLOW, "", "")), LEFT, Absent(f"spark-1: not done within 14 s: {SILENT}")),
        (Known(Spoken(1, "", "Failed to modify QP 5 to RTR\n")), LEFT, Unknown("spark-1: Failed to modify QP 5 to RTR")),
        (LEFT, Known(Spoken(1, "", "Failed to modify QP 5 to RTR\n")), Unknown("spark-2: Failed to modify QP 5 to RTR")),
        (REFUSED, LEFT, Unknown(f"spark-1: {UNREACHED.reason}")),
        (REFUSED, WAITED, Unknown(f"spark-1: {UNREACHED.reason}")),
        (Known(Spoken(0, RECORDED["ib_write_bw-dropped.txt"], "")), GOOD, Absent(f"spark-2: {UNANSWERED}")),
        (Known(Spoken(0, "{", "")), Known(Spoken(0, "", "")), None),
    ],
)
def test_the_end_that_knows_more_is_believed(
    client: Fact[Spoken], server: Fact[Spoken], said: Fact[object] | None
) -> None:
    lane = next(iter(healthy("dual").load.measured)).lanes[0]  # type: ignore[union-attr]
    found = outcome(lane, client, server, 14)
    assert found == said if said else isinstance(found, Unknown)
    assert isinstance(outcome(lane, GOOD, server, 14), Known)
