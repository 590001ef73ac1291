"""A second engine, unlike vLLM in every hook, through all that is offline: format, rules, files, plan, undo, canary."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from sparkctl.commands.canary import Watch, command
from sparkctl.engines import ENGINES
from sparkctl.execute.allgather_test import obstacles
from sparkctl.execute.read_facts import questions
from sparkctl.execute.undo import way_back
from sparkctl.facts.snapshot import NodeFacts
from sparkctl.facts.units import UnitState
from sparkctl.lab import engine as lab_engine
from sparkctl.models import model_of
from sparkctl.models.fit import fit, usable_memory
from sparkctl.outcome import Absent, Known
from sparkctl.render.artifact import ENGINE_ENV, ENGINE_SCRIPT, ENGINE_UNIT, NCCL_ENV
from sparkctl.study import Study, study
from tests.standin.engine import BUILD, ENGINE, MEET
from tests.unit.ground import Site, blank, down, first, grown, members, sent, up
from tests.unit.on_node import last_word

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "tests" / "standin" / "program.py"
INVENTORY = """apiVersion: sparkctl/v1
kind: Cluster
metadata: {name: other}
nodes:
  - {name: spark-1, address: 192.0.2.11}
  - {name: spark-2, address: 192.0.2.12}
links:
  - [spark-1:p1, spark-2:p1]
fabric: {topology: direct}
engine:
  kind: standin
  runtime: {docker: "registry.example/standin:1"}
  model: openai/gpt-oss-120b
  parallel: PP2
  api_key_file: api.key
"""


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENGINES, ENGINE.kind, ENGINE)


def written(folder: Path, more: str = "") -> Path:
    """The inventory with `more` in its engine section."""
    path = folder / "other.yaml"
    path.write_text(INVENTORY + more)
    return path


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Two nodes."""
    return Site.of(written(tmp_path))


def told(found: Study) -> list[tuple[str, str]]:
    """Rules and places."""
    return [(finding.id, finding.where) for finding in found.findings]


def content(site: Site, node: str, path: str) -> str:
    """One file."""
    return next(file.content for file in site.rendering.nodes[node].files if file.path == path)


# --- rules ------------------------------------------------------------------------------------------------------


def test_it_is_a_kind_like_any_other(tmp_path: Path) -> None:
    assert told(study(written(tmp_path))) == []


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("  env: {STANDIN_ADDRESS: 10.20.0.11}\n", [("ENG002", "engine.env.STANDIN_ADDRESS")]),
        ("  env: {STANDIN_TOKEN: x}\n", [("ENG002", "engine.env.STANDIN_TOKEN"), ("SEC001", "engine.env.STANDIN_TOKEN")]),
        ("  env: {VLLM_HOST_IP: 10.20.0.11}\n", []),
        ("  args: {rank: 1}\n", [("PAR006", "engine.args.rank")]),
        ("  args: {tensor-parallel-size: 2, distributed-executor-backend: ray, pcp: 2, misspelt: 1}\n", []),
        ("  port: 7100\n", [("PAR008", "engine.port")]),
        ("  port: 7101\n", [("PAR008", "engine.port")]),
        ("  port: 29501\n", []),
        ("  args: {side-port: x}\n", [("PAR008", "engine.args.side-port")]),
        ("  args: {room: 2}\n", [("ENG901", "engine.args.room")]),
        ("  gpu_memory_utilization: 0.99\n", []),
        ("  args: {quantization: int3, hf-overrides: {a: 1}, max-num-seqs: 4000}\n", []),
    ],
)  # fmt: skip
def test_shared_rules_ask_the_engine_and_those_of_others_are_silent(
    more: str, expected: list[tuple[str, str]], tmp_path: Path
) -> None:
    assert told(study(written(tmp_path, more))) == expected


def test_its_own_rule_is_not_there_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "  args: {room: 2}\n")
    assert told(study(path)) == [("ENG901", "engine.args.room")]
    monkeypatch.delitem(ENGINES, ENGINE.kind)
    assert told(study(path)) == [("INV004", "engine.kind")]


def test_memory_is_a_share_of_what_the_weights_leave(site: Site) -> None:
    intent = site.cluster.engine
    assert intent is not None
    model = model_of(intent)
    assert model is not None and model.weights is not None
    judged = fit(site.cluster, intent, model)
    for node in judged.nodes:
        assert node.budget == pytest.approx(node.weights + (usable_memory() - node.weights) * 0.9)
    big = model._replace(weights=model.weights._replace(rest=1e15))
    assert fit(site.cluster, intent, big).certain_no
    assert [node.layers for node in judged.nodes] == [18, 18]


# --- files ------------------------------------------------------------------------------------------------------


def test_its_variables_key_and_policy_are_in_the_files_and_nobody_elses(site: Site) -> None:
    for node, address in (("spark-1", "10.20.0.11"), ("spark-2", "10.20.0.12")):
        assert "STANDIN" not in content(site, node, NCCL_ENV)
        assert f"\nSTANDIN_ADDRESS={address}\n" in content(site, node, ENGINE_ENV)
        script = content(site, node, ENGINE_SCRIPT)
        assert "export STANDIN_TOKEN" in script and "--env STANDIN_TOKEN" not in script
        unit = content(site, node, ENGINE_UNIT).splitlines()
        assert "Restart=no" in unit and "TimeoutStopSec=10" in unit
        assert not [line for line in unit if line.startswith("RestartSec")]
        every = "".join(file.content for file in site.rendering.nodes[node].files)
        assert not re.search("vllm", every.replace("eugr/spark-vllm-docker#257", ""), re.IGNORECASE)


# --- plan and undo ----------------------------------------------------------------------------------------------


def titles(site: Site, facts: dict[str, NodeFacts]) -> list[str]:
    return [step.title for step in up(site, facts).steps]


def test_the_head_starts_first_and_listens_before_the_workers_start(site: Site) -> None:
    assert titles(site, blank(site))[-2:] == ["engine, head", "engine, workers"]
    waits = {node: re.findall("^await_port sparkctl.*", "".join(c.script for c in sent(site, first(site), node)), re.M) for node in site.names}
    assert waits["spark-2"] == []
    (wait,) = waits["spark-1"]
    assert wait.startswith(f"await_port sparkctl-engine.service {MEET} 50 ")


def running(facts: dict[str, NodeFacts]) -> dict[str, NodeFacts]:
    """All ranks run."""
    return {node: replace(known, unit=Known(UnitState(True, "active", "running", True, 0))) for node, known in facts.items()}


def other_model(site: Site) -> Site:
    """The same cluster with another model: every rank's script changes."""
    site.path.write_text(site.path.read_text().replace("openai/gpt-oss-120b", "openai/gpt-oss-20b"))
    return Site.of(site.path)


def test_undo_starts_a_gang_that_ran_in_its_own_order_and_takes_a_new_one_back_last_first(site: Site) -> None:
    assert way_back(first(site)) == (("spark-2",), ("spark-1",)), "the worker was changed last"
    facts = running(grown(site))
    plan = up(other_model(site), facts)
    assert [step.title for step in plan.steps] == ["stop all ranks", "engine, head", "engine, workers"]
    assert way_back(plan) == (("spark-1",), ("spark-2",)), "the head starts first"
    assert way_back(down(site)) == (("spark-1",), ("spark-2",)), "the head was changed last"


def test_the_revert_of_a_head_that_ran_waits_for_it_without_failing(site: Site) -> None:
    plan = up(other_model(site), running(grown(site)))
    texts = {n: members(next(c.stdin for c in sent(site, plan, n) if c.title == "prepare"))["revert.sh"].decode() for n in site.names}
    assert f"await_port sparkctl-engine.service {MEET} 20 back" in texts["spark-1"]
    assert "await_port sparkctl" not in texts["spark-2"]


# --- canary -----------------------------------------------------------------------------------------------------


class Api(BaseHTTPRequestHandler):
    """Answers as `answers` says, by path."""

    answers: dict[str, object] = {}  # noqa: RUF012
    asked: list[object] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.reply(self.answers.get("/about", {}))

    def do_POST(self) -> None:
        self.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.reply(self.answers["/complete"])

    def reply(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    """On a free port."""
    made = HTTPServer(("127.0.0.1", 0), Api)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


RIGHT = {"result": [{"outputs": {"said": "word"}}], "used": {"made": 1}}


@pytest.mark.parametrize(
    ("answer", "about", "expected"),
    [
        (RIGHT, {"about": {"release": "1"}}, {"text": "word", "tokens": 1, "version": "1"}),
        (RIGHT, [], {"text": "word", "tokens": 1, "version": "unknown"}),
        ({**RIGHT, "used": {"made": 0}}, {}, "the engine answered without a token"),
        ({**RIGHT, "used": None}, {}, "the engine answered without a token"),
        ({"choices": [{"text": "word"}], "usage": {"completion_tokens": 1}}, {}, "no answer that can be read: 'result'"),
        ({"result": []}, {}, "no answer that can be read: '0'"),
        ([], {}, "no answer that can be read: 'result'"),
        ("result", {}, "no answer that can be read: 'result'"),
    ],
)
def test_the_canary_reads_its_answers(
    answer: object, about: object, expected: object, server: HTTPServer, site: Site, tmp_path: Path
) -> None:
    Api.answers, Api.asked = {"/complete": answer, "/about": about}, []
    assert site.cluster.engine is not None
    probe = ENGINE.probe(replace(site.cluster.engine, port=server.server_address[1]), 3)
    said = canary(vars(probe), tmp_path)
    assert Api.asked == [{"most": 3}]
    if isinstance(expected, str):
        assert said["waiting"] == expected
    else:
        assert {key: said["ready"][key] for key in expected} == expected  # type: ignore[index]


def canary(probe: dict[str, object], folder: Path, key: str | None = None) -> dict[str, object]:
    """The last object that the node's program prints, on a node whose unit is active."""
    return last_word(command(Watch("sparkctl-engine.service", probe, key), 0), folder)


# --- tests under load, the lab ----------------------------------------------------------------------------------


def test_without_torch_there_is_no_all_gather(site: Site) -> None:
    found = obstacles(site.cluster, grown(site))
    assert isinstance(found, Absent) and "no Python with torch" in found.reason


def test_its_images_are_asked_for_its_own_variables(site: Site) -> None:
    asked = questions(site.cluster, site.fabric, survey=True)["spark-1"].survey
    assert asked is not None and asked.naming == ("STANDIN_NCCL",)


def test_nodes_knock_at_its_ports_of_the_head_and_of_every_rank(site: Site) -> None:
    asked = questions(site.cluster, site.fabric, survey=True)["spark-1"].survey
    assert asked is not None and asked.lent == {"10.20.0.11": (7100, 7101), "10.20.0.12": (7101,)}


def test_the_folder_of_its_twin_is_made_without_a_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    ran: list[list[str]] = []

    def run(words: list[str], log: Path, seconds: float, environment: object = None) -> None:
        ran.append(words)
        (Path(words[-2]) / "said").write_text("")

    monkeypatch.setattr(lab_engine, "run", run)
    told: list[str] = []
    made = lab_engine.engine(BUILD, lambda: tmp_path, told.append)
    assert lab_engine.engine(BUILD, lambda: tmp_path, told.append) == made and len(ran) == 1
    assert [line[:29] for line in told] == ["building the engine (a stand-", "built the engine (a stand-in "]
    assert sorted(path.name for path in (made / "bin").iterdir()) == ["python", "python3", "standin"]
    assert not (made / "hello").exists(), "what is for the end alone goes then"
    assert lab_engine.recipe(BUILD) != lab_engine.recipe(replace(BUILD, finish=""))


# --- a folder and a name ----------------------------------------------------------------------------------------


def test_a_folder_and_a_name_are_the_whole_of_an_engine(tmp_path: Path) -> None:
    """A copy of the product without vLLM: nothing else knows it."""
    for part in ("sparkctl", "templates", "playbooks"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    engines = tmp_path / "sparkctl" / "engines"
    shutil.rmtree(engines / "vllm")
    shutil.copytree(ROOT / "tests" / "standin", engines / "standin", ignore=shutil.ignore_patterns("__*"))
    registry = (engines / "__init__.py").read_text()
    assert registry.count('_FOLDERS = ("vllm",)') == 1
    (engines / "__init__.py").write_text(registry.replace('_FOLDERS = ("vllm",)', '_FOLDERS = ("standin",)'))
    (tmp_path / "api.key").write_text("k\n")
    (tmp_path / "api.key").chmod(0o600)
    path = written(tmp_path)
    assert "no findings" in ran(tmp_path, "validate", path)
    assert json.loads(ran(tmp_path, "render", path, "--format", "json"))["nodes"].keys() == {"spark-1", "spark-2"}
    assert '"standin",\n' in ran(tmp_path, "schema")
    assert "fits 2 nodes" in ran(tmp_path, "model", "fit", path)


def ran(folder: Path, *words: str | Path) -> str:
    """What this copy of sparkctl prints."""
    env = {**os.environ, "PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}
    done = subprocess.run([sys.executable, "-m", "sparkctl", *map(str, words)], capture_output=True, text=True, env=env, cwd=folder, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_program_needs_its_head_first() -> None:
    """What makes the order of starts a matter of life and death, so that the lab proves it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = taken.getsockname()[1]
    words = ["--rank", "1", "--ranks", "2", "--meet-at", "127.0.0.1", "--meet-port", str(nobody), "--side-port", "0"]
    env = {**os.environ, "STANDIN_ADDRESS": "127.0.0.1"}
    done = subprocess.run([sys.executable, PROGRAM, *words], env=env, capture_output=True, text=True, timeout=30)
    assert done.returncode == 3 and "no head" in done.stderr


@pytest.fixture
def gang() -> Iterator[tuple[int, list[subprocess.Popen[bytes]]]]:
    """Both ranks of the stand-in's program on this machine, the head first, and the port that it serves at."""
    with socket.create_server(("127.0.0.1", 0)) as a, socket.create_server(("127.0.0.1", 0)) as b, socket.create_server(("127.0.0.1", 0)) as c:
        meet, side, serve = (each.getsockname()[1] for each in (a, b, c))
    ranks: list[subprocess.Popen[bytes]] = []
    for rank in (0, 1):
        words = ["--rank", str(rank), "--ranks", "2", "--meet-at", "127.0.0.1", "--meet-port", str(meet), "--side-port", str(side)]
        words += ["--serve", str(serve)] if rank == 0 else []
        env = {**os.environ, "STANDIN_ADDRESS": f"127.0.0.{rank + 1}", "STANDIN_TOKEN": "k"}
        ranks.append(subprocess.Popen([sys.executable, PROGRAM, *words], env=env, stderr=subprocess.DEVNULL))
        if rank == 0:
            listening(meet)
    listening(serve)
    yield serve, ranks
    for process in ranks:
        process.kill()
        process.wait()


def listening(port: int) -> None:
    """Wait until somebody listens there, without a connection that would be taken for a worker's."""
    for _ in range(300):
        said = subprocess.run(["ss", "-Hltn", f"sport = :{port}"], capture_output=True, text=True, check=True).stdout
        if said:
            return
        time.sleep(0.1)
    raise AssertionError(f"nobody listens at {port}")


def test_the_canary_gets_a_token_of_both_ranks_and_none_when_one_is_gone(
    gang: tuple[int, list[subprocess.Popen[bytes]]], site: Site, tmp_path: Path
) -> None:
    port, (head, worker) = gang
    assert site.cluster.engine is not None
    probe = vars(ENGINE.probe(replace(site.cluster.engine, port=port), 2))
    key = tmp_path / "key"
    key.write_text("k\n")
    ready = canary(probe, tmp_path, str(key))["ready"]
    assert isinstance(ready, dict)
    assert (ready["text"], ready["tokens"], ready["version"]) == ("word word", 2, "1")
    assert canary(probe, tmp_path)["waiting"] == "HTTP 401 from /complete"
    worker.kill()
    worker.wait()
    assert "ready" not in canary(probe, tmp_path, str(key))
    assert head.wait(10) == 4
