"""One rank of an all-gather over all nodes, timed as nccl-tests does: one line of JSON. Bounded in time and size.

The argument is an object: rank, ranks, address and port of the head, sizes in bytes (of the whole result, ascending),
seconds for each size, patience (seconds for the ranks to meet).
"""

import json
import os
import re
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

WARM_UPS, ITERATIONS = 5, 20  # the defaults of nccl-tests (-w 5 -n 20)
MEBIBYTE = 1 << 20
CPU_SIZE = 8 * MEBIBYTE  # without a GPU only that it runs is shown, and the ranks may share one machine's memory
LOG_BYTES = 4 * MEBIBYTE
LAST_WORDS = 3


def said(log):
    """What NCCL wrote, without what no reader needs to see twice."""
    try:
        with log.open("rb") as file:
            return file.read(LOG_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def network(text):
    """`NET/IB` or `NET/Socket`: what the channels go through; before there are any, what was chosen."""
    through = set(re.findall(r"via (NET/\w+)", text)) or {
        f"NET/{name}" for name in re.findall(r"Using network (\w+)", text)
    }
    return "NET/Socket" if "NET/Socket" in through else min(through, default="")


def devices(text):
    """The RDMA devices that NCCL found, in its order."""
    line = re.search(r"NET/IB ?: Using (.*)", text)
    return list(dict.fromkeys(re.findall(r"\[\d+\]([^\s:]+):\d+", line[1]))) if line else []


class Gang:
    """All ranks, and the device that their buffers are on."""

    def __init__(self, torch, config):
        self.torch, self.dist = torch, torch.distributed
        self.rank, self.ranks = config["rank"], config["ranks"]
        self.gpu = torch.cuda.is_available()
        self.device = torch.device("cuda:0" if self.gpu else "cpu")
        self.backend = "nccl" if self.gpu else "gloo"
        meeting = f"tcp://{config['address']}:{config['port']}"
        options = {"device_id": self.device} if self.gpu else {}
        self.dist.init_process_group(
            self.backend,
            init_method=meeting,
            world_size=self.ranks,
            rank=self.rank,
            timeout=timedelta(seconds=config["patience"]),
            **options,
        )

    def version(self):
        """Of the library that moves the bytes."""
        if self.gpu:
            return ".".join(map(str, self.torch.cuda.nccl.version()))
        return self.torch.__version__

    def timed(self, gather, times):
        """Seconds of one gather on the slowest rank."""
        self.settled()
        begun = time.perf_counter()
        for _ in range(times):
            gather()
        self.settled()
        return self.slowest((time.perf_counter() - begun) / times)

    def settled(self):
        """Wait for the GPU, which works on its own."""
        if self.gpu:
            self.torch.cuda.synchronize()

    def slowest(self, seconds):
        """The largest figure of all ranks, so that they also agree on what follows from it."""
        figure = self.torch.tensor([seconds], dtype=self.torch.float32, device=self.device)
        self.dist.all_reduce(figure, op=self.dist.ReduceOp.MAX)
        return figure.item()

    def bus(self, size, seconds):
        """Bus bandwidth in GB/s of gathering `size` bytes, within about `seconds`."""
        share = size // self.ranks
        mine = self.torch.full((share,), self.rank + 1, dtype=self.torch.uint8, device=self.device)
        whole = self.torch.zeros(share * self.ranks, dtype=self.torch.uint8, device=self.device)

        def gather():
            self.dist.all_gather_into_tensor(whole, mine)

        first = self.timed(gather, 1)
        affordable = max(1, int(seconds / max(first, 1e-6)))
        if affordable > 1:
            self.timed(gather, min(WARM_UPS, affordable))
        one = self.timed(gather, min(ITERATIONS, affordable))
        ends = [whole[k * share + place].item() for k in range(self.ranks) for place in (0, share - 1)]
        if ends != [k + 1 for k in range(self.ranks) for _ in range(2)]:
            raise RuntimeError(f"the ranks' bytes did not arrive: {ends}")
        return share * self.ranks * (self.ranks - 1) / self.ranks / one / 1e9


def sweep(gang, config):
    """Size and bandwidth of each step; a step that alone used up its time is the last."""
    sizes = config["sizes"] if gang.gpu else [min(CPU_SIZE, config["sizes"][0])]
    steps = []
    for size in sizes:
        begun = time.perf_counter()
        steps.append([size // gang.ranks * gang.ranks, gang.bus(size, config["seconds"])])
        if gang.gpu:
            gang.torch.cuda.empty_cache()  # else torch keeps the buffers of every size, in memory that all share
        if gang.slowest(time.perf_counter() - begun) > 3 * config["seconds"]:
            break
    return steps


def measured(config, log):
    """The report of this rank."""
    import torch
    import torch.distributed

    gang = Gang(torch, config)
    steps = sweep(gang, config)
    text = said(log)
    return {
        "backend": gang.backend,
        "version": gang.version(),
        "rank": gang.rank,
        "ranks": gang.dist.get_world_size(),
        "sweep": steps,
        "network": network(text),
        "devices": devices(text),
    }


def main():
    """Measure, and say what went wrong where it did."""
    config = json.loads(sys.argv[1])
    log = Path(tempfile.mkdtemp(prefix="sparkctl-gather-")) / "nccl.log"
    os.environ.update(NCCL_DEBUG="INFO", NCCL_DEBUG_SUBSYS="INIT,NET", NCCL_DEBUG_FILE=str(log))
    try:
        report, status = measured(config, log), 0
    except Exception as error:  # whatever it is, the other end reads one line of JSON
        words = [line[-300:] for line in said(log).splitlines() if " WARN " in line]
        first = str(error).strip().splitlines() or [""]
        report = {
            "rank": config["rank"],
            "failed": f"{type(error).__name__}: {first[0][:300]}",
            "said": words[-LAST_WORDS:],
        }
        status = 1
    for path in (log, log.parent):
        path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
    print(json.dumps(report), flush=True)
    os._exit(status)  # what is left of a gang may wait for ranks that are gone


if __name__ == "__main__":
    main()
