"""Clusters at moments of their lives as plain facts, and everything that a plan made from them says and sends, as text."""

from __future__ import annotations

import difflib
import hashlib
import io
import json
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from sparkctl.commands.base import Command, node_functions
from sparkctl.execute.read_facts import SHOWN, questions
from sparkctl.fabric.model import Fabric
from sparkctl.facts.baseline import Baseline
from sparkctl.facts.files import FileState
from sparkctl.facts.foreign import ForeignFile, ForeignStanza
from sparkctl.facts.links import Netdev
from sparkctl.facts.snapshot import NodeFacts
from sparkctl.facts.units import UnitState
from sparkctl.inventory.model import Cluster
from sparkctl.outcome import Absent, Fact, Known
from sparkctl.plan import compile as commands
from sparkctl.plan.diff import Desired, Wishes
from sparkctl.plan.plan import Plan
from sparkctl.plan.playbook import load
from sparkctl.plan.steps import newcomers, plan_down, plan_up
from sparkctl.render import Rendering, render
from sparkctl.render.artifact import API_KEY, NCCL_ENV
from sparkctl.report.plan import print_plan
from sparkctl.study import study
from tests.unit.healthy import node_facts

RUN = commands.Run("abcd1234", "me@here", 120)
KEY = b"secret-key-of-the-ground\n"
NOTHING: Absent = Absent("not on the node")
FOREIGN = "/etc/netplan/40-cx7.yaml"
THEIRS = b"NCCL_DEBUG=INFO\n"
STEP = re.compile(r"^(.*) \|\| failed \$\? .*$")
FUNCTION = re.compile(r"^(\w+)\(\) \{", re.M)
CALL = re.compile(r"(?:^|[;&|!({)]|\b(?:then|do|else|if|while)\b)\s*(\w+)\b", re.M)
Facts = dict[str, NodeFacts]


@dataclass(frozen=True)
class Site:
    """An inventory as far as a plan needs it."""

    path: Path
    cluster: Cluster
    fabric: Fabric
    rendering: Rendering

    @classmethod
    def of(cls, path: Path) -> Site:
        """An inventory that has no errors."""
        found = study(path)
        assert found.cluster is not None and found.fabric is not None and not found.errors, found.findings
        return cls(path, found.cluster, found.fabric, render(found.cluster, found.fabric))

    @property
    def names(self) -> tuple[str, ...]:
        """Nodes in rank order."""
        return tuple(node.name for node in self.cluster.nodes)

    def secrets(self, node: str) -> dict[str, bytes]:
        """What goes over stdin alone."""
        return {secret.path: KEY for secret in self.rendering.nodes[node].secrets}

    def desired(self) -> dict[str, Desired]:
        """What every node should be."""
        image = self.cluster.engine.runtime.docker if self.cluster.engine else None
        return {n: Desired(self.rendering.nodes[n], self._digests(n), self.fabric.of(n), image) for n in self.names}

    def _digests(self, node: str) -> dict[str, str]:
        return {path: digest(content) for path, content in self.secrets(node).items()}


def digest(content: bytes) -> str:
    """As sha256sum says it."""
    return hashlib.sha256(content).hexdigest()


# --- moments ----------------------------------------------------------------------------------------------------


def _healthy(site: Site, node: str) -> NodeFacts:
    return node_facts(site.cluster, site.fabric, node, site.rendering.nodes[node])


def blank(site: Site) -> Facts:
    """As delivered: no file, no record, no unit, every port at 1500 without an address; the last node has no image."""
    found = {}
    for node in site.names:
        healthy = _healthy(site, node)
        assert isinstance(healthy.netdevs, Known)
        links = {name: _unset(link) for name, link in healthy.netdevs.value.items()}
        files: dict[str, Fact[FileState]] = dict.fromkeys((*SHOWN, API_KEY), NOTHING)
        unit = Known(UnitState(False, "inactive", "dead", False, 0))
        facts = replace(healthy, netdevs=Known(links), files=files, record=NOTHING, unit=unit, container=NOTHING)
        found[node] = replace(facts, image=NOTHING) if node == site.names[-1] and site.cluster.engine else facts
    return found


def _unset(link: Netdev) -> Netdev:
    return replace(link, mtu=1500, addresses=()) if link.name.endswith(("np0", "np1")) else link


def settled(site: Site, plan: Plan) -> Facts:
    """As a finished run of `plan` leaves the nodes."""
    found = {}
    for node in site.names:
        secrets = {p: Known(FileState(0o600, 0, 0, digest(c))) for p, c in site.secrets(node).items()}
        healthy = _healthy(site, node)
        files = dict.fromkeys((*SHOWN, API_KEY), NOTHING) | healthy.files | secrets
        record = plan.records[node]
        assert record is not None
        kept = {f.baseline: f.baseline_digest or "" for f in record.files.values() if f.baseline}
        found[node] = replace(healthy, files=files, record=Known(record), baseline=Known(Baseline(kept, {}, {})))
    return found


def up(site: Site, facts: Facts, only: str | None = None, wishes: Wishes | None = None) -> Plan:
    """As `cluster up`."""
    return plan_up(site.cluster.name, site.desired(), facts, load("up").only(only), wishes or Wishes())


def grown(site: Site) -> Facts:
    """After a first `up`."""
    return settled(site, up(site, blank(site)))


def first(site: Site) -> Plan:
    """`up` of blank nodes."""
    return up(site, blank(site))


def again(site: Site) -> Plan:
    """`up` once more."""
    return up(site, grown(site))


def network(site: Site) -> Plan:
    """`up --only network` of blank nodes."""
    return up(site, blank(site), "network")


def replaced(site: Site) -> Plan:
    """`reprovision` when the last node is a new one."""
    last = site.names[-1]
    facts = grown(site) | {last: blank(site)[last]}
    return up(site, facts, wishes=Wishes(only=newcomers(facts)))


def down(site: Site) -> Plan:
    """`down` after an `up`."""
    return plan_down(site.cluster.name, grown(site))


def taken_over(site: Site) -> Plan:
    """`up --take-over` where the head has a foreign netplan file and a file at one of our paths."""
    return up(site, _inhabited(site), wishes=Wishes(take_over=True))


def _inhabited(site: Site) -> Facts:
    facts, head = blank(site), site.names[0]
    netdev = site.fabric.of(head)[0].netdev
    stanza = ForeignStanza("ethernets", netdev, (netdev,), (), "", "mtu 1500")
    foreign = ForeignFile(FOREIGN, digest(b"cx7"), 0o600, 0, 0, (stanza,), "", True, "", digest(b"rest"))
    theirs = Known(FileState(0o640, 0, 0, digest(THEIRS), THEIRS.decode()))
    there = {**facts[head].files, NCCL_ENV: theirs}
    netplan = Known({FOREIGN: FileState(0o600, 0, 0, digest(b"cx7"))})
    return facts | {head: replace(facts[head], files=there, foreign=Known((foreign,)), netplan_files=netplan)}


def _settled_over(site: Site) -> Facts:
    found, head = settled(site, taken_over(site)), site.names[0]
    netplan = Known({FOREIGN: FileState(0o600, 0, 0, digest(b"rest"))})
    return found | {head: replace(found[head], netplan_files=netplan)}


def given_back(site: Site) -> Plan:
    """`down` after that: what was there before comes back."""
    return plan_down(site.cluster.name, _settled_over(site))


def edited(site: Site) -> Plan:
    """`down` after that, when somebody edited the file that sparkctl had replaced: it stays, the old one goes beside it."""
    found, head = _settled_over(site), site.names[0]
    mine = Known(FileState(0o644, 0, 0, digest(b"mine"), "mine"))
    files = {**found[head].files, NCCL_ENV: mine}
    return plan_down(site.cluster.name, found | {head: replace(found[head], files=files)})


def changed(site: Site, after: Site) -> Plan:
    """`up` after an edit of the inventory."""
    return up(after, grown(site))


VERBS: Mapping[str, Callable[[Site], Plan]] = {
    "up": first,
    "up-again": again,
    "up-network": network,
    "reprovision": replaced,
    "down": down,
}
HISTORIES: Mapping[str, Callable[[Site], Plan]] = {
    "up-take-over": taken_over,
    "down-give-back": given_back,
    "down-edited": edited,
}

# --- text -------------------------------------------------------------------------------------------------------


def told(site: Site, plan: Plan, *, was: Site | None = None, diffs: bool = False) -> str:
    """All of a plan. A node that is much like an earlier one is shown by what differs.

    Contents are in tests/cases/render: here a digest of what is rendered is its name. `was`: what the nodes had.
    """
    names = {d: f"(old {name})" for d, name in _named(was)} if was else {}
    names |= {d: f"({name})" for d, name in _named(site)}
    pages = {node: [_short(line, names) for line in _node(site, plan, node)] for node in plan.nodes}
    text = [*_head(plan), "## shown", *_shown(plan, diffs)]
    if plan.empty:
        pages.clear()  # what it leaves on record is what there was; the test looks at that
    for node, page in pages.items():
        older = {n: list(unlike(pages[n], page)) for n in plan.nodes[: plan.nodes.index(node)]}
        near = min(older, key=lambda n: len(older[n]), default="")
        folds = near and len(older[near]) < len(page) / 2
        text += [f"## {node}, where it is not as {near}", *older[near]] if folds else [f"## {node}", *page]
    return "\n".join(text).replace(str(site.path.parent), "INVENTORIES") + "\n"


def _named(site: Site) -> Iterator[tuple[str, str]]:
    for node in site.names:
        yield from ((file.digest, Path(file.path).name) for file in site.rendering.nodes[node].files)
        yield from ((secret, Path(path).name) for path, secret in site.desired()[node].secrets.items())


def _short(line: str, names: Mapping[str, str]) -> str:
    return re.sub(r"\b[0-9a-f]{64}\b", lambda found: names.get(found[0], found[0][:12]), line)


def unlike(old: list[str], new: list[str]) -> Iterator[str]:
    """The lines that differ."""
    diff = difflib.unified_diff(old, new, n=0, lineterm="")
    return ("@@" if line.startswith("@@") else line for line in diff if line[:3] not in ("---", "+++"))


def _head(plan: Plan) -> Iterator[str]:
    yield f"{plan.action} {plan.cluster}: {' '.join(plan.nodes)}"
    yield from (f"note {note}" for note in plan.notes)
    yield from (f"step {step.stage}: {step.title}: {' '.join(step.changes)}" for step in plan.steps)


def _shown(plan: Plan, diffs: bool) -> list[str]:
    console = Console(file=io.StringIO(), width=200, color_system=None)
    print_plan(plan, console, diffs=diffs)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def _node(site: Site, plan: Plan, node: str) -> Iterator[str]:
    saved = json.loads(plan.model_dump_json())
    yield "# changes"
    for step in saved["steps"]:
        yield from (_line({"stage": step["stage"], "step": step["title"], **c}) for c in step["changes"].get(node, ()))
    record = saved["records"].get(node)
    yield "# record"
    for path, kept in (record or {}).pop("files", {}).items():
        yield f"{path} {_line(kept)}"
    yield _line(record)
    if saved["spared"].get(node):
        yield f"spared {_line(saved['spared'][node])}"
    for command in sent(site, plan, node):
        yield f"# {command.title}: {command.effect.name}, at most {command.timeout:.0f} s"
        yield from body(command.script)
        if command.stdin:
            yield from _members(command.stdin)


def _line(value: Mapping[str, object] | None) -> str:
    """One JSON line; the content of a file is left out, once its digest is seen to be right."""
    for image in ((value or {}).get("before"), (value or {}).get("after")):
        if isinstance(image, dict) and image.get("content") is not None:
            assert image["digest"] == digest(image.pop("content").encode())
    return json.dumps(_set(value), sort_keys=True)


def _set(value: object) -> object:
    """Without what is null, empty or zero."""
    if not isinstance(value, dict):
        return value
    return {key: _set(inner) for key, inner in value.items() if inner is False or inner}


def sent(site: Site, plan: Plan, node: str) -> Iterator[Command]:
    """What a healthy run sends to `node`, but for what every node is sent in every run."""
    if node in plan.changed_nodes:
        yield commands.prepare(plan, RUN, node, site.secrets(node))
        yield from (commands.commit(plan, RUN, step, node) for step in plan.steps if node in step.changes)
        yield commands.conclude(plan, RUN, node)


def always(site: Site) -> Iterator[Command]:
    """What every node is sent in every run."""
    node = site.names[0]
    yield commands.lock_and_read(RUN, questions(site.cluster, site.fabric)[node])
    yield from (make(RUN) for make in (commands.hold, commands.keepalive, commands.disarm, commands.unlock, commands.undo))


def members(stdin: bytes) -> dict[str, bytes]:
    """The files of an upload."""
    with tarfile.open(fileobj=io.BytesIO(stdin)) as tar:
        return {member.name: _content(tar, member) for member in tar}


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    assert (member.mode, member.uid, member.gid, member.mtime) == (0o600, 0, 0, 0)
    file = tar.extractfile(member)
    assert file is not None
    return file.read()


def _members(stdin: bytes) -> Iterator[str]:
    """Scripts in full; of the rest what it is. The header holds the fingerprint, and the record is shown above."""
    for name, content in members(stdin).items():
        plain = name.endswith((".sh", ".json", ".py"))
        yield f"stdin: {name}" if plain else f"stdin: {name} {digest(content)}"
        if name.endswith(".sh"):
            yield from (f"  {line}" for line in body(content.decode()))


def body(script: str) -> list[str]:
    """A script without the functions that it brings along, and without what asks for facts."""
    lines = script.splitlines()
    start = _start(lines)
    steps = [STEP.sub(r"\1", line) for line in lines[start:]]
    last = max((n for n, line in enumerate(lines[start:]) if STEP.match(line)), default=len(steps))
    reads = "revert_begins" not in script.splitlines()[start] and len(steps) > last + 1
    return [*steps[: last + 1], "(reads the facts)"] if reads else steps


def _start(lines: list[str]) -> int:
    return next(n for n, line in enumerate(lines) if STEP.match(line) or line.startswith("revert_begins "))


def calls(script: str) -> set[str]:
    """What the lines of a script call that are not functions."""
    words = {found[1] for line in body(script) if (found := re.match(r" *(\w+)(?: |$)", line))}
    return words - {"if", "fi"}


def reached(script: str) -> set[str]:
    """Functions that a script calls at once or later; those that it calls and does not bring along too."""
    every = set(FUNCTION.findall(node_functions()))
    texts = dict(zip(FUNCTION.findall(script), FUNCTION.split(script)[2::2], strict=True))
    found, new = set[str](), calls(script)
    while new:
        found |= new
        new = {name for called in new for name in CALL.findall(_code(texts.get(called, "")))} & every - found
    return found


def _code(text: str) -> str:
    """Without comments and plain strings."""
    return re.sub(r"(?m)(^| )#.*$|'[^'\n]*'", "", text)


def carried(script: str) -> tuple[str, ...]:
    """The shell functions that a script brings along."""
    lines = script.splitlines()
    return tuple(sorted(FUNCTION.findall("\n".join(lines[: _start(lines)]))))


def scripts(wanted: Iterable[Command]) -> Iterator[tuple[str, str]]:
    """Title and text of every script, those in uploads too."""
    for command in wanted:
        yield command.title, command.script
        for name, content in members(command.stdin).items() if command.stdin else ():
            if name.endswith(".sh"):
                yield name, content.decode()
