"""Tries derived mutants of safety code: every one must make a test fail, or have a reviewed reason why none can.

python -m tests.mutants.run                 all; those that were killed before are not tried again until function or test changes
python -m tests.mutants.run --seeded 60     some, by a seed that is printed (--seed again); with the remembered ones
python -m tests.mutants.run --note          writes down what survives all as a debt (open.txt)
python -m tests.mutants.run --only WORD     those with WORD in their names; --list shows them, --fresh tries all of them again

Ends with 1 where a mutant survives that nobody has looked at, or the list of the reviewed does not fit.
"""

# ruff: noqa: T201
from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.mutants import program, shell
from tests.mutants.mutant import ROOT, Mutant, digest
from tests.mutants.reviewed import DEBT, OPEN, Review, reviews, wrong
from tests.mutation import MUTANTS
from tests.scenario.test_node import CASES

SCOPE = (
    ("sparkctl/execute/*.py", "what nodes are told, in which order, and what is proved"),
    ("sparkctl/plan/**/*.py", "what would change, its way back, the saved plan"),
    ("sparkctl/commands/*.py", "the words of a step, and the scripts made of them"),
    ("sparkctl/ssh/transport.py", "the gate that every command passes"),
    ("sparkctl/ssh/fleet.py", "whom the gates let through, and what a refusal becomes"),
    ("templates/checkpoint/*.sh", "the node's own scripts"),
)
MEASURES = ("allgather_test", "rdma_test", "load")
"""What of it is left out: it changes nothing, and what it finds fails no run."""
CLOSED = (
    *(f"templates/checkpoint/{name}.sh" for name in ("node", "files", "units", "network")),
    *(f"sparkctl/execute/{name}.py" for name in ("undo", "runner", "apply", "recover", "site", "plan_verbs", "readiness", "verify", "listen", "read_facts")),
    *(f"sparkctl/commands/{name}.py" for name in ("base", "canary", "checkpoint", "shell", "systemd")),
    *(f"sparkctl/ssh/{name}.py" for name in ("fleet", "transport")),
    *(f"sparkctl/plan/{name}.py" for name in ("blocks", "compile", "diff", "drift", "plan", "playbook", "receipt", "recovery", "renumbering", "steps")),
    *(f"sparkctl/plan/changes/{name}.py" for name in ("base", "file", "image", "network", "unit")),
)
"""Files of which every mutant was tried and dies, or has its reason: a seed draws from these."""
STAGES: dict[str, tuple[str, ...]] = {
    "plan": tuple(
        f"tests/unit/test_{name}.py"
        for name in ("change_kinds", "diff", "steps", "compile", "plan", "blocks", "drift", "recover", "playbook", "moved_variables", "owners")
    ),
    "memory": tuple(
        f"tests/unit/test_{name}.py"
        for name in (
            "runner", "undo", "recoverer", "readiness", "proofs", "verbs", "fleet", "commands", "listen", "read_facts", "survey_questions",
            "shell", "blocks", "receipt", "secret_files",
        )
    ),
    "unit": tuple(
        f"tests/unit/test_{name}.py"
        for name in (
            "plan", "saved", "drift", "recover", "playbook", "ground", "moves", "moved_variables", "gathered", "standin", "discover",
        )
    ),
    "node": ("tests/scenario/test_node.py",),
    "safety": ("tests/scenario/test_safety.py",),
    "field": ("tests/scenario/test_field.py",),
    "ends": ("tests/scenario/test_ends.py",),
    "undo": ("tests/scenario/test_undo.py",),
    "standin": ("tests/scenario/test_standin.py",),
    "recorded": ("tests/scenario/test_recorded.py",),
    "matrix": ("tests/scenario/test_matrix.py", "-k", "direct"),
}  # fmt: skip
"""Tests by how soon they answer: what survives one goes to the next. Scripts of nodes begin at the fourth; one file with
played nodes is one stage, for its nodes stay for all mutants."""
CASES_OF_NODE = {case.name: case for case in CASES}
WHERE = ROOT / ".make"
KEPT = ROOT / ".mutants.json"


@dataclass
class Tried:
    """What is known of all mutants, by name."""

    kept: dict[str, dict[str, Any]]
    now: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls) -> Tried:
        """From earlier runs."""
        return cls(json.loads(KEPT.read_text()) if KEPT.exists() else {})

    def known(self, mutant: Mutant) -> bool:
        """Whether it was killed, and neither its function nor that test has changed since."""
        told = self.kept.get(mutant.name)
        return told is not None and told["digest"] == _digest(mutant, told["test"])

    def killed(self, mutant: Mutant, told: dict[str, Any]) -> None:
        """Write it down."""
        self.kept[mutant.name] = {"test": told["test"], "digest": _digest(mutant, told["test"])}

    def keep(self) -> None:
        """For later runs."""
        KEPT.write_text(json.dumps(self.kept, indent=0, sort_keys=True) + "\n")


def _digest(mutant: Mutant, test: str) -> str:
    """Of the mutant and of its test: the case, where a test is one of the table of cases."""
    name, case = ROOT / test.partition("::")[0], CASES_OF_NODE.get(test.partition("[")[2].removesuffix("]"))
    return digest(mutant.digest, test, repr(case) if case and name.stem == "test_node" else name.read_text() if name.is_file() else "")


def derived() -> list[Mutant]:
    """All mutants of the scope."""
    files = [str(path.relative_to(ROOT)) for pattern, _ in SCOPE for path in sorted(ROOT.glob(pattern)) if path.stem not in MEASURES]
    return [m for file in files for m in (shell if file.endswith(".sh") else program).derive(file)]


def remembered() -> dict[Mutant, str]:
    """Those of tests/mutation.py, each with the test that is named after it."""
    found = {}
    for device in MUTANTS:
        file, (start, end, left) = device.mutated()
        source = (ROOT / file).read_text()
        of = {} if file.suffix == ".sh" else {f.name: f.span(f.node) for f in program.every(str(file))}
        function = next((name for name, (first, last) in of.items() if first <= start < last), device.function)
        mutant = Mutant(str(file), function, "remembered", device.device, start, end, left, (0, 0), True, source)
        found[mutant] = f"{device.suite}::{device.test}"
    return found


def tried(mutants: Sequence[Mutant], stage: str, hints: dict[str, str], workers: int) -> dict[str, dict[str, Any]]:
    """What became of each in one stage. Servers side by side share the mutants."""
    parts = [mutants[i::workers] for i in range(workers) if mutants[i::workers]]
    with ThreadPoolExecutor(workers) as pool:
        answers = pool.map(lambda part: _served(list(part[1]), stage, hints, part[0]), enumerate(parts))
    return {name: told for answer in answers for name, told in answer.items()}


def _served(mutants: list[Mutant], stage: str, hints: dict[str, str], number: int) -> dict[str, dict[str, Any]]:
    """A server may end early: another goes on with the rest. One that says nothing twice is broken."""
    found: dict[str, dict[str, Any]] = {}
    job, out = (WHERE / f"mutants-{stage}-{number}.{kind}" for kind in ("job", "out"))
    while rest := [m for m in mutants if m.name not in found]:
        out.unlink(missing_ok=True)
        job.write_text(json.dumps({"mutants": [asdict(m) for m in rest], "hints": hints}))
        words = [sys.executable, "-m", "tests.mutants.server", str(job), str(out), *STAGES[stage], f"--basetemp={WHERE}/mutants-{stage}-{number}.tmp"]
        with job.with_suffix(".log").open("w") as log:
            done = subprocess.run(words, cwd=ROOT, stdout=log, env={**os.environ, "PYTHONHASHSEED": "0"})
        new = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
        if not new:
            print(job.with_suffix(".log").read_text()[-3000:], file=sys.stderr)
            raise SystemExit(f"the tests of {stage} cannot be run (status {done.returncode})")
        found |= {told["name"]: told for told in new}
    return found


def through(mutants: Sequence[Mutant], book: Tried, stages: Sequence[str], workers: int) -> list[Mutant]:
    """All stages; those that survive them."""
    named = {mutant.name: test for mutant, test in remembered().items()}
    hints = {name: told["test"] for name, told in book.kept.items()} | named
    left = list(mutants)
    for stage in stages:
        chosen = [m for m in left if _fits(m, stage, named)]
        if not chosen:
            continue
        begun, answers = time.monotonic(), tried(chosen, stage, hints, workers)
        for mutant in chosen:
            told = answers[mutant.name]
            book.now[mutant.name] = told
            if told["verdict"] == "killed":
                book.killed(mutant, told)
        book.keep()
        left = [m for m in left if book.now.get(m.name, {}).get("verdict") != "killed"]
        print(f"{stage}: {len(chosen)} tried, {len(chosen) - len([m for m in chosen if m in left])} killed, {time.monotonic() - begun:.0f} s", flush=True)
    return left


def _fits(mutant: Mutant, stage: str, named: dict[str, str]) -> bool:
    """Whether a stage can say anything of it: what is remembered is for one test alone."""
    if mutant.name in named:
        return named[mutant.name].startswith(f"{STAGES[stage][0]}::")
    return mutant.room == "plan" if stage == "plan" else not (mutant.shell and stage in ("memory", "unit"))


def report(mutants: Sequence[Mutant], survivors: Iterable[Mutant], known: dict[str, Review]) -> bool:
    """By room and operator; each survivor with its reason. Whether all is as it must be."""
    alive = {m.name for m in survivors}
    counts = Counter((m.room, m.operator) for m in mutants)
    lived = Counter((m.room, m.operator) for m in mutants if m.name in alive)
    for (room, operator), count in sorted(counts.items()):
        print(f"{room:10} {operator:12} {count:5} {lived[room, operator] or '':>4}")
    bare = [m for m in mutants if m.name in alive and (m.name not in known or known[m.name].kind == "open")]
    for mutant in bare:
        print(f"SURVIVED {mutant.name}")
    reasoned = len(alive) - len(bare)
    print(f"{len(mutants)} mutants, {len(mutants) - len(alive)} killed, {reasoned} with a reason, {len(bare)} without")
    return not bare


def main(words: list[str]) -> int:
    """As the module says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--seeded", type=int, default=0)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--stages", default=",".join(STAGES))
    parser.add_argument("--note", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--fresh", action="store_true")
    asked = parser.parse_args(words)
    begun, every, known = time.monotonic(), derived(), reviews()
    chosen = [m for m in every if asked.only in m.name]
    if asked.list:
        print("\n".join(m.name for m in chosen))
        return 0
    faults = wrong(every, known)
    if asked.seeded:
        chosen = [m for m in chosen if m.file in CLOSED and m.name not in known]
        print(f"{asked.seeded} of {len(chosen)} mutants by --seed {asked.seed}", flush=True)
        chosen = random.Random(asked.seed).sample(chosen, min(asked.seeded, len(chosen)))
    if not asked.only or asked.only == "remembered":
        chosen += remembered()
    WHERE.mkdir(exist_ok=True)
    book = Tried.read()
    fresh = asked.fresh or bool(asked.seeded)
    survivors = through([m for m in chosen if fresh or not book.known(m)], book, asked.stages.split(","), asked.workers)
    if not asked.seeded and not asked.only:
        alive = {m.name for m in survivors}
        if asked.note:
            OPEN.write_text("".join(f"{m.name}\n" for m in survivors if known.get(m.name, DEBT).kind == "open"))
        faults += [f"killed, so it needs no reason any more: {name}" for name in known if name not in alive]
    well = report(chosen, survivors, known)
    print(*faults, f"{time.monotonic() - begun:.0f} s", sep="\n")
    return 0 if well and not faults else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
