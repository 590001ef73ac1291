"""The real `netplan generate` on every rendered file, for networkd and for NetworkManager."""

from __future__ import annotations

from collections.abc import Callable
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from sparkctl.inventory.names import NETPLAN
from sparkctl.render import NodeRendering

Rooted = Callable[[NodeRendering], Path]
MANAGER = "network:\n  version: 2\n  renderer: NetworkManager\n  ethernets: {enP7s7: {dhcp4: true}}\n"


def planned(root: Path) -> dict[str, dict[str, Any]]:
    """The netdevs that our file names."""
    ethernets: dict[str, dict[str, Any]] = yaml.safe_load((root / NETPLAN[1:]).read_text())["network"]["ethernets"]
    return ethernets


def sections(path: Path) -> dict[str, dict[str, str]]:
    """A generated file; no key of ours may come twice, and ConfigParser sees to it."""
    parser = ConfigParser(strict=True, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text())
    return {name: dict(parser[name]) for name in parser.sections()}


def generate(real: Callable[..., Any], root: Path) -> None:
    """netplan must be content, and have nothing to warn of."""
    made = real(["netplan", "generate", "--root-dir", str(root)])
    assert (made.returncode, made.stdout, made.stderr) == (0, "", "")


def test_networkd_gets_the_address_and_the_mtu_and_nothing_else(
    node: NodeRendering, rooted: Rooted, real: Callable[..., Any]
) -> None:
    root = rooted(node)
    generate(real, root)
    for netdev, wanted in planned(root).items():
        network = sections(root / f"run/systemd/network/10-netplan-{netdev}.network")
        assert network == {
            "Match": {"Name": netdev},
            "Link": {"RequiredForOnline": "no", "MTUBytes": str(wanted["mtu"])},
            "Network": {"LinkLocalAddressing": "no", "Address": wanted["addresses"][0], "IPv6AcceptRA": "no"},
        }
    made = {path.name for path in (root / "run/systemd/network").glob("*.network")}
    assert made == {f"10-netplan-{netdev}.network" for netdev in planned(root)}


def test_networkmanager_as_on_dgx_os_gets_the_same(
    node: NodeRendering, rooted: Rooted, real: Callable[..., Any]
) -> None:
    root = rooted(node)
    existing = root / "etc/netplan/01-network-manager-all.yaml"
    existing.write_text(MANAGER)
    existing.chmod(0o600)
    generate(real, root)
    for netdev, wanted in planned(root).items():
        profile = sections(root / f"run/NetworkManager/system-connections/netplan-{netdev}.nmconnection")
        assert profile["connection"]["interface-name"] == netdev
        assert profile["ethernet"]["mtu"] == str(wanted["mtu"])
        assert profile["ipv4"] == {"method": "manual", "address1": wanted["addresses"][0]}
        assert profile["ipv6"] == {"method": "ignore"}
    management = sections(root / "run/NetworkManager/system-connections/netplan-enP7s7.nmconnection")
    assert management["ipv4"]["method"] == "auto"


def test_every_planned_address_and_mtu_is_in_the_file(node: NodeRendering, rooted: Rooted) -> None:
    hca = node.nccl.get("NCCL_IB_HCA")
    planned_netdevs = planned(rooted(node))
    assert planned_netdevs
    assert hca is None or len(hca.split(",")) == len(planned_netdevs)
    addresses = [entry["addresses"][0].split("/")[0] for entry in planned_netdevs.values()]
    if node.nccl["GLOO_SOCKET_IFNAME"] in planned_netdevs:
        assert node.engine is None or node.engine.env["VLLM_HOST_IP"] in addresses
    else:  # a mesh or ring meets over management, which our file never names
        assert node.nccl["GLOO_SOCKET_IFNAME"] == "enP7s7"
        assert node.nccl["NCCL_IB_SUBNET_AWARE_ROUTING" if hca else "NCCL_IB_DISABLE"] == "1"


@pytest.mark.parametrize(
    ("old", "new"),
    [("mtu: 9000", "mtu: large"), ("dhcp4: false", "dhcp: false"), ("/24", ""), ("version: 2", "version: 9")],
)
def test_netplan_would_have_said_so(
    old: str, new: str, head: NodeRendering, rooted: Rooted, real: Callable[..., Any]
) -> None:
    """The same check on a file that is wrong: it fails, so the tests above can fail."""
    root = rooted(head)
    path = root / NETPLAN[1:]
    path.write_text(path.read_text().replace(old, new, 1))
    assert real(["netplan", "generate", "--root-dir", str(root)]).returncode != 0
