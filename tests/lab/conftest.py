"""Labs for tests: booted through the command line, kept apart from those of the person, and always taken down."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab.labs import PATIENCE, Labs, booting

LONGEST_FIRST = (
    "test_foreign.py",
    "test_owners.py",
    "test_hardship.py",
    "test_networkmanager.py",
    "test_faults.py",
    "test_recover.py",
    "test_faults_named.py",
    "test_secrets.py",
    "test_topologies.py",
    "test_lab_container.py",
    "test_line.py",
    "test_gather.py",
    "test_drift.py",
)

DIRECT = """apiVersion: sparkctl/v1
kind: Cluster
metadata: {{name: {name}}}
ssh: {{user: nvidia}}
nodes:
  - {{name: spark-1, address: 192.0.2.11}}
  - {{name: spark-2, address: 192.0.2.12}}
links:
  - [spark-1:p1, spark-2:p1]
fabric: {{topology: direct, subnet_pool: 10.20.0.0/16}}
"""
ENGINE = """engine:
  kind: vllm
  runtime: {docker: "vllm/vllm-openai:v0.33.0"}
  model: openai/gpt-oss-120b
  parallel: TP2
"""
SWITCHED = """apiVersion: sparkctl/v1
kind: Cluster
metadata: {{name: {name}}}
ssh: {{user: nvidia}}
nodes:
  - {{name: spark-1, address: 192.0.2.11}}
  - {{name: spark-2, address: 192.0.2.12}}
  - {{name: spark-3, address: 192.0.2.13}}
links:
  - {{a: "spark-1:p0", b: "sw1:qsfp56-dd-1-1"}}
  - {{a: "spark-2:p0", b: "sw1:qsfp56-dd-1-3"}}
  - {{a: "spark-3:p0", b: "sw1:qsfp56-dd-2-1"}}
switches:
  - {{name: sw1, model: mikrotik-crs804-4ddq, address: 192.0.2.2, l2mtu: 9216}}
fabric: {{topology: switch, subnet_pool: 10.30.0.0/16}}
"""


Run = subprocess.CompletedProcess[str]


def sparkctl(*words: str | Path, seconds: float = PATIENCE) -> Run:
    """The command line, as a person types it."""
    line = [sys.executable, "-m", "sparkctl", *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, timeout=seconds, check=False)


class Booted:
    """One lab of a test."""

    def __init__(self, inventory: Path, *options: str) -> None:
        self.inventory = inventory
        self.options = options

    def up(self) -> Run:
        with booting("vm" if "vm" in self.options else "container"):
            return sparkctl("lab", "up", self.inventory, *self.options)

    def down(self) -> Run:
        return sparkctl("lab", "down", self.inventory)

    def ssh(self, node: str, command: str) -> Run:
        return sparkctl("lab", "ssh", self.inventory, node, "--", command, seconds=60)

    def said(self, node: str, command: str) -> str:
        """What `command` printed on `node`; it must succeed."""
        run = self.ssh(node, command)
        assert run.returncode == 0, f"{node}: {command}: {run.stdout}{run.stderr}"
        return run.stdout

    def fault(self, verb: str, subject: str) -> None:
        run = sparkctl("lab", "fault", self.inventory, verb, subject, seconds=120)
        assert run.returncode == 0, run.stderr

    @property
    def state(self) -> dict[str, object]:
        """state.json of this lab."""
        labs = json.loads(sparkctl("lab", "list", "--json").stdout)["labs"]
        (found,) = (lab for lab in labs if lab["inventory"] == str(self.inventory))
        return found


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long begin first, so that the last of several workers does not end alone."""
    places = {item.path: LONGEST_FIRST.index(item.path.name) for item in items if item.path.name in LONGEST_FIRST}
    items.sort(key=lambda item: places.get(item.path, len(LONGEST_FIRST)))


def pytest_unconfigure(config: pytest.Config) -> None:
    """A worker that was stopped in the middle took no lab down: nothing stays behind all the same."""
    if hasattr(config, "workerinput") or not config.option.basetemp:
        return
    for order in Path(config.option.basetemp).resolve().glob("popen-gw*/state*/sparkctl/labs/*/order.json"):
        own = {**os.environ, "XDG_STATE_HOME": str(order.parents[3])}
        line = [sys.executable, "-m", "sparkctl", "lab", "down", order.parent.name]
        subprocess.run(line, env=own, timeout=PATIENCE, check=False)


@pytest.fixture(scope="session", autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Labs of tests are not those of the person who runs them; what was built for them is shared."""
    before = os.environ.get("XDG_STATE_HOME")
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))
    yield
    if before is None:
        del os.environ["XDG_STATE_HOME"]
    else:
        os.environ["XDG_STATE_HOME"] = before


@pytest.fixture(scope="session")
def labs(tmp_path_factory: pytest.TempPathFactory, _own_state: None) -> Iterator[Labs]:
    """The lab that this worker hands on from file to file; down at the end."""
    made = Labs(tmp_path_factory.mktemp("labs"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def boot(labs: Labs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Booted]]:
    """`boot(text, *options)`: a lab of this inventory, up; down when the module ends."""
    labs.close()
    up: list[Booted] = []

    def booted(text: str, *options: str) -> Booted:
        inventory = tmp_path_factory.mktemp("inventory") / "cluster.yaml"
        inventory.write_text(text)
        lab = Booted(inventory, *options)
        up.append(lab)
        run = lab.up()
        assert run.returncode == 0, run.stdout + run.stderr
        return lab

    yield booted
    for lab in up:
        run = lab.down()
        assert run.returncode == 0, run.stderr
