"""The probes of the machine, run by a real shell: each tool is a planted program that says what the real one would."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparkctl.commands.shell import quote
from sparkctl.facts import firewall, host, perftest_tool, profiles, units
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


WEDGED = 'echo $$ >>"$PIDS"; trap "" TERM; while :; do /bin/sleep 30; done'
NO_DAEMON = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
NO_SOCKET = "failed to connect to the docker API: dial unix /var/run/docker.sock: connect: no such file or directory"
GONE = "Error response from daemon: No such %s: x:1"
ID, PULLED = f"sha256:{'5a' * 32}", f"sha256:{'6b' * 32}"


def asked(probe: Probe, folder: Path, tools: dict[str, str], **environment: str) -> Fact[object]:
    """The answer to `probe` of a shell that finds `tools` first, and then nothing but the plain ones of the system."""
    return parsed(answered(probe, folder, tools, **environment), PARSERS[probe.name])


def answered(probe: Probe, folder: Path, tools: dict[str, str], **environment: str) -> Fact[str]:
    """The same as it came."""
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
    return answers(ran.stdout)[probe.name]


@pytest.fixture
def pids(tmp_path: Path) -> Iterator[str]:
    """Where WEDGED says who it is: as the real one it outlives whoever asked, but not the test."""
    path = tmp_path / "pids"
    yield str(path)
    for pid in path.read_text().split() if path.exists() else ():
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
        os.kill(int(pid), signal.SIGKILL)


@pytest.mark.parametrize(
    "probe", [host.GPUS_PROBE, profiles.PROBE, perftest_tool.PROBE], ids=lambda p: p.name
)
def test_a_tool_that_is_not_there(probe: Probe, tmp_path: Path) -> None:
    assert isinstance(asked(probe, tmp_path, {}), Absent)


@pytest.mark.parametrize(
    ("probe", "tool"),
    [(host.GPUS_PROBE, "nvidia-smi"), (profiles.PROBE, "nmcli"), (perftest_tool.PROBE, "ib_write_bw"),
     (host.PCIE_ERRORS_PROBE, "dmesg"), (firewall.PROBE, "iptables-save"), (firewall.PROBE, "nft"), (host.space_probe([]), "df")],
    ids=lambda value: value if isinstance(value, str) else value.name,
)  # fmt: skip
def test_a_tool_that_fails_is_unknown(probe: Probe, tool: str, tmp_path: Path) -> None:
    found = asked(probe, tmp_path, {tool: "echo Fehler; exit 9", "grep": KALLSYMS % 0})
    assert isinstance(found, Unknown), found


@pytest.mark.parametrize("tools", [{}, {"iptables-save": "exit 1"}, {"iptables-save": "exit 1", "nft": "exit 1"}])
def test_a_kernel_without_a_packet_filter_drops_nothing(tools: dict[str, str], tmp_path: Path) -> None:
    found = asked(firewall.PROBE, tmp_path, tools | {"grep": KALLSYMS % 1})
    assert found == Known(firewall.Firewall("absent", ()))


def test_rules_that_no_tool_can_show_are_unknown(tmp_path: Path) -> None:
    assert isinstance(asked(firewall.PROBE, tmp_path, {"grep": KALLSYMS % 0}), Unknown)


@pytest.mark.parametrize("old", ["", "yes"])
def test_the_reasons_of_old_and_new_drivers(old: str, tmp_path: Path) -> None:
    found = asked(host.GPUS_PROBE, tmp_path, {"nvidia-smi": SMI}, OLD=old)
    assert isinstance(found, Known)
    assert found.value[0].reasons == ("software power cap",)


def test_a_wedged_driver_is_unknown_and_nobody_waits_for_it(tmp_path: Path, pids: str) -> None:
    begun = time.monotonic()
    assert isinstance(asked(host.GPUS_PROBE, tmp_path, {"nvidia-smi": WEDGED}, PIDS=pids), Unknown)
    assert len(Path(pids).read_text().split()) == 1, "asked once, for 5 s"
    assert time.monotonic() - begun < 25


def test_a_driver_that_says_figures_and_fails_was_understood(tmp_path: Path) -> None:
    found = asked(host.GPUS_PROBE, tmp_path, {"nvidia-smi": f"{SMI}\nexit 15"})
    assert isinstance(found, Known), found


def test_a_stopped_networkmanager_has_no_profiles(tmp_path: Path) -> None:
    assert isinstance(asked(profiles.PROBE, tmp_path, {"nmcli": "exit 8"}), Absent)


def test_profiles_of_ethernet_alone(tmp_path: Path) -> None:
    wired = profiles.Profile("Wired connection 1", "enp1s0f1np1", "", "auto")
    assert asked(profiles.PROBE, tmp_path, {"nmcli": NMCLI}) == Known((wired,))


def test_names_beyond_ascii_are_those_that_nmcli_takes(tmp_path: Path) -> None:
    """nmcli writes ? for them in the locale C; bytes that are no letter cost a name its end and nothing else."""
    nmcli = NMCLI.replace("Wired connection 1", "'\"$name\"'")
    nmcli = f"if [ \"$LC_ALL\" = C.UTF-8 ]; then name='Büro \\303'; else name='B??ro'; fi\n{nmcli}"
    found = asked(profiles.PROBE, tmp_path, {"nmcli": nmcli})
    assert found == Known((profiles.Profile("Büro \ufffd", "enp1s0f1np1", "", "auto"),))


def test_a_whole_kernel_log_needs_no_journal(tmp_path: Path) -> None:
    tools = {"dmesg": f"echo '{BOOT}'; echo '{FATAL}'", "journalctl": "echo asked >&2; sleep 9"}
    assert asked(host.PCIE_ERRORS_PROBE, tmp_path, tools) == Known((FATAL,))


@pytest.mark.parametrize("dmesg", ["echo wrapped", "exit 1"])
def test_a_kernel_log_that_was_overwritten_is_read_from_the_journal(dmesg: str, tmp_path: Path) -> None:
    assert asked(host.PCIE_ERRORS_PROBE, tmp_path, {"dmesg": dmesg, "journalctl": f"echo '{FATAL}'"}) == Known((FATAL,))


@pytest.mark.parametrize("journalctl", ["exit 1", "exit 0", "echo half; exit 124"])
def test_a_kernel_log_that_could_not_be_read_to_its_end(journalctl: str, tmp_path: Path) -> None:
    tools = {"dmesg": "echo wrapped", "journalctl": journalctl}
    assert isinstance(asked(host.PCIE_ERRORS_PROBE, tmp_path, tools), Unknown)


@pytest.mark.parametrize(
    "tools",
    [
        {"dmesg": f"echo '{FATAL}'", "journalctl": "exit 1"},
        {"dmesg": "exit 1", "journalctl": f"echo '{FATAL}'; exit 124"},
    ],
)
def test_a_fault_that_was_read_is_one(tools: dict[str, str], tmp_path: Path) -> None:
    assert asked(host.PCIE_ERRORS_PROBE, tmp_path, tools) == Known((FATAL,))


def test_a_storm_of_another_device_hides_no_fault(tmp_path: Path) -> None:
    storm = f"yes '{FATAL.replace('0002:', '0004:')}' | head -n 1000"
    found = asked(
        host.PCIE_ERRORS_PROBE,
        tmp_path,
        {"yes": f'exec {shutil.which("yes")} "$@"', "dmesg": f"echo '{BOOT}'; {storm}; echo '{FATAL}'"},
    )
    assert found == Known((FATAL,))


def test_perftest_says_its_version_and_fails(tmp_path: Path) -> None:
    assert asked(perftest_tool.PROBE, tmp_path, {"ib_write_bw": "echo 'Version: 6.06' >&2; exit 1"}) == Known("6.06")


def test_space_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    found = asked(host.space_probe([f"{tmp_path}/not/yet"]), tmp_path, {"df": "echo Avail; echo '      42'"})
    assert isinstance(found, Known)
    assert host.Space(str(tmp_path), 42) in found.value


def test_a_dead_mount_costs_its_own_figure_alone(tmp_path: Path, pids: str) -> None:
    dead, live = tmp_path / "dead", tmp_path / "live"
    dead.mkdir()
    live.mkdir()
    df = f'case "$*" in *{dead}) {WEDGED} ;; esac; echo Avail; echo 42'
    found = asked(host.space_probe([str(dead), str(live)]), tmp_path, {"df": df}, PIDS=pids)
    assert isinstance(found, Known)
    assert {host.Space(str(dead), None), host.Space(str(live), 42)} <= set(found.value), found


@pytest.mark.parametrize("said", [NO_DAEMON, NO_SOCKET, "", "permission denied"])
@pytest.mark.parametrize("probe", [units.image_probe("x:1"), units.container_probe()], ids=lambda probe: probe.name)
def test_a_docker_that_is_not_reached_has_said_nothing(probe: Probe, said: str, tmp_path: Path) -> None:
    """`docker info --format` ends with 0 then (docker/cli#5900), and every inspect with 1."""
    docker = f'case "$1" in info) exit 0 ;; esac; echo "[]"; echo "{said}" >&2; exit 1'
    assert isinstance(answered(probe, tmp_path, {"docker": docker}), Unknown)


@pytest.mark.parametrize("probe", [units.image_probe("x:1"), units.container_probe()], ids=lambda probe: probe.name)
@pytest.mark.parametrize("said", [GONE, GONE.lower(), "Error: No such object: x:1"])
def test_what_docker_does_not_have_is_absent(probe: Probe, said: str, tmp_path: Path) -> None:
    docker = f"echo '{said.replace('%s', probe.name)}' >&2; exit 1"
    assert isinstance(answered(probe, tmp_path, {"docker": docker}), Absent)


@pytest.mark.parametrize("probe", [units.image_probe("x:1"), units.container_probe()], ids=lambda probe: probe.name)
def test_a_docker_that_hangs_is_unknown(probe: Probe, tmp_path: Path) -> None:
    assert isinstance(answered(probe, tmp_path, {"docker": "exec /bin/sleep 20"}), Unknown)


@pytest.mark.parametrize(
    ("shown", "pulled"),
    [(f"{ID}\n", ()), (f"{ID} here:5000/x@{PULLED} x@{ID}\n", (PULLED, ID)), (f"{ID} x@{PULLED[:-1]} {PULLED}\n", ())],
)
def test_an_image_and_what_it_was_pulled_by(shown: str, pulled: tuple[str, ...], tmp_path: Path) -> None:
    said = answered(units.image_probe("x:1"), tmp_path, {"docker": f"printf '{shown}'"})
    assert parsed(said, units.parse_image) == Known(ID)
    assert parsed(said, units.parse_pulled) == Known(pulled)


def test_rules_of_iptables_are_not_read_twice(tmp_path: Path) -> None:
    """What iptables-nft made, nft shows too, and worse."""
    worse = "table ip filter {\\nchain INPUT {\\ntype filter hook input priority filter; policy drop;\\n}\\n}\\n"
    found = asked(firewall.PROBE, tmp_path, {"iptables-save": f"printf '{DROP}'", "nft": f"printf '{worse}'"})
    assert isinstance(found, Known)
    assert found.value.drops == ("iptables -P INPUT DROP",)
    (tmp_path / "again").mkdir()
    alone = asked(firewall.PROBE, tmp_path / "again", {"nft": f"printf '{worse}'"})
    assert isinstance(alone, Known)
    assert alone.value.drops == ("nft ip filter INPUT: type filter hook input priority filter; policy drop;",)


def test_too_many_rules_are_unknown(tmp_path: Path) -> None:
    assert isinstance(asked(firewall.PROBE, tmp_path, {"nft": "head -c 1100000 /dev/zero | tr '\\0' x"}), Unknown)


def test_words_of_a_probe_are_quoted() -> None:
    words = host.space_probe(["/srv/a b", "/srv/$(reboot)"]).words
    assert quote(words) == "space_state '/srv/a b' '/srv/$(reboot)'"


@pytest.mark.parametrize("name", sorted({*host.PARSERS, "firewall", "knocks", "profiles", "nccl", "clock", "perftest"}))
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
