"""The schema for editors is current and accepts the examples."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from sparkctl.cli.schema import schema
from sparkctl.engines import kinds
from sparkctl.inventory import raw

INVENTORIES = Path(__file__).parents[2] / "inventories"


def printed(*words: str) -> str:
    app = typer.Typer()
    app.command()(schema)
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == 0
    return result.stdout


def test_the_checked_in_schema_is_current() -> None:
    # How numbers are spelt is pydantic's matter.
    kept = json.loads((INVENTORIES / "schema.json").read_text())
    assert json.loads(printed()) == kept, "run `sparkctl schema > inventories/schema.json`"


def test_playbooks_have_a_schema() -> None:
    assert json.loads(printed("playbook"))["type"] == "object"


def test_everything_of_the_design_is_described() -> None:
    found = raw.schema(kinds())
    assert found["required"] == ["apiVersion", "kind", "metadata", "nodes", "links", "fabric"]
    assert found["additionalProperties"] is False
    sections = {name: section for name, section in found["$defs"].items() if name not in ("RawEnds",)}
    for name, section in sections.items():
        for key, field in section["properties"].items():
            described = "description" in field or "$ref" in field
            assert described, f"{name}.{key} has no description"


@pytest.mark.parametrize(
    ("section", "required"),
    [
        ("RawNode", ["name", "address"]),
        ("RawEngine", ["kind", "runtime", "model", "parallel"]),
        ("RawFabric", ["topology"]),
    ],
)
def test_what_is_required(section: str, required: list[str]) -> None:
    assert raw.schema(kinds())["$defs"][section]["required"] == required


def test_defaults_are_those_of_the_format() -> None:
    fields = raw.schema(kinds())["$defs"]
    assert {k: v["default"] for k, v in fields["RawFabric"]["properties"].items() if "default" in v} == {
        "mtu": 9000,
        "subnet_pool": "10.20.0.0/16",
        "transport": "roce",
        "rails": "both",
    }
    assert fields["RawEngine"]["properties"]["gpu_memory_utilization"]["default"] == 0.8
