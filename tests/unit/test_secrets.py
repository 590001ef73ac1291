"""SEC001 sees secrets by their form and by their name, shows none of them, and leaves ordinary values alone."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from sparkctl.inventory.resolve import Controller
from sparkctl.outcome import Finding
from sparkctl.study import study_text

DESK = Controller("op", PurePosixPath("/home/op"), PurePosixPath("/inventories"))
HEAD = (
    "apiVersion: sparkctl/v1\nkind: Cluster\nmetadata: {name: x}\n"
    "nodes: [{name: a, address: 192.0.2.1}, {name: b, address: 192.0.2.2}]\nlinks: [[a:p1, b:p1]]\n"
    "fabric: {topology: direct}\nengine:\n  kind: vllm\n  runtime: {venv: /opt/vllm}\n  model: m\n  parallel: TP2\n"
)
# Put together here, so that no scanner takes this file for a leak.
FORMS = {
    "hugging-face": "hf_" + "aB3" * 8,
    "openai": "sk-" + "proj-" + "x1" * 12,
    "groq": "gsk_" + "aB3" * 8,
    "nvidia": "nvapi-" + "Zz9_" * 8,
    "github": "ghp_" + "a1B2" * 6,
    "github-fine": "github_pat_" + "a1B2" * 6,
    "gitlab": "glpat-" + "abcd1234" * 3,
    "slack": "xoxb-" + "1234567890-abc",
    "aws": "AKIA" + "ABCDEFGH12345678",
    "google": "AIza" + "b" * 35,
    "jwt": "eyJ" + "hbGciOiJI" + ".eyJ" + "zdWIiOiIx" + ".sig",
    "key": "-----BEGIN OPENSSH PRIVATE " + "KEY-----",
    "url": "https://user:" + "pass@example.org/repo",
    "bearer": "Bearer " + "abcdef0123456789abcdef",
}
NAMES = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "PASSWORD", "db_password", "API_KEY", "OPENAI_APIKEY", "AWS_SECRET_ACCESS_KEY", "clientSecret"]  # fmt: skip
HARMLESS = {
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "HF_TOKEN_PATH": "/root/.cache/huggingface/token",
    "PASSWORD_FILE": "/run/secrets/x",
    "MAX_TOKENS": "very many indeed",
    "SECRET": "",
    "API_KEY": "none",
    "TOKEN": "~/token",
    "URL": "https://example.org:8080/a@b",
    "MODEL": "hf_transfer and sk-learn",
    "IMAGE": "registry.example.org:5000/a/b@sha256:" + "0" * 64,
    "TASK": "task-based-scheduling-of-everything",
}


def judged(more: str) -> list[Finding]:
    found = study_text(f"{HEAD}  env: {more}\n".encode(), "x.yaml", DESK)
    return [finding for finding in found.findings if finding.id == "SEC001"]


@pytest.mark.parametrize("form", FORMS)
def test_it_is_seen_by_its_form_and_not_shown(form: str) -> None:
    found = judged(f"{{PLAIN: 'see {FORMS[form]} there'}}")
    assert [f.where for f in found] == ["engine.env.PLAIN"]
    assert FORMS[form] not in found[0].message + found[0].remedy


@pytest.mark.parametrize("name", NAMES)
def test_it_is_seen_by_its_name(name: str) -> None:
    found = judged(f"{{{name}: correct-horse}}")
    assert [f.where for f in found] == [f"engine.env.{name}"]
    assert "correct-horse" not in found[0].message + found[0].remedy


@pytest.mark.parametrize("name", HARMLESS)
def test_ordinary_values_are_left_alone(name: str) -> None:
    assert judged(f'{{{name}: "{HARMLESS[name]}"}}') == []


def test_nested_arguments_are_looked_into() -> None:
    text = f"{HEAD}  args: {{kv-transfer-config: {{extra: [{{password: correct-horse}}]}}}}\n"
    found = study_text(text.encode(), "x.yaml", DESK).findings
    assert [f.where for f in found if f.id == "SEC001"] == ["engine.args.kv-transfer-config"]
