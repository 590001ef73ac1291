"""Files that are no inventories: exit 3 with file, line and column, never a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner

from sparkctl.cli.validate import validate
from sparkctl.inventory import compose
from sparkctl.outcome import Finding
from sparkctl.study import study

EXAMPLE = (Path(__file__).parents[2] / "inventories/dual.yaml").read_text()
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 50))

# name: content, rule, line:column, and a word that the message must hold
BAD: dict[str, tuple[bytes, str, str, str]] = {
    "empty": (b"", "INV001", "1:1", "empty"),
    "only-comments": (b"# nothing\n\n", "INV001", "1:1", "empty"),
    "null": (b"~\n", "INV001", "1:1", "empty"),
    "binary": (bytes(range(256)), "INV001", "2:", "UTF-8"),
    "elf": (b"\x7fELF\x02\x01\x01" + bytes(64), "INV001", "1:1", "control character"),
    "latin-1": ("kind: Cluster\nname: müller\n".encode("latin-1"), "INV001", "2:8", "UTF-8"),
    "utf-16": ("kind: Cluster\n".encode("utf-16"), "INV001", "1:1", "UTF-8"),
    "nul": (b"kind: Clu\x00ster\n", "INV001", "1:10", "U+0000"),
    "line-separator": ("kind: a # \u2028 b\n".encode(), "INV001", "1:11", "U+2028"),
    "escape": (b"kind: \x1b[31mred\n", "INV001", "1:7", "U+001B"),
    "tab": (b"metadata:\n\tname: x\n", "INV001", "2:1", "tab"),
    "tab-after-blanks": (b"metadata:\n  \tname: x\n  kind: y\n", "INV001", "2:", "tab"),
    "list": (b"- a\n- b\n", "INV001", "1:1", "mapping"),
    "text": (b"hello\n", "INV001", "1:1", "mapping"),
    "two-documents": (b"kind: Cluster\n---\nkind: Cluster\n", "INV001", "2:1", "second"),
    "alias-bomb": (BOMB.encode(), "INV001", "4:", "aliases"),
    "alias-chain": (CHAIN.encode(), "INV001", "", "nested"),
    "cyclic-list": (b"nodes: &a [*a]\n", "INV001", "1:12", "itself"),
    "cyclic-mapping": (b"a: &x\n  b: *x\n", "INV001", "2:6", "itself"),
    "unknown-alias": (b"nodes: *nobody\n", "INV001", "1:8", "nobody"),
    "deep-flow": (b"a: " + b"[" * 100_000, "INV001", "1:", "nested"),
    "deep-mapping": (b"a: " + b"{b: " * 50_000, "INV001", "1:", "nested"),
    "deep-block": ("\n".join(f"{' ' * i}a:" for i in range(500)).encode(), "INV001", "", "nested"),
    "unclosed": (b"nodes: [a, b\nkind: Cluster\n", "INV001", "2:", "YAML"),
    "bad-indent": (b"a: 1\n b: 2\n", "INV001", "2:", "YAML"),
    "python-tag": (b"a: !!python/object/apply:os.system [id]\n", "INV001", "1:4", "tag"),
    "core-tag": (b"a: !!str 1\n", "INV001", "1:4", "tag"),
    "two-mebibytes": (b"a: " + b"x" * 2 * 1024 * 1024, "INV001", "1:1", "1024 KiB"),
    "many-items": (b"a: [" + b"1," * 400_000 + b"]", "INV001", "1:", "items"),
    "duplicate": (b"kind: Cluster\nkind: Cluster\n", "INV002", "2:1", "'kind'"),
    "duplicate-deep": (b"metadata: {name: a, name: b}\n", "INV002", "1:21", "'name'"),
    "unknown-key": (b"fabrik: {}\n", "INV003", "1:1", "fabrik"),
    "merge-key": (b"a: &a {b: 1}\nkind:\n  <<: *a\n", "INV003", "3:3", "merge"),
    "number-key": (b"8000: x\n", "INV004", "1:1", "8000"),
    "null-key": (b"~: x\n", "INV004", "1:1", "not text"),
    "list-key": (b"[a, b]: x\n", "INV004", "1:1", "key"),
    "list-key-block": (b"? - a\n  - b\n: x\n", "INV004", "1:3", "key"),
    "wrong-type": (b"nodes: spark-1\n", "INV004", "1:1", "expected a list, got the text 'spark-1'"),
    "yes": (b"fabric: {mtu: yes}\n", "INV004", "1:15", "boolean"),
    "octal": (b"fabric: {mtu: 0o10}\n", "INV004", "1:15", "number"),
    "underscores": (b"fabric: {mtu: 9_000}\n", "INV004", "1:15", "9_000"),
    "sexagesimal": (b"fabric: {mtu: 2:30}\n", "INV004", "1:15", "base of 60"),
    "infinite": (b"engine: {gpu_memory_utilization: .inf}\n", "INV004", "1:34", "finite"),
    "overflow": (b"engine: {gpu_memory_utilization: 1e999}\n", "INV004", "1:34", "finite"),
    "huge-number": (b"fabric: {mtu: " + b"9" * 5000 + b"}\n", "INV004", "1:15", "digits"),
    "date": (b"metadata: {name: 2026-01-01}\nfabric: 2026-01-01\n", "INV004", "2:1", "expected a mapping"),
    "surrogate": (b'kind: "\\ud800"\n', "INV001", "1:", "YAML"),
}


@pytest.fixture
def runner() -> tuple[CliRunner, typer.Typer]:
    app = typer.Typer()
    app.command()(validate)
    return CliRunner(), app


def matching(findings: tuple[Finding, ...], rule: str, place: str, word: str) -> list[Finding]:
    return [
        f
        for f in findings
        if f.id == rule and f":{place}" in f":{f.location.line}:{f.location.column}" and word in f.message
    ]


@pytest.mark.parametrize("name", BAD)
def test_bad_file_is_a_finding_with_its_place(name: str, tmp_path: Path, runner: tuple[CliRunner, typer.Typer]) -> None:
    content, rule, place, word = BAD[name]
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    assert matching(study(path).findings, rule, place, word), study(path).findings
    result = runner[0].invoke(runner[1], [str(path)])
    assert result.exit_code == 3
    assert f"{path}:{place}" in result.stdout
    assert rule in result.stdout
    assert "Traceback" not in result.output


@pytest.mark.parametrize("name", [name for name in BAD if name.startswith("deep-")])
@pytest.mark.parametrize("loader", [yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)])
def test_too_deep_is_said_in_our_words_with_any_parser(
    name: str, loader: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compose, "_LOADER", loader)
    with pytest.raises(compose.Unreadable) as raised:
        compose.compose(BAD[name][0].decode())
    assert raised.value.message == f"nested more than {compose.DEPTH} levels deep"


@pytest.mark.parametrize("deep", [True, False])
def test_a_parser_that_gives_up_by_itself(deep: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"a: {'[{' * 20 if deep else '[{}, ' * 20}"

    def gives_up(text: str, Loader: type) -> Iterator[yaml.Event]:
        mark = yaml.Mark("", len(text), 0, len(text), None, None)
        raise yaml.scanner.ScannerError(None, None, "enough", mark)
        yield

    monkeypatch.setattr(yaml, "parse", gives_up)
    with pytest.raises(compose.Unreadable) as raised:
        compose.compose(text)
    assert (raised.value.mark, "nested" in raised.value.message) == ((1, len(text) + 1), deep)


def test_a_parser_that_exhausts_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    def falls(*_: object, **__: object) -> None:
        raise RecursionError

    monkeypatch.setattr(yaml, "parse", falls)
    with pytest.raises(compose.Unreadable, match="nested more than"):
        compose.compose("a: 1\n")


def test_unreadable_files(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.yaml", tmp_path, tmp_path / "missing" / "x.yaml", Path("nul\0.yaml")):
        findings = study(path).findings
        assert [f.id for f in findings] == ["INV001"]
        assert findings[0].location.path == str(path)


def test_everything_of_a_layer_is_collected(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(
        "apiVersion: sparkctl/v1\nkind: Clutter\nmetadata: {nmae: x}\nnodes: []\nfabric: {topology: star, mtu: big}\n"
    )
    found = {(f.id, f.where) for f in study(path).findings}
    assert found == {
        ("INV005", "kind"),
        ("INV003", "metadata.nmae"),
        ("INV004", "nodes"),
        ("INV004", "links"),
        ("INV004", "fabric.topology"),
        ("INV004", "fabric.mtu"),
    }


def test_findings_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(EXAMPLE + "".join(f"key{i}: 1\nkey{i}: 2\n" for i in range(5000)))
    assert 0 < len(study(path).findings) <= 200


def test_modest_aliases_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    path.write_text(
        EXAMPLE.replace("model: openai/gpt-oss-120b", "model: &m openai/gpt-oss-120b").replace(
            "served_model_name: gpt-oss", "served_model_name: *m"
        )
    )
    found = study(path)
    assert found.findings == ()
    assert found.cluster is not None and found.cluster.engine is not None
    assert found.cluster.engine.served_model_name == "openai/gpt-oss-120b"


HOSTILE = [
    ("name: dual", 'name: "du\\nal"'),
    ("name: dual", "name: ../../etc"),
    ("name: spark-1,", 'name: "spark-1; reboot",'),
    ("name: spark-1,", "name: -spark,"),
    ("address: 192.0.2.11", 'address: "192.0.2.11 -oProxyCommand=x"'),
    ("address: 192.0.2.11", "address: -oProxyCommand=x"),
    ("address: 192.0.2.11", 'address: "fe80::1%eth0"'),
    ("address: 192.0.2.11", "address: 192.0.2"),
    ("user: nvidia", "user: -l"),
    ("user: nvidia", 'user: "a b"'),
    ("user: nvidia", 'user: "root\\0"'),
    ("identity_file: ~/.ssh/id_ed25519", 'identity_file: "a\\nb"'),
    ("identity_file: ~/.ssh/id_ed25519", "identity_file: ~root/.ssh/id"),
    ("{name: spark-2, address: 192.0.2.12}", '{name: spark-2, address: 192.0.2.12, management: {interface: "a b"}}'),
    (
        "{name: spark-2, address: 192.0.2.12}",
        "{name: spark-2, address: 192.0.2.12, management: {interface: enp_much_too_long_name}}",
    ),
    ('docker: "vllm/vllm-openai:v0.33.0"', 'docker: "--privileged"'),
    ('docker: "vllm/vllm-openai:v0.33.0"', 'docker: "a b:c"'),
    ('{docker: "vllm/vllm-openai:v0.33.0"}', "{venv: opt/vllm}"),
    ('{docker: "vllm/vllm-openai:v0.33.0"}', '{venv: "/opt/%n"}'),
    ("model: openai/gpt-oss-120b", "model: --trust-remote-code"),
    ("model: openai/gpt-oss-120b", 'model: "a\\tb"'),
    ("served_model_name: gpt-oss", 'served_model_name: "a b"'),
    ('{"/srv/models": "/models:ro"}', '{"srv": "/models"}'),
    ('{"/srv/models": "/models:ro"}', '{"/srv": "/models:ro,z"}'),
    ('{"/srv/models": "/models:ro"}', '{"/srv": "/a b"}'),
    ('{"/srv/models": "/models:ro"}', '{"/srv/../$HOME": "/models"}'),
    ("env: {}", 'env: {A: "x\\ny"}'),
    ("env: {}", 'env: {A: "x\\rB=1"}'),
    ("env: {}", 'env: {A: "x\\0"}'),
    ("env: {}", 'env: {A: "\\u202Ex"}'),
    ("env: {}", 'env: {"A=B": x}'),
    ("env: {}", 'env: {"A B": x}'),
    ("env: {}", 'env: {"": x}'),
    ("args: {}", 'args: {"seed\\n": 1}'),
    ("args: {}", 'args: {"-x": 1}'),
    ("args: {}", 'args: {seed: "1\\n2"}'),
    ("args: {}", 'args: {seed: ["1\\x1b[2J"]}'),
    ("args: {}", 'args: {seed: {"a\\nb": 1}}'),
    ("nccl: {}", 'nccl: {NCCL_DEBUG: "INFO\\nX=1"}'),
    ("nccl: {}", 'nccl: {NCCL_DEBUG: "a;b"}'),
    ("nccl: {}", "nccl: {LD_PRELOAD: x}"),
]


@pytest.mark.parametrize(("old", "new"), HOSTILE, ids=[new for _, new in HOSTILE])
def test_hostile_values_are_refused(old: str, new: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.yaml"
    assert old in EXAMPLE
    path.write_text(EXAMPLE.replace(old, new))
    found = study(path).errors
    assert "INV008" in {f.id for f in found}, found
    assert all(text.isprintable() for f in found for text in (f.where, f.message, f.remedy))


ORDINARY = [
    ("env: {}", 'env: {A: "two words, 50% off & more; $5 (é, 日本)"}'),
    ("env: {}", "env: {A: 1, _b2: x=y}"),
    (
        "args: {}",
        "args: {hf-overrides: '{\"temperature\": 0.5}', --enable-prefix-caching: true, host: null}",
    ),
    ("args: {}", "args: {limit-mm-per-prompt: {a: {b: 1}}, middleware: [a, b]}"),
    ("address: 192.0.2.11", 'address: "2001:db8::1"'),
    ("address: 192.0.2.11", "address: spark-1.lab.example.org"),
    ("identity_file: ~/.ssh/id_ed25519", 'identity_file: "keys of mine/clé"'),
    ("model: openai/gpt-oss-120b", "model: Qwen/Qwen3.5-397B_A17B.fp8"),
    ('docker: "vllm/vllm-openai:v0.33.0"', f'docker: "registry.example.org:5000/a/b_c@sha256:{"0" * 64}"'),
    ('{"/srv/models": "/models:ro"}', '{"/srv/models": "/models", "/home/me/.cache/hf+1": "/hf:rw"}'),
    ("nccl: {}", "nccl: {NCCL_DEBUG: INFO, NCCL_IB_TC: 106, NCCL_DEBUG_SUBSYS: 'INIT,NET'}"),
]


@pytest.mark.parametrize(("old", "new"), ORDINARY, ids=[new for _, new in ORDINARY])
def test_ordinary_values_pass(old: str, new: str, tmp_path: Path) -> None:
    path = tmp_path / "ordinary.yaml"
    assert old in EXAMPLE
    path.write_text(EXAMPLE.replace(old, new))
    assert study(path).errors == ()
