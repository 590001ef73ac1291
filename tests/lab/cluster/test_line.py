"""The whole line on two real nodes: up, verify, up again, status, down; and every byte is back."""

from __future__ import annotations

import json

from tests.lab.labs import Rig, same


def states(report: dict[str, object], check: str) -> set[str]:
    verdicts = report["verdicts"]
    assert isinstance(verdicts, list)
    return {v["state"] for v in verdicts if v["id"] == check}


def connections(report: dict[str, object]) -> tuple[int, int, int]:
    """The most connections and round trips of any node, and the rounds on the critical path."""
    counted = dict(report["ssh"])  # type: ignore[call-overload]
    path = counted.pop("critical_path")
    return max(n["connections"] for n in counted.values()), max(n["round_trips"] for n in counted.values()), path


def test_up_verify_again_status_down(serving: Rig) -> None:
    before = serving.capture()

    planned = serving.cluster("plan", "--exit-code", "--json")
    assert planned.code == 10, planned.err
    same(before, serving.capture())

    first = serving.cluster("up", "--yes", "--json")
    assert first.code == 0, first.err
    completion = first.json["completion"]
    assert isinstance(completion, dict) and completion["tokens"] >= 1
    assert any("tcp instead of roce" in overlay for overlay in first.json["overlays"])  # type: ignore[attr-defined]

    verified = serving.cluster("verify", "--json")
    assert verified.code == 0, verified.err
    for check in ("rail-carrier", "rail-mtu", "rail-address", "rail-ping", "files", "engine-unit", "engine-canary"):
        assert states(verified.json, check) == {"pass"}, check
    assert states(verified.json, "roce-device") == {"skipped"}

    again = serving.cluster("up", "--yes", "--json")
    assert again.code == 0 and again.json["plan"]["steps"] == [], again.err  # type: ignore[index]
    assert connections(again.json)[0] == 1 and connections(again.json)[1] <= 2

    status = serving.cluster("status", "--json")
    assert status.code == 0, status.err
    assert connections(status.json)[0] == 1 and connections(status.json)[2] <= 2

    serving.root("spark-2", "systemctl stop sparkctl-engine")
    broken = serving.cluster("status", "--json")
    assert broken.code == 7, broken.out
    assert "fail" in states(broken.json, "engine-unit")

    healed = serving.cluster("up", "--yes", "--json")
    assert healed.code == 0, healed.err
    steps = [step["title"] for step in healed.json["plan"]["steps"]]  # type: ignore[index]
    assert steps == ["stop all ranks", "engine, workers", "engine, head"]

    down = serving.cluster("down", "--yes", "--json")
    assert down.code == 0, down.err
    same(before, serving.capture())
    assert json.loads(serving.cluster("plan", "--json").out)["plan"]["steps"], "down means down"


def test_the_network_alone_is_verified_green_until_the_engine_is_brought_up(serving: Rig) -> None:
    up = serving.cluster("up", "--only", "network", "--yes")
    assert up.code == 0, up.err
    for verb in ("verify", "status"):
        seen = serving.cluster(verb, "--json")
        assert seen.code == 0, seen.out
        assert states(seen.json, "rail-address") == {"pass"} and states(seen.json, "engine-unit") == {"skipped"}
        assert states(seen.json, "engine-canary") == set()
    down = serving.cluster("down", "--yes")
    assert down.code == 0, down.err
