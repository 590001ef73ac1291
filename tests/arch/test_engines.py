"""Nothing outside an engine's folder depends on it: no import, no variable, no word of its name but in what is shown."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from sparkctl.engines import ENGINES

ROOT = Path(__file__).parents[2]
ENGINES_FOLDER = ROOT / "sparkctl" / "engines"
# What may say vLLM: examples that people read, names of other people's projects, and the sources of facts.
SHOWN = {
    "sparkctl/engines/__init__.py": ['_FOLDERS = ("vllm",)', '_LATER = ("vllm-ray", "sglang", "trtllm", "torchrun")'],
    "sparkctl/inventory/raw.py": ['examples=["vllm/vllm-openai:v0.33.0"]', 'examples=["/opt/vllm"]'],
    "sparkctl/inventory/starter.py": ["  kind: vllm", '  runtime: {{docker: "vllm/vllm-openai:v0.33.0"}}'],
    "sparkctl/models/known.json": ["the model's recipe in vLLM's list of recipes"],
    "sparkctl/rules/inv.py": ["an image name such as vllm/vllm-openai:v0.33.0"],
    "sparkctl/rules/sec.py": ["eugr/spark-vllm-docker#51"],
    "templates/facts/foreign.py": ['("98-spark-vllm-docker.yaml", "spark-vllm-docker")'],
    "templates/systemd/sparkctl-engine.service.j2": ["eugr/spark-vllm-docker#257"],
}
FOLDERS = sorted(path.name for path in ENGINES_FOLDER.iterdir() if (path / "engine.py").is_file())


def outside(folder: str) -> list[Path]:
    """All text files of the product but those of the engine's folder."""
    every = [path for part in ("sparkctl", "templates", "playbooks") for path in (ROOT / part).rglob("*") if path.is_file()]
    kept = [path for path in every if ENGINES_FOLDER / folder not in path.parents]
    return [path for path in kept if path.suffix != ".pyc"]


def said(path: Path, word: str) -> list[str]:
    """The lines of a file with `word` in them, without what may be shown."""
    text = path.read_text(encoding="utf-8")
    for shown in SHOWN.get(path.relative_to(ROOT).as_posix(), []):
        assert shown in text, f"{path} no longer says {shown!r}: take it off the list"
        text = text.replace(shown, "")
    return [line for line in text.splitlines() if re.search(word, line, re.IGNORECASE)]


def imported(text: str) -> set[str]:
    """Every module that a file names in an import."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("folder", FOLDERS)
def test_nothing_else_names_it(folder: str) -> None:
    found = {path.relative_to(ROOT).as_posix(): lines for path in outside(folder) if (lines := said(path, folder))}
    assert found == {}


@pytest.mark.parametrize("folder", FOLDERS)
def test_nothing_else_imports_it(folder: str) -> None:
    name = f"sparkctl.engines.{folder}"
    files = [path for path in outside(folder) if path.suffix == ".py" and path.is_relative_to(ROOT / "sparkctl")]
    found = [path for path in files if any(f"{module}.".startswith(f"{name}.") for module in imported(path.read_text()))]
    assert files and found == []


def test_an_import_and_a_word_would_be_seen(tmp_path: Path) -> None:
    assert "sparkctl.engines.vllm.lab.VLLM" in imported("from sparkctl.engines.vllm.lab import VLLM\n")
    assert "sparkctl.engines.vllm" in imported("def f():\n    from sparkctl.engines import vllm\n")
    assert "sparkctl.engines.vllm.lab" in imported("import sparkctl.engines.vllm.lab\n")
    path = ROOT / "sparkctl" / "engines" / "base.py"
    assert said(path, "class EngineProbe") and not said(path, "vllm")


def test_every_folder_is_registered() -> None:
    """A folder that nobody registers would be dead code."""
    assert sorted(type(engine).__module__.split(".")[2] for engine in ENGINES.values()) == FOLDERS
