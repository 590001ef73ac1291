"""Which libnccl an engine would load: found in the files of its image or venv, without starting anything.

image NAME [WORD ...]    in the layers of NAME, or in a container of it that runs
venv FOLDER [WORD ...]   below FOLDER

A word is VARIABLE, which may name the library, NAME=VALUE, which the engine gets whatever the image says, or
/TARGET=/SOURCE, a volume of the container.

One JSON object on stdout: path, version and digest, with what an image and conf files set; or why: the reason why it
cannot be known. Status 44: there is no libnccl, or no such image. Reads only, for a few seconds at most. Python 3.8 or
later.
"""

import glob
import hashlib
import json
import mmap
import os
import re
import stat
import subprocess
import sys
import time

ABSENT = 44
SECONDS, DEPTH, HOPS = 5, 12, 8  # a search of the whole image ends here; the usual places take milliseconds
LARGEST = 1 << 30  # libnccl 2.30 has 240 MiB
BIG = 1 << 20  # a stub of the same name is smaller
VERSION = re.compile(rb"NCCL version (\d+\.\d+\.\d+)")
LIBRARY = re.compile(r"libnccl\.so(\.\d+){0,3}$")
WHEEL = "lib/python3*/*-packages/nvidia/nccl/lib"
# In the order in which engines load them: torch's wheels bring their own, NVIDIA's images use the system's.
PLACES = (
    *(f"{root}/{WHEEL}" for root in ("usr/local", "usr", "opt/venv", "opt/*", "root/.venv", "*/.venv", "*/venv")),
    *("usr/local/lib", "usr/lib/*-linux-gnu", "usr/lib", "usr/local/cuda*/lib64", "usr/local/nccl*/lib"),
)
SETTING = re.compile(r"(?:NCCL|GLOO|TP|UCX|OMPI)_\w{1,80}\Z", re.ASCII)  # what decides how ranks find one another
MOST, LONGEST, CONF = 200, 300, 1 << 16  # settings, characters of a value, bytes of a file
SKIPPED = {"proc", "sys", "dev", "share", "include", "__pycache__", "doc"}


class Unknowable(Exception):
    """Why the answer cannot be known."""


def docker(*words):
    try:
        ran = subprocess.run(["docker", *words], capture_output=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        sys.exit(127)
    except subprocess.TimeoutExpired:
        raise Unknowable("docker does not answer") from None
    return ran.returncode, ran.stdout.decode("utf-8", "replace").strip(), ran.stderr.decode("utf-8", "replace").lower()


def inspected(image):
    status, said, why = docker("image", "inspect", "--format", "{{json .}}", image)
    if status and "no such image" in why:
        sys.exit(ABSENT)
    if status:
        raise Unknowable("docker does not answer")
    return json.loads(said.partition("\n")[0])


# --- the files of an image ---------------------------------------------------------------------------------------


class Layers:
    """The folders of an image, topmost first: a path belongs to the first that has it, unless one above removed it."""

    def __init__(self, folders, volumes=()):
        self.volumes = volumes
        self.folders = [folder for folder in folders if os.path.isdir(folder)]
        if not self.folders:
            raise Unknowable("the image's folders are not there")

    def resolved(self, path, hops=0):
        """The regular file that path leads to, where it lies and its path inside, through the image's links alone."""
        for folder, below in self.places(path) if hops <= HOPS else ():
            rest = path[len(below) :].lstrip("/")
            link = first_link(folder, rest)
            if link:
                target = os.path.join("/", below, os.path.dirname(link), os.readlink(os.path.join(folder, link)))
                onward = os.path.normpath(target + rest[len(link) :]).lstrip("/")
                return self.resolved(onward, hops + 1)
            full = os.path.join(folder, rest) if rest else folder
            if os.path.isfile(full):
                return full, path
            if self.removed(folder, rest):
                return None
        return None

    def places(self, path):
        """Folders that may hold a path, and the path of each inside: the volume that covers it, or every layer."""
        over = [(source, target) for target, source in self.volumes if (path + "/").startswith(target + "/")]
        return [max(over, key=lambda each: len(each[1]))] if over else [(folder, "") for folder in self.folders]

    def removed(self, folder, path):
        """Whether this layer hides path of those below: a whiteout or an opaque folder on the way to it."""
        while path:
            full = os.path.join(folder, path)
            try:
                state = os.lstat(full)
            except OSError:
                path = os.path.dirname(path)
                continue
            if stat.S_ISCHR(state.st_mode) and state.st_rdev == 0:
                return True
            return stat.S_ISDIR(state.st_mode) and opaque(full)
        return False

    def usual(self):
        """Paths of libraries in the usual places, best first."""
        for place in PLACES:
            found = {p for folder in self.folders for p in listed(folder, place)}
            for target, source in self.volumes:
                if place.startswith(target + "/"):
                    found |= {target + "/" + path for path in listed(source, place[len(target) + 1 :])}
            yield from best_first(found)

    def anywhere(self, below):
        """Paths of libraries below a path, however deep."""
        until = time.monotonic() + SECONDS
        return best_first({p for folder in self.folders for p in walked(folder, below, until)})


def first_link(folder, path):
    """The shortest beginning of path that is a link in this folder."""
    parts = path.split("/")
    begins = ("/".join(parts[: n + 1]) for n in range(len(parts)))
    return next((begin for begin in begins if os.path.islink(os.path.join(folder, begin))), None)


def opaque(folder):
    for name in ("trusted.overlay.opaque", "user.overlay.opaque"):
        try:
            if os.getxattr(folder, name) == b"y":
                return True
        except OSError:
            continue
    return False


def listed(folder, place):
    for full in glob.iglob(os.path.join(glob.escape(folder), place, "libnccl.so*")):
        if LIBRARY.match(os.path.basename(full)):
            yield os.path.relpath(full, folder)


def walked(folder, below, until):
    for top, folders, names in os.walk(os.path.join(folder, below)):
        if time.monotonic() > until:
            raise Unknowable("the search took too long")
        deep = top[len(folder) :].count("/") >= DEPTH
        folders[:] = [] if deep else [name for name in folders if name not in SKIPPED]
        for name in names:
            if LIBRARY.match(name):
                yield os.path.relpath(os.path.join(top, name), folder)


def best_first(paths):
    """libnccl.so.2, which programs ask for, before other names; then by path."""
    return sorted(paths, key=lambda path: (not path.endswith(".so.2"), path))


def of_image(image, volumes):
    """The layers of an image below its volumes, and its variables."""
    about = inspected(image)
    variables = dict(entry.partition("=")[::2] for entry in (about.get("Config") or {}).get("Env") or ())
    graph = (about.get("GraphDriver") or {}).get("Data") or {}
    if graph.get("UpperDir"):
        lower = filter(None, (graph.get("LowerDir") or "").split(":"))
        return Layers([graph["UpperDir"], *lower], volumes), variables
    return Layers([running(about["Id"])], volumes), variables


def named(naming, variables):
    """Paths of libraries that variables name: the engine's own, then what the loader puts before all others."""
    paths = [variables.get(name, "") for name in naming] + re.split("[ :]", variables.get("LD_PRELOAD", ""))
    return [path.lstrip("/") for path in paths if path.startswith("/") and LIBRARY.match(os.path.basename(path))]


def running(image):
    """The root of a container of this image."""
    status, listed_ids, _ = docker("ps", "-q", "--filter", "ancestor=" + image)
    ids = listed_ids.split()
    if status or not ids:
        raise Unknowable(
            "Docker shows no folders of this image: its files can be read only while a container of it runs"
        )
    status, said, _ = docker("inspect", "--format", "{{.State.Pid}} {{.Image}}", ids[0])
    pid, _, of = said.partition(" ")
    if status or not pid.isdigit() or pid == "0" or of != image:
        raise Unknowable("the container of the image has ended")
    return "/proc/%s/root" % pid


# --- the library -------------------------------------------------------------------------------------------------


def described(layers, candidates):
    for path in candidates:
        found = layers.resolved(path)
        if found and BIG <= os.path.getsize(found[0]) <= LARGEST:
            version, digest = read(found[0])
            return {"path": "/" + found[1], "version": version, "digest": digest}
    return None


def read(path):
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        version = VERSION.search(content)
        if not version:
            raise Unknowable("libnccl does not say its version")
        return version[1].decode(), hashlib.sha256(content).hexdigest()


def settings(layers, variables, image):
    """What sets NCCL's and its kin's variables besides the engine's own files: [where, name, value], the first wins.

    And why each file that could not be read could not.
    """
    said, unread = [["the image", *pair] for pair in sorted(image.items())], []
    own = variables.get("NCCL_CONF_FILE") or variables.get("HOME", "/root") + "/.nccl.conf"
    for path in (own, "/etc/nccl.conf"):
        try:
            found = layers.resolved(path.lstrip("/"))
            said += [[path, *line.partition("=")[::2]] for line in (conf_lines(found[0]) if found else ())]
        except (Unknowable, OSError) as error:
            unread.append("%s: %s" % (path, getattr(error, "strerror", None) or error))
    return [[where, name, value[:LONGEST]] for where, name, value in said if SETTING.match(name)][:MOST], unread


def conf_lines(path):
    with open(path, "rb") as file:
        return [line for line in file.read(CONF).decode("utf-8", "replace").splitlines() if "=" in line]


def main(kind, where, *words):
    pairs = [word.partition("=")[::2] for word in words if "=" in word]
    volumes = [(target.strip("/"), source) for target, source in pairs if target.startswith("/")]
    if kind == "image":
        layers, variables = of_image(where, volumes)
        below, usual = "", layers.usual()
    else:
        layers, variables, below = Layers(["/"]), {}, where.strip("/")
        usual = best_first(listed("/", os.path.join(below, WHEEL)))
    image = dict(variables)
    variables.update(pairs)
    first = named([word for word in words if "=" not in word], variables)
    found = described(layers, [*first, *usual]) or described(layers, layers.anywhere(below))
    if not found:
        sys.exit(ABSENT)
    found["settings"], found["unread"] = settings(layers, variables, image)
    print(json.dumps(found))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (Unknowable, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        print(json.dumps({"why": getattr(error, "strerror", None) or str(error)}))
