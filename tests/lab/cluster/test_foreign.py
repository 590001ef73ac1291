"""Up, then down, on nodes that already had netplan files of other tools, kept or taken over: byte-identical."""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import pytest

from tests.lab.labs import Rig, same, sparkctl
from tests.unit.test_foreign import CX7, EUGR, HEAD, NM, SYNC

NODE = "spark-2"
OURS = "/etc/netplan/95-sparkctl.yaml"
RAILS = ("enp1s0f1np1", "enP2p1s0f1np1")
USER = (
    "# my own file\r\nnetwork:\r\n  version: 2\r\n  ethernets:\r\n"
    "    enp1s0f1np1: # the cable\r\n      addresses: [10.66.0.2/24]\r\n      # mtu later\r\n"
    "    # nothing below is of the fabric\r\n    usb0: {optional: true, dhcp4: true}\r\n  # the end"
)
MATCHING = HEAD + "    fast:\n      match: {name: 'en*f1np1'}\n      addresses: [10.55.0.2/24]\n      mtu: 4200\n"
# Each file, and what netplan makes of it on rail A.
MOVED = {
    "40-cx7.yaml": (CX7, "169.254."),
    "99-nvidia-sync-cluster.yaml": (SYNC, "10.100.0.1/24"),
    "98-spark-vllm-docker.yaml": (EUGR, "10.20.0.11/24"),
    "10-user.yaml": (USER, "10.66.0.2/24"),
    "20-matching.yaml": (MATCHING, "10.55.0.2/24"),
}
ALWAYS = ("40-cx7.yaml", "10-user.yaml")
ADDRESSES = "ip -4 -br addr show to 10.100.0.0/16"
LISTENER = """
systemd-run -q --unit=test-listener python3 -m http.server --bind 10.100.0.1 8123
for i in $(seq 50); do ss -Hltn | grep -q :8123 && break; sleep 0.2; done
"""
PROFILE = "90-NM-14f59568-5076-387a-aef6-10adfcca2e26.yaml"


def planted(rig: Rig, name: str, text: str, address: str = "", node: str = NODE) -> None:
    """The file is there and in force, as on a node that was used with it before; a link-local address takes seconds."""
    shown = " && ".join(f"ip -4 addr show dev {dev} | grep -qF '{address}'" for dev in RAILS[: 2 if "169" in address else 1])
    # On a busy machine `netplan apply` gives up on udev or on networkd, and says so or not: once more then,
    # which is told as a warning.
    tried = f"for i in $(seq 50); do {shown} && break 2; sleep 0.2; done" if address else "sleep 2; break"
    await_it = f"for turn in 1 2 3; do echo $turn; netplan apply; {tried}; systemctl reset-failed systemd-networkd; done; {shown if address else ':'}"
    turns = rig.root(node, f"printf '%s' '{quoted(text)}' >/etc/netplan/{name}; chmod 600 /etc/netplan/{name}; {await_it}", timeout=90)
    if "2" in turns.split():
        warnings.warn(f"netplan apply was needed more than once for {name}", stacklevel=2)


def back(rig: Rig, before: dict[str, str], seconds: float = 30) -> None:
    """As before, once networkd has chosen its link-local addresses again."""
    deadline = time.monotonic() + seconds
    while (after := rig.capture()) != before and time.monotonic() < deadline:
        time.sleep(0.5)
    same(before, after)


def quoted(text: str) -> str:
    return text.replace("'", "'\\''")


def removed(rig: Rig, name: str, node: str = NODE) -> None:
    """Nothing of it is left, so that the next test begins as the first did."""
    down = "; ".join(f"ip addr flush dev {dev}; ip link set {dev} down; ip link set {dev} mtu 1500 up" for dev in RAILS)
    rig.root(node, f"rm -f /etc/netplan/{name}*; netplan apply; {down}; sleep 2")


@pytest.mark.parametrize("name", [n if n in ALWAYS else pytest.param(n, marks=pytest.mark.more) for n in MOVED])
def test_taken_over_and_given_back(bare: Rig, name: str) -> None:
    planted(bare, name, *MOVED[name])
    try:
        before = bare.capture()
        refused = bare.cluster("up", "--yes")
        assert refused.code == 4 and f"/etc/netplan/{name}" in refused.err and "--take-over" in refused.err, refused.err
        same(before, bare.capture())
        up = bare.cluster("up", "--yes", "--take-over")
        assert up.code == 0, up.err
        for netdev in RAILS:
            assert bare.root(NODE, f"ip -4 -o addr show dev {netdev}").count(" inet ") == 1, "one address on every rail"
        assert bare.cluster("diff").code == 0
        assert bare.cluster("up", "--yes", "--take-over", "--json").json["plan"]["steps"] == []  # type: ignore[index]
        down = bare.cluster("down", "--yes")
        assert down.code == 0, down.err
        back(bare, before)
    finally:
        bare.cluster("down", "--yes")
        removed(bare, name)


@pytest.mark.more
def test_a_cluster_of_nvidia_sync_is_adopted_with_its_addresses(bare: Rig, tmp_path: Path) -> None:
    """Discovered, brought up and torn down by the discovered inventory: no address changes at any time."""
    name, fresh = "99-nvidia-sync-cluster.yaml", tmp_path / "fresh.yaml"
    hosts = {node.name: f".{k}/24" for k, node in enumerate(bare.state.nodes, start=1)}
    for node, host in hosts.items():
        planted(bare, name, SYNC.replace(".1/24", host), f"10.100.0{host}", node)
    try:
        head = next(iter(hosts))
        bare.root(head, LISTENER)
        renumbering = bare.cluster("plan", "--take-over").out
        bare.root(head, "systemctl stop test-listener; systemctl reset-failed test-listener 2>/dev/null || :")
        assert "10.100.0.1/24 becomes 10.20.0.11/24" in renumbering and "python3 at 10.100.0.1:8123" in renumbering
        before, shown = bare.capture(), bare.each(ADDRESSES)
        words = ["inventory", "discover", "--lab", bare.inventory, "--name", bare.name, "-o", fresh, "-q"]
        found = sparkctl(*words)
        assert found.code == 0, found.err
        adopted = Rig(fresh, bare.name)
        plan = adopted.cluster("plan", "--take-over")
        assert plan.code == 0 and "netplan apply" in plan.out and "becomes" not in plan.out, plan.out + plan.err
        up = adopted.cluster("up", "--yes", "--take-over")
        assert up.code == 0, up.err
        assert bare.each(ADDRESSES) == shown and all("10.100.1." in text for text in shown.values())
        assert all(name not in text for text in bare.each("ls /etc/netplan").values()), "ours is the one that gives them"
        assert adopted.cluster("diff").code == 0
        assert adopted.cluster("down", "--yes").code == 0
        back(bare, before)
    finally:
        bare.cluster("down", "--yes")
        for node in hosts:
            removed(bare, name, node)


def test_what_is_left_of_a_file_is_kept_to_the_byte(bare: Rig) -> None:
    planted(bare, "10-user.yaml", *MOVED["10-user.yaml"])
    try:
        assert bare.cluster("up", "--yes", "--take-over").code == 0
        left = bare.root(NODE, "cat /etc/netplan/10-user.yaml; stat -c %a:%U /etc/netplan/10-user.yaml")
        cut = "    enp1s0f1np1: # the cable\r\n      addresses: [10.66.0.2/24]\r\n      # mtu later\r\n"
        assert left.replace("\r\n", "\n") == USER.replace(cut, "").replace("\r\n", "\n") + "600:root\n"
    finally:
        bare.cluster("down", "--yes")
        removed(bare, "10-user.yaml")


@pytest.mark.more
def test_files_about_other_ports_are_left_alone(bare: Rig) -> None:
    other = "".join(f"    {dev}:\n      link-local: [ ipv4 ]\n" for dev in ("enp1s0f0np0", "enP2p1s0f0np0"))
    planted(bare, "40-cx7.yaml", HEAD + other)
    try:
        before = bare.capture()
        up = bare.cluster("up", "--yes")
        assert up.code == 0, up.err
        assert bare.root(NODE, "cat /etc/netplan/40-cx7.yaml") == HEAD + other
        assert bare.cluster("down", "--yes").code == 0
        same(before, bare.capture())
    finally:
        removed(bare, "40-cx7.yaml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEAD + "    any: {match: {name: 'en*'}, mtu: 1500}\n", "enP7s7"),
        ("network:\n  version: 2\n  bridges: {br7: {interfaces: [enp1s0f1np1], optional: true}}\n", "by hand"),
    ],
)
def test_what_cannot_be_moved_is_refused_with_what_to_do(bare: Rig, text: str, words: str) -> None:
    """The file is planted without being applied: it is only to be judged."""
    bare.root(NODE, f"printf '%s' '{quoted(text)}' >/etc/netplan/10-user.yaml; chmod 600 /etc/netplan/10-user.yaml")
    try:
        before = bare.capture()
        up = bare.cluster("up", "--yes", "--take-over")
        assert up.code == 4 and words in up.err, up.err
        same(before, bare.capture())
    finally:
        bare.root(NODE, "rm -f /etc/netplan/10-user.yaml")


def test_a_file_that_hides_ours(bare: Rig) -> None:
    bare.root(NODE, "mkdir -p /run/netplan; printf 'network: {version: 2}\\n' >/run/netplan/95-sparkctl.yaml; chmod 600 /run/netplan/95-sparkctl.yaml")
    try:
        before = bare.capture()
        up = bare.cluster("up", "--yes", "--take-over")
        assert up.code == 4 and "/run/netplan/95-sparkctl.yaml" in up.err, up.err
        same(before, bare.capture())
    finally:
        bare.root(NODE, "rm /run/netplan/95-sparkctl.yaml; rmdir --ignore-fail-on-non-empty /run/netplan")


@pytest.mark.more
def test_an_edit_while_taken_over_is_kept(bare: Rig) -> None:
    """Somebody writes to what is left of the file: teardown keeps that and puts the original beside it."""
    planted(bare, "10-user.yaml", *MOVED["10-user.yaml"])
    try:
        assert bare.cluster("up", "--yes", "--take-over").code == 0
        bare.root(NODE, "printf '\\n# mine\\n' >>/etc/netplan/10-user.yaml")
        drifted = bare.cluster("diff")
        assert drifted.code == 10 and "10-user.yaml" in drifted.out, drifted.out
        down = bare.cluster("down", "--yes")
        assert down.code == 0, down.err
        assert bare.root(NODE, "tail -n 1 /etc/netplan/10-user.yaml") == "# mine\n"
        spared = bare.root(NODE, "cat /etc/netplan/10-user.yaml.before-sparkctl")
        assert spared.replace("\r\n", "\n") == USER.replace("\r\n", "\n")
    finally:
        removed(bare, "10-user.yaml")


# --- NetworkManager ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("match", ["{name: enp1s0f1np1}", pytest.param("{}", marks=pytest.mark.more)])
def test_profiles_of_networkmanager(desktop: Rig, match: str) -> None:
    planted(desktop, PROFILE, NM % match)
    try:
        before = desktop.root(NODE, "sha256sum /etc/netplan/*; ip -4 -o addr | awk '{print $2, $4}'; nmcli -t -f NAME connection show | sort")
        refused = desktop.cluster("up", "--yes")
        assert refused.code == 4 and PROFILE in refused.err, refused.err
        up = desktop.cluster("up", "--yes", "--take-over")
        assert up.code == 0, up.err
        assert "10.20." in desktop.root(NODE, "ip -4 -o addr show dev enp1s0f1np1")
        assert desktop.cluster("down", "--yes").code == 0
        after = desktop.root(NODE, "sha256sum /etc/netplan/*; ip -4 -o addr | awk '{print $2, $4}'; nmcli -t -f NAME connection show | sort")
        assert after == before
        assert OURS not in after
    finally:
        desktop.cluster("down", "--yes")
        desktop.root(NODE, f"rm -f /etc/netplan/{PROFILE}; netplan apply; sleep 2")
