"""What importing costs beyond time: no process is started, and `--help` knows nothing of event loops or ssh."""

from __future__ import annotations

import subprocess
import sys

QUIET = """
import subprocess, os
def forbidden(*words, **how):
    raise SystemExit(f"a process is started: {words}")
subprocess.Popen.__init__ = os.posix_spawn = os.system = os.popen = forbidden
import sparkctl.ssh.fleet, sparkctl.lab.access, asyncssh, ctypes.util
assert ctypes.util.find_library.__module__ == "ctypes.util"
"""
LIGHT = """
import sys
from sparkctl.cli.main import app
for words in (["--help"], ["cluster", "up", "--help"], ["inventory", "discover", "--help"]):
    app(words, standalone_mode=False)
heavy = {"asyncssh", "asyncio", "networkx", "jinja2", "yaml"} & sys.modules.keys()
raise SystemExit(f"imported: {heavy}" if heavy else 0)
"""


def ran(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)


def test_importing_asyncssh_starts_no_process() -> None:
    done = ran(QUIET)
    assert (done.returncode, done.stderr) == (0, "")


def test_help_imports_nothing_heavy() -> None:
    done = ran(LIGHT)
    assert (done.returncode, done.stderr) == (0, "")
