"""What a finding says to write, where the file tells what was meant; one error for one mistake; files of other programs."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from sparkctl.inventory.resolve import Controller
from sparkctl.study import study_text

DUAL = (Path(__file__).resolve().parents[2] / "inventories/dual.yaml").read_text()
DESK = Controller("me", PurePosixPath("/home/me"), PurePosixPath("/home/me"), lambda path: False)
SAID = [
    ("parallel: TP2", "parallel: tp2", "`engine.parallel`", "write `TP2`"),
    ("parallel: TP2", "parallel: tp 2", "`engine.parallel`", "write `TP2`"),
    ("parallel: TP2", "parallel: 2", "`engine.parallel`", "write `TP2`"),
    ("sudo: passwordless", "sudo: yes", "`ssh.sudo`", "write `passwordless` or `prompt`"),
    ("sudo: passwordless", "sudo: true", "`ssh.sudo`", "write `passwordless` or `prompt`"),
    ("utilization: 0.80", "utilization: 80", "`engine.gpu_memory_utilization`", "it is a fraction: write 0.80"),
    ("utilization: 0.80", "utilization: 85%", "`engine.gpu_memory_utilization`", "it is a fraction: write 0.85"),
    ("max_model_len: 32768", "max_model_len: 32k", "`engine.max_model_len`", "write 32768, without quotes"),
    ("port: 8000", 'port: "8000"', "`engine.port`", "write 8000, without quotes"),
    ("[spark-1:p1,", "[spark-1:enp1s0f1np1,", "enp1s0f1np1", "write `spark-1:p1`"),
    ("[spark-1:p1,", "[spark-1:enP2p1s0f1np1,", "enP2p1s0f1np1", "write `spark-1:p1`"),
    ("[spark-1:p1,", "[spark-1:P1,", "P1", "write `spark-1:p1`"),
    ("[spark-1:p1,", "[spark-1:p9,", "p9", "write `spark-1:p0` or `spark-1:p1`"),
    ("address: 192.0.2.11", "addr: 192.0.2.11", "addr", "did you mean `address`?"),
    ("model: openai", "modell: openai", "modell", "did you mean `model`?"),
    ("name: spark-2,", "name: spark-1,", "spark-1", "give each its own name"),
]


@pytest.mark.parametrize(("old", "new", "named", "remedy"), SAID, ids=[new for _, new, _, _ in SAID])
def test_one_mistake_is_one_error_that_says_what_to_write(old: str, new: str, named: str, remedy: str) -> None:
    assert old in DUAL
    (found,) = study_text(DUAL.replace(old, new, 1).encode(), "x.yaml", DESK).errors
    assert named in found.message and found.remedy == remedy


STRANGERS = {
    "services: {vllm: {image: x}}": "a Docker Compose file",
    "- hosts: all\n  tasks: []": "a playbook of Ansible",
    "all: {hosts: {a: {}}}": "an inventory of Ansible",
    "network: {version: 2}": "a netplan file",
    "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {}": "a manifest of Kubernetes",
    "apiVersion: sparkctl/v1\nkind: Playbook\nname: x\nstages: []": "a playbook of sparkctl",
    "a: 1": "nothing in this file is of an inventory",
    "hello": "not a YAML mapping",
    "- a": "not a YAML mapping",
}


@pytest.mark.parametrize(("text", "said"), STRANGERS.items(), ids=STRANGERS.values())
def test_the_file_of_another_program_is_one_error(text: str, said: str) -> None:
    (found,) = study_text(text.encode(), "x.yaml", DESK).errors
    assert found.id == "INV001" and said in found.message and found.remedy


def test_what_has_something_of_an_inventory_is_judged_as_one() -> None:
    assert len(study_text(b"nodes: []\nservices: {}\n", "x.yaml", DESK).errors) > 1
