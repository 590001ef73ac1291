"""The probes of the machine, run by a real shell: each tool is a planted program that says what the real one would."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from sparkctl.commands.shell import quote
from sparkctl.facts import firewall, host, perftest_tool, profiles
from sparkctl.facts.base import Probe, answers, batch, parsed
from sparkctl.facts.survey import PARSERS
from sparkctl.outcome import Absent, Fact, Known, Unknown

SMI = """case $1 in *clocks_event_reasons*) [ -z "$OLD" ] || { echo not a valid field; exit 2; } ;; esac
echo 'NVIDIA GB10, 580.142, 2405, 3003, 4.2, [N/A], 0x0000000000000004'"""
NMCLI = """case "$*" in *UUID,TYPE*) echo 0a-1:802-3-ethernet; echo 0b-2:802-11-wireless ;;
*' show 0a-1') printf 'connection.id:Wired connection 1\\nconnection.interface-name:enp1s0f1np1\\nipv4.method:auto\\n' ;; *) exit 10 ;; esac"""
BOOT = "[    0.000000] Linux version 6.17.0-1014-nvidia"
FATAL = "[    9.0] pcieport 0002:00:00.0: AER: Uncorrectable (Fatal) error message received from 0002:00:00.0"
PLAIN = ("sh", "cat", "head", "tail", "sed", "grep", "cut", "tr", "df", "base64", "timeout", "date")
KALLSYMS = 'case "$*" in *kallsyms*) exit %d ;; esac; exec ' + f'{shutil.which("grep")} "$@"'
DROP = "*filter\\n:INPUT DROP [0:0]\\nCOMMIT\\n"


def asked(probe: Probe, folder: Path, tools: dict[str, str], **environment: str) -> Fact[object]:
    """The answer to `probe` of a shell that finds `tools` first, and then nothing but the plain ones of the system."""
    planted, system = folder / "planted", folder / "system"
    for made in (planted, system):
        made.mkdir(exist_ok=True)
    for tool in PLAIN:
        (system / tool).symlink_to(str(shutil.which(tool)))
    for tool, program in tools.items():
        (planted / tool).write_text(f"#!/bin/sh\n{program}\n")
        (planted / tool).chmod(0o755)
    env = {"PATH": f"{planted}:{system}", **environment}
    ran = subprocess.run(["sh"], input=batch((probe,)).script, env=env, capture_output=True, text=True, timeout=30)
    return parsed(answers(ran.stdout)[probe.name], PARSERS[probe.name])


@pytest.mark.parametrize(
    "probe", [host.GPUS_PROBE, host.DOCKER_PROBE, profiles.PROBE, perftest_tool.PROBE], ids=lambda p: p.name
)
def test_a_tool_that_is_not_there(probe: Probe, tmp_path: Path) -> None:
    assert isinstance(asked(probe, tmp_path, {}), Absent)


@pytest.mark.parametrize(
    ("probe", "tool"),
    [(host.GPUS_PROBE, "nvidia-smi"), (host.DOCKER_PROBE, "docker"), (profiles.PROBE, "nmcli"), (perftest_tool.PROBE, "ib_write_bw"),
     (host.PCIE_ERRORS_PROBE, "dmesg"), (firewall.probe([]), "iptables-save"), (firewall.probe([]), "nft"), (host.space_probe([]), "df")],
    ids=lambda value: value if isinstance(value, str) else value.name,
)  # fmt: skip
def test_a_tool_that_fails_is_unknown(probe: Probe, tool: str, tmp_path: Path) -> None:
    found = asked(probe, tmp_path, {tool: "echo Fehler; exit 9", "grep": KALLSYMS % 0})
    assert isinstance(found, Unknown), found


@pytest.mark.parametrize("tools", [{}, {"iptables-save": "exit 1"}, {"iptables-save": "exit 1", "nft": "exit 1"}])
def test_a_kernel_without_a_packet_filter_drops_nothing(tools: dict[str, str], tmp_path: Path) -> None:
    found = asked(firewall.probe([]), tmp_path, tools | {"grep": KALLSYMS % 1})
    assert found == Known(firewall.Firewall("absent", ()))


def test_rules_that_no_tool_can_show_are_unknown(tmp_path: Path) -> None:
    assert isinstance(asked(firewall.probe([]), tmp_path, {"grep": KALLSYMS % 0}), Unknown)


@pytest.mark.parametrize("old", ["", "yes"])
def test_the_reasons_of_old_and_new_drivers(old: str, tmp_path: Path) -> None:
    found = asked(host.GPUS_PROBE, tmp_path, {"nvidia-smi": SMI}, OLD=old)
    assert isinstance(found, Known)
    assert found.value[0].reasons == ("software power cap",)


def test_a_stopped_networkmanager_has_no_profiles(tmp_path: Path) -> None:
    assert isinstance(asked(profiles.PROBE, tmp_path, {"nmcli": "exit 8"}), Absent)


def test_profiles_of_ethernet_alone(tmp_path: Path) -> None:
    wired = profiles.Profile("Wired connection 1", "enp1s0f1np1", "", "auto")
    assert asked(profiles.PROBE, tmp_path, {"nmcli": NMCLI}) == Known((wired,))


def test_a_whole_kernel_log_needs_no_journal(tmp_path: Path) -> None:
    tools = {"dmesg": f"echo '{BOOT}'; echo '{FATAL}'", "journalctl": "echo asked >&2; sleep 9"}
    assert asked(host.PCIE_ERRORS_PROBE, tmp_path, tools) == Known((FATAL,))


@pytest.mark.parametrize("dmesg", ["echo wrapped", "exit 1"])
def test_a_kernel_log_that_was_overwritten_is_read_from_the_journal(dmesg: str, tmp_path: Path) -> None:
    assert asked(host.PCIE_ERRORS_PROBE, tmp_path, {"dmesg": dmesg, "journalctl": f"echo '{FATAL}'"}) == Known((FATAL,))


def test_perftest_says_its_version_and_fails(tmp_path: Path) -> None:
    assert asked(perftest_tool.PROBE, tmp_path, {"ib_write_bw": "echo 'Version: 6.06' >&2; exit 1"}) == Known("6.06")


def test_space_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    found = asked(host.space_probe([f"{tmp_path}/not/yet"]), tmp_path, {"df": "echo Avail; echo '      42'"})
    assert isinstance(found, Known)
    assert host.Space(str(tmp_path), 42) in found.value


def test_rules_of_iptables_are_not_read_twice(tmp_path: Path) -> None:
    """What iptables-nft made, nft shows too, and worse."""
    worse = '{"nftables": [{"chain": {"family": "ip", "table": "filter", "name": "INPUT", "hook": "input", "policy": "drop"}}]}'
    probe = firewall.probe([("enp1s0f1np1", "10.20.0.12")])
    found = asked(probe, tmp_path, {"iptables-save": f"printf '{DROP}'", "nft": f"echo '{worse}'"})
    assert isinstance(found, Known)
    assert found.value.drops == ("iptables -t filter -P INPUT DROP",)
    (tmp_path / "again").mkdir()
    alone = asked(probe, tmp_path / "again", {"nft": f"echo '{worse}'"})
    assert isinstance(alone, Known)
    assert alone.value.drops == ("nft ip filter INPUT: policy drop",)


def test_too_many_rules_are_unknown(tmp_path: Path) -> None:
    assert isinstance(asked(firewall.probe([]), tmp_path, {"nft": "head -c 1100000 /dev/zero | tr '\\0' x"}), Unknown)


def test_words_of_a_probe_are_quoted() -> None:
    words = host.space_probe(["/srv/a b", "/srv/$(reboot)"]).words
    assert quote(words) == "space_state '/srv/a b' '/srv/$(reboot)'"


@pytest.mark.parametrize("name", sorted({*host.PARSERS, "firewall", "profiles", "nccl", "clock", "perftest"}))
@pytest.mark.parametrize(
    "text", ["x" * 1_000_000, "1 " * 500_000, "\n" * 1_000_000, "a:b\n" * 250_000, "== nft\n" * 100_000]
)
def test_a_megabyte_is_no_answer(name: str, text: str) -> None:
    found = parsed(Known(text), PARSERS[name])
    assert len(repr(found)) < 10_000
    nothing = {"pcie-errors", "profiles"} if text.isspace() else set()
    assert (
        isinstance(found, Unknown)
        or (name in nothing and found == Known(()))
        or (name == "space" and text.startswith("1 "))
    )
