"""How to use what a cluster serves: its URL, where the key is, and a request to paste."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sparkctl.commands.shell import quote, quote_word
from sparkctl.engines import engine_of
from sparkctl.inventory.model import Cluster, EngineIntent

EVERYWHERE = ("0.0.0.0", "::", "")
TOKENS = 16
"""Of the answer to the request that is shown."""


@dataclass(frozen=True)
class Served:
    """`model`: the name that requests say; `key_file`: where the key lies on this machine; `curl`: a line to paste."""

    url: str
    model: str
    key_file: str | None
    curl: str


def way(cluster: Cluster, intent: EngineIntent, key_file: str | None, inside: Sequence[str] = ()) -> Served:
    """The way to the API on the management network; `inside`: words that run a program where the nodes answer."""
    engine = engine_of(intent.kind)
    asked, bound = engine.probe(intent, TOKENS), engine.listens_at(intent)
    host = cluster.head.address if bound in EVERYWHERE else bound
    url = f"http://{f'[{host}]' if ':' in host else host}:{intent.port}"
    words = [*inside, "curl", "-sS", f"{url}{asked.completion_path}", "-H", "Content-Type: application/json"]
    root = "sudo " if inside[:1] == ("sudo",) else ""
    key = f' -H "Authorization: Bearer $({root}cat {quote_word(key_file)})"' if key_file else ""
    body = quote_word(json.dumps(asked.completion))
    return Served(url, asked.model, key_file, f"{quote(words)}{key} -d {body}")
