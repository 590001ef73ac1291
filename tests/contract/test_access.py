"""Access as ssh(1) has it, against real sshd and a real agent: keys, agents, jump hosts, ~/.ssh/config, sudo."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from sparkctl.commands.base import Command, Effect
from sparkctl.errors import AccessRefused, Unreachable
from sparkctl.outcome import Lost, Ok, Result
from sparkctl.ssh import connect
from sparkctl.ssh.connection import Login, SshTransport
from sparkctl.ssh.fleet import Fleet
from sparkctl.ssh.passwords import Secrets
from tests.contract.sshd import Sshd, free_port, make_key, public, running


class Person:
    """Answers questions in order, and remembers them."""

    def __init__(self, *answers: str | None) -> None:
        self.answers, self.asked, self.busy = list(answers), list[str](), False

    async def __call__(self, question: str) -> str | None:
        assert not self.busy, "two questions at the same time"
        self.busy = True
        await asyncio.sleep(0.3)  # longer than it takes another node to connect
        self.busy = False
        self.asked.append(question)
        return self.answers.pop(0) if self.answers else None


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running(tmp_path_factory.mktemp("node")) as server:
        yield server


@pytest.fixture(scope="module")
def bastion(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running(tmp_path_factory.mktemp("bastion")) as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty ~/.ssh and no agent."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    folder = tmp_path / ".ssh"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def agent(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path, str], None]]:
    """A running ssh-agent; adds a key of a passphrase to it."""
    place = home / "agent"
    daemon = subprocess.Popen(["ssh-agent", "-D", "-a", str(place)], stdout=subprocess.DEVNULL)
    until = time.monotonic() + 10
    while not place.exists() and time.monotonic() < until:
        time.sleep(0.02)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(place))

    def add(key: Path, passphrase: str) -> None:
        teller = home / "askpass"
        teller.write_text(f"#!/bin/sh\necho {passphrase}\n")
        teller.chmod(0o700)
        asking = os.environ | {"SSH_ASKPASS": str(teller), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}
        subprocess.run(["ssh-add", "-q", str(key)], env=asking, check=True, timeout=20, stderr=subprocess.DEVNULL)

    try:
        yield add
    finally:
        daemon.terminate()
        daemon.wait(10)


def login(node: Sshd, home: Path, identity: Path | None = None, name: str = "spark-1") -> Login:
    pinned = home / "pinned"
    pinned.write_text(node.line)
    return Login(name, "127.0.0.1", node.port, "root", str(pinned), str(identity) if identity else None)


def command(script: str = "echo here", effect: Effect = Effect.READ, **more: object) -> Command:
    return Command("test", script, effect, **more)  # type: ignore[arg-type]


def ran(access: Login, *commands: Command) -> list[Result]:
    async def work() -> list[Result]:
        transport = SshTransport(access)
        try:
            return [await transport.run(one) for one in commands or (command(),)]
        finally:
            await transport.close()

    return asyncio.run(work())


def refused(access: Login) -> AccessRefused:
    with pytest.raises(AccessRefused) as caught:
        ran(access)
    return caught.value


HERE: list[Result] = [Ok("here\n")]


# Keys


def test_the_passphrase_of_a_key_file_is_asked_once_for_all_nodes(node: Sshd, home: Path) -> None:
    key = make_key(home / "locked", "open sesame")
    node.authorise(key)
    person = Person("wrong", "open sesame")
    secrets = Secrets(person)
    logins = [replace(login(node, home, key, name), secrets=secrets) for name in ("spark-1", "spark-2", "spark-3")]

    async def work() -> dict[str, Result]:
        fleet = Fleet.of(logins)
        results = await fleet.ask("test", {each.node: command() for each in logins})
        await fleet.connect()
        await fleet.close()
        return results

    assert asyncio.run(work()) == {each.node: Ok("here\n") for each in logins}
    assert [str(key) in question for question in person.asked] == [True, True]
    assert "open sesame" not in repr(logins) + repr(secrets)


def test_a_locked_key_of_an_old_format_is_opened_too(node: Sshd, home: Path) -> None:
    key = home / "old"
    options = ["-q", "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "open sesame"]
    subprocess.run(["ssh-keygen", *options, "-f", key], check=True, timeout=60)
    node.authorise(key)
    Path(f"{key}.pub").unlink()
    person = Person("open sesame")
    assert ran(replace(login(node, home, key), secrets=Secrets(person))) == HERE
    assert len(person.asked) == 1


def test_without_a_terminal_a_locked_key_is_refused_with_the_way_out(node: Sshd, home: Path) -> None:
    key = make_key(home / "locked", "open sesame")
    node.authorise(key)
    error = refused(login(node, home, key))
    assert str(key) in error.message and "encrypted" in error.message and f"ssh-add {key}" in error.remedy


def test_a_passphrase_that_never_opens_it_is_refused_and_never_told(node: Sshd, home: Path) -> None:
    key = make_key(home / "locked", "open sesame")
    node.authorise(key)
    person = Person("secret-one", "secret-two", "secret-three", "secret-four")
    error = refused(replace(login(node, home, key), secrets=Secrets(person)))
    assert len(person.asked) == 3 and "no passphrase given opens it" in error.message
    assert "secret" not in error.message + error.remedy + repr(error.__context__)


def test_nobody_is_asked_for_a_key_that_the_node_would_not_take(node: Sshd, home: Path) -> None:
    node.authorise(make_key(home / "other"))
    key = make_key(home / "locked", "open sesame")
    person = Person("open sesame")
    assert "refused" in refused(replace(login(node, home, key), secrets=Secrets(person))).message
    assert person.asked == []


def test_the_usual_key_files_are_tried_where_none_is_named(node: Sshd, home: Path) -> None:
    make_key(home / "id_rsa", kind="rsa")
    node.authorise(make_key(home / "id_ed25519"))
    assert ran(login(node, home)) == HERE


# Agents


def test_an_agent_that_holds_the_named_key_spares_the_passphrase(
    node: Sshd, home: Path, agent: Callable[[Path, str], None]
) -> None:
    key = make_key(home / "locked", "open sesame")
    node.authorise(key)
    agent(key, "open sesame")
    assert ran(login(node, home, key)) == HERE
    key.unlink()  # a public half alone names a key of the agent
    assert ran(login(node, home, Path(f"{key}.pub"))) == HERE


def test_a_named_key_keeps_the_agent_from_offering_others(
    node: Sshd, home: Path, agent: Callable[[Path, str], None]
) -> None:
    other = make_key(home / "other")
    agent(other, "")
    node.authorise(other)
    assert ran(login(node, home)) == HERE, "nothing is named: whatever the agent holds"
    named = make_key(home / "named")
    assert str(named) in refused(login(node, home, named)).message


def test_the_agent_is_not_forwarded_whatever_the_config_says(
    node: Sshd, home: Path, agent: Callable[[Path, str], None]
) -> None:
    key = make_key(home / "key")
    agent(key, "")
    node.authorise(key)
    (home / "config").write_text("Host *\n  ForwardAgent yes\n  SendEnv *\n  RequestTTY force\n  RemoteCommand false\n")
    shown = ran(login(node, home), command('echo "${SSH_AUTH_SOCK-none}"; tty; echo "${HOME_OF_CONTROLLER-none}"'))
    assert shown == [Ok("none\nnot a tty\nnone\n")]


def test_an_agent_that_is_gone_is_no_obstacle(node: Sshd, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(home / "nowhere"))
    node.authorise(make_key(home / "id_ed25519"))
    assert ran(login(node, home)) == HERE


# ~/.ssh/config


def config(home: Path, text: str) -> None:
    (home / "config").write_text(text)


def test_the_config_says_what_the_inventory_leaves_open(node: Sshd, home: Path) -> None:
    node.authorise(make_key(home / "mine"))
    (home / "hosts").write_text(node.line)
    config(
        home,
        f"Host spark-a\n HostName 127.0.0.1\n Port {node.port}\n User root\n IdentityFile {home}/mine\n"
        f" UserKnownHostsFile {home}/hosts\n",
    )
    open_one = Login("spark-1", "spark-a", 22, "somebody", None, None, unsaid=frozenset({"port", "user"}))
    assert ran(open_one, command("id -un")) == [Ok("root\n")]


def test_the_inventory_wins_over_the_config_where_it_says_something(node: Sshd, home: Path) -> None:
    key = make_key(home / "mine")
    node.authorise(key)
    config(
        home, f"Host *\n Port {free_port()}\n User nobody\n IdentityFile {home}/none\n UserKnownHostsFile /dev/null\n"
    )
    assert ran(login(node, home, key)) == HERE


def test_a_host_key_alias_is_what_is_looked_up(node: Sshd, home: Path) -> None:
    key = make_key(home / "mine")
    node.authorise(key)
    access = login(node, home, key)
    (home / "pinned").write_text(f"[spark.example]:{node.port} {public(node.host)}\n")
    assert "no host key" in refused(access).message
    config(home, "Host 127.0.0.1\n HostKeyAlias spark.example\n")
    assert ran(access) == HERE


def test_no_known_hosts_file_never_means_that_any_key_will_do(node: Sshd, home: Path) -> None:
    node.authorise(make_key(home / "id_ed25519"))
    before = node.log().count("Accepted publickey")
    config(home, "Host *\n UserKnownHostsFile none\n StrictHostKeyChecking no\n")
    access = Login("spark-1", "127.0.0.1", node.port, "root", None, None)
    assert "is missing" in refused(access).message
    config(home, "Host *\n UserKnownHostsFile /dev/null\n StrictHostKeyChecking no\n")
    assert "is missing" in refused(access).message
    assert node.log().count("Accepted publickey") == before


def test_a_config_that_cannot_be_read_is_said_so(node: Sshd, home: Path) -> None:
    config(home, "Host *\n Port many\n")
    access = replace(login(node, home, make_key(home / "mine")), unsaid=frozenset({"port"}))
    assert "~/.ssh/config" in refused(access).message


def test_a_proxy_command_is_run_as_ssh_runs_it(node: Sshd, home: Path) -> None:
    key = make_key(home / "mine")
    node.authorise(key)
    (home / "pipe.py").write_text(PIPE)
    config(home, f"Host 127.0.0.1\n ProxyCommand python3 '{home}/pipe.py' %h %p 2> {home}/seen\n")
    assert ran(login(node, home, key)) == HERE
    assert (home / "seen").read_text() == f"127.0.0.1 {node.port}\n"


PIPE = """
import os, socket, sys, threading
print(*sys.argv[1:], file=sys.stderr)
far = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def back():
    while chunk := far.recv(65536):
        os.write(1, chunk)
threading.Thread(target=back, daemon=True).start()
while chunk := os.read(0, 65536):
    far.sendall(chunk)
"""


# Jump hosts


def via(home: Path, bastion: Sshd, key: Path) -> None:
    config(
        home,
        f"Host bastion\n HostName 127.0.0.1\n Port {bastion.port}\n User root\n IdentityFile {key}\n"
        f"Host *\n ProxyJump bastion\n",
    )


def test_a_jump_host_carries_the_connection_and_its_key_is_checked_too(node: Sshd, bastion: Sshd, home: Path) -> None:
    key, jumping = make_key(home / "mine"), make_key(home / "jumping")
    node.authorise(key)
    bastion.authorise(jumping)
    config(
        home,
        f"Host bastion\n HostName 127.0.0.1\n Port {bastion.port}\n User root\n IdentityFile {jumping}\n"
        f"Host 127.0.0.1\n ProxyJump bastion\n",
    )
    access = login(node, home, key)
    error = refused(access)
    assert "jump host bastion" in error.message and "no host key for it" in error.message
    (home / "known_hosts").write_text(f"[127.0.0.1]:{bastion.port} {public(node.host)}\n")
    assert "is not the one in" in refused(access).message, "the key of another host"
    (home / "known_hosts").write_text(bastion.line)
    assert ran(access) == HERE
    (home / "known_hosts").unlink()
    with Path(str(access.known_hosts)).open("a") as pinned:
        pinned.write(bastion.line)
    assert ran(access) == HERE, "or in the pinned file of the inventory"


def test_a_node_behind_a_jump_host_is_still_one_connection_and_leaves_none_behind(
    node: Sshd, bastion: Sshd, home: Path
) -> None:
    key = make_key(home / "mine")
    node.authorise(key)
    bastion.authorise(key)
    (home / "known_hosts").write_text(bastion.line)
    config(
        home,
        f"Host bastion\n HostName 127.0.0.1\n Port {bastion.port}\n User root\n IdentityFile {key}\n"
        f"Host 127.0.0.1\n ProxyJump bastion\n",
    )

    async def work() -> tuple[int, int]:
        transport = SshTransport(login(node, home, key))
        results = [await transport.run(command()) for _ in range(3)]
        assert results == HERE * 3
        await transport.renew()
        await transport.close()
        return transport.counters.connections, transport.counters.round_trips

    before = bastion.log().count("Accepted publickey")
    assert asyncio.run(work()) == (2, 3)
    assert bastion.log().count("Accepted publickey") - before == 2
    assert not established(bastion.port) and not established(node.port)


def established(port: int) -> bool:
    until = time.monotonic() + 5
    while time.monotonic() < until:
        shown = subprocess.run(
            ["ss", "-Htn", "state", "established", f"( sport = :{port} )"], capture_output=True, text=True, timeout=10
        )
        if not shown.stdout.strip():
            return False
        time.sleep(0.1)
    return True


def test_a_circle_of_jump_hosts_is_refused(node: Sshd, bastion: Sshd, home: Path) -> None:
    key = make_key(home / "mine")
    via(home, bastion, key)
    assert "in a circle" in refused(login(node, home, key)).message


@pytest.mark.parametrize("jump", ["root@bastion:many", "[::1", "@:22"])
def test_a_jump_host_that_is_none_is_refused(node: Sshd, home: Path, jump: str) -> None:
    config(home, f"Host 127.0.0.1\n ProxyJump {jump}\n")
    error = refused(login(node, home, make_key(home / "mine")))
    assert "ProxyJump" in error.message or "jump host" in error.message


def test_a_jump_host_without_power_is_named(node: Sshd, home: Path) -> None:
    config(home, f"Host 127.0.0.1\n ProxyJump root@localhost:{free_port()}\n")
    (home / "known_hosts").write_text("")
    error = refused(login(node, home, make_key(home / "mine")))
    assert isinstance(error, Unreachable) and "jump host localhost" in error.message


# sudo

STUB = """#!/bin/sh
# As sudo -k -S: at most three lines of stdin are tried; then it fails as sudo does.
[ "$1" = -n ] && { echo "sudo: a password is required" >&2; exit 1; }
while [ "$1" != -- ]; do shift; done
shift
for attempt in 1 2 3; do
    IFS= read -r given || { echo "sudo: no password was provided" >&2; exit 1; }
    echo "$given" >> "$0.tried"
    [ "$given" = "$(cat "$0.password")" ] && exec "$@"
    echo "Sorry, try again." >&2
done
echo "sudo: 3 incorrect password attempts" >&2
exit 1
"""


@pytest.fixture
def asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Sshd]]:
    """Two nodes with a sudo that wants a password, another on each. The lab has the same with the real sudo."""
    monkeypatch.setattr(SshTransport, "_user", "asked")
    folders = {name: tmp_path / name for name in ("spark-1", "spark-2")}
    for name, folder in folders.items():
        folder.mkdir()
        (folder / "sudo").write_text(STUB)
        (folder / "sudo").chmod(0o755)
        (folder / "sudo.password").write_text(f"pw-of-{name}")
    path = "/usr/bin:/bin"
    with (
        running(folders["spark-1"], f"SetEnv PATH={folders['spark-1']}:{path}") as one,
        running(folders["spark-2"], f"SetEnv PATH={folders['spark-2']}:{path}") as two,
    ):
        yield {"spark-1": one, "spark-2": two}


def sudo_logins(asking: dict[str, Sshd], home: Path, person: Person) -> list[Login]:
    key = make_key(home / "mine")
    secrets = Secrets(person)
    for server in asking.values():
        server.authorise(key)
    made = [replace(login(s, home, key, name), sudo_asks=True, secrets=secrets) for name, s in asking.items()]
    Path(str(made[0].known_hosts)).write_text("".join(server.line for server in asking.values()))
    return made


def test_a_node_that_refuses_the_common_password_is_asked_for_by_name(asking: dict[str, Sshd], home: Path) -> None:
    person = Person("pw-of-spark-1", "typo", "pw-of-spark-2")
    logins = sudo_logins(asking, home, person)
    payload = bytes(range(256)) * 30

    async def work() -> list[dict[str, Result]]:
        fleet = Fleet.of(logins)
        sent = {each.node: command("sha256sum | cut -c 1-8; id -u", stdin=payload) for each in logins}
        rounds = [await fleet.ask("test", sent), await fleet.ask("test", sent)]
        await fleet.connect()
        rounds.append(await fleet.ask("test", sent))
        await fleet.close()
        return rounds

    import hashlib

    expected = Ok(f"{hashlib.sha256(payload).hexdigest()[:8]}\n0\n")
    assert asyncio.run(work()) == [{"spark-1": expected, "spark-2": expected}] * 3
    assert len(person.asked) == 3 and all("spark-2" in question for question in person.asked[1:])
    tried = (asking["spark-2"].folder / "sudo.tried").read_text().splitlines()
    assert tried[:3] == ["pw-of-spark-1", "typo", "pw-of-spark-2"], "one attempt per answer, and no payload among them"
    assert set(tried[3:]) == {"pw-of-spark-2"}
    assert "pw-of" not in repr(logins)
    for server in asking.values():
        assert "pw-of" not in server.log()


def test_wrong_three_times_is_refused_by_name_and_the_command_never_starts(asking: dict[str, Sshd], home: Path) -> None:
    person = Person("bad-1", "bad-2", "bad-3", "bad-4")
    access = sudo_logins(asking, home, person)[1]
    error = refused(replace(access, secrets=Secrets(person)))
    assert error.message == "spark-2: sudo refused the password"
    assert "bad" not in error.message + error.remedy and len(person.asked) == 3
    assert len((asking["spark-2"].folder / "sudo.tried").read_text().splitlines()) == 3


def test_an_empty_answer_stops_asking(asking: dict[str, Sshd], home: Path) -> None:
    person = Person("bad", "", "more")
    assert "sudo refused" in refused(sudo_logins(asking, home, person)[0]).message
    assert len(person.asked) == 2


def test_nobody_is_asked_before_the_connection_stands(asking: dict[str, Sshd], home: Path) -> None:
    person = Person("pw-of-spark-1")
    access = sudo_logins(asking, home, person)[0]
    assert "cannot be reached" in refused(replace(access, port=free_port())).message
    assert person.asked == []
    assert "no terminal" in refused(replace(access, secrets=Secrets())).message


def test_a_node_that_does_not_let_the_user_use_sudo_is_no_matter_of_passwords(
    asking: dict[str, Sshd], home: Path
) -> None:
    person = Person("pw", "pw", "pw")
    (asking["spark-1"].folder / "sudo").write_text("#!/bin/sh\necho 'asked is not in the sudoers file.' >&2; exit 1\n")
    assert "not in the sudoers file" in refused(sudo_logins(asking, home, person)[0]).message
    assert len(person.asked) == 1


# Connections that die without a word


def test_a_timeout_holds_on_a_connection_that_went_silent(node: Sshd, home: Path) -> None:
    key = make_key(home / "mine")
    node.authorise(key)
    with closing(Valve(node.port)) as valve:
        access = replace(login(node, home, key), port=valve.port)
        Path(str(access.known_hosts)).write_text(f"[127.0.0.1]:{valve.port} {public(node.host)}\n")

        async def work() -> tuple[Result, float]:
            transport = SshTransport(access)
            await transport.run(command())
            asyncio.get_running_loop().call_later(0.3, valve.open.clear)
            begun = time.monotonic()
            result = await transport.run(command("sleep 60", timeout=1))
            lasted = time.monotonic() - begun
            await transport.close()
            return result, lasted

        result, lasted = asyncio.run(work())
    assert isinstance(result, Lost) and "no answer within 1 s" in result.reason
    assert lasted < 30, "not as long as the command"


class Valve:
    """A wire to `port` that can stop carrying anything, without closing."""

    def __init__(self, port: int) -> None:
        self.open = threading.Event()
        self.open.set()
        self._to = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._to))
            self._ends += [near, far]
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(a, b), daemon=True).start()

    def _carry(self, a: socket.socket, b: socket.socket) -> None:
        try:
            while chunk := a.recv(65536):
                self.open.wait()
                b.sendall(chunk)
        except OSError:
            pass

    def close(self) -> None:
        self._listening.close()
        for end in self._ends:
            end.close()
        self.open.set()


def test_a_connection_that_went_silent_is_noticed_by_the_keepalive(
    node: Sshd, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a suspended laptop: no packet, no error. The command is Lost; the next one connects anew."""
    monkeypatch.setattr(connect, "KEEPALIVE_SECONDS", 0.5)
    key = make_key(home / "mine")
    node.authorise(key)
    with closing(Valve(node.port)) as valve:
        access = replace(login(node, home, key), port=valve.port)
        Path(str(access.known_hosts)).write_text(f"[127.0.0.1]:{valve.port} {public(node.host)}\n")
        told: list[str] = []

        async def work() -> tuple[Result, Result, float]:
            transport = SshTransport(access, told.append)
            await transport.run(command())
            asyncio.get_running_loop().call_later(0.3, valve.open.clear)
            begun = time.monotonic()
            first = await transport.run(command("sleep 15", timeout=15))
            lasted = time.monotonic() - begun
            valve.open.set()
            second = await transport.run(command())
            await transport.close()
            return first, second, lasted

        first, second, lasted = asyncio.run(work())
    assert isinstance(first, Lost) and "connection was lost" in first.reason
    assert lasted < 14, "by the keepalive, before the command's own time"
    assert second == Ok("here\n")
