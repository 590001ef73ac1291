"""Templates to text: one strict Jinja2 environment in which nothing reaches a file unquoted."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sparkctl.commands import shell
from sparkctl.errors import SparkctlError
from sparkctl.inventory.words import quoted
from sparkctl.resources import share

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Read alike by docker --env-file (nothing is special), systemd's EnvironmentFile (quotes and backslashes are) and
# NCCL_CONF_FILE (facts B1: no quotes, no trimming); empty parses as 0, which is worse than unset (facts ff3).
_PLAIN = re.compile(r"[!#-&(-\[\]-~]+")
_BARE = re.compile(r"[A-Za-z]+[0-9][A-Za-z0-9]*")  # as a netdev is called: no number, no boolean, nothing special
_ROUTEROS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*")  # nothing that RouterOS gives a meaning, quoted or bare
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Quoted(str):
    """Text that a filter of this module has made safe for the place it goes to."""

    __slots__ = ()


def text_of(template: str, /, **values: object) -> str:
    """`template` (a path below templates/) filled in."""
    return _environment().get_template(template).render(**values)


def strict(**more: Any) -> Environment:
    """The templates, in which nothing may be missing and blocks leave no blank lines; `more`: as Jinja2 has it."""
    loader = FileSystemLoader(share("templates"))
    return Environment(loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, **more)


@cache
def _environment() -> Environment:
    filters = {"yaml": yaml_scalar, "env": env_lines, "plain_env": plain_env_lines, "unit": unit_text}
    made = strict(autoescape=False, keep_trailing_newline=True, finalize=_only_quoted)
    made.filters |= filters | {"comment": comment, "sh": shell_words, "command": command_lines, "ros": routeros_words}
    return made


def _only_quoted(value: object) -> object:
    if isinstance(value, Quoted):
        return value
    raise SparkctlError("a template writes a value without quoting it", "report this: it is a fault of the template")


def one_line(value: object) -> str:
    """`value` as text that cannot leave its line."""
    text = str(value)
    if _CONTROL.search(text):
        raise SparkctlError(
            f"{quoted(text)} has a line break or a control character and cannot go into a file", "remove it"
        )
    return text


def comment(value: object) -> Quoted:
    """Text inside a comment."""
    return Quoted(one_line(value))


def yaml_scalar(value: str | int | bool) -> Quoted:
    """A YAML scalar: bare when it can be nothing but a string, else as JSON spells it, for ASCII is YAML too."""
    if not one_line(value).isascii():
        raise SparkctlError(f"{quoted(value)} is not plain ASCII and cannot go into a netplan file", "use ASCII")
    bare = isinstance(value, str) and _BARE.fullmatch(value)
    return Quoted(value if bare else json.dumps(value))


def shell_words(words: str | Sequence[str]) -> Quoted:
    """One word or several, as the shell reads them back."""
    listed = [words] if isinstance(words, str) else words
    return Quoted(shell.quote(_encodable(word) for word in listed))


def command_lines(groups: Sequence[Sequence[str]]) -> Quoted:
    """One command, a group of words per line."""
    return Quoted(shell.wrapped([[_encodable(word) for word in group] for group in groups]))


def env_lines(variables: Mapping[str, str]) -> Quoted:
    """Sorted NAME=VALUE lines as `docker run --env-file` reads them: the value is all that follows, as it stands."""
    return Quoted("\n".join(f"{_env_name(name)}={one_line(variables[name])}" for name in sorted(variables)))


def plain_env_lines(variables: Mapping[str, str]) -> Quoted:
    """The same for values that docker, systemd and NCCL must all read alike."""
    for name, value in variables.items():
        if not _PLAIN.fullmatch(value):
            raise SparkctlError(
                f"{name}={quoted(value)} is empty or has a blank, quote or backslash", "write the bare value"
            )
    return env_lines(variables)


def unit_text(value: object) -> Quoted:
    """A value in a systemd unit, where `%` and a backslash are special."""
    return Quoted(one_line(value).replace("\\", "\\\\").replace("%", "%%"))


def routeros_words(value: str | int | Sequence[str]) -> Quoted:
    """A word or a number of a RouterOS script, or an array of words."""
    if not isinstance(value, (str, int)):
        return Quoted("{" + ";".join(f'"{routeros_words(word)}"' for word in value) + "}")
    if not _ROUTEROS.fullmatch(str(value)):
        raise SparkctlError(f"{quoted(value)} cannot go into a RouterOS script", "use letters, digits and `._:-`")
    return Quoted(value)


def _env_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise SparkctlError(f"{quoted(name)} is not a name of an environment variable", "use letters, digits and _")
    return name


def _encodable(word: str) -> str:
    try:
        word.encode()
    except UnicodeEncodeError:
        raise SparkctlError(f"{quoted(word)} cannot be written as UTF-8", "remove the character") from None
    return word
