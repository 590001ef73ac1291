"""`sparkctl render`: printed, written, compared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from sparkctl.cli.render import render
from sparkctl.render import render as rendered
from sparkctl.render.effective import effective
from sparkctl.study import study

ROOT = Path(__file__).resolve().parents[2]
DUAL = str(ROOT / "inventories" / "dual.yaml")
NETPLAN = "spark-1/etc/netplan/95-sparkctl.yaml"


def run(*words: str | Path) -> Result:
    """The verb alone, as `sparkctl render` runs it."""
    app = typer.Typer()
    app.command()(render)
    return CliRunner().invoke(app, [str(word) for word in words])


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file with its mode."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mode & 0o777) for p in files}


def test_text_has_a_line_above_every_file() -> None:
    result = run(DUAL)
    assert result.exit_code == 0
    heads = [line for line in result.stdout.splitlines() if line.startswith("==> ")]
    assert heads[0] == "==> spark-1:/etc/netplan/95-sparkctl.yaml (0600) <=="
    assert len(heads) == 10


def test_one_node_alone() -> None:
    assert "spark-1:" not in run(DUAL, "--node", "spark-2").stdout
    other = run(DUAL, "--node", "spark-9")
    assert other.exit_code == 2
    assert "spark-1, spark-2" in other.stderr


def test_json_is_one_document() -> None:
    read = json.loads(run(DUAL, "--format", "json").stdout)
    assert (read["version"], read["cluster"], sorted(read["nodes"])) == (1, "dual", ["spark-1", "spark-2"])
    assert read["nodes"]["spark-1"]["files"]["/etc/sparkctl/engine.sh"]["mode"] == "0755"


def test_written_files_are_those_printed_with_their_modes(tmp_path: Path) -> None:
    first = run(DUAL, "-o", tmp_path / "out")
    assert first.exit_code == 0
    assert first.stdout.splitlines()[0] == f"wrote {tmp_path / 'out' / NETPLAN}"
    files = json.loads(run(DUAL, "--format", "json").stdout)["nodes"]
    assert tree(tmp_path / "out") == {
        f"{node}{path}": (file["content"].encode(), int(file["mode"], 8))
        for node, entry in files.items()
        for path, file in entry["files"].items()
    }
    again = run(DUAL, "-o", tmp_path / "out")
    assert {line.split()[0] for line in again.stdout.splitlines()} == {"unchanged"}


def test_check_is_quiet_when_nothing_differs(tmp_path: Path) -> None:
    run(DUAL, "-o", tmp_path)
    result = run(DUAL, "--check", tmp_path)
    assert (result.exit_code, result.stdout) == (0, "")


def test_check_shows_a_changed_a_missing_and_a_left_over_file(tmp_path: Path) -> None:
    run(DUAL, "-o", tmp_path)
    netplan = tmp_path / NETPLAN
    netplan.write_text(netplan.read_text().replace("mtu: 9000", "mtu: 1500", 1))
    (tmp_path / "spark-2/etc/sparkctl/nccl.env").unlink()
    (tmp_path / "old/etc/sparkctl").mkdir(parents=True)
    (tmp_path / "old/etc/sparkctl/nccl.env").write_text("x")
    result = run(DUAL, "--check", tmp_path)
    assert result.exit_code == 10
    assert "-      mtu: 1500\n+      mtu: 9000\n" in result.stdout
    assert "+NCCL_NET=IB" in result.stdout
    assert f"Only in {tmp_path}/old/etc/sparkctl: nccl.env" in result.stdout
    assert run(DUAL, "--check", tmp_path, "--node", "spark-1").stdout.count("+++ ") == 1


def test_check_needs_a_folder(tmp_path: Path) -> None:
    result = run(DUAL, "--check", tmp_path / "none")
    assert result.exit_code == 2
    assert "is not a folder" in result.stderr


@pytest.mark.parametrize("link", ["spark-1", "spark-1/etc", NETPLAN])
def test_nothing_is_written_through_a_link(tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    place = tmp_path / "out" / link
    place.parent.mkdir(parents=True)
    place.symlink_to(outside if link != NETPLAN else outside / "file")
    result = run(DUAL, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert list(outside.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_a_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run(DUAL, "-o", tmp_path / "file")
    assert result.exit_code == 2
    assert "cannot write" in result.stderr


def test_what_excludes_one_another_is_refused(tmp_path: Path) -> None:
    assert run(DUAL, "-o", tmp_path, "--format", "json").exit_code == 2
    assert run(DUAL, "-o", tmp_path, "--check", tmp_path).exit_code == 2


def test_an_inventory_with_errors_renders_nothing(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("apiVersion: sparkctl/v1\nkind: Cluster\n")
    result = run(bad, "-o", tmp_path / "out")
    assert result.exit_code == 3
    assert f"{bad}:1:1" in result.stderr
    assert not (tmp_path / "out").exists()


def explained(tmp_path: Path) -> Path:
    """The first example with a variable in each place."""
    text = Path(DUAL).read_text()
    assert "nccl: {}" in text
    assert "env: {}" in text
    text = text.replace("nccl: {}", "nccl: {NCCL_DEBUG: INFO, NCCL_IB_DISABLE: 0}")
    (tmp_path / "x.yaml").write_text(text.replace("env: {}", "env: {NCCL_DEBUG: WARN, NCCL_IB_TC: 3}"))
    return tmp_path / "x.yaml"


def test_explain_says_who_says_what(tmp_path: Path) -> None:
    shown = run(explained(tmp_path), "--explain", "--node", "spark-2")
    assert shown.exit_code == 0, shown.stderr
    said = {line.split()[0]: " ".join(line.split()[1:]) for line in shown.stdout.splitlines()[1:-3]}
    assert said["NCCL_DEBUG"] == "WARN engine.env (instead of INFO of fabric.nccl)"
    assert said["NCCL_IB_DISABLE"] == "0 fabric.nccl (instead of 0 of sparkctl)"
    assert said["NCCL_IB_TC"] == "3 engine.env"
    assert said["VLLM_HOST_IP"] == "10.20.0.12 sparkctl"
    assert "/etc/nccl.conf" in shown.stdout
    assert "spark-1" not in shown.stdout


def test_explain_shows_what_the_engine_gets(tmp_path: Path) -> None:
    path = explained(tmp_path)
    values = json.loads(run(path, "--explain", "--format", "json").stdout)["nodes"]
    rendered = json.loads(run(path, "--format", "json").stdout)["nodes"]
    assert list(values) == ["spark-1", "spark-2"]
    for name, found in values.items():
        assert {each["name"]: each["value"] for each in found} == rendered[name]["engine"]["env"]
    (debug,) = [each for each in values["spark-1"] if each["name"] == "NCCL_DEBUG"]
    assert debug["overridden"] == [{"value": "INFO", "source": "fabric.nccl"}]


def test_explain_writes_and_compares_nothing(tmp_path: Path) -> None:
    assert run(DUAL, "--explain", "-o", tmp_path / "out").exit_code == 2
    assert run(DUAL, "--explain", "--check", tmp_path).exit_code == 2
    assert run(DUAL, "--explain", "--node", "sw1").exit_code == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("example", sorted(path.stem for path in (ROOT / "inventories").glob("*.yaml")))
def test_the_last_word_is_the_one_that_is_rendered(example: str) -> None:
    found = study(ROOT / f"inventories/{example}.yaml")
    assert found.cluster is not None
    assert found.fabric is not None
    cluster = replace(found.cluster, fabric=replace(found.cluster.fabric, nccl={"NCCL_IB_DISABLE": "-1", "NCCL_NET": "0"}))
    for name, node in rendered(cluster, found.fabric).nodes.items():
        said = {each.name: each.said.value for each in effective(cluster, found.fabric, cluster.node(name))}
        assert node.nccl.items() <= said.items()
        assert (node.nccl["NCCL_IB_DISABLE"], node.nccl["NCCL_NET"]) == ("-1", "0")
