"""A pytest that tries mutants: it runs its tests once as they are, then for each mutant some of them again in a fork.

A plugin: `python -m tests.mutants.server JOB OUT WORDS...`. JOB has the mutants, OUT gets one line of JSON for each of them.
In the fork a mutated function has its new code before any test runs, and the node's scripts come from a mutated folder.
Fixtures of the module stay as the run without mutants left them, above all the memory of what scripts did in which state.
"""

from __future__ import annotations

import base64
import functools
import gc
import json
import os
import re
import select
import shutil
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

import pytest

from sparkctl import resources
from tests.mutants.mutant import ROOT, Mutant
from tests.scenario.world import World

ROOM_TO_BREATHE, SLOWER, LONGEST = 10, 8, 120
"""Seconds for each test of a fork: some, and so many times what it took without a mutant; never more than the last."""
MOST_TESTS, MOST_SECONDS = 400, 20
"""Of those that reach a mutant, so many of the nearest are run, or as many as take so long."""
DEFINED = re.compile(r"(?m)^(\w+)\(\) \{")


@dataclass
class Reached:
    """What the tests reach: lines of the program by file, functions of the node's scripts; and the seconds of each."""

    lines: dict[str, dict[str, set[int]]] = field(default_factory=lambda: defaultdict(dict))
    functions: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    seconds: dict[str, float] = field(default_factory=dict)
    now: str = ""

    def trace(self, frame: FrameType, event: str, arg: object) -> Any:
        """For sys.settrace: only what is in the scope is followed."""
        lines = self.lines.get(frame.f_code.co_filename)
        if lines is None:
            return None
        hit = lines.setdefault(self.now, set())

        def local(frame: FrameType, event: str, arg: object) -> Any:
            hit.add(frame.f_lineno)
            return local

        hit.add(frame.f_lineno)
        return local

    def told(self, asked: Callable[..., Any]) -> Callable[..., Any]:
        """World._asked that writes down which functions go to a node."""

        @functools.wraps(asked)
        def noted(world: World, node: str, verb: str, **request: Any) -> Any:
            stdin = base64.b64decode(request.get("stdin", "")).decode("latin-1")
            self.functions[self.now].update(DEFINED.findall(request.get("script", "") + "\n" + stdin))
            return asked(world, node, verb, **request)

        return noted

    def of(self, mutant: Mutant) -> list[str]:
        """The tests that reach a mutant, the fastest first."""
        if mutant.shell:
            found = [test for test, functions in self.functions.items() if mutant.function in functions]
        else:
            first, last = mutant.lines
            by_test = self.lines.get(str(ROOT / mutant.file), {})
            found = [t for t, lines in by_test.items() if any(first <= line <= last for line in lines)]
        return sorted((test for test in found if test in self.seconds), key=lambda test: self.seconds[test])


@dataclass
class Server:
    """The plugin."""

    job: list[Mutant]
    out: Path
    hints: dict[str, str]
    failed: list[str] = field(default_factory=list)
    reached: Reached = field(default_factory=Reached)
    killers: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Which tests failed."""
        if report.failed:
            self.failed.append(report.nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Instead of pytest's own."""
        if session.testsfailed or not session.items:
            raise session.Failed(f"{session.testsfailed} errors while {len(session.items)} tests were collected")
        self.items = {item.nodeid: item for item in session.items}
        self._baseline(session.items)
        self.live = _live({str(ROOT / mutant.file) for mutant in self.job})
        self.worlds = [found for found in gc.get_objects() if isinstance(found, World)]
        self.caches = [found for found in gc.get_objects() if _ours(found)]
        gc.freeze()
        with self.out.open("a") as out:
            for mutant in self.job:
                print(json.dumps({"name": mutant.name, **self._tried(mutant)}), file=out, flush=True)
                if not self._sane():
                    break
        return True

    def _baseline(self, items: list[pytest.Item]) -> None:
        """Every test once, followed; module fixtures of a suite with nodes stay for the forks."""
        for mutant in self.job:
            self.reached.lines[str(ROOT / mutant.file)] = {}
        World._asked = self.reached.told(World._asked)  # type: ignore[method-assign]
        warm = items[0] if len({item.path for item in items}) == 1 and len(items) > 1 else None
        for item, after in zip(items, [*items[1:], warm], strict=True):
            self.reached.now, begun = item.nodeid, time.perf_counter()
            sys.settrace(self.reached.trace)
            try:
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            finally:
                sys.settrace(None)
            self.reached.seconds[item.nodeid] = time.perf_counter() - begun
        if self.failed:
            raise pytest.Session.Failed(f"without any mutant these fail: {self.failed}")

    def _tried(self, mutant: Mutant) -> dict[str, Any]:
        """What became of one mutant."""
        begun, tests = time.perf_counter(), self._chosen(mutant)
        if not tests:
            return {"verdict": "not reached", "test": "", "tests": 0, "seconds": 0.0}
        verdict, test = self._forked(mutant, tests)
        if verdict == "killed":
            self.killers[mutant.function][test] += 1
        return {"verdict": verdict, "test": test, "tests": len(tests), "seconds": round(time.perf_counter() - begun, 2)}

    def _chosen(self, mutant: Mutant) -> list[str]:
        """Who killed it before, then who killed others of its function, then the fastest."""
        before, others = self.hints.get(mutant.name), self.killers[mutant.function]
        if mutant.operator == "remembered":  # its own test must do it
            return [test for test in self.items if test == before or test.startswith(f"{before}[")]
        found = self.reached.of(mutant)
        ordered = sorted(found, key=lambda test: (test != before, -others[test]))[:MOST_TESTS]
        times = accumulate(self.reached.seconds[test] for test in ordered)
        return [test for test, until in zip(ordered, times, strict=True) if test is ordered[0] or until < MOST_SECONDS]

    def _forked(self, mutant: Mutant, tests: list[str]) -> tuple[str, str]:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            self._in_fork(mutant, tests, write)
        os.close(write)
        said = self._heard(child, read)
        if said and said[-1] == "survived":
            return "survived", ""
        return ("killed", said[-1]) if said else ("broken", "")

    def _heard(self, child: int, read: int) -> list[str]:
        """All that a fork said when it has ended, or the time of one of its tests is over: then all of it is killed."""
        said, until = b"", time.monotonic() + LONGEST
        while select.select([read], [], [], max(0.0, until - time.monotonic()))[0]:
            more = os.read(read, 1 << 16)
            if not more:
                break
            said += more
            seconds = self.reached.seconds.get(said.decode().splitlines()[-1], LONGEST)
            until = time.monotonic() + min(LONGEST, ROOM_TO_BREATHE + SLOWER * seconds)
        else:
            os.killpg(child, signal.SIGKILL)
        os.close(read)
        os.waitpid(child, 0)
        return said.decode().splitlines()

    def _in_fork(self, mutant: Mutant, tests: list[str], write: int) -> None:
        """Says the name of each test before it begins, and that all passed; never returns."""
        try:
            os.setsid()
            self._mutated(mutant)
            self.failed.clear()
            chosen = [self.items[test] for test in tests]
            after = [*chosen[1:], next((i for i in self.items.values() if i is not chosen[-1] and i.path == chosen[-1].path), None)]
            for item, following in zip(chosen, after, strict=True):
                os.write(write, f"{item.nodeid}\n".encode())
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                if self.failed:
                    os._exit(1)
            os.write(write, b"survived\n")
        except BaseException as error:
            print(f"{mutant.name}: {error!r}", file=sys.__stderr__, flush=True)
        finally:
            os._exit(0)

    def _mutated(self, mutant: Mutant) -> None:
        if mutant.shell:
            self._scripted(mutant)
        else:
            path = str(ROOT / mutant.file)
            code = _code(compile(mutant.text(), path, "exec", dont_inherit=True), mutant.function)
            for function in self.live[path, mutant.function]:
                function.__code__ = code
        for cached in self.caches:
            cached.cache_clear()

    def _scripted(self, mutant: Mutant) -> None:
        """The templates are a copy with the mutant in it; constants of tests that hold the script, too."""
        folder = self.out.parent / f"{self.out.stem}.templates"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(ROOT / "templates", folder)
        (folder / Path(mutant.file).relative_to("templates")).write_text(mutant.text())
        resources._CHECKOUT["templates"] = str(folder)
        old = (ROOT / mutant.file).read_text()
        for module in {item.module for item in self.items.values() if hasattr(item, "module")}:
            for name, value in list(vars(module).items()):
                if isinstance(value, str) and old in value:
                    setattr(module, name, value.replace(old, mutant.text()))

    def _sane(self) -> bool:
        """Whether the nodes still are what they can be; else a new server goes on."""
        try:
            for world in self.worlds:
                for machine in world.machines.values():
                    machine.sandbox.ask("run", **{"from": machine.sandbox.first}, script=":", stdin="", clock=0, boot="boot-0", cables="")
        except (AssertionError, ValueError, OSError) as error:
            print(f"a new server is needed: {error}", file=sys.__stderr__, flush=True)
            return False
        return True


def _ours(found: object) -> bool:
    """Whether it is a cache of the program."""
    return isinstance(found, functools._lru_cache_wrapper) and str(found.__module__).startswith("sparkctl.")


def _live(paths: set[str]) -> dict[tuple[str, str], list[FunctionType]]:
    """The functions of some files by file and qualified name."""
    found: dict[tuple[str, str], list[FunctionType]] = defaultdict(list)
    for each in gc.get_objects():
        if isinstance(each, FunctionType) and each.__code__.co_filename in paths:
            found[each.__code__.co_filename, each.__code__.co_qualname].append(each)
    return found


def _code(module: CodeType, name: str) -> CodeType:
    """The code of a function, by its qualified name."""

    def all_of(code: CodeType) -> Iterator[CodeType]:
        for each in code.co_consts:
            if isinstance(each, CodeType):
                yield each
                yield from all_of(each)

    return next(code for code in all_of(module) if code.co_qualname == name)


def main(job: str, out: str, *words: str) -> int:
    """Read the job, become the tests."""
    told = json.loads(Path(job).read_text())
    mutants = [Mutant(**{**each, "lines": tuple(each["lines"])}) for each in told["mutants"]]
    return pytest.main(["-q", "-p", "no:cacheprovider", *words], plugins=[Server(mutants, Path(out), told["hints"])])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
