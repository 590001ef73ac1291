"""facts/nccl.py finds the libnccl that an engine would load: in layers, behind links, never outside of the image."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sparkctl.commands.base import functions
from sparkctl.facts import nccl
from sparkctl.facts.base import Rows
from sparkctl.facts.nccl import Nccl

WHEEL = "usr/local/lib/python3.12/dist-packages/nvidia/nccl/lib/libnccl.so.2"
SYSTEM = "usr/lib/aarch64-linux-gnu/libnccl.so.2"
DOCKER = """#!/bin/sh
case "$*" in
'image inspect'*) cat "$ABOUT" ;;
'ps '*) cat "$ABOUT.ps" ;;
'inspect '*) cat "$ABOUT.pid" ;;
esac
"""


def library(root: Path, path: str, version: str = "2.30.7", size: int = 1 << 20) -> str:
    """Something as large as a library that says its version; its digest."""
    where = root / path
    where.parent.mkdir(parents=True, exist_ok=True)
    content = b"NCCL version info only\0NCCL version " + version.encode() + b"+cuda13.3\0" + bytes(size)
    where.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def searched(*words: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Exit status and output of the program."""
    command = [sys.executable, "-I", "-S", "-c", functions("facts/nccl.py"), *words]
    ran = subprocess.run(command, capture_output=True, text=True, env=env or {}, timeout=60)
    assert ran.stderr == ""
    return ran.returncode, ran.stdout


class Image:
    """What docker says of an image with these layers, topmost first."""

    def __init__(self, folder: Path, layers: int = 2) -> None:
        self.folder = folder
        self.layers = [folder / f"layer{n}" / "diff" for n in range(layers)]
        for layer in self.layers:
            layer.mkdir(parents=True)
        (folder / "bin").mkdir()
        (folder / "bin" / "docker").write_text(DOCKER)
        (folder / "bin" / "docker").chmod(0o755)
        self.about: dict[str, object] = {"Id": "sha256:1", "Config": {"Env": ["PATH=/usr/bin"]}}
        self.about["GraphDriver"] = {
            "Data": {"UpperDir": str(self.layers[0]), "LowerDir": ":".join(map(str, self.layers[1:]))}
        }

    def search(self, *words: str) -> tuple[int, str]:
        """The program's answer about this image, with what the engine is given."""
        (self.folder / "about").write_text(json.dumps(self.about) + "\n")
        return searched(
            *("image", "x:1", "OTHER_NCCL", *words),
            env={"PATH": f"{self.folder}/bin:/usr/bin:/bin", "ABOUT": f"{self.folder}/about"},
        )

    def found(self, *words: str) -> Nccl:
        """The library that is found."""
        status, said = self.search(*words)
        assert status == 0
        return nccl.parse(said)


@pytest.mark.parametrize(
    "path",
    [
        WHEEL,
        SYSTEM,
        "opt/venv/lib/python3.11/site-packages/nvidia/nccl/lib/libnccl.so.2",
        "srv/deep/er/libnccl.so.2.30.7",
    ],
)
@pytest.mark.parametrize("layer", [0, 1])
def test_wherever_it_lies(path: str, layer: int, tmp_path: Path) -> None:
    image = Image(tmp_path)
    digest = library(image.layers[layer], path)
    assert image.found() == Nccl(f"/{path}", "2.30.7", digest)


def test_the_wheel_comes_before_the_systems(tmp_path: Path) -> None:
    image = Image(tmp_path)
    library(image.layers[0], SYSTEM, "2.28.9")
    library(image.layers[1], WHEEL, "2.30.7")
    assert image.found().version == "2.30.7"


@pytest.mark.parametrize("name", ["OTHER_NCCL", "LD_PRELOAD"])
def test_the_images_own_choice_comes_first(name: str, tmp_path: Path) -> None:
    image = Image(tmp_path)
    library(image.layers[0], WHEEL, "2.28.9")
    library(image.layers[1], "opt/nccl/libnccl.so.2", "2.30.7")
    image.about["Config"] = {"Env": [f"{name}=/opt/nccl/libnccl.so.2"]}
    assert image.found().path == "/opt/nccl/libnccl.so.2"


@pytest.mark.parametrize("name", ["OTHER_NCCL", "LD_PRELOAD"])
def test_what_the_engine_is_given_wins_over_the_image(name: str, tmp_path: Path) -> None:
    image = Image(tmp_path)
    library(image.layers[1], "opt/nccl/libnccl.so.2", "2.30.7")
    library(image.layers[1], "opt/old/libnccl.so.2", "2.28.9")
    image.about["Config"] = {"Env": [f"{name}=/opt/nccl/libnccl.so.2"]}
    assert image.found(f"{name}=/opt/old/libnccl.so.2").version == "2.28.9"
    library(image.layers[1], WHEEL, "2.29.7")
    assert image.found(f"{name}=/opt/gone/libnccl.so.2").version == "2.29.7", "the image's own word does not count"


def test_a_volume_covers_what_the_image_has(tmp_path: Path) -> None:
    image = Image(tmp_path)
    library(image.layers[0], WHEEL, "2.28.9")
    digest = library(tmp_path, "host/lib/libnccl.so.2.30.7", "2.30.7")
    (tmp_path / "host/lib/libnccl.so.2").symlink_to("libnccl.so.2.30.7")
    folder = image.found(f"/{Path(WHEEL).parent}/={tmp_path}/host/lib")
    assert folder == Nccl(f"/{WHEEL}.30.7", "2.30.7", digest)
    assert image.found(f"/{WHEEL}={tmp_path}/host/lib/libnccl.so.2") == Nccl(f"/{WHEEL}", "2.30.7", digest)
    assert image.found(f"/usr/local/lib64={tmp_path}/host/lib").version == "2.28.9"


def test_a_library_that_only_a_volume_has_is_found_in_its_usual_place(tmp_path: Path) -> None:
    image = Image(tmp_path)
    digest = library(tmp_path, "host/lib/libnccl.so.2", "2.30.7")
    assert image.found(f"/usr={tmp_path}/host") == Nccl("/usr/lib/libnccl.so.2", "2.30.7", digest)
    assert image.search(f"/srv={tmp_path}/host") == (44, "")


def test_a_link_in_a_volume_leads_inside_the_container(tmp_path: Path) -> None:
    image = Image(tmp_path)
    library(tmp_path, "elsewhere/libnccl.so.2", "2.28.9")
    digest = library(image.layers[0], "opt/libnccl.so.2", "2.30.7")
    (tmp_path / "host").mkdir()
    (tmp_path / "host/libnccl.so.2").symlink_to("/opt/libnccl.so.2")
    words = ("LD_PRELOAD=/vol/libnccl.so.2", f"/vol={tmp_path}/host")
    assert image.found(*words) == Nccl("/opt/libnccl.so.2", "2.30.7", digest)
    (tmp_path / "host/libnccl.so.2").unlink()
    (tmp_path / "host/libnccl.so.2").symlink_to(tmp_path / "elsewhere/libnccl.so.2")
    (image.layers[0] / "opt/libnccl.so.2").unlink()
    assert image.search(*words) == (44, "")


def test_a_venv_with_a_preloaded_library(tmp_path: Path) -> None:
    library(tmp_path, f"venv/{WHEEL.removeprefix('usr/local/')}", "2.30.7")
    library(tmp_path, "system/libnccl.so.2", "2.28.9")
    words = ("venv", str(tmp_path / "venv"), "OTHER_NCCL")
    assert nccl.parse(searched(*words)[1]).version == "2.30.7"
    assert nccl.parse(searched(*words, f"LD_PRELOAD=/x.so:{tmp_path}/system/libnccl.so.2")[1]).version == "2.28.9"


def test_a_variable_of_another_engine_says_nothing(tmp_path: Path) -> None:
    image = Image(tmp_path)
    library(image.layers[0], WHEEL, "2.28.9")
    library(image.layers[1], "opt/nccl/libnccl.so.2", "2.30.7")
    image.about["Config"] = {"Env": ["THIRD_NCCL=/opt/nccl/libnccl.so.2"]}
    assert image.found().version == "2.28.9"


def test_the_upper_layer_wins(tmp_path: Path) -> None:
    image = Image(tmp_path)
    library(image.layers[0], WHEEL, "2.30.7")
    library(image.layers[1], WHEEL, "2.28.9")
    assert image.found().version == "2.30.7"


@pytest.mark.skipif(os.getuid() != 0, reason="only root makes whiteouts")
@pytest.mark.parametrize("removed", [WHEEL, str(Path(WHEEL).parent), "usr/local"])
def test_what_an_upper_layer_removed_is_not_there(removed: str, tmp_path: Path) -> None:
    image = Image(tmp_path)
    library(image.layers[1], WHEEL, "2.28.9")
    assert image.found().version == "2.28.9"
    whiteout = image.layers[0] / removed
    whiteout.parent.mkdir(parents=True)
    os.mknod(whiteout, 0o020000, os.makedev(0, 0))
    assert image.search() == (44, "")


def test_a_link_leads_inside_the_image(tmp_path: Path) -> None:
    image = Image(tmp_path)
    digest = library(image.layers[1], "opt/nccl/lib/libnccl.so.2.30.7")
    link = image.layers[0] / SYSTEM
    link.parent.mkdir(parents=True)
    link.symlink_to("/opt/nccl/lib/libnccl.so.2.30.7")
    assert image.found() == Nccl("/opt/nccl/lib/libnccl.so.2.30.7", "2.30.7", digest)


@pytest.mark.parametrize("folder", [False, True])
def test_a_link_to_the_nodes_own_files_leads_nowhere(folder: bool, tmp_path: Path) -> None:
    image = Image(tmp_path)
    library(tmp_path, "host/libnccl.so.2")
    link = image.layers[0] / (str(Path(SYSTEM).parent) if folder else SYSTEM)
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "host" / ("" if folder else "libnccl.so.2"))
    assert image.search() == (44, "")


def test_links_in_a_circle(tmp_path: Path) -> None:
    image = Image(tmp_path)
    link = image.layers[0] / SYSTEM
    link.parent.mkdir(parents=True)
    link.symlink_to("libnccl.so.2")
    assert image.search() == (44, "")


@pytest.mark.parametrize("size", [0, 1000])
def test_a_stub_is_no_library(size: int, tmp_path: Path) -> None:
    image = Image(tmp_path)
    library(image.layers[0], WHEEL, size=size)
    assert image.search() == (44, "")


def test_a_library_without_a_version_is_unknown(tmp_path: Path) -> None:
    image = Image(tmp_path)
    library(image.layers[0], WHEEL, version="unset")
    with pytest.raises(ValueError, match="does not say its version"):
        nccl.parse(image.search()[1])


@pytest.mark.parametrize("graph", [None, {"Data": None}, {"Data": {}}])
def test_an_image_in_containerd_is_unknown_until_it_runs(graph: object, tmp_path: Path) -> None:
    image = Image(tmp_path)
    image.about["GraphDriver"] = graph
    (tmp_path / "about.ps").write_text("")
    with pytest.raises(ValueError, match="while a container of it runs"):
        nccl.parse(image.search()[1])


def test_the_files_of_a_running_container(tmp_path: Path) -> None:
    """Our own root stands for the container's: the search finds what the machine has, or nothing."""
    image = Image(tmp_path)
    image.about["GraphDriver"] = None
    library(tmp_path, "opt/libnccl.so.2")
    image.about["Config"] = {"Env": [f"LD_PRELOAD={tmp_path}/opt/libnccl.so.2"]}
    (tmp_path / "about.ps").write_text("abc\n")
    (tmp_path / "about.pid").write_text(f"{os.getpid()} sha256:1\n")
    assert image.found().path == f"{tmp_path}/opt/libnccl.so.2"
    (tmp_path / "about.pid").write_text("0 sha256:1\n")
    with pytest.raises(ValueError, match="has ended"):
        nccl.parse(image.search()[1])


def test_docker_is_not_installed(tmp_path: Path) -> None:
    assert searched("image", "x:1", env={"PATH": str(tmp_path)}) == (127, "")


@pytest.mark.parametrize(
    ("said", "status"), [("Error: No such image: x:1", 44), ("Cannot connect to the Docker daemon", 0)]
)
def test_docker_knows_no_such_image_or_nothing(said: str, status: int, tmp_path: Path) -> None:
    (tmp_path / "docker").write_text(f"#!/bin/sh\necho '{said}' >&2; exit 1\n")
    (tmp_path / "docker").chmod(0o755)
    ended, answer = searched("image", "x:1", env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert ended == status
    assert ("docker does not answer" in answer) == (status == 0)


@pytest.mark.parametrize(
    "said",
    ["", "[]", "null", "{}", '{"GraphDriver": {"Data": {"UpperDir": "/nonexistent"}}}', '{"Config": {"Env": 5}}'],
)
def test_a_strange_docker_gives_a_reason_and_no_traceback(said: str, tmp_path: Path) -> None:
    image = Image(tmp_path)
    (tmp_path / "bin" / "docker").write_text(f"#!/bin/sh\necho '{said}'\n")
    status, answer = image.search()
    assert status == 0
    assert json.loads(answer).keys() == {"why"}


def test_a_venv_and_its_links(tmp_path: Path) -> None:
    digest = library(tmp_path, "cache/nccl/lib/libnccl.so.2")
    packages = tmp_path / "venv/lib/python3.12/site-packages/nvidia"
    packages.mkdir(parents=True)
    (packages / "nccl").symlink_to(tmp_path / "cache/nccl")
    said = nccl.parse(searched("venv", str(tmp_path / "venv"))[1])
    assert (said.version, said.digest) == ("2.30.7", digest)
    (tmp_path / "empty").mkdir()
    assert searched("venv", str(tmp_path / "empty")) == (44, "")
    assert searched("venv", str(tmp_path / "gone")) == (44, "")


def test_what_an_image_and_its_conf_files_set(tmp_path: Path) -> None:
    image = Image(tmp_path)
    library(image.layers[0], WHEEL)
    image.about["Config"] = {"Env": ["NCCL_IB_GID_INDEX=0", "GLOO_SOCKET_IFNAME=enP7s7", "SECRET_NCCL_X=1", "HOME=/h", "A=b"]}
    for path, text in {"etc/nccl.conf": "# x\nNCCL_ALGO=Ring\n NCCL_PROTO=x\nno line\n", "h/.nccl.conf": "NCCL_ALGO=Tree=1\n"}.items():
        (image.layers[1] / path).parent.mkdir()
        (image.layers[1] / path).write_text(text)
    assert image.found().settings == (
        ("the image", "GLOO_SOCKET_IFNAME", "enP7s7"),
        ("the image", "NCCL_IB_GID_INDEX", "0"),
        ("/h/.nccl.conf", "NCCL_ALGO", "Tree=1"),
        ("/etc/nccl.conf", "NCCL_ALGO", "Ring"),
    )
    (tmp_path / "mine").write_bytes(b"NCCL_DEBUG=\xff\x1b[31m\n" + b"NCCL_X=" + b"y" * 1000)
    given = image.found("NCCL_CONF_FILE=/conf/mine", f"/conf={tmp_path}").settings
    assert [(place, name) for place, name, _ in given[2:]] == [
        *(("/conf/mine", "NCCL_DEBUG"), ("/conf/mine", "NCCL_X"), ("/etc/nccl.conf", "NCCL_ALGO")),
    ]
    assert given[2].value.isprintable() and len(given[3].value) == 300


def test_a_conf_file_that_cannot_be_read_costs_what_it_says(tmp_path: Path) -> None:
    image = Image(tmp_path)
    library(image.layers[0], WHEEL)
    image.about["Config"] = {"Env": ["NCCL_ALGO=Ring"]}
    found = nccl.parse(image.search("NCCL_CONF_FILE=/conf/mem", "/conf=/proc/self")[1])
    assert isinstance(found, Rows) and found.value.version and found.value.settings == (("the image", "NCCL_ALGO", "Ring"),)
    assert [why.split(":")[0] for why in found.unread] == ["/conf/mem"]


def test_the_conf_file_of_whoever_runs_a_venv(tmp_path: Path) -> None:
    library(tmp_path, f"venv/{WHEEL.removeprefix('usr/local/')}")
    (tmp_path / ".nccl.conf").write_text("NCCL_ALGO=Ring\n")
    said = nccl.parse(searched("venv", str(tmp_path / "venv"), f"HOME={tmp_path}")[1])
    assert said.settings[0] == (f"{tmp_path}/.nccl.conf", "NCCL_ALGO", "Ring")
