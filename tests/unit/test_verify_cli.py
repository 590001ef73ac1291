"""`sparkctl cluster verify`: what cannot be is refused before a node is asked; one run in every form of report."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import Result
from typer.testing import CliRunner

from sparkctl.checks.base import TCP_REASON
from sparkctl.checks.thresholds import Thresholds
from sparkctl.cli import opening, proving
from sparkctl.cli.cluster import app
from sparkctl.execute.site import Interruption
from sparkctl.fabric.model import Fabric
from sparkctl.inventory.model import Cluster
from sparkctl.outcome import Verdict
from tests.unit.judged import judged

LONG = "x" * 300
DUAL = str(Path(__file__).resolve().parents[2] / "inventories/dual.yaml")


class Fleet:
    """No nodes."""

    async def close(self) -> None:
        """Nothing to close."""

    def counts(self) -> dict[str, int]:
        """Nobody was asked."""
        return {}


@dataclass(frozen=True)
class Site:
    """A cluster without nodes, that knows one secret."""

    cluster: Cluster
    fabric: Fabric
    fleet: Fleet = field(default_factory=Fleet)
    overlays: tuple[str, ...] = ()
    expect: str = "real"
    interruption: Interruption = field(default_factory=Interruption)

    def secrets(self, node: str) -> Mapping[str, bytes]:
        """One, known to this machine."""
        return {"/etc/sparkctl/api.key": b"6.17.0-1008\n"}


@dataclass
class Asked:
    """Answers with a report made beforehand and keeps what it was asked for."""

    faults: bool = True
    asked: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.proof = judged("dual", faults=self.faults)

    def opened(self, desk: object) -> Site:
        """The way to nobody."""
        return Site(self.proof.cluster, self.proof.fabric)

    async def verify(self, site: Site, *, load: str, thresholds: Thresholds, expect: str) -> SimpleNamespace:
        """What was made."""
        self.asked.append({"pings": True, "load": load, "expect": expect, "thresholds": thresholds})
        found = self.proof.load if load != "none" else None
        raw = {"spark-1": "password=hunter22"}
        return SimpleNamespace(verdicts=self.proof.verdicts, load=found, answer=None, raw=raw)


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Asked:
    made = Asked()
    monkeypatch.setattr(opening, "opened", made.opened)
    monkeypatch.setattr(proving, "verify", made.verify)
    return made


@pytest.fixture
def healthy(session: Asked) -> Asked:
    session.proof = judged("dual", faults=False)
    return session


def ran(*words: str) -> Result:
    return CliRunner().invoke(app, ["verify", DUAL, *words])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--quick",), "add --load"),
        (("--threshold", "rail_pas=3"), "do you mean rail_pass?"),
        (("--threshold", "zzz=3"), "choose from bridge, carrier_"),
        (("--threshold", "rail_pass"), "write --threshold rail_pass=90"),
        (("--threshold", "rail_pass=nan"), "is not a value of rail_pass"),
        (("--threshold", "rail_pass=-1"), "is not a value of rail_pass"),
        (("--threshold", "rail_pass=1e999"), "is not a value of rail_pass"),
        (("--only", "rail-mtuu"), "do you mean rail-mtu?"),
        (("--expect", "moon"), "moon"),
        (("--format", "xml"), "xml"),
        (("--compare", "/nonexistent.json"), "cannot be read"),
        (("--compare", DUAL), "cannot be compared with"),
        (("--html", "/nonexistent/x.html"), "cannot be written"),
        (("--html", "/"), "cannot be written"),
        (("--save", str(Path(DUAL).parent)), "not an empty folder"),
        (("--save", DUAL), "not an empty folder"),
        (("--save", f"{DUAL}/below"), "is not a folder"),
        (("--save", LONG), f"cannot be read: {os.strerror(errno.ENAMETOOLONG)}"),
        (("--html", LONG), f"cannot be read: {os.strerror(errno.ENAMETOOLONG)}"),
        (("--html", f"{DUAL}/below"), "cannot be written"),
        (("--compare", LONG), f"cannot be read: {os.strerror(errno.ENAMETOOLONG)}"),
        (("--only", "rail-bandwidth", "--only", "nccl-gather"), "add --load"),
        (("--json", "--format", "junit"), "both want stdout"),
    ],
)
def test_what_cannot_be_is_refused_before_a_node_is_asked(session: Asked, words: tuple[str, ...], said: str) -> None:
    result = ran(*words)
    assert (result.exit_code, session.asked) == (2, [])
    assert said in " ".join(result.stderr.split())


@pytest.mark.parametrize("words", [("--html", "locked/x.html"), ("--save", "locked/a/b"), ("--html", "locked.html")])
def test_what_cannot_be_written_is_said_before_a_node_is_asked(
    session: Asked, words: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "locked").mkdir()
    (tmp_path / "locked.html").touch()
    allowed = os.access
    locked = lambda path, mode: mode & os.W_OK and "locked" in str(path)  # noqa: E731
    monkeypatch.setattr(os, "access", lambda path, mode: not locked(path, mode) and allowed(path, mode))
    option, name = words
    result = ran("--load", option, str(tmp_path / name))
    assert (result.exit_code, session.asked) == (2, [])
    assert "not yours to write" in " ".join(result.stderr.split())


@pytest.mark.parametrize("option", ["--html", "--save", "--compare"])
def test_a_place_that_nobody_may_look_into_is_no_bug(
    session: Asked, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = Path.stat

    def refused(self: Path, **options: bool) -> os.stat_result:
        if "locked" in str(self):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return look(self, **options)

    monkeypatch.setattr(Path, "stat", refused)
    result = ran(option, str(tmp_path / "locked/x"))
    assert (result.exit_code, session.asked) == (2, [])
    assert f"cannot be read: {os.strerror(errno.EACCES)}" in " ".join(result.stderr.split())


def test_a_report_of_another_kind_of_machines_is_refused(session: Asked, tmp_path: Path) -> None:
    old = tmp_path / "old.json"
    old.write_text(json.dumps({"cluster": "dual", "expect": "lab", "verdicts": []}))
    result = ran("--compare", str(old))
    assert (result.exit_code, session.asked) == (2, [])
    assert "made with --expect 'lab', and this one is with real" in " ".join(result.stderr.split())
    assert ran("--expect", "lab", "--compare", str(old)).exit_code == 7


def test_a_report_that_cannot_be_written_hides_no_fault_and_no_other_report(session: Asked, tmp_path: Path) -> None:
    result = ran("--html", "/dev/full", "--save", str(tmp_path / "kept"))
    assert result.exit_code == 7 and (tmp_path / "kept/verdicts.json").exists()
    said = " ".join(result.stderr.split())
    assert "/dev/full cannot be written: No space left" in said and "3 checks failed" in said
    assert said.index("/dev/full cannot") < said.index("3 checks")


def test_a_report_that_cannot_be_written_is_no_success(healthy: Asked) -> None:
    result = ran("--html", "/dev/full", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["message"].startswith("/dev/full cannot be written")


def test_the_inventory_is_kept_as_it_was_when_the_tests_began(
    healthy: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("name: mine\n")

    async def moved(site: Site, **wish: Any) -> SimpleNamespace:
        mine.unlink()
        return await healthy.verify(site, **wish)

    monkeypatch.setattr(proving, "verify", moved)
    result = CliRunner().invoke(app, ["verify", str(mine), "--save", str(tmp_path / "kept")])
    assert (result.exit_code, (tmp_path / "kept/inventory.yaml").read_text()) == (0, "name: mine\n")


def test_a_report_of_another_cluster_is_refused_before_a_node_is_asked(session: Asked, tmp_path: Path) -> None:
    old = tmp_path / "old.json"
    old.write_text(json.dumps({"cluster": "another", "verdicts": []}))
    result = ran("--compare", str(old))
    assert (result.exit_code, session.asked) == (2, [])
    assert "is of cluster 'another', not of 'dual'" in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("words", "load", "expect"),
    [
        ((), "none", "real"),
        (("--load",), "full", "real"),
        (("--load", "--quick"), "quick", "real"),
        (("--lab",), "none", "lab"),
        (("--expect", "lab"), "none", "lab"),
        (("--lab", "--expect", "real"), "none", "real"),
    ],
)
def test_the_session_is_asked_for_what_was_wished(
    session: Asked, words: tuple[str, ...], load: str, expect: str
) -> None:
    assert ran(*words, "--threshold", "rail_pass=100").exit_code == 7
    (asked,) = session.asked
    assert (asked["load"], asked["expect"], asked["pings"]) == (load, expect, True)
    assert asked["thresholds"] == replace(Thresholds(), rail_pass=100)


def test_what_is_wrong_ends_with_7_and_says_it_first(session: Asked) -> None:
    result = ran()
    assert result.exit_code == 7
    assert result.stdout.startswith("fail     rail-mtu  spark-1 p1 rail A\n")
    assert "3 checks failed. First: spark-1 p1 rail A: " in result.stderr


def test_a_healthy_cluster_ends_with_0(healthy: Asked) -> None:
    result = ran()
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.endswith("11 pass, 2 skipped\n")


@pytest.mark.parametrize("words", [("--json",), ("--format", "json")])
def test_json_for_programs(session: Asked, words: tuple[str, ...]) -> None:
    result = ran(*words, "--load", "--threshold", "latency=9")
    said = json.loads(result.stdout)
    assert (said["version"], said["command"], said["cluster"], said["exit_code"]) == (1, "verify", "dual", 7)
    assert (said["expect"], said["thresholds"]) == ("real", {"latency": {"value": 9.0, "default": 5.0}})
    assert said["error"]["message"].startswith("3 checks")
    assert len(said["verdicts"]) == 15 and len(said["load"]) == 21
    assert "fail     rail-mtu" in result.stderr


def test_junit_for_a_ci_service(session: Asked) -> None:
    result = ran("--format", "junit")
    assert (result.exit_code, ElementTree.fromstring(result.stdout).get("failures")) == (7, "2")
    assert "fail     rail-mtu" in result.stderr


def test_only_one_check(session: Asked) -> None:
    result = ran("--only", "files", "--json")
    assert result.exit_code == 0
    assert [v["id"] for v in json.loads(result.stdout)["verdicts"]] == ["files", "files"]
    skipped = ran("--only", "gpu-clock")
    assert skipped.exit_code == 7 and "gpu-clock judged nothing in this cluster: expect lab: no GPU" in " ".join(
        skipped.stderr.split()
    )
    nothing = ran("--only", "engine-canary")
    assert nothing.exit_code == 7 and "engine-canary judged nothing" in nothing.stderr


def test_without_rdma_that_nothing_was_judged_is_no_fault(session: Asked) -> None:
    only = Verdict("rail-bandwidth", "skipped", "all rails", TCP_REASON)
    session.proof = replace(session.proof, verdicts=(only,))
    assert ran("--load", "--only", "rail-bandwidth").exit_code == 0


def test_save_and_compare(session: Asked, tmp_path: Path) -> None:
    folder = tmp_path / "runs/monday"
    assert ran("--load", "--save", str(folder), "--html", str(tmp_path / "page.html")).exit_code == 7
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(f.stat().st_mode) == 0o600 for f in folder.rglob("*") if f.is_file())
    assert (folder / "raw/spark-1/answer.txt").read_text() == "password=[redacted]"
    assert "6.17.0-1008" not in "".join(f.read_text() for f in folder.rglob("*.*"))
    assert "<h1>dual</h1>" in (tmp_path / "page.html").read_text()
    again = ran("--load", "--save", str(folder))
    assert again.exit_code == 2 and "not an empty folder" in again.stderr
    session.proof = judged("dual", faults=False)
    for old in (folder, folder / "verdicts.json"):
        later = ran("--load", "--compare", str(old), "--json")
        assert later.exit_code == 0
        turns = {(t["id"], t["before"], t["after"]) for t in json.loads(later.stdout)["compared"]["turns"]}
        assert ("rail-carrier", "fail", "pass") in turns and ("kernel", "warn", None) in turns
    shown = ran("--compare", str(folder), "--only", "rail-carrier")
    assert shown.stdout.startswith("changed since 20")
    assert "gone" not in shown.stdout and "fail -> pass       rail-carrier" in shown.stdout
