"""Pinned host keys: what known_hosts files say about a name, and how a key is added to or taken from one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import asyncssh

from sparkctl.errors import Refused

SSH_PORT = 22
Marker = Literal["", "cert-authority", "revoked"]


@dataclass(frozen=True)
class Pin:
    """One line of a known_hosts file that speaks of a name.

    `loose`: it names the host without the port. Such a line may vouch for a key; one that differs proves nothing.
    """

    path: Path
    line: int
    marker: Marker
    key: asyncssh.SSHKey
    loose: bool = False

    def __str__(self) -> str:
        return f"line {self.line} of {self.path}"


def entry(host: str, port: int) -> str:
    """The name that a host has in known_hosts."""
    return host.lower() if port == SSH_PORT else f"[{host.lower()}]:{port}"


def pins(paths: Iterable[Path], host: str, port: int) -> tuple[Pin, ...]:
    """Every line about `host`, hashed and pattern lines too; as for ssh(1), those without a port if none has it.

    Lines that cannot be read say nothing, as for ssh(1). OSError: a file that is there cannot be read.
    """
    lines = [(path, number, line) for path in paths for number, line in enumerate(_lines(path), start=1)]
    found = _about(entry(host, port), lines)
    if found or port == SSH_PORT:
        return found
    return tuple(replace(pin, loose=True) for pin in _about(host.lower(), lines))


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        return []
    return path.read_bytes().decode("utf-8", "replace").split("\n")


def _about(name: str, lines: Sequence[tuple[Path, int, str]]) -> tuple[Pin, ...]:
    return tuple(pin for path, number, line in lines if (pin := _pin(name, path, number, line)) is not None)


def _pin(name: str, path: Path, number: int, line: str) -> Pin | None:
    with suppress(ValueError):
        keys, authorities, revoked = asyncssh.import_known_hosts(line).match(name, "", None)[:3]
        for marker, found in (("", keys), ("cert-authority", authorities), ("revoked", revoked)):
            if found:
                return Pin(path, number, marker, found[0])  # type: ignore[arg-type]  # the three markers of Marker
    return None


Trusted = tuple[list[asyncssh.SSHKey], list[asyncssh.SSHKey], list[asyncssh.SSHKey]]


def trusted(found: Iterable[Pin]) -> Trusted:
    """As asyncssh takes it: host keys, keys of authorities, revoked keys."""
    kept = tuple(found)
    by = {marker: [pin.key for pin in kept if pin.marker == marker] for marker in ("", "cert-authority", "revoked")}
    return by[""], by["cert-authority"], by["revoked"]


def line_of(host: str, port: int, key: asyncssh.SSHKey) -> bytes:
    """The line that pins `key`; the comment of the key is not part of it."""
    kind, blob = key.export_public_key().split()[:2]
    return entry(host, port).encode() + b" " + kind + b" " + blob + b"\n"


def append(path: Path, lines: Sequence[bytes]) -> None:
    """Add lines to a file, which is made with its folder if need be: all of them or none, the rest kept to the byte.

    One write at the end of the file, as ssh(1) does it, so that a line that another program adds meanwhile survives.
    """
    private = path.parent.name == ".ssh"
    path.parent.mkdir(mode=0o700 if private else 0o755, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600 if private else 0o644)
    try:
        size = os.fstat(descriptor).st_size
        whole = size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"
        content = (b"" if whole else b"\n") + b"".join(lines)
        try:
            if os.write(descriptor, content) != len(content):
                raise OSError(28, "no room for all of it")
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)


def drop(gone: Iterable[Pin], host: str, port: int) -> None:
    """Take the plain pins of `host` away, all other bytes kept. Refused, before anything is written, for a pattern."""
    by_path: dict[Path, list[Pin]] = {}
    for pin in gone:
        by_path.setdefault(pin.path, []).append(pin)
    rewritten = {path: _without(path, found, entry(host, port)) for path, found in by_path.items()}
    for path, content in rewritten.items():
        _replace(path.resolve(), content)


def _without(path: Path, gone: Sequence[Pin], name: str) -> bytes:
    numbers = {pin.line for pin in gone}
    kept = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        left = _unnamed(line, name, f"line {number} of {path}") if number in numbers else line
        if left is not None:
            kept.append(left)
    return b"\n".join(kept)


def _unnamed(line: bytes, name: str, place: str) -> bytes | None:
    """The line without the name; None when nobody is left on it."""
    listed = line.split(None, 1)[0]
    if listed.startswith(b"|"):
        return None
    if any(sign in listed for sign in b"*?!"):
        raise Refused(f"{place} pins a pattern, {listed.decode(errors='replace')}", "edit that line by hand")
    left = [other for other in listed.split(b",") if other.lower() != name.encode()]
    return line.replace(listed, b",".join(left), 1) if left else None


def _replace(path: Path, content: bytes) -> None:
    """As a whole or not at all; mode and owner stay."""
    was = path.stat()
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), was.st_mode & 0o7777)
            with suppress(PermissionError):  # only root can give a file away; then it was the owner's own already
                os.fchown(file.fileno(), was.st_uid, was.st_gid)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise
