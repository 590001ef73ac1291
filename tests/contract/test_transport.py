"""The transport against a real sshd on loopback: what gets through, what is refused and in which words."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from sparkctl.commands.base import Command, Effect
from sparkctl.errors import AccessRefused, EffectRefused
from sparkctl.outcome import Failed, Lost, Ok, Result
from sparkctl.ssh.connection import Login, SshTransport
from sparkctl.ssh.fleet import Fleet
from sparkctl.ssh.transport import Gate
from tests.contract.sshd import running as serving

CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/client.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
"""


@dataclass
class Server:
    """A running sshd and the login that it accepts."""

    login: Login
    folder: Path

    def pin(self, key: Path) -> None:
        """Write known_hosts with `key` as the server's."""
        kind, blob = key.with_suffix(".pub").read_text().split()[:2]
        Path(str(self.login.known_hosts)).write_text(f"[127.0.0.1]:{self.login.port} {kind} {blob}\n")


def make_key(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True, timeout=20)
    return path


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    assert sshd, "sshd is missing: apt-get install openssh-server"
    folder, port = tmp_path_factory.mktemp("sshd"), free_port()
    host, client = make_key(folder / "host"), make_key(folder / "client")
    (folder / "config").write_text(CONFIG.format(port=port, folder=folder))
    Path("/run/sshd").mkdir(exist_ok=True)
    running = subprocess.Popen([sshd, "-D", "-e", "-f", str(folder / "config")], stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        login = Login("spark-1", "127.0.0.1", port, "root", str(folder / "known_hosts"), str(client), own_config=False)
        made = Server(login, folder)
        made.pin(host)
        yield made
    finally:
        running.terminate()
        running.wait(10)


def wait_for(port: int) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("sshd did not start")


def command(script: str, effect: Effect = Effect.READ, **more: object) -> Command:
    return Command("test", script, effect, **more)  # type: ignore[arg-type]


def ran(login: Login, *commands: Command) -> tuple[list[Result], SshTransport]:
    async def work() -> tuple[list[Result], SshTransport]:
        transport = SshTransport(login)
        try:
            return [await transport.run(c) for c in commands], transport
        finally:
            await transport.close()

    return asyncio.run(work())


def refused(login: Login) -> AccessRefused:
    with pytest.raises(AccessRefused) as caught:
        ran(login, command("true"))
    return caught.value


def test_output_and_status_come_back_and_one_connection_carries_all(server: Server) -> None:
    results, transport = ran(server.login, command("echo out; echo err >&2"), command("echo no >&2; exit 3"))
    assert results == [Ok("out\n", "err\n"), Failed(3, "", "no\n")]
    assert (transport.counters.connections, transport.counters.round_trips) == (1, 2)


def test_stdin_reaches_the_command_byte_for_byte(server: Server) -> None:
    sent = bytes(range(256)) * 400
    (result,), _ = ran(server.login, command("sha256sum | cut -c 1-64", stdin=sent))
    import hashlib

    assert result == Ok(hashlib.sha256(sent).hexdigest() + "\n")


def test_a_command_that_never_reads_its_stdin_is_not_lost(server: Server) -> None:
    results, _ = ran(server.login, *[command("exit 0", stdin=b"x" * 300_000) for _ in range(30)])
    assert results == [Ok("")] * 30


TRICKY = """say='a\\b "$1" `x` !'; printf '%s\\n' "$say" "${0##*/}" 'ü'; cat; cat <<'END'
$HOME
END
exit 3
"""


def test_a_program_does_not_wait_for_the_answer_where_the_login_shell_is_bash(server: Server) -> None:
    async def work() -> tuple[list[Result], list[str]]:
        transport, sent = SshTransport(server.login), []
        try:
            results = [await transport.run(command(TRICKY)) for _ in range(2)]
            assert transport._bash is not None and await transport._bash
            connection = (await transport._connected()).connection
            create = connection.create_process

            async def recorded(words: str, **options: object) -> object:
                sent.append(words)
                return await create(words, **options)  # type: ignore[call-overload]

            connection.create_process = recorded  # type: ignore[method-assign, assignment]
            results += [await transport.run(c) for c in (command(TRICKY), command("cat", stdin=b"x"), command("y=" + "x" * 70_000 + "\n"))]
            return [*results, await transport.run(command("kill -9 $PPID; sleep 5\n", Effect.WRITE))], sent
        finally:
            await transport.close()

    results, sent = asyncio.run(work())
    said = [(type(r), r.stdout) for r in results if isinstance(r, Ok | Failed)]  # a ~/.bashrc may speak on stderr
    assert said[:3] == [(Failed, 'a\\b "$1" `x` !\nsh\nü\n$HOME\n')] * 3
    assert said[3:] == [(Ok, "x"), (Ok, "")] and isinstance(results[5], Lost)
    assert [TRICKY in sent[0], "<<" in sent[1], "<<" in sent[2]] == [True, False, False]
    assert sent[0].startswith("exec sh -c ") and "<<'--sparkctl" in sent[3]


def test_a_timeout_is_lost_and_the_next_command_opens_a_new_connection(server: Server) -> None:
    results, transport = ran(server.login, command("sleep 5", timeout=0.5), command("echo again"))
    assert isinstance(results[0], Lost)
    assert results[1] == Ok("again\n")
    assert transport.counters.connections == 2


def test_a_killed_session_is_lost_never_failed(server: Server) -> None:
    (result,), _ = ran(server.login, command("kill -9 $PPID; sleep 5", Effect.WRITE))
    assert isinstance(result, Lost)


def running(word: str) -> bool:
    """Whether a process has `word` among its arguments."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if word.encode() in path.read_bytes():
                return True
    return False


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("yes WORD", "8 MiB"),
        ("yes WORD | tr -d '\\n'", "8 MiB"),
        ("yes WORD >&2", "64 KiB"),
        ("head -c 8388609 /dev/zero", "8 MiB"),
    ],
    ids=["lines", "one line", "errors", "one byte too many"],
)
@pytest.mark.parametrize("effect", [Effect.READ, Effect.WRITE])
def test_an_answer_without_end_is_not_read_and_ends(server: Server, script: str, said: str, effect: Effect) -> None:
    begun, word = time.monotonic(), f"sparkctl-endless-{os.getpid()}"
    (result, again), transport = ran(server.login, command(script.replace("WORD", word), effect), command("echo again"))
    assert result == Lost(f"spark-1 answered more than {said}: not read")
    assert again == Ok("again\n") and transport.counters.connections == 1
    assert time.monotonic() - begun < 10
    until = time.monotonic() + 5
    while running(word) and time.monotonic() < until:
        time.sleep(0.05)
    assert not running(word), "it goes on there"


def test_what_is_just_short_enough_is_read_whole(server: Server) -> None:
    (result,), _ = ran(server.login, command("head -c 8388608 /dev/zero; head -c 65536 /dev/zero >&2"))
    assert result == Ok("\0" * 8388608, "\0" * 65536)


def test_a_command_may_be_allowed_less(server: Server) -> None:
    (result,), _ = ran(server.login, command("head -c 2049 /dev/zero", most=2048))
    assert result == Lost("spark-1 answered more than 2 KiB: not read")


def test_lines_come_as_they_are_said(server: Server) -> None:
    heard: list[tuple[str, float]] = []

    async def work() -> Result:
        transport = SshTransport(server.login)
        script = "echo one; sleep 0.7; printf 'two\\377\\n\\nthree'"
        result = await transport.run(command(script), lambda line: heard.append((line, time.monotonic())))
        await transport.close()
        return result

    assert asyncio.run(work()) == Ok("one\ntwo\ufffd\n\nthree")
    assert [line for line, _ in heard] == ["one", "two\ufffd", ""], "what has no end is no line"
    assert heard[1][1] - heard[0][1] > 0.4


def test_an_unknown_host_is_told_from_a_changed_one(server: Server, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("")
    unknown = refused(replace(server.login, known_hosts=str(empty)))
    assert "no host key for it" in unknown.message and "sparkctl inventory trust" in unknown.remedy
    other = Server(replace(server.login, known_hosts=str(tmp_path / "changed")), tmp_path)
    other.pin(make_key(tmp_path / "other"))
    changed = refused(other.login)
    assert "is not the one in" in changed.message and "reinstalled" in changed.message


def test_no_known_hosts_file_is_no_licence(server: Server, tmp_path: Path) -> None:
    assert "is missing" in refused(replace(server.login, known_hosts=str(tmp_path / "none"))).message


def test_a_refused_key_says_which(server: Server, tmp_path: Path) -> None:
    key = make_key(tmp_path / "stranger")
    error = refused(replace(server.login, identity_file=str(key)))
    assert str(key) in error.message and "authorized_keys" in error.remedy


def test_a_missing_key_file_is_named(server: Server, tmp_path: Path) -> None:
    assert str(tmp_path / "nokey") in refused(replace(server.login, identity_file=str(tmp_path / "nokey"))).message


def test_nobody_listening_is_unreachable(server: Server) -> None:
    assert "cannot be reached" in refused(replace(server.login, port=free_port())).message


def test_the_gate_lets_nothing_through_above_its_ceiling(server: Server, tmp_path: Path) -> None:
    marker = tmp_path / "written"

    async def work() -> None:
        transport = SshTransport(server.login)
        gate = Gate(transport)
        for effect in (Effect.WRITE, Effect.LOAD):
            with pytest.raises(EffectRefused):
                await gate.run(command(f"touch {marker}", effect))
        assert transport.counters.connections == 0, "refused before anything was sent"
        gate.ceiling = Effect.WRITE
        assert isinstance(await gate.run(command(f"touch {marker}", Effect.WRITE)), Ok)
        await gate.close()

    asyncio.run(work())
    assert marker.exists()


def test_a_fleet_ends_on_every_node_and_counts_one_round(server: Server) -> None:
    async def work() -> tuple[dict[str, Result], Fleet]:
        fleet = Fleet.of([replace(server.login, node=name) for name in ("a", "b", "c")])
        results = await fleet.each("test", {"a": command("exit 1"), "b": command("sleep 0.3; echo b"), "c": command(":")})
        await fleet.close()
        return results, fleet

    results, fleet = asyncio.run(work())
    assert results == {"a": Failed(1, "", ""), "b": Ok("b\n"), "c": Ok("")}
    assert fleet.counts()["critical_path"] == 1


def test_a_fleet_closes_its_gates_again(server: Server) -> None:
    fleet = Fleet.of([server.login])
    with fleet.allow(Effect.WRITE):
        assert fleet.gates["spark-1"].ceiling is Effect.WRITE
    assert fleet.gates["spark-1"].ceiling is Effect.READ


@contextmanager
def noisy(forced: str, folder: Path) -> Iterator[Login]:
    """A server whose sessions run these words in the login shell, which may go on to what was asked."""
    (folder / "forced").write_text(forced + "\n")
    with serving(folder / "sshd", more=f"ForceCommand sh {folder}/forced") as server:
        client = make_key(folder / "client")
        server.authorise(client)
        (folder / "known_hosts").write_text(server.line)
        yield Login("spark-1", "127.0.0.1", server.port, "root", str(folder / "known_hosts"), str(client), own_config=False)


NOISES = {
    "a line": "echo welcome to the cluster",
    "no newline": "printf 'welcome> '",
    "what looks like an answer": "echo c2VjcmV0; printf aGVsbG8=",
    "complaints": "echo 'stty: standard input: Inappropriate ioctl for device' >&2; printf .",
}


@pytest.mark.parametrize("noise", NOISES)
def test_what_a_login_shell_prints_is_no_part_of_an_answer(noise: str, tmp_path: Path) -> None:
    heard: list[str] = []
    with noisy(NOISES[noise] + '; eval "$SSH_ORIGINAL_COMMAND"', tmp_path) as login:

        async def work() -> list[Result]:
            transport = SshTransport(login)
            try:
                scripts = ("echo one; echo two", "printf three", "exit 3", "echo four")
                return [await transport.run(command(script + "\n"), heard.append) for script in scripts]
            finally:
                await transport.close()

        one, three, failed, four = asyncio.run(work())
    assert [getattr(r, "stdout", None) for r in (one, three, failed, four)] == ["one\ntwo\n", "three", "", "four\n"]
    assert isinstance(failed, Failed) and failed.status == 3 and heard == ["one", "two", "four"]


def test_a_shell_that_runs_nothing_is_a_refusal(tmp_path: Path) -> None:
    with noisy("echo This account is \x1b[31mnot\x1b[0m available", tmp_path) as login:
        error = refused(login)
    assert "not" in error.message and "\x1b" not in error.message and "shell" in error.remedy


def test_programs_of_sbin_are_found_whatever_the_login_shell_knows(tmp_path: Path) -> None:
    with noisy('PATH=/usr/bin:/bin; export PATH; eval "$SSH_ORIGINAL_COMMAND"', tmp_path) as login:
        found, away = ran(login, command("command -v sshd"), command('echo "$PATH"'))[0]
    assert isinstance(found, Ok) and found.stdout.strip().endswith("/sbin/sshd")
    assert isinstance(away, Ok) and away.stdout.startswith("/usr/bin:/bin:"), "what the user's shell finds first stays first"


def test_a_sudo_that_wants_a_terminal_is_told_from_one_that_wants_a_password() -> None:
    transport = SshTransport(Login("spark-1", "127.0.0.1", 22, "nvidia", None, None))
    said = {
        "sudo: sorry, you must have a tty to run sudo\n": "!requiretty",
        "motd on stderr\nsudo: a password is required\n": "sudo: prompt",
    }
    for stderr, remedy in said.items():
        with pytest.raises(AccessRefused) as caught:
            transport._judged(Failed(1, "", stderr))
        assert remedy in caught.value.remedy
