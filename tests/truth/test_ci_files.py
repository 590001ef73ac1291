"""action.yml and the pre-commit hook, really run: their scripts in a made-up runner, the installation too."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from sparkctl.cli.validate import FindingsFormat

ROOT = Path(__file__).resolve().parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"]}
(HOOK,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
SCHEMA = json.loads((ROOT / "tests/schemas/sarif-2.1.0-rtm.5.json").read_text())
GOOD = """apiVersion: sparkctl/v1
kind: Cluster
metadata: {name: good}
nodes: [{name: spark-1, address: 192.0.2.11}, {name: spark-2, address: 192.0.2.12}]
links:
  - [spark-1:p1, spark-2:p1]
fabric:
  topology: direct
  mtu: 9000
ssh: {user: nvidia}
"""
BIN = Path(sys.executable).parent
Runner = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """Runs a step as a runner does: `bash FILE`, inputs put into `env`, in a checkout with inventories."""
    folder = tmp_path / "checkout" / "inventories"
    folder.mkdir(parents=True)
    (folder / "good.yaml").write_text(GOOD)
    (tmp_path / "temp/sparkctl").mkdir(parents=True)
    (tmp_path / "temp/sparkctl/bin").symlink_to(BIN)

    def run(step: str, temp: str = "temp", **inputs: str) -> subprocess.CompletedProcess[str]:
        script = tmp_path / "step.sh"
        script.write_text(STEPS[step]["run"])
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "RUNNER_TEMP": str(tmp_path / temp)}
        pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        words = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)]
        given = {name: expanded(value, inputs) for name, value in STEPS[step].get("env", {}).items()}
        return subprocess.run(
            words, cwd=tmp_path / "checkout", env={**env, **pip, **given}, capture_output=True, text=True, timeout=600
        )

    return run


def expanded(value: str, inputs: dict[str, str]) -> str:
    """An expression as the runner would expand it."""
    found = re.fullmatch(r"\$\{\{ (inputs|github)\.([\w-]+) \}\}", value)
    assert found is not None, value
    if found[1] == "github":
        assert found[2] == "action_path"
        return str(ROOT)
    return inputs.get(found[2].replace("-", "_"), str(ACTION["inputs"][found[2]]["default"]))


def wrong(tmp_path: Path, name: str = "wrong.yaml") -> None:
    """An inventory with an error and a warning."""
    text = GOOD.replace("[spark-1:p1, spark-2:p1]", "[spark-1:p9, spark-2:p1]").replace("mtu: 9000", "mtu: 1500")
    (tmp_path / "checkout/inventories" / name).write_text(text)


def test_the_action_is_composite_and_its_inputs_are_used() -> None:
    assert ACTION["runs"]["using"] == "composite"
    assert all(step["shell"] == "bash" for step in STEPS.values())
    used = set(re.findall(r"inputs\.([\w-]+)", (ROOT / "action.yml").read_text()))
    assert used == set(ACTION["inputs"])
    named = set(re.findall(r"\b(github|text|json|sarif|junit)\b", ACTION["inputs"]["format"]["description"]))
    assert named == {str(one) for one in FindingsFormat}


@pytest.mark.parametrize("name", STEPS)
def test_a_script_holds_no_expression_and_shellcheck_is_content(name: str, tmp_path: Path, real: Any) -> None:
    script = tmp_path / "step.sh"
    script.write_text("#!/bin/bash\n" + STEPS[name]["run"])
    assert "${{" not in STEPS[name]["run"]
    checked = real(["shellcheck", "--severity=style", str(script)])
    assert (checked.returncode, checked.stdout) == (0, "")


def test_the_action_installs_its_own_checkout(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "fresh").mkdir()
    ran = runner("Install sparkctl", temp="fresh")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    ran = runner("Validate", temp="fresh")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    where = [tmp_path / "fresh/sparkctl/bin/python", "-c", "import sparkctl; print(sparkctl.__file__)"]
    shown = subprocess.run(where, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout.startswith(str(tmp_path / "fresh"))


def test_the_action_annotates(runner: Runner, tmp_path: Path) -> None:
    assert runner("Validate").returncode == 0
    wrong(tmp_path)
    ran = runner("Validate")
    assert ran.returncode == 3
    assert "::error file=inventories/wrong.yaml,line=" in ran.stdout
    assert "::warning file=inventories/wrong.yaml,line=" in ran.stdout


def test_the_action_is_strict_when_asked(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "checkout/inventories/good.yaml").write_text(GOOD.replace("mtu: 9000", "mtu: 1500"))
    assert runner("Validate").returncode == 0
    assert runner("Validate", strict="true").returncode == 3


def test_paths_are_lines_and_nothing_else(runner: Runner, tmp_path: Path) -> None:
    wrong(tmp_path, "a $(touch gone) b.yaml")
    one, other = "inventories/a $(touch gone) b.yaml", "inventories/good.yaml"
    ran = runner("Validate", path=f"{one}\n\n{other}\n", format="text")
    assert ran.returncode == 3
    assert ran.stdout.rstrip().splitlines()[-1].startswith("2 inventories: 1 error")
    assert not (tmp_path / "checkout/gone").exists()
    assert runner("Validate", path="--help").returncode == 3


def test_the_action_writes_sarif_and_leaves_the_verdict_to_the_next_step(runner: Runner, tmp_path: Path) -> None:
    wrong(tmp_path)
    ran = runner("Write SARIF", sarif_file="out.sarif")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    log = json.loads((tmp_path / "checkout/out.sarif").read_text())
    jsonschema.Draft4Validator(SCHEMA).validate(log)
    assert {result["ruleId"] for result in log["runs"][0]["results"]} == {"TOP001", "MTU002"}
    assert runner("Write SARIF", sarif_file="out.sarif", path="no\nsuch").returncode == 0
    (tmp_path / "checkout/empty").mkdir()
    assert runner("Write SARIF", sarif_file="out.sarif", path="empty").returncode == 2


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        ("inventories/dual.yaml", True),
        ("clusters/inventories/x.yml", True),
        ("inventories/schema.json", False),
        ("myinventories/x.yaml", False),
        ("inventories/rendered/spark-1/etc/netplan/95-sparkctl.yaml", False),
    ],
)
def test_the_hook_takes_inventories(path: str, ours: bool) -> None:
    assert bool(re.search(HOOK["files"], path)) is ours


def test_the_hook_runs(tmp_path: Path) -> None:
    files = [str(path) for path in sorted((ROOT / "inventories").iterdir()) if re.search(HOOK["files"], str(path))]
    assert len(files) >= 1
    words = shlex.split(HOOK["entry"])
    env = {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    good = subprocess.run([*words, *files], env=env, capture_output=True, text=True, timeout=60)
    assert (good.returncode, good.stderr) == (0, "")
    (tmp_path / "x.yaml").write_text("kind: Cluster\n")
    bad = subprocess.run(
        [*words, "--strict", str(tmp_path / "x.yaml")], env=env, capture_output=True, text=True, timeout=60
    )
    assert bad.returncode == 3
    assert "error INV004" in bad.stdout
