"""`sparkctl render`: every file of every node and switch, without a network; printed, written or compared."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparkctl.cli.completion import NODE_NAMES
from sparkctl.cli.options import asked
from sparkctl.cli.terminal import console, reported
from sparkctl.cli.typed import InventoryPath
from sparkctl.commands.shell import hint
from sparkctl.errors import InventoryError, UsageError
from sparkctl.report.door import emit

if TYPE_CHECKING:
    from sparkctl.fabric.model import Fabric
    from sparkctl.inventory.model import Cluster
    from sparkctl.render import Artifact, Rendering

CHANGES = 10
OURS = ("etc/**/*", "*.rsc", "hosts/*/sparkctl-dcb.service")  # what `-o` writes for a node and for a switch


class RenderFormat(StrEnum):
    """How `render` prints."""

    text = "text"
    json = "json"


Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="DIR", help="Write DIR/NODE/PATH and DIR/SWITCH/SCRIPT instead."),
]
Check = Annotated[Path | None, typer.Option(metavar="DIR", help="Compare with DIR as -o writes it; 10 if it differs.")]
Format = Annotated[RenderFormat, typer.Option("--format", help="What to print.")]
Explain = Annotated[bool, typer.Option("--explain", help="Every variable that the engine gets, and who says it.")]
OneNode = Annotated[str | None, asked("--node", "NAME", "Only the files of this node or switch.", NODE_NAMES)]


def render(
    inventory: InventoryPath,
    output: Output = None,
    check: Check = None,
    format: Format = RenderFormat.text,
    node: OneNode = None,
    explain: Explain = False,
) -> None:
    """Show the files that the nodes should hold and the switches import; no network is used.

    Examples:

      sparkctl render  # print every file

      sparkctl render --node spark-1  # of one node

      sparkctl render --node sw1  # of one switch

      sparkctl render -o rendered  # write them, to keep them in git

      sparkctl render --check rendered  # exit 10 and a diff when they are out of date

      sparkctl render --format json  # for programs

      sparkctl render --explain  # which variables the engine gets, and from whom
    """
    with reported():
        if sum((output is not None, check is not None, format is RenderFormat.json or explain)) > 1:
            said = "-o, --check and --format json exclude one another" + (", and --explain" if explain else "")
            raise UsageError(said, "choose one of them")
        if explain:
            _explain(inventory, node, format)
            return
        rendering = _rendering(inventory, node)
        if check is not None:
            _compare(rendering, check, node or "*")
        else:
            _deliver(rendering, output, format)


def _deliver(rendering: Rendering, output: Path | None, format: RenderFormat) -> None:
    if output is not None:
        _write_all(rendering, output)
    elif format is RenderFormat.json:
        emit(json.dumps(rendering.to_json(), indent=2))
    else:
        emit("\n".join(_shown(node, file) for node, file in _files(rendering)), end="")


def _explain(inventory: Path, only: str | None, format: RenderFormat) -> None:
    from sparkctl.render.effective import effective
    from sparkctl.report.effective import UNSEEN, lines

    cluster, fabric = _studied(inventory)
    if only is not None and only not in fabric.endpoints:
        raise UsageError(f"{inventory} has no node called {only}", f"its nodes are {', '.join(fabric.endpoints)}")
    found = {n.name: effective(cluster, fabric, n) for n in cluster.nodes if only in (None, n.name)}
    if format is RenderFormat.json:
        nodes = {name: [each.to_json() for each in every] for name, every in found.items()}
        emit(json.dumps({"version": 1, "cluster": cluster.name, "nodes": nodes}, indent=2))
        return
    for name, every in found.items():
        emit("\n".join((f"==> {name}: nccl.env, then engine.env, which wins <==", *lines(every), "")))
    emit(UNSEEN)


def _rendering(inventory: Path, only: str | None) -> Rendering:
    from sparkctl.render import Rendering, render

    full = render(*_studied(inventory))
    if only is None:
        return full
    names = (*full.nodes, *full.switches)
    if only not in names:
        said = f"{inventory} has no node called {only}, and no switch of a known model"
        raise UsageError(said, f"what it renders is for {', '.join(names)}")
    return Rendering(
        full.cluster,
        {name: node for name, node in full.nodes.items() if name == only},
        {name: switch for name, switch in full.switches.items() if name == only},
    )


def _studied(inventory: Path) -> tuple[Cluster, Fabric]:
    from sparkctl.report.findings import print_findings
    from sparkctl.study import study

    found = study(inventory)
    if found.errors or found.cluster is None or found.fabric is None:
        raise InventoryError(found.findings)
    if found.findings:  # rich is slow to import
        print_findings(found.findings, console(stderr=True))
    return found.cluster, found.fabric


def _files(rendering: Rendering) -> Iterator[tuple[str, Artifact]]:
    for name, node in rendering.nodes.items():
        yield from ((name, file) for file in node.files)
    for name, switch in rendering.switches.items():
        yield from ((name, file) for file in switch.files)


def _shown(node: str, file: Artifact) -> str:
    return f"==> {node}:{file.path} ({file.mode:04o}) <==\n{file.content}"


def _place(folder: Path, node: str, file: Artifact) -> Path:
    """Where a file goes below `folder`; a link that leads out of it is refused."""
    path = folder / node / file.path.lstrip("/")
    if not path.parent.resolve().is_relative_to(folder.resolve()) or path.is_symlink() or path.is_dir():
        raise UsageError(f"{path} is or lies behind a link or a folder that is not ours", "choose an empty folder")
    return path


def _write_all(rendering: Rendering, folder: Path) -> None:
    try:
        for node, file in _files(rendering):
            path = _place(folder, node, file)
            emit(f"{_write(path, file)} {path}")
    except OSError as error:
        raise UsageError(f"cannot write {error.filename}: {error.strerror}", "choose another folder") from None


def _write(path: Path, file: Artifact) -> str:
    """Replace the file in one step, so that an interrupted run leaves the old one or the new one."""
    content = file.content.encode()
    same = path.is_file() and path.read_bytes() == content
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.sparkctl")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
    fresh.chmod(file.mode)
    fresh.replace(path)
    return "unchanged" if same else "wrote"


def _compare(rendering: Rendering, folder: Path, nodes: str) -> None:
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder", f"make it with {hint('render', '-o', str(folder))}")
    difference = "".join(_differences(rendering, folder, nodes))
    emit(difference, end="")
    if difference:
        raise typer.Exit(CHANGES)


def _differences(rendering: Rendering, folder: Path, nodes: str) -> Iterator[str]:
    """Diffs of what is wanted, then the files that nobody wants any more, those of former nodes too."""
    wanted = {folder / node / file.path.lstrip("/"): file.content for node, file in _files(rendering)}
    for path, content in wanted.items():
        yield _diff(path, path.read_bytes() if path.is_file() else b"", content.encode())
    for path in sorted(path for pattern in OURS for path in folder.glob(f"{nodes}/{pattern}")):
        if path.is_file() and path not in wanted:
            yield f"Only in {path.parent}: {path.name}\n"


def _diff(path: Path, old: bytes, new: bytes) -> str:
    from difflib import unified_diff

    if old == new:
        return ""
    before, after = (text.decode(errors="replace").splitlines(keepends=True) for text in (old, new))
    return "".join(_ended(line) for line in unified_diff(before, after, str(path), f"{path} (inventory)"))


def _ended(line: str) -> str:
    return line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
