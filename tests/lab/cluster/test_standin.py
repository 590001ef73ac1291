"""A second engine on emulated nodes, unlike vLLM in every hook: lab, up, a token of both ranks, verify, restart, down."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.labs import Ended, Labs, Rig, booting, same, used

ROOT = Path(__file__).parents[3]
INVENTORY = """apiVersion: sparkctl/v1
kind: Cluster
metadata: {name: standin}
ssh: {user: nvidia}
nodes:
  - {name: spark-1, address: 192.0.2.11}
  - {name: spark-2, address: 192.0.2.12}
links:
  - [spark-1:p1, spark-2:p1]
fabric: {topology: direct, transport: tcp}
engine:
  kind: standin
  runtime: {docker: "registry.example/standin:1"}
  model: openai/gpt-oss-120b
  parallel: PP2
  api_key_file: api.key
"""


def sparkctl(*words: str) -> Ended:
    """sparkctl with the stand-in among its engines."""
    line = [sys.executable, "-m", "tests.standin", *words]
    done = subprocess.run(line, capture_output=True, text=True, timeout=600, cwd=ROOT, check=False)
    return Ended(done.returncode, done.stdout, done.stderr)


@dataclass
class Other(Rig):
    """A lab of that engine."""

    def cluster(self, verb: str, *words: str, timeout: float = 600) -> Ended:
        """`sparkctl cluster VERB INVENTORY --lab ...`."""
        return sparkctl("cluster", verb, str(self.inventory), "--lab", *words)


@pytest.fixture(scope="module")
def other(labs: Labs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Other]:
    """Two nodes that sparkctl never saw; no other lab runs beside them."""
    labs.close()
    inventory = tmp_path_factory.mktemp("standin") / "standin.yaml"
    inventory.write_text(INVENTORY)
    (inventory.parent / "api.key").write_text("not-the-labs\n")
    (inventory.parent / "api.key").chmod(0o600)
    with booting():
        booted = sparkctl("lab", "up", str(inventory))
    assert booted.code == 0, booted.err + booted.out
    try:
        rig = Other(inventory, "standin")
        used(rig)
        yield rig
    finally:
        ended = sparkctl("lab", "down", str(inventory))
        assert ended.code == 0, ended.err


def verdicts(report: Ended, check: str) -> set[str]:
    """The states of one check."""
    found = report.json["verdicts"]
    assert isinstance(found, list)
    return {verdict["state"] for verdict in found if verdict["id"] == check}


def test_the_whole_line(other: Other) -> None:
    before = other.capture()
    up = other.cluster("up", "--yes", "--json")
    assert up.code == 0, up.err
    titles = [step["title"] for step in up.json["plan"]["steps"]]  # type: ignore[index]
    assert titles[-2:] == ["engine, head", "engine, workers"]
    assert any("the stand-in itself" in overlay for overlay in up.json["overlays"])  # type: ignore[attr-defined]
    completion = up.json["completion"]
    assert isinstance(completion, dict)
    assert (completion["text"], completion["tokens"]) == (" ".join(["word"] * 16), 16)

    verified = other.cluster("verify", "--json")
    assert verified.code == 0, verified.err
    for check in ("files", "engine-unit", "engine-canary"):
        assert verdicts(verified, check) == {"pass"}, check
    environment = other.root("spark-2", "tr '\\0' '\\n' </proc/$(docker inspect -f '{{.State.Pid}}' sparkctl-engine)/environ")
    assert "STANDIN_ADDRESS=10.20.0.12\n" in environment and "STANDIN_TOKEN=lab-" in environment
    assert "VLLM" not in environment
    assert other.root("spark-1", "systemctl show -P Restart sparkctl-engine").strip() == "no"

    again = other.cluster("up", "--yes", "--json")
    assert again.code == 0 and again.json["plan"]["steps"] == [], again.err  # type: ignore[index]

    other.root("spark-2", "docker kill sparkctl-engine; sleep 1")
    broken = other.cluster("status", "--json")
    assert broken.code == 7 and "fail" in verdicts(broken, "engine-unit"), broken.out
    healed = other.cluster("up", "--yes", "--json")
    assert healed.code == 0, healed.err
    titles = [step["title"] for step in healed.json["plan"]["steps"]]  # type: ignore[index]
    assert titles == ["engine, head", "engine, workers"], "the head ended when its worker was gone, and stayed down"

    down = other.cluster("down", "--yes", "--json")
    assert down.code == 0, down.err
    same(before, other.capture())
