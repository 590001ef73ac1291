"""Transport over SSH: one connection and one authentication per node, host keys checked against the pinned file."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import replace

import asyncssh

from sparkctl.commands.base import Command
from sparkctl.commands.shell import quote
from sparkctl.errors import AccessRefused
from sparkctl.inventory.words import visible
from sparkctl.outcome import LONGEST, Failed, Lost, Ok, Result
from sparkctl.ssh.connect import Line, dial
from sparkctl.ssh.login import Login, ResolvedLogin, resolve
from sparkctl.ssh.transport import Counters, LineSink

__all__ = ["Login", "SshTransport"]

MOST_COMPLAINED = 64 * 1024
"""Bytes of stderr of one command: our choice of 2026-11-27; 500 characters of it are ever shown."""
CHUNK = 128 * 1024
SUDO_SECONDS = 30.0
"""For sudo to judge one password; PAM delays a refusal by 2 s (pam_unix), directory services take longer."""
SENTINEL = "--sparkctl-stdin-begins--"
DRAIN = f'while IFS= read -r line && [ "$line" != {SENTINEL} ]; do :; done\n'
READ = 'eval "$(dd bs={} count=1 iflag=fullblock status=none)"\n'
"""The program comes on stdin, for sudo logs its words, and one word has at most 128 KiB."""
BEGUN = "--sparkctl-answer-begins--"
BEGIN = f"export PATH=${{PATH:+$PATH:}}/usr/local/sbin:/usr/sbin:/sbin; echo; echo {BEGUN}\n"
"""Before every program: login shells print what they like, without a newline too, and not all know where `ip` is."""
HERE = "--sparkctl-program-ends--"
ASK_SHELL = f'read -r line <<"{HERE}" && echo "$line ${{BASH_VERSINFO[0]}}.${{BASH_VERSINFO[1]}}"\nbash\n{HERE}\n'
DOCUMENT = 60_000
"""Where the login shell is a bash of today, the program is its here-document: one round trip less, for sshd takes
nothing on stdin before it has answered. From 5.1 on one that fits a pipe (64 KiB) is not on disk, which may be full."""
ASKING = ("sudo", "-k", "-S", "-p", "", "--")
"""-k asks even when a password is cached, so that stdin is read the same way every time."""
WRONG = ("incorrect password", "Sorry, try again", "no password was provided")
"""What sudo says, in English, of a password that is not right."""


class SshTransport:
    """A node over asyncssh; connects when first used. `tell` hears of every connection that was lost and reopened."""

    def __init__(self, login: Login, tell: LineSink | None = None) -> None:
        self.login = login
        self.counters = Counters()
        self._tell = tell
        self._route: ResolvedLogin | None = None
        self._line: Line | None = None
        self._bash: asyncio.Task[bool] | None = None

    async def run(self, command: Command, on_line: LineSink | None = None) -> Result:
        """As Transport.run. Any loss of the connection closes it, so that the next command opens a new one."""
        line = await self._connected()
        line.busy += 1
        try:
            password = await self._password(line.connection)
            self.counters.round_trips += 1
            async with asyncio.timeout(command.timeout):
                result = await self._executed(line.connection, command, on_line, password)
            if self._bash is None:
                self._bash = asyncio.create_task(_is_bash(line.connection))
            return result
        except TimeoutError:
            await self._drop(line)
            return Lost(f"no answer within {command.timeout:.0f} s")
        except (asyncssh.Error, OSError) as error:
            await self._drop(line)
            return Lost(f"the connection was lost: {visible(str(error))[:LONGEST]}")
        finally:
            line.busy -= 1
            if line is not self._line and not line.busy:
                await line.close()  # a newer one has taken its place meanwhile

    async def _password(self, connection: asyncssh.SSHClientConnection) -> str | None:
        """The password that sudo wants; proved on its own when first used, so that a wrong one spoils no command."""
        if not self.login.sudo_asks or self._user == "root":
            return None

        async def takes(password: str) -> bool:
            self.counters.round_trips += 1
            return await self._takes(connection, password)

        return await self.login.secrets.sudo(self.login.node, takes)

    async def _takes(self, connection: asyncssh.SSHClientConnection, password: str) -> bool:
        """Stdin ends after the password, so that sudo takes nothing else for a second attempt."""
        words = quote(("env", "LC_ALL=C", *ASKING, "true"))
        async with asyncio.timeout(SUDO_SECONDS):
            result = await self._said(connection, words, f"{password}\n".encode(), MOST_COMPLAINED)
        if isinstance(result, Failed) and not any(said in result.stderr for said in WRONG):
            self._judged(replace(result, stdout=""))
            raise AccessRefused(f"{self.login.node}: sudo: {result.reason}", f"let {self._user} use sudo")
        return isinstance(result, Ok)

    @property
    def _user(self) -> str:
        return self._route.user if self._route else self.login.user

    async def _executed(
        self,
        connection: asyncssh.SSHClientConnection,
        command: Command,
        on_line: LineSink | None,
        password: str | None,
    ) -> Result:
        program, reading = _stdin(command, password), READ.format(len(command.script.encode()))
        words = self._as_root(reading if password is None else DRAIN + reading, password)
        fits = password is None and not command.stdin and program.endswith(b"\n") and len(program) < DOCUMENT
        if fits and HERE not in command.script and self._knows_documents():
            words, program = f"exec {self._as_root('. /dev/stdin')} <<'{HERE}'\n{_whole(command.script)}{HERE}\n", b""
        told = _after_begun(on_line) if on_line else None
        return self._begun(await self._said(connection, words, program, command.most + len(BEGUN) + 2, told))

    def _begun(self, result: Result) -> Result:
        """What the program said, and nothing that was said before it began."""
        if isinstance(result, Lost):
            return result
        noise, begun, said = result.stdout.partition(f"{BEGUN}\n")
        if begun:
            return replace(result, stdout=said)
        if isinstance(result, Failed):
            return self._judged(replace(result, stdout=""))
        reason = f"its login shell ran nothing of what was sent, and said: {visible(noise.strip()[:LONGEST])}"
        raise AccessRefused(f"{self.login.node}: {reason}", "log in as a user whose shell runs commands")

    async def _said(
        self,
        connection: asyncssh.SSHClientConnection,
        words: str,
        sent: bytes,
        most: int,
        on_line: LineSink | None = None,
    ) -> Result:
        """Lost where it says more than `most` bytes, or complains too long: it is ended, and none of that is read."""
        channel = await connection.create_process(words, encoding=None)
        try:
            self.counters.given = time.time()
            with suppress(OSError):  # a command that needs no stdin may have ended by now; its status tells the rest
                channel.stdin.write(sent)
                channel.stdin.write_eof()
            complaints = _read(channel.stderr, MOST_COMPLAINED)
            out, err = await asyncio.gather(_read(channel.stdout, most, on_line), complaints)
            await channel.wait_closed()
        except OverflowError as error:
            return Lost(f"{self.login.node} answered {error}: not read")
        finally:
            channel.close()  # without waiting for a node that may be gone: a timeout is a timeout
        stdout, stderr = out.decode("utf-8", "replace"), err.decode("utf-8", "replace")
        if channel.exit_status is None or channel.exit_status < 0:
            signal = visible(str(channel.exit_signal or "no exit status"))[:LONGEST]
            return Lost(f"the command was cut off ({signal})")
        return Ok(stdout, stderr) if channel.exit_status == 0 else Failed(channel.exit_status, stdout, stderr)

    def _knows_documents(self) -> bool:
        """The login shell is asked what it is after the first command, beside its answer: many verbs have but one."""
        return self._bash is not None and self._bash.done() and self._bash.result()

    def _as_root(self, program: str, password: str | None = None) -> str:
        shell = ("sh", "-c", BEGIN + program)
        if self._user == "root":
            return quote(shell)
        return quote((*(("sudo", "-n", "--") if password is None else ASKING), *shell))

    def _judged(self, result: Result) -> Result:
        """sudo's own refusal means that the command never started."""
        if not isinstance(result, Failed):
            return result
        refusals = [line for line in result.stderr.splitlines() if line.startswith(("sudo:", "Sorry, try again"))]
        if refusals and "tty" in refusals[-1]:
            remedy = f"in the node's sudoers (`sudo visudo`): Defaults:{self._user} !requiretty"
            raise AccessRefused(f"{self.login.node}: {visible(refusals[-1])[:LONGEST]}", remedy)
        if refusals:
            remedy = f"let {self._user} use sudo without a password, or write `sudo: prompt` under ssh"
            raise AccessRefused(f"{self.login.node}: {visible(refusals[-1])[:LONGEST]}", remedy)
        if result.status == 127 and "sudo" in result.stderr:
            raise AccessRefused(f"{self.login.node}: sudo is not installed", "install sudo, or log in as root")
        return result

    async def renew(self) -> None:
        """As Transport.renew. What still runs on the old connection ends there."""
        new = await self._dialled()
        old, self._line = self._line, new
        if old is not None and not old.busy:
            await old.close()

    async def close(self) -> None:
        """Drop the connection at once: a dead one would not answer a polite farewell."""
        if self._line is not None:
            await self._drop(self._line)
        if self._bash is not None:
            self._bash.cancel()
            await asyncio.gather(self._bash, return_exceptions=True)

    async def _drop(self, line: Line) -> None:
        if self._line is line:
            self._line = None
        await line.close()

    async def _dialled(self) -> Line:
        self._route = self._route or await resolve(self.login)
        line = await dial(self._route, self.login.secrets)
        self.counters.connections += 1
        return line

    async def _connected(self) -> Line:
        if self._line is not None and self._line.connection.is_closed():
            if self._tell:
                reason = self._line.ear.reason or "closed by the node"
                self._tell(f"{self.login.node}: the connection was lost ({reason}); opening a new one")
            await self.close()
        if self._line is None:
            self._line = await self._dialled()
        return self._line


async def _is_bash(connection: asyncssh.SSHClientConnection) -> bool:
    """Whether the login shell is bash 5.1 or later. False also when the connection ends: the next command says that."""
    with suppress(asyncssh.Error, OSError, ValueError, OverflowError):
        async with connection.create_process(ASK_SHELL, encoding=None) as channel:
            said = (await _read(channel.stdout, MOST_COMPLAINED)).decode("ascii", "replace")
        return tuple(int(part) for part in said.strip().partition("bash ")[2].split(".")) >= (5, 1)
    return False


def _after_begun(on_line: LineSink) -> LineSink:
    """Hears what comes after the line BEGUN."""
    begun = False

    def told(line: str) -> None:
        nonlocal begun
        if begun:
            on_line(line)
        begun = begun or line == BEGUN

    return told


def _whole(script: str) -> str:
    """The shell reads it to its end before it begins, and what it starts finds nothing on stdin."""
    return f"{{\n{script}}} </dev/null\n"


def _stdin(command: Command, password: str | None) -> bytes:
    program = command.script.encode() + command.stdin
    return program if password is None else f"{password}\n{SENTINEL}\n".encode() + program


async def _read(stream: asyncssh.SSHReader[bytes], most: int, on_line: LineSink | None = None) -> bytes:
    """All of it; OverflowError as soon as it is more than `most` bytes. A line that has no end is no line."""
    out, told = bytearray(), 0
    while chunk := await stream.read(CHUNK):
        out += chunk
        if len(out) > most:
            raise OverflowError(f"more than {most // 2**20} MiB" if most >= 2**20 else f"more than {most // 1024} KiB")
        while on_line is not None and (end := out.find(b"\n", told)) >= 0:
            on_line(out[told:end].decode("utf-8", "replace"))
            told = end + 1
    return bytes(out)
