"""The program on the node that waits for the engine: a cable that is out ends the wait, whatever the engine says."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparkctl.commands import canary
from sparkctl.commands.canary import Watch, command
from tests.unit.on_node import ACTIVE, last_word

SLICE = 1.0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("PAUSE", 0.05), ("LOOK_EVERY", 1), ("DARK", 0.3)):
        monkeypatch.setattr(canary, name, value)


def watched(folder: Path, systemctl: str = ACTIVE) -> dict[str, object]:
    """What a worker's watch ends with; `folder` holds the attributes of its one netdev."""
    return last_word(command(Watch("sparkctl-engine.service", {}, netdevs=(f"../../..{folder}",)), SLICE), folder, systemctl)


def test_a_cable_that_is_out_ends_the_wait(tmp_path: Path) -> None:
    (tmp_path / "carrier").write_text("0\n")
    assert watched(tmp_path) == {"failed": f"../../..{tmp_path} has lost its link: is the cable out?"}


@pytest.mark.parametrize("carrier", ["1\n", None], ids=["a link", "a netdev that is down says nothing"])
def test_what_is_not_dark_ends_no_wait(carrier: str | None, tmp_path: Path) -> None:
    if carrier:
        (tmp_path / "carrier").write_text(carrier)
    assert watched(tmp_path).keys() == {"waiting", "cursor"}


def test_a_link_that_comes_back_ends_no_wait(tmp_path: Path) -> None:
    """Dark at the first look, as when a cable is pushed home."""
    (tmp_path / "carrier").write_text("0\n")
    again = f"echo 1 >{tmp_path}/carrier; echo ActiveState=active"
    assert watched(tmp_path, f"[ -e {tmp_path}/seen ] && {{ {again}; exit; }}; : >{tmp_path}/seen; echo ActiveState=active").keys() == {"waiting", "cursor"}


def test_a_link_that_flaps_is_not_a_cable_that_is_out(tmp_path: Path) -> None:
    """Dark and lit in turn: each time without a link is counted anew."""
    carrier = tmp_path / "carrier"
    carrier.write_text("0\n")
    turned = f"read now <{carrier}; echo $((1 - now)) >{carrier}; {ACTIVE}"
    assert watched(tmp_path, turned).keys() == {"waiting", "cursor"}
