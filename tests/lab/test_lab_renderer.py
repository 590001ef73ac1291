"""Nodes that have NetworkManager, as DGX OS has it, and what a lab says about its renderer."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.lab.conftest import DIRECT, Booted, sparkctl

RAILS = ("enp1s0f1np1", "enP2p1s0f1np1")


@pytest.fixture(scope="module")
def desktop(boot: Callable[..., Booted]) -> Booted:
    return boot(DIRECT.format(name="lab-desktop"), "--renderer", "NetworkManager")


def test_networkmanager_has_the_netdevs_as_on_a_fresh_spark(desktop):
    assert desktop.state["renderer"] == "NetworkManager"
    units = "systemctl is-system-running; systemctl is-active NetworkManager systemd-networkd"
    assert desktop.ssh("spark-1", units).stdout.split() == ["running", "active", "inactive"]
    assert desktop.said("spark-1", "ls /etc/netplan").split() == ["01-network-manager-all.yaml", "50-lab.yaml"]
    asked = "nmcli -g DEVICE,STATE,CONNECTION device | sort"
    found = {row.split(":")[0]: row.split(":")[1:] for row in desktop.said("spark-1", asked).split("\n") if row}
    assert found["enP7s7"] == ["connected", "netplan-enP7s7"]
    for netdev in RAILS:
        state, connection = found[netdev]
        assert state == "connecting (getting IP configuration)"
        assert connection.startswith("Wired connection ")


def test_netplan_gives_a_netdev_to_networkmanager(desktop):
    text = "network: {version: 2, ethernets: {enp1s0f1np1: {mtu: 9000, addresses: [10.20.0.31/24]}}}"
    desktop.said("spark-2", f"echo '{text}' | sudo tee /etc/netplan/95-x.yaml && sudo chmod 600 /etc/netplan/95-x.yaml")
    desktop.said("spark-2", "sudo netplan apply")
    assert desktop.said("spark-2", "nmcli -g GENERAL.CONNECTION device show enp1s0f1np1").strip() == f"netplan-{RAILS[0]}"


def test_another_renderer_under_the_same_name_is_refused(desktop):
    run = sparkctl("lab", "up", desktop.inventory, "--renderer", "networkd")
    assert run.returncode == 4
    assert "have NetworkManager, not networkd" in run.stderr


def test_an_unknown_renderer_is_a_usage_error(desktop):
    run = sparkctl("lab", "up", desktop.inventory, "--renderer", "ifupdown")
    assert run.returncode == 2
    assert "there is no renderer of netplan called" in run.stderr
