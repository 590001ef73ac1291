"""What every suite shares: `--golden` rewrites expected files, and a lab or truth test that cannot run fails."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

TESTS = Path(__file__).resolve().parent
MUST_RUN = ("lab", "scenario", "truth")
Golden = Callable[[Path, str | bytes], None]


settings.register_profile("ordinary", max_examples=100, deadline=None, print_blob=True)
settings.register_profile("long", max_examples=10_000, deadline=None, print_blob=True)  # `make long`
settings.load_profile("ordinary")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Every run has a seed that can be given again, the same for all of its workers."""
    told = getattr(config, "workerinput", {}).get("hypothesis_seed", random.randrange(1 << 32))
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = told


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """What xdist hands to a worker."""
    node.workerinput["hypothesis_seed"] = node.config.option.hypothesis_seed


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The seed, also when nothing failed."""
    terminalreporter.write_line(f"inventories made with --hypothesis-seed={config.option.hypothesis_seed}")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`pytest --golden`: the git diff is the review."""
    parser.addoption("--golden", action="store_true", help="rewrite the expected files instead of comparing")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """`golden(path, text)`: `text` equals the file at `path`; with --golden the file is rewritten instead."""
    rewrite = bool(request.config.getoption("--golden"))

    def compare(path: Path, text: str | bytes) -> None:
        content = text.encode() if isinstance(text, str) else text
        if rewrite:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        assert path.is_file(), f"{path} is missing: run `make golden` and review the git diff"
        assert content.decode() == path.read_text(), f"{path} differs: run `make golden` if the change is meant"

    return compare


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything below tests/lab carries the marker `lab`, so nobody can forget it."""
    for item in items:
        if _suite(item.path) == "lab":
            item.add_marker("lab")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A test of what is real that skips itself has proved nothing: it fails, with its reason."""
    report = yield
    if _must_run(item) and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} must run, not skip: {_reason(report.longrepr)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """The same for a whole module that skips itself while it is collected."""
    report = yield
    if _suite(collector.path) in MUST_RUN and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} must run, not skip: {_reason(report.longrepr)}"
    return report


def _must_run(item: pytest.Item) -> bool:
    return _suite(item.path) in MUST_RUN or item.get_closest_marker("lab") is not None


def _suite(path: Path) -> str:
    """`lab` for tests/lab/test_up.py; empty for a file outside of tests/."""
    inside = path.relative_to(TESTS).parts if path.is_relative_to(TESTS) else ()
    return inside[0] if inside else ""


def _reason(longrepr: object) -> str:
    return str(longrepr[2]) if isinstance(longrepr, tuple) else str(longrepr)
