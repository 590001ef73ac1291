"""The real libnccl reads what we render and takes the planned interface, on a machine that has all ports of a Spark."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import platformdirs
import pytest
import yaml

from sparkctl.fabric.topologies.circle import ROUTED
from sparkctl.fabric.topologies.ring import ALONG_THE_CABLES
from sparkctl.inventory.names import NETPLAN
from sparkctl.render import NodeRendering
from sparkctl.render.artifact import NCCL_ENV
from sparkctl.render.nccl import ROCE, TCP
from sparkctl.rules.nccl import names

LOCK = Path(__file__).resolve().parents[2] / ".ci/lock/nccl.txt"
VERSION = LOCK.read_text().partition("nvidia-nccl-cu13==")[2].split()[0]
PROBE = Path(__file__).with_name("nccl_choice.py")
# Kernel order matters to NCCL: management and Wi-Fi come first, as on a Spark.
ALWAYS = {"enP7s7": "192.0.2.11/24", "wlP9s9": "198.51.100.11/24"}
PATH = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
USED = re.compile(r"Bootstrap: Using (\S+?)<")


@pytest.fixture(scope="module")
def library() -> Path:
    """libnccl of NVIDIA's wheel, kept between runs."""
    folder = platformdirs.user_cache_path("sparkctl") / f"nccl-{VERSION}"
    library = folder / "nvidia/nccl/lib/libnccl.so.2"
    if not library.is_file():
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        wheel = ["install", "--require-hashes", "--no-deps", "--requirement", str(LOCK), "--target", str(folder)]
        subprocess.run([*pip, *wheel], check=True, timeout=600)
    return library


def own_address(node: NodeRendering) -> str:
    """Where the node's rank is met; without an engine that of the port which Gloo uses, or any one of management's."""
    if node.engine is not None:
        return node.engine.env["VLLM_HOST_IP"]
    netplan = next(file.content for file in node.files if file.path == NETPLAN)
    entry = yaml.safe_load(netplan)["network"]["ethernets"].get(node.nccl["GLOO_SOCKET_IFNAME"])
    return str(entry["addresses"][0]).partition("/")[0] if entry else "192.0.2.11"


def ports(node: NodeRendering) -> dict[str, str]:
    """Every netdev of the node with its address."""
    netplan = next(file.content for file in node.files if file.path == NETPLAN)
    fabric = {name: entry["addresses"][0] for name, entry in yaml.safe_load(netplan)["network"]["ethernets"].items()}
    own = own_address(node)
    return {**ALWAYS, **({} if f"{own}/24" in fabric.values() else {"enP7s7": f"{own}/24"}), **fabric}


def choice(library: Path, env: Mapping[str, str], netdevs: Mapping[str, str], real: Callable[..., Any]) -> str | None:
    """What NCCL says it uses, as netdev:address; None when it finds nothing."""
    pairs = [f"{name}={address}" for name, address in netdevs.items()]
    words = ["unshare", "--net", sys.executable, str(PROBE), str(library), *pairs]
    ran = real(words, env={**PATH, "NCCL_DEBUG": "INFO", "NCCL_DEBUG_SUBSYS": "INIT,BOOTSTRAP,ENV", **env}, timeout=60)
    used = USED.search(ran.stdout)
    assert (ran.returncode == 0) == bool(used), ran.stdout + ran.stderr
    return used[1] if used else None


def planned(node: NodeRendering) -> str:
    """The same, as the inventory has it: where Gloo and vLLM meet too."""
    return f"{node.nccl['GLOO_SOCKET_IFNAME']}:{own_address(node)}"


def test_it_takes_the_planned_interface_from_the_environment(
    node: NodeRendering, library: Path, real: Callable[..., Any]
) -> None:
    env = {name: value for name, value in node.nccl.items() if name != "NCCL_DEBUG"}
    assert choice(library, env, ports(node), real) == planned(node)


def test_it_takes_the_planned_interface_from_the_file_itself(
    node: NodeRendering, library: Path, real: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "nccl.env").write_text(next(f.content for f in node.files if f.path == NCCL_ENV))
    assert choice(library, {"NCCL_CONF_FILE": str(tmp_path / "nccl.env")}, ports(node), real) == planned(node)


@pytest.mark.parametrize(
    ("value", "takes"),
    [
        (None, "enP7s7:192.0.2.11"),
        ("enP", "enP7s7:192.0.2.11"),
        ("enp1s0f1np1,enP7s7", "enP7s7:192.0.2.11"),
        ("=enp1s0f1", None),
        ('"=enp1s0f1np1"', None),
        ("=enp1s0f0np0", None),
    ],
)
def test_other_ways_to_write_it_would_have_taken_another(
    value: str | None, takes: str | None, head: NodeRendering, library: Path, real: Callable[..., Any]
) -> None:
    env = {name: text for name, text in head.nccl.items() if name != "NCCL_SOCKET_IFNAME"}
    named = {} if value is None else {"NCCL_SOCKET_IFNAME": value}
    assert choice(library, {**env, **named}, ports(head), real) == takes


def test_the_library_knows_every_name_that_we_set(node: NodeRendering, library: Path) -> None:
    """A misspelt variable is ignored without a word; its name would not be in the library."""
    content = library.read_bytes()
    assert unknown(node.nccl, content) == []
    assert unknown({"NCCL_IB_ROCE_VERSION_NO": "2"}, content) == ["NCCL_IB_ROCE_VERSION_NO"]


def test_the_names_that_the_rules_know_are_in_the_library(library: Path) -> None:
    """All that this version or an older one brought; the other way round its enums look like names."""
    content = library.read_bytes()
    mine = [int(part) for part in VERSION.split(".")]
    since = {name: [int(part) for part in text.split(".")] for name, text in names().items() if text != "-"}
    old = {name: "" for name, version in since.items() if version <= mine}
    assert len(old) > 200
    # Both are in the source and not, as whole words, in this build.
    assert set(unknown(old, content)) <= {"NCCL_IPC_USE_ABSTRACT_SOCKET", "NCCL_SOCKET_MAGIC"}
    assert set(ROUTED) | set(ALONG_THE_CABLES) | set(ROCE) | set(TCP) <= set(names())


def unknown(names: Mapping[str, str], content: bytes) -> list[str]:
    """NCCL keeps a parameter's name with its prefix or without, and always as a whole word."""
    own = [name for name in names if name.startswith("NCCL_")]
    return [n for n in own if f"\0{n}\0".encode() not in content and f"\0{n[5:]}\0".encode() not in content]
