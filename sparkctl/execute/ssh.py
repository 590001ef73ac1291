"""Transport over SSH: one connection and one authentication per node, host keys checked against the pinned file."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from sparkctl.commands.base import Command
from sparkctl.commands.shell import quote
from sparkctl.errors import AccessRefused, Unreachable
from sparkctl.execute.transport import Counters, LineSink
from sparkctl.outcome import Failed, Lost, Ok, Result

CONNECT_SECONDS = 10.0
"""As the peers have it (peer-promises 5)."""
KEEPALIVE_SECONDS, KEEPALIVE_COUNT = 5, 3
"""A dead connection is noticed in 15 s, long before the shortest lease."""
SENTINEL = "--sparkctl-stdin-begins--"
DRAIN = f"while IFS= read -r line && [ \"$line\" != {SENTINEL} ]; do :; done\n"


@dataclass(frozen=True)
class Login:
    """How to reach one node. `password` is for sudo, sent on stdin only; `own_config`: honour ~/.ssh/config."""

    node: str
    host: str
    port: int
    user: str
    known_hosts: str | None
    identity_file: str | None
    password: str | None = field(default=None, repr=False)
    own_config: bool = True

    @property
    def place(self) -> str:
        """For messages."""
        return f"{self.user}@{self.host}" + (f":{self.port}" if self.port != 22 else "")

    @property
    def pins(self) -> Path:
        """The known_hosts file that decides."""
        return Path(self.known_hosts) if self.known_hosts else Path.home() / ".ssh" / "known_hosts"


class _Ear(asyncssh.SSHClient):
    """Hears why a connection ended, and whether that was our own doing."""

    reason = ""

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncssh; None: it was closed as asked."""
        self.reason = str(exc) or type(exc).__name__ if exc else ""


class SshTransport:
    """A node over asyncssh; connects when first used. `tell` hears of every connection that was lost and reopened."""

    def __init__(self, login: Login, tell: LineSink | None = None) -> None:
        self.login = login
        self.counters = Counters()
        self._tell = tell
        self._ear = _Ear()
        self._connection: asyncssh.SSHClientConnection | None = None

    async def run(self, command: Command, on_line: LineSink | None = None) -> Result:
        """As Transport.run. Any loss of the connection closes it, so that the next command opens a new one."""
        connection = await self._connected()
        self.counters.round_trips += 1
        try:
            async with asyncio.timeout(command.timeout):
                return self._judged(await self._executed(connection, command, on_line), command)
        except TimeoutError:
            await self.close()
            return Lost(f"no answer within {command.timeout:.0f} s")
        except (asyncssh.Error, OSError) as error:
            await self.close()
            return Lost(f"the connection was lost: {error}")

    async def _executed(
        self, connection: asyncssh.SSHClientConnection, command: Command, on_line: LineSink | None
    ) -> Result:
        async with connection.create_process(self._words(command), encoding=None) as channel:
            with suppress(OSError):  # a command that needs no stdin may have ended by now; its status tells the rest
                channel.stdin.write(self._stdin(command))
                channel.stdin.write_eof()
            out, err = await asyncio.gather(_read(channel.stdout, on_line), channel.stderr.read())
            await channel.wait_closed()
        stdout, stderr = out.decode("utf-8", "replace"), err.decode("utf-8", "replace")
        if channel.exit_status is None or channel.exit_status < 0:
            return Lost(f"the command was cut off ({channel.exit_signal or 'no exit status'})")
        return Ok(stdout, stderr) if channel.exit_status == 0 else Failed(channel.exit_status, stdout, stderr)

    def _words(self, command: Command) -> str:
        drained = DRAIN if self.login.password is not None else ""
        shell = ("sh", "-c", drained + command.script)
        if self.login.user == "root":
            return quote(shell)
        return quote((*self._sudo(), *shell))

    def _sudo(self) -> tuple[str, ...]:
        """-k asks even when a password is cached, so that stdin is read the same way every time."""
        return ("sudo", "-n", "--") if self.login.password is None else ("sudo", "-k", "-S", "-p", "", "--")

    def _stdin(self, command: Command) -> bytes:
        if self.login.password is None:
            return command.stdin
        return f"{self.login.password}\n{SENTINEL}\n".encode() + command.stdin

    def _judged(self, result: Result, command: Command) -> Result:
        """sudo's own refusal means that the command never started."""
        if isinstance(result, Failed) and result.stderr.startswith(("sudo:", "Sorry, try again")) and not result.stdout:
            remedy = f"let {self.login.user} use sudo without a password, or write `sudo: prompt` under ssh"
            raise AccessRefused(f"{self.login.node}: {result.stderr.strip().splitlines()[-1]}", remedy)
        if isinstance(result, Failed) and result.status == 127 and "sudo" in result.stderr and not result.stdout:
            raise AccessRefused(f"{self.login.node}: sudo is not installed", "install sudo, or log in as root")
        return result

    async def renew(self) -> None:
        """As Transport.renew."""
        await self.close()
        await self._connected()

    async def close(self) -> None:
        """Drop the connection at once: a dead one would not answer a polite farewell."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()
            with suppress(asyncssh.Error, OSError, TimeoutError):
                await asyncio.wait_for(connection.wait_closed(), 1)

    async def _connected(self) -> asyncssh.SSHClientConnection:
        if self._connection is not None and self._connection.is_closed() and self._tell:
            reason = self._ear.reason or "closed by the node"
            self._tell(f"{self.login.node}: the connection was lost ({reason}); opening a new one")
        if self._connection is None or self._connection.is_closed():
            self._ear = _Ear()
            self._connection = await self._opened()
            self.counters.connections += 1
        return self._connection

    async def _opened(self) -> asyncssh.SSHClientConnection:
        login = self.login
        if not login.pins.is_file():
            raise AccessRefused(f"{login.node}: the known_hosts file {login.pins} is missing", _pin_remedy(login))
        try:
            return await asyncssh.connect(
                login.host,
                login.port,
                client_factory=lambda: self._ear,
                username=login.user,
                known_hosts=str(login.pins),
                client_keys=[login.identity_file] if login.identity_file else (),
                config=() if login.own_config else None,
                agent_path=() if login.own_config else None,
                preferred_auth="publickey",
                connect_timeout=CONNECT_SECONDS,
                login_timeout=CONNECT_SECONDS,
                keepalive_interval=KEEPALIVE_SECONDS,
                keepalive_count_max=KEEPALIVE_COUNT,
            )
        except (asyncssh.Error, asyncssh.KeyImportError, OSError, ValueError) as error:
            raise _refusal(login, error) from error


async def _read(stream: asyncssh.SSHReader[bytes], on_line: LineSink | None) -> bytes:
    out = bytearray()
    async for line in stream:
        out += line
        if on_line is not None:
            on_line(line.decode("utf-8", "replace").rstrip("\n"))
    return bytes(out)


def _pin_remedy(login: Login) -> str:
    scan = f"ssh-keyscan {f'-p {login.port} ' if login.port != 22 else ''}{login.host}"
    console = "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"
    return (
        f"compare the fingerprint that `{scan} | ssh-keygen -lf -` shows with that of `{console}` on the node's own "
        f"console, then append the scan to {login.pins}"
    )


def _refusal(login: Login, error: Exception) -> AccessRefused:
    where = f"{login.node} ({login.place})"
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return _key_refusal(login, where)
    if isinstance(error, asyncssh.PermissionDenied):
        key = login.identity_file or "the keys of the agent"
        return AccessRefused(f"{where}: refused {key}", f"put its public half into ~{login.user}/.ssh/authorized_keys")
    if isinstance(error, ValueError | asyncssh.KeyEncryptionError) or (isinstance(error, OSError) and error.filename):
        return AccessRefused(f"{where}: cannot use the key {login.identity_file}: {error}", "name another one")
    reason = str(error) or type(error).__name__
    return Unreachable(f"{where}: cannot be reached: {reason}", "is it switched on, and is the address right?")


def _key_refusal(login: Login, where: str) -> AccessRefused:
    """A key that differs from the pinned one is an alarm; none at all is a job to do."""
    if _pinned(login):
        message = f"{where}: its host key is not the one in {login.pins}: another machine, or it was reinstalled"
        return AccessRefused(message, f"if it was reinstalled, remove the old line, then {_pin_remedy(login)}")
    return AccessRefused(f"{where}: no host key for it in {login.pins}", _pin_remedy(login))


def _pinned(login: Login) -> bool:
    with suppress(ValueError, OSError):
        known = asyncssh.read_known_hosts(str(login.pins))
        return any(known.match(login.host, login.host, login.port)[:3])
    return False


