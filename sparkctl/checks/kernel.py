"""Check of the kernel: none that is known to break NCCL, and CMA accounts that add up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sparkctl.checks.base import View, check
from sparkctl.checks.hosts import STAGE, skipped, unreadable
from sparkctl.facts.host import Kernel, Memory
from sparkctl.outcome import Fact, Known, Named, Remedy, State, Unknown, Verdict

ID = "kernel-known-bad"
EXPECTED = "none that is known to be bad"
_OFF = ("off", "0", "n", "no", "f", "false")  # how the kernel reads a switch of its command line


@dataclass(frozen=True)
class Bad:
    """A kernel, by the beginning of its release, that breaks clusters unless `switch` is off."""

    release: str
    state: State
    why: str
    remedy: str
    source: str
    switch: str = ""

    def strikes(self, kernel: Kernel) -> bool:
        """Whether this kernel is that one, without the cure."""
        return kernel.release.startswith(self.release) and not (self.switch and is_off(self.switch, kernel))


KHO = Remedy(
    "add kho=off to GRUB_CMDLINE_LINUX in /etc/default/grub, then `sudo update-grub` and reboot; another kernel has no "
    "GPU before linux-modules-nvidia-580-open-KERNEL is installed for it",
    Named("kernel", "kho=off"),
)
KNOWN_BAD = (
    Bad("7.0.0-1019-nvidia", "fail", "NCCL cannot register memory (ENOMEM)", KHO, "facts ff7", switch="kho"),
    Bad("6.17.0-1008-", "warn", "panics are reported", "sudo apt full-upgrade, then reboot", "facts ff3.7"),
)


def is_off(switch: str, kernel: Kernel) -> bool:
    """Whether the command line turns `switch` off; the last word about it counts."""
    words = [word for word in kernel.command_line.split() if word.startswith(f"{switch}=")]
    return bool(words) and words[-1].partition("=")[2].lower() in _OFF


def struck(kernel: Kernel) -> Bad | None:
    """The entry of KNOWN_BAD that this kernel is; None where it is none of them."""
    return next((bad for bad in KNOWN_BAD if bad.strikes(kernel)), None)


@check(ID, STAGE, survey=True)
def kernel(view: View) -> Iterator[Verdict]:
    """No node runs a kernel that is known to break NCCL; CMA has no more free than it has (facts ff7)."""
    for node in view.cluster.nodes:
        survey = view.facts[node.name].survey
        yield _judged(node.name, survey.kernel, survey.memory)


def _judged(node: str, kernel: Fact[Kernel], memory: Fact[Memory]) -> Verdict:
    if isinstance(kernel, Known) and (bad := struck(kernel.value)):
        return Verdict(ID, bad.state, node, f"{bad.why} ({bad.source})", kernel.value.release, EXPECTED, bad.remedy)
    if isinstance(memory, Known) and _leaks(memory.value):
        shown = f"CmaFree {memory.value.cma_free} kB > CmaTotal {memory.value.cma_total} kB"
        return Verdict(ID, "fail", node, "the kernel miscounts CMA: NCCL will fail with ENOMEM", shown, EXPECTED, KHO)
    if isinstance(kernel, Known) and isinstance(memory, Known):
        return Verdict(ID, "pass", node, "kernel", kernel.value.release, EXPECTED)
    if isinstance(kernel, Unknown):
        return unreadable(ID, node, "kernel", kernel)
    if isinstance(memory, Unknown):
        return unreadable(ID, node, "CMA figures", memory)
    return skipped(ID, node, "the kernel was not asked for")


def _leaks(memory: Memory) -> bool:
    return memory.cma_total is not None and memory.cma_free is not None and memory.cma_free > memory.cma_total
