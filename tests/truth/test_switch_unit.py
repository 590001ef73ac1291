"""systemd's own verdict on the nodes' half of PFC, which people install by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from sparkctl.inventory.resolve import Controller
from sparkctl.render import render
from sparkctl.study import study_text
from tests.truth.test_unit import EMPTY, NEIGHBOURS

UNIT = "sparkctl-dcb.service"
QOS = (
    "apiVersion: sparkctl/v1\nkind: Cluster\nmetadata: {name: c}\n"
    "nodes: [{name: a, address: 192.0.2.11}, {name: b, address: 192.0.2.12}]\n"
    "links: [[a:p1, 'sw:qsfp56-1-1'], [b:p0, 'sw:qsfp56-2-1']]\nfabric: {topology: switch}\n"
    "switches: [{name: sw, model: mikrotik-crs812, l2mtu: 9216, qos: roce}]\n"
)


def unit(node: str) -> str:
    """The rendered unit of one node."""
    found = study_text(QOS.encode(), "i.yaml", Controller("op", PurePosixPath("/"), PurePosixPath("/")))
    assert found.errors == ()
    assert found.cluster is not None
    assert found.fabric is not None
    files = render(found.cluster, found.fabric).switches["sw"].files
    return next(file.content for file in files if file.path == f"hosts/{node}/{UNIT}")


def verify(root: Path, text: str, real: Callable[..., Any]) -> tuple[int, str]:
    """Status and everything said."""
    units = root / "etc/systemd/system"
    units.mkdir(parents=True)
    for name in NEIGHBOURS:
        (units / name).write_text(EMPTY)
    (units / UNIT).write_text(text)
    program = root / "usr/sbin/dcb"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    said = real(["systemd-analyze", "verify", "--man=no", f"--root={root}", UNIT])
    return said.returncode, said.stdout + said.stderr


@pytest.mark.parametrize("name", ["a", "b"])
def test_systemd_has_nothing_to_say(name: str, tmp_path: Path, real: Callable[..., Any]) -> None:
    assert verify(tmp_path / "root", unit(name), real) == (0, "")


def test_systemd_would_have_said_so(tmp_path: Path, real: Callable[..., Any]) -> None:
    _, said = verify(tmp_path / "root", unit("a").replace("RemainAfterExit", "RemainForever"), real)
    assert "RemainForever" in said
