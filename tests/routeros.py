"""A small RouterOS: reads the scripts that sparkctl renders and keeps the tables that they touch. Unknown words are errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field

Row = dict[str, str]
Tables = dict[str, list[Row]]
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\](){};]|#[^\n]*|\n|[^\s\[\](){};"]+(?:"[^"]*")?')
ETHERNET, BRIDGE, MEMBERS = "/interface/ethernet", "/interface/bridge", "/interface/bridge/port"
QOS = "/interface/ethernet/switch/qos"
VERBS = {"set", "add", "remove", "find", "get", "print", "monitor", "save", "export"}
# RouterOS manual: what each menu accepts, of what the scripts use; a misspelt property is refused, as on the switch.
PROPERTIES = {
    ETHERNET: {"l2mtu", "mtu", "auto-negotiation", "speed", "name", "default-name"},
    BRIDGE: {"name", "comment"},
    MEMBERS: {"bridge", "interface", "hw", "comment"},
    f"{QOS}/profile": {"name", "dscp", "traffic-class"},
    f"{QOS}/priority-flow-control": {"name", "traffic-class", "rx", "tx"},
    f"{QOS}/tx-manager/queue": {"tx-manager", "traffic-class", "schedule", "weight", "ecn"},
    f"{QOS}/settings": {"lossless-traffic-class", "lossless-buffers"},
    f"{QOS}/port": {"name", "trust-l3", "pfc", "egress-rate-queue3"},
    "/ip/neighbor/discovery-settings": {"lldp-dcbx"},
    "/file": {"name"},
    "/system/resource": {"version"},
}


class ScriptError(Exception):
    """`:error`, or what the switch would not understand."""


def untouched(ports: tuple[str, ...], version: str = "7.23.1 (stable)") -> Tables:
    """A switch as it comes: all ports in one bridge, negotiating, small frames (sources: sparkctl/fabric/switches.py)."""
    queues = ["low-priority-group 1", "low-priority-group 2", "low-priority-group 3", "high-priority-group 3"]
    queues += ["high-priority-group 4", "high-priority-group 5", "strict-priority", "strict-priority"]
    tables: Tables = {menu: [] for menu in PROPERTIES}
    for port in ports:
        tables[ETHERNET].append(
            {"default-name": port, "name": port, "mtu": "1500", "l2mtu": "1584", "auto-negotiation": "yes"}
        )
        tables[MEMBERS].append({"interface": port, "bridge": "bridge", "hw": "yes"})
        tables[f"{QOS}/port"].append({"name": port, "trust-l3": "ignore", "pfc": "disabled"})
    tables[BRIDGE].append({"name": "bridge"})
    tables[f"{QOS}/profile"].append({"name": "default", "dscp": "0", "traffic-class": "1"})
    for owner in ("default", "offline"):
        for number, words in enumerate(queues):
            row = {"tx-manager": owner, "traffic-class": str(number), "ecn": "no"}
            tables[f"{QOS}/tx-manager/queue"].append(
                {**row, **dict(zip(("schedule", "weight"), words.split(), strict=False))}
            )
    tables[f"{QOS}/settings"].append({"lossless-traffic-class": "auto", "lossless-buffers": "auto"})
    tables["/ip/neighbor/discovery-settings"].append({"lldp-dcbx": "no"})
    tables["/system/resource"].append({"version": version})
    return tables


@dataclass
class RouterOS:
    """A switch that imports scripts. `log` has every change as (menu, verb, what it is about)."""

    tables: Tables
    log: list[tuple[str, str, str]] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)

    def imported(self, script: str) -> RouterOS:
        """Run a script; ScriptError where the switch would stop."""
        self._block(list(TOKEN.findall(script)))
        return self

    def state(self) -> Tables:
        """What counts: without saved files; a forced speed has no effect while a port negotiates (manual, `speed`)."""
        state = {menu: rows for menu, rows in deepcopy(self.tables).items() if menu != "/file"}
        for row in state[ETHERNET]:
            if row["auto-negotiation"] == "yes":
                row.pop("speed", None)
        return state

    def _block(self, tokens: list[str]) -> None:
        while tokens:
            if tokens[0] in ("\n", ";") or tokens[0].startswith("#"):
                tokens.pop(0)
                continue
            self._statement(tokens)

    def _statement(self, tokens: list[str]) -> None:
        head = tokens.pop(0)
        if head == ":foreach":
            self._foreach(tokens)
        elif head == ":if":
            held, body = self._condition(_group(tokens, "(", ")")), self._body(tokens)
            if held:
                self._block(body)
        elif head == ":local":
            name = tokens.pop(0)
            self.names[name] = self._values(_group(tokens, "[", "]"))[0]
        elif head in (":error", ":put"):
            said = self._text(tokens.pop(0))
            if head == ":error":
                raise ScriptError(said)
        else:
            self._command(head, list(_line(tokens)))

    def _foreach(self, tokens: list[str]) -> None:
        name, given = tokens.pop(0), tokens.pop(0)
        assert given == "in="
        items = [self._text(word) for word in _group(tokens, "{", "}") if word != ";"]
        body = self._body(tokens)
        for item in items:
            self.names[name] = item
            self._block(list(body))

    def _body(self, tokens: list[str]) -> list[str]:
        if tokens.pop(0) != "do=":
            raise ScriptError("expected do=")
        return _group(tokens, "{", "}")

    def _condition(self, tokens: list[str]) -> bool:
        values, (sign, limit) = self._values(_group(tokens, "[", "]")), tokens
        left, right = int(values[0]), int(limit)
        return {"=": left == right, ">": left > right, "<": left < right}[sign]

    def _values(self, tokens: list[str]) -> list[str]:
        """What a command in square brackets gives."""
        head = tokens.pop(0)
        if head == ":len":
            return [str(len(self._found(_group(tokens, "[", "]"))))]
        if head == ":tonum":
            return self._values(_group(tokens, "[", "]"))
        if head == ":pick":
            text = self._values(_group(tokens, "[", "]"))[0]
            return [text[int(tokens[0]) : int(tokens[1])]]
        menu, verb = _split(head)
        if verb != "get":
            raise ScriptError(f"no value: {head}")
        rows = self._found(_group(tokens, "[", "]")) if tokens[0] == "[" else self.tables[menu]
        if len(rows) != 1:
            raise ScriptError("no such item")
        return [rows[0][_known(menu, tokens[0])]]

    def _found(self, tokens: list[str], menu: str = "") -> list[Row]:
        head = tokens.pop(0)
        path, verb = _split(head) if head.startswith("/") else (menu, head)
        if verb != "find" or tokens.pop(0) != "where":
            raise ScriptError(f"expected find where, got {head}")
        tests = [self._test(path, word) for word in tokens if word != "and"]
        return [row for row in self.tables[path] if all(_holds(row, test) for test in tests)]

    def _test(self, menu: str, word: str) -> tuple[str, str, str]:
        name, sign, value = re.fullmatch(r"([a-z0-9-]+)(!=|=|~)(.+)", word).groups()  # type: ignore[union-attr]
        return _known(menu, name), sign, self._text(value)

    def _text(self, word: str) -> str:
        plain = word[1:-1] if word.startswith('"') else word
        return re.sub(r"\$(\w+)", lambda match: self.names[match[1]], plain)

    def _command(self, head: str, words: list[str]) -> None:
        menu, verb = _split(head)
        if verb in ("export", "save"):
            self.tables["/file"].append({"name": words[0].partition("=")[2]})
        elif verb == "add":
            row = self._pairs(menu, words)
            self._note(menu, verb, row)
            self.tables[menu].append(row)
        elif verb in ("set", "remove"):
            rows = self._found(_group(words, "[", "]"), menu) if words[0] == "[" else list(self.tables[menu])
            self._change(menu, verb, rows, words)
        elif verb not in ("print", "monitor"):
            raise ScriptError(f"unknown command {head}")

    def _change(self, menu: str, verb: str, rows: list[Row], words: list[str]) -> None:
        gone = [_known(menu, word[1:]) for word in words if word.startswith("!")]
        pairs = self._pairs(menu, [word for word in words if not word.startswith("!")])
        for row in rows:
            self._note(menu, verb, row)
            row.update(pairs)
            for name in gone:
                row.pop(name, None)
            if menu == ETHERNET and int(row["mtu"]) > int(row["l2mtu"]):
                raise ScriptError("could not set mtu")  # RouterOS wants the l2mtu raised first and lowered last
        if verb == "remove":
            self.tables[menu] = [row for row in self.tables[menu] if all(row is not other for other in rows)]

    def _pairs(self, menu: str, words: list[str]) -> Row:
        pairs = dict(word.split("=", 1) for word in words)
        return {_known(menu, name): self._text(value) for name, value in pairs.items()}

    def _note(self, menu: str, verb: str, row: Row) -> None:
        about = row.get("default-name") or row.get("interface") or row.get("name") or ""
        self.log.append((menu, verb, about))


def _split(path: str) -> tuple[str, str]:
    menu, _, verb = path.rpartition("/")
    if verb not in VERBS or not path.startswith("/"):
        raise ScriptError(f"bad command name {path}")
    return menu, verb


def _known(menu: str, name: str) -> str:
    if name not in PROPERTIES.get(menu, ()):
        raise ScriptError(f"{menu} has no {name}")
    return name


def _holds(row: Row, test: tuple[str, str, str]) -> bool:
    name, sign, value = test
    if sign == "~":
        return re.search(value, row.get(name, "")) is not None
    return (row.get(name) == value) == (sign == "=")


def _line(tokens: list[str]) -> Iterator[str]:
    while tokens and tokens[0] not in ("\n", ";"):
        yield tokens.pop(0)


def _group(tokens: list[str], opening: str, closing: str) -> list[str]:
    """The tokens between a bracket and its match, both taken away."""
    if not tokens or tokens.pop(0) != opening:
        raise ScriptError(f"expected {opening}")
    depth, inside = 1, []
    while tokens:
        token = tokens.pop(0)
        depth += (token == opening) - (token == closing)
        if depth == 0:
            return inside
        inside.append(token)
    raise ScriptError(f"no {closing}")
