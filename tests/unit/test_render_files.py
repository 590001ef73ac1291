"""What the files of a node say, for every choice that an inventory has."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest
import yaml

from sparkctl.errors import SparkctlError
from sparkctl.inventory.names import NETPLAN
from sparkctl.inventory.resolve import Controller
from sparkctl.render import Rendering, render
from sparkctl.render.artifact import API_KEY, ENGINE_ENV, ENGINE_SCRIPT, ENGINE_UNIT, NCCL_ENV
from sparkctl.study import study_text

NODES = "apiVersion: sparkctl/v1\nkind: Cluster\nmetadata: {name: dual}\nnodes:\n  - {name: a, address: 192.0.2.11}\n"
TWO = NODES + "  - {name: b, address: 192.0.2.12}\nlinks: [[a:p1, b:p1]]\n"
USER = "ssh: {user: nvidia}\n"
DIRECT = "fabric: {topology: direct}\n"
IMAGE = "{docker: 'vllm/vllm-openai:v0.33.0'}"
ENGINE = f"engine:\n  kind: vllm\n  runtime: {IMAGE}\n  model: openai/gpt-oss-120b\n  parallel: TP2\n"
VENV = ENGINE.replace(IMAGE, "{venv: /opt/vllm}")


def rendered(text: str, operator: str = "op") -> Rendering:
    """The files for an inventory that has no errors."""
    home = PurePosixPath("/home") / operator
    found = study_text(text.encode(), "inventory.yaml", Controller(operator, home, PurePosixPath("/inventories")))
    assert found.errors == ()
    assert found.cluster is not None
    assert found.fabric is not None
    return render(found.cluster, found.fabric)


def file(text: str, path: str, node: str = "a") -> str:
    """The content of one file."""
    return {f.path: f.content for f in rendered(text).nodes[node].files}[path]


def variables(content: str) -> dict[str, str]:
    """An env file as docker reads it."""
    return dict(line.split("=", 1) for line in content.splitlines() if line and not line.startswith("#"))


def test_netplan_has_one_address_per_cabled_netdev_and_nothing_that_is_not_ours() -> None:
    network = yaml.safe_load(file(TWO + DIRECT, NETPLAN, "b"))["network"]
    shared = {
        "mtu": 9000,
        "dhcp4": False,
        "dhcp6": False,
        "accept-ra": False,
        "link-local": [],
        "optional": True,
    }
    assert network == {
        "version": 2,
        "ethernets": {
            "enp1s0f1np1": {"addresses": ["10.20.0.12/24"], **shared},
            "enP2p1s0f1np1": {"addresses": ["10.20.1.12/24"], **shared},
        },
    }


def test_rail_a_alone_renders_one_netdev_and_one_device() -> None:
    text = TWO + "fabric: {topology: direct, rails: A, mtu: 1500}\n"
    ethernets = yaml.safe_load(file(text, NETPLAN))["network"]["ethernets"]
    assert {name: entry["mtu"] for name, entry in ethernets.items()} == {"enp1s0f1np1": 1500}
    assert variables(file(text, NCCL_ENV))["NCCL_IB_HCA"] == "=rocep1s0f1"


def test_a_fabric_without_an_engine_is_netplan_and_nccl() -> None:
    files = rendered(TWO + DIRECT).nodes["a"].files
    assert [(f.path, f.mode, f.stage) for f in files] == [(NETPLAN, 0o600, "network"), (NCCL_ENV, 0o644, "network")]


def test_nccl_over_roce_names_both_twins_and_its_own_address() -> None:
    node = rendered(TWO + DIRECT).nodes["b"]
    expected = {
        "NCCL_NET": "IB",
        "NCCL_IB_DISABLE": "0",
        "NCCL_IB_HCA": "=rocep1s0f1,roceP2p1s0f1",
        "NCCL_IB_ROCE_VERSION_NUM": "2",
        "NCCL_IB_ADDR_FAMILY": "AF_INET",
        "NCCL_SOCKET_IFNAME": "=enp1s0f1np1",
        "GLOO_SOCKET_IFNAME": "enp1s0f1np1",
        "TP_SOCKET_IFNAME": "enp1s0f1np1",
        "UCX_NET_DEVICES": "enp1s0f1np1",
        "OMPI_MCA_btl_tcp_if_include": "enp1s0f1np1",
    }
    assert node.nccl == expected
    assert variables(node.files[1].content) == expected


def test_two_cables_name_four_devices() -> None:
    text = NODES + "  - {name: b, address: 192.0.2.12}\nlinks: [[a:p1, b:p1], [a:p0, b:p0]]\n" + DIRECT
    assert variables(file(text, NCCL_ENV))["NCCL_IB_HCA"] == "=rocep1s0f0,roceP2p1s0f0,rocep1s0f1,roceP2p1s0f1"


def test_each_node_names_its_own_port() -> None:
    text = NODES + "  - {name: b, address: 192.0.2.12}\nlinks: [[a:p1, b:p0]]\n" + DIRECT
    assert variables(file(text, NCCL_ENV, "a"))["GLOO_SOCKET_IFNAME"] == "enp1s0f1np1"
    assert variables(file(text, NCCL_ENV, "b"))["GLOO_SOCKET_IFNAME"] == "enp1s0f0np0"
    assert variables(file(text, NCCL_ENV, "b"))["NCCL_IB_HCA"] == "=rocep1s0f0,roceP2p1s0f0"


def test_tcp_has_no_rdma_anywhere() -> None:
    text = TWO + "fabric: {topology: direct, transport: tcp}\n" + ENGINE
    env = variables(file(text, NCCL_ENV))
    assert (env["NCCL_NET"], env["NCCL_IB_DISABLE"]) == ("Socket", "1")
    assert not {"NCCL_IB_HCA", "NCCL_IB_ROCE_VERSION_NUM"} & env.keys()
    assert "infiniband" not in file(text, ENGINE_SCRIPT)


def test_the_users_nccl_values_have_the_last_word() -> None:
    text = TWO + "fabric: {topology: direct, nccl: {NCCL_DEBUG: INFO, NCCL_IB_ROCE_VERSION_NUM: '1'}}\n"
    env = variables(file(text, NCCL_ENV))
    assert (env["NCCL_DEBUG"], env["NCCL_IB_ROCE_VERSION_NUM"]) == ("INFO", "1")


def test_files_of_the_engine_and_their_modes() -> None:
    node = rendered(TWO + DIRECT + ENGINE).nodes["a"]
    engine = [(f.path, f.mode) for f in node.files if f.stage == "engine"]
    assert engine == [(ENGINE_ENV, 0o644), (ENGINE_SCRIPT, 0o755), (ENGINE_UNIT, 0o644)]
    assert node.secrets == ()


def test_the_engines_environment_is_the_fabrics_and_its_own() -> None:
    node = rendered(TWO + DIRECT + ENGINE + "  env: {VLLM_LOGGING_LEVEL: DEBUG}\n").nodes["a"]
    assert node.engine is not None
    own = {"VLLM_ENGINE_READY_TIMEOUT_S": "2700", "VLLM_HOST_IP": "10.20.0.11", "VLLM_LOGGING_LEVEL": "DEBUG"}
    assert node.engine.env == {**node.nccl, **own}
    assert variables(next(f.content for f in node.files if f.path == ENGINE_ENV)) == own
    assert list(node.engine.env) == sorted(node.engine.env)


@pytest.mark.parametrize("runtime", [ENGINE, VENV])
def test_the_key_is_a_secret_file_and_is_never_an_argument(runtime: str) -> None:
    result = rendered(TWO + DIRECT + USER + runtime + "  api_key_file: secrets/api.key\n")
    secret = result.nodes["a"].secrets[0]
    assert (secret.source, secret.path, secret.mode) == ("/inventories/secrets/api.key", API_KEY, 0o600)
    assert "secrets/api.key" not in json.dumps(result.to_json())
    script = next(f.content for f in result.nodes["a"].files if f.path == ENGINE_SCRIPT)
    assert "--api-key" not in script and "--env VLLM_API_KEY" not in script, "nor in the container's settings"
    assert re.search(r'VLLM_API_KEY="?\$\(cat ', script)


def test_no_name_of_a_variable_breaks_the_script_or_takes_its_key(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "vllm").write_text(f"#!{sys.executable} -I\nimport os\nfor row in os.environ.items():\n    print(*row, sep='=')\n")
    (tmp_path / "bin" / "vllm").chmod(0o755)
    engine = VENV.replace("/opt/vllm", str(tmp_path))
    names = ("line", "file", "PPID", "IFS", "folder", "CREDENTIALS_DIRECTORY", "LINENO", "OPTIND", "PATH", "PS4", "key")
    env = "".join(f"    {name}: '{'/usr/bin' if name == 'PATH' else 'x y'}'\n" for name in names)
    node = rendered(TWO + DIRECT + USER + engine + "  api_key_file: k\n  env:\n" + env).nodes["a"]
    (tmp_path / "api.key").write_text("the-key\n")
    for made in node.files:
        (tmp_path / Path(made.path).name).write_text(made.content.replace("/etc/sparkctl", str(tmp_path)))
    ran = subprocess.run(["sh", str(tmp_path / "engine.sh")], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})
    said = dict(line.split("=", 1) for line in ran.stdout.splitlines())
    assert ran.returncode == 0, ran.stderr
    assert said["VLLM_API_KEY"] == "the-key" and said["PATH"].startswith(f"{tmp_path}/bin:")
    assert {name: said[name] for name in names if name != "PATH"} == dict.fromkeys(set(names) - {"PATH"}, "x y")


def test_docker_gets_what_rdma_and_gpus_need_and_no_more() -> None:
    script = file(TWO + DIRECT + USER + ENGINE + '  volumes: {"/srv/models": "/models:ro"}\n', ENGINE_SCRIPT)
    for words in ("--gpus all", "--device /dev/infiniband", "--cap-add IPC_LOCK", "--ulimit memlock=-1"):
        assert words in script
    assert "--volume /srv/models:/models:ro" in script
    assert "--volume /home/nvidia/.cache/huggingface:/root/.cache/huggingface" in script
    assert "privileged" not in script


def test_the_users_volume_for_the_cache_replaces_ours() -> None:
    script = file(TWO + DIRECT + ENGINE + '  volumes: {"/srv/hub": "/root/.cache/huggingface"}\n', ENGINE_SCRIPT)
    assert [w for w in script.split() if "huggingface" in w] == ["/srv/hub:/root/.cache/huggingface"]


def test_a_model_with_a_path_needs_no_cache() -> None:
    text = ENGINE.replace("openai/gpt-oss-120b", "/models/tiny") + '  volumes: {"/srv": "/models:ro"}\n'
    assert "huggingface" not in file(TWO + DIRECT + text, ENGINE_SCRIPT)


def test_a_venv_runs_as_the_login_user_with_the_key_as_a_credential() -> None:
    unit = file(TWO + DIRECT + USER + VENV + "  api_key_file: k\n", ENGINE_UNIT)
    assert "\nUser=nvidia\n" in unit
    assert f"\nLoadCredential=api.key:{API_KEY}\n" in unit
    assert "docker.service" not in unit
    assert "/usr/bin/docker" not in unit
    assert "\nUser=" not in file(TWO + DIRECT + USER + ENGINE, ENGINE_UNIT)


def test_the_unit_restarts_whatever_the_status_but_not_for_ever() -> None:
    unit = file(TWO + DIRECT + ENGINE, ENGINE_UNIT).splitlines()
    assert {"Restart=always", "StartLimitBurst=5", "TimeoutStopSec=60", "WantedBy=multi-user.target"} <= set(unit)
    assert "After=network-online.target docker.service" in unit


@pytest.mark.parametrize("runtime", [ENGINE, VENV])
def test_the_bytes_do_not_depend_on_who_renders(runtime: str) -> None:
    text = TWO + DIRECT + runtime
    assert rendered(text, "alice").to_json() == rendered(text, "bob").to_json()


def test_the_bytes_do_not_depend_on_the_order_of_the_users_keys() -> None:
    one = ENGINE + "  env: {A: '1', B: '2'}\n  args: {max-num-seqs: 8, enforce-eager: true}\n"
    other = ENGINE + "  env: {B: '2', A: '1'}\n  args: {enforce-eager: true, max-num-seqs: 8}\n"
    assert rendered(TWO + DIRECT + one).to_json() == rendered(TWO + DIRECT + other).to_json()


def test_every_file_says_who_made_it_and_ends_with_a_newline() -> None:
    for name, node in rendered(TWO + DIRECT + ENGINE).nodes.items():
        for artifact in node.files:
            assert f"# Made by sparkctl for {name} of cluster dual. Change the inventory instead" in artifact.content
            assert artifact.content.endswith("\n")
            assert not artifact.content.endswith("\n\n")
            assert artifact.digest == hashlib.sha256(artifact.content.encode()).hexdigest()


def test_json_is_as_the_format_says() -> None:
    result = rendered(TWO + DIRECT + ENGINE).to_json()
    assert json.loads(json.dumps(result)) == result
    assert {key: result[key] for key in ("version", "cluster", "switches")} == {
        "version": 1,
        "cluster": "dual",
        "switches": {},
    }
    nodes = result["nodes"]
    assert isinstance(nodes, dict)
    assert nodes["a"]["files"][NETPLAN]["mode"] == "0600"
    assert nodes["a"]["nccl"]["NCCL_NET"] == "IB"
    assert nodes["a"]["engine"]["argv"][:3] == ["vllm", "serve", "openai/gpt-oss-120b"]
    assert rendered(TWO + DIRECT).nodes["a"].to_json()["engine"] is None


def test_a_value_that_slipped_through_validation_makes_no_file() -> None:
    found = study_text((TWO + DIRECT).encode(), "i", Controller("op", PurePosixPath("/"), PurePosixPath("/")))
    assert found.cluster is not None
    assert found.fabric is not None
    evil = {"NCCL_DEBUG": "INFO\nLD_PRELOAD=/tmp/x.so"}
    object.__setattr__(found.cluster.fabric, "nccl", evil)
    with pytest.raises(SparkctlError, match="NCCL_DEBUG"):
        render(found.cluster, found.fabric)
