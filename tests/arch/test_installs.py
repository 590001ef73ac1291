"""Nothing is installed but what a lock names: exact versions, hashes, a wheel for every Python and machine.

Debian's packages are not pinned: one release changes for mending alone, and its archive keeps only the last of each.
"""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.arch.test_text import tracked

ROOT = Path(__file__).resolve().parents[2]
LOCKS = {path.stem: path for path in sorted((ROOT / ".ci/lock").glob("*.txt"))}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CELLS = [(python, machine) for python in ("3.11", "3.12", "3.13", "3.14") for machine in ("x86_64", "aarch64")]
LINE = re.compile(
    r"(?P<name>[\w.-]+)==(?P<version>[\w.!+]+)(?: ; (?P<marker>[^#]+?))?(?P<hashes>( --hash=sha256:[0-9a-f]{64})+)"
)
COMMANDS = re.compile(
    r"(\bpip[\"'}]?|-m pip|\$pip\"|\buv|\bpipx|\bnpm|\byarn|\bgem|\bcargo|\bgo)( --?[\w-]+)* (install|download|wheel|add|ci)\b"
    r"|\b(uvx|npx|pipx run|easy_install|conda install)\b|\b(curl|wget)\b.*\|\s*(ba)?sh\b"
)
VERBS = {"install", "download", "wheel"}
PINNED = {"--require-hashes", "--no-deps"}
# What it is for is to be unpinned.
ON_PURPOSE = "unpinned on purpose"


def free_commands(text: str) -> list[str]:
    """Lines that install whatever is newest: neither a lock, nor one thing without what it needs, nor versions."""
    lines = [line for line in text.splitlines() if COMMANDS.search(line) and ON_PURPOSE not in line]
    return [line.strip() for line in lines if not PINNED & set(line.split()) and "==" not in line]


def free_calls(source: str) -> list[int]:
    """The same in Python, where a command is a list of words: the lines of lists and calls with a verb and no pin."""
    found = []
    for node in ast.walk(ast.parse(source)):
        inside = (
            node.elts if isinstance(node, ast.List | ast.Tuple) else node.args if isinstance(node, ast.Call) else []
        )
        words = {item.value for item in inside if isinstance(item, ast.Constant) and isinstance(item.value, str)}
        if words & VERBS and not words & PINNED:
            found.append(node.lineno)
    return found


def searched() -> Iterator[tuple[str, str]]:
    """Every tracked text, but this one and what was recorded."""
    for path in tracked():
        name = str(path.relative_to(ROOT))
        recorded = path.suffix in {".json", ".png"} or name.startswith(("tests/cases/", "tests/recorded/"))
        if not recorded and path != Path(__file__).resolve():
            yield name, path.read_text(errors="replace")


@pytest.mark.parametrize(
    "text",
    [
        ".venv/bin/pip install .",
        '"$pip" install --quiet rich',
        "python3 -m pip --quiet install 'rich>=13'",
        "pip download torch",
        "uv pip install rich",
        "uvx ruff",
        "npm ci",
        "curl -s https://x.invalid/get | sh",
    ],
)
def test_the_checker_sees_an_unpinned_command(text: str) -> None:
    assert free_commands(f"fine\n{text}\n") == [text]


def test_the_checker_lets_what_is_pinned_pass() -> None:
    assert (
        free_commands("pip install --require-hashes -r x\npip install --no-deps .\npip install a==1\ninstall -m 755 x")
        == []
    )


def test_the_checker_sees_an_unpinned_call() -> None:
    assert free_calls("a = 1\nrun(['pip', 'install', '-qq', *wanted])") == [2]
    assert free_calls("run('python', '-m', 'pip', 'download', 'x')") == [1]
    assert free_calls("run(['pip', 'install', '--require-hashes', *wanted])") == []


def test_nothing_is_installed_unpinned() -> None:
    found = {name: free_commands(text) for name, text in searched() if not name.endswith(".py")}
    called = {name: free_calls(text) for name, text in searched() if name.endswith(".py")}
    assert {name: each for name, each in (found | called).items() if each} == {}


def locked(name: str) -> list[re.Match[str]]:
    """The requirements of one lock, those that it takes from another one too."""
    text = LOCKS[name].read_text().replace(" \\\n    --hash", " --hash")
    found: list[re.Match[str]] = []
    for line in text.splitlines():
        if line.startswith("-r "):
            found += locked(line[3:].removesuffix(".txt"))
        elif not line.startswith("#"):
            match = LINE.fullmatch(line)
            assert match is not None, f"{name}: {line}"
            found.append(match)
    return found


def versions(name: str, python: str, machine: str) -> dict[str, str]:
    """What a lock installs there."""
    given = {"python_version": python, "python_full_version": f"{python}.0", "platform_machine": machine}
    wanted = [m for m in locked(name) if m["marker"] is None or Marker(m["marker"]).evaluate(given)]
    assert len({m["name"] for m in wanted}) == len(wanted), "a package twice"
    return {m["name"]: m["version"] for m in wanted}


def missing(asked: list[str], found: dict[str, str], machine: str) -> list[str]:
    """Requirements that `found` does not meet."""
    wanted = [
        one
        for one in map(Requirement, asked)
        if one.marker is None or one.marker.evaluate({"platform_machine": machine})
    ]
    return [str(one) for one in wanted if not one.specifier.contains(found.get(canonicalize_name(one.name), "0"))]


RUN = [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"], "pip"]
DEV = [*RUN, *PROJECT["project"]["optional-dependencies"]["dev"]]


@pytest.mark.parametrize(
    ("name", "asked"),
    [("run", RUN), ("dev", DEV), *((name, PROJECT["dependency-groups"][name]) for name in ("bench", "nccl", "lock"))],
)
@pytest.mark.parametrize(("python", "machine"), CELLS)
def test_a_lock_has_everything_that_is_asked_for(name: str, asked: list[str], python: str, machine: str) -> None:
    assert missing(asked, versions(name, python, machine), machine) == []


def test_the_checker_sees_what_a_lock_lacks() -> None:
    assert missing(["a>=2", "b", "c; platform_machine == 'x86_64'"], {"a": "1", "b": "1"}, "aarch64") == ["a>=2"]


def test_the_lowest_versions_are_the_bounds() -> None:
    found = versions("lowest", "3.11", "x86_64")
    for one in (one for one in map(Requirement, DEV) if one.name != "pip"):
        (bound,) = [Version(each.version).release for each in one.specifier if each.operator == ">="]
        assert Version(found[canonicalize_name(one.name)]).release[: len(bound)] == bound, one


def test_the_engine_of_the_lab_is_what_is_asked_for() -> None:
    parts = json.loads((ROOT / "sparkctl/engines/vllm/lab-lock.json").read_text())
    found = dict(line.split()[0].split("==") for line in parts["packages"] + parts["cuda"])
    assert missing(PROJECT["dependency-groups"]["engine"], found, "x86_64") == []


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_place(name: str) -> None:
    assert locked(name)
    assert re.findall(r"^(?!-r )-.*|://.*", LOCKS[name].read_text(), flags=re.MULTILINE) == []
