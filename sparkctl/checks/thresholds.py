"""Every limit that a check compares with, in one place, each with its source; a user can override any of them."""

from __future__ import annotations

from dataclasses import dataclass, field, fields


def limit(value: float, unit: str, source: str) -> float:
    """A default with its unit and the source of the number."""
    made: float = field(default=value, metadata={"unit": unit, "source": source})
    return made


@dataclass(frozen=True)
class Thresholds:
    """Limits by name; `sparkctl cluster verify --threshold NAME=VALUE` overrides one."""

    rail_pass: float = limit(90, "Gb/s", "facts ff3.4: one rail alone passes from here; healthy is 109 to 112")
    rail_fail: float = limit(80, "Gb/s", "facts ff3.4: one rail alone fails below; NVIDIA's helper uses 80")
    rails_pass: float = limit(175, "Gb/s", "facts ff3.4: both rails together, NVIDIA's own gate")
    duplex_pass: float = limit(0.85, "of one way + one way", "facts N1: their gate of 190 of 2 x 109; healthy is 0.98")
    duplex_degraded: float = limit(0.7, "of one way + one way", "facts N1: degraded is 0.55, 0.12 at worst")
    degraded_low: float = limit(
        6, "Gb/s", "facts ff2: a degraded ConnectX-7 moved 6.6 and more; facts ff17, ff45: a bridge 4.85, 4.47"
    )
    degraded_high: float = limit(25, "Gb/s", "facts ff3.4: upper end of the degraded ConnectX-7 state")
    bridge: float = limit(10, "Gb/s", "facts ff3.4: below it through a switch: a bridge without hardware offload")
    latency: float = limit(5, "us", "facts ff3.4: 1.42 to 1.93 direct, about 1 to 3 through a switch")
    retransmissions: float = limit(
        1e-4, "of all packets", "our choice: go-back-N sends a window again for each; any at all warns, this fails"
    )
    gather: float = limit(21.875, "GB/s", "facts ff3.4: NVIDIA's gate for all-gather, direct and switch")
    gather_mesh: float = limit(10, "GB/s", "facts ff3.4: NVIDIA's gate for all-gather on a mesh of three")
    gather_mtu: float = limit(18, "GB/s", "facts ff3.4: MTU 1500 leaves 18.9 to 20.9")
    gather_half_low: float = limit(10, "GB/s", "facts ff1 and ff3.4: one rail alone gives about 12")
    gather_half_high: float = limit(14, "GB/s", "facts ff1 and ff3.4: one rail alone gives about 12")
    gather_stuck: float = limit(4, "GB/s", "facts ff39: a development build of NCCL stays at about 3")
    speed: float = limit(200000, "Mb/s", "facts ff16: both halves of a 200G port")
    pcie_speed: float = limit(32, "GT/s", "facts ff24: Gen5")
    pcie_width: float = limit(4, "lanes", "facts ff24: x4 for each half")
    carrier_losses: float = limit(3, "losses since boot", "facts ff47: more than this warns")
    carrier_flaps: float = limit(20, "losses since boot", "facts ff47: a faulty node had 21; a new MTU costs one")
    memory_floor: float = limit(8, "GiB", "our choice: what system, page cache and desktop live on; none: facts ff6")
    memory_last: float = limit(2, "GiB", "our choice: the engine's next allocation may be the freeze of facts ff6")
    clock_skew: float = limit(5, "s", "our choice: NTP keeps 0.1 s; beyond it two nodes' logs do not match")
    clock_wrong: float = limit(300, "s", "MIT Kerberos refuses tickets from here (krb5.conf, clockskew)")
    disk_floor: float = limit(50, "GiB", "facts ff41: images of 20 to 35 GB, unpacked beside the packed ones")
    earlyoom_floor: float = limit(5, "%", "facts ff32: the default of 10 % kills an engine that fills its memory")
    clock_floor: float = limit(
        0.4, "of its own maximum", "facts ff25: 500 to 850 MHz instead of 2400, where 3003 is the maximum"
    )
    clock_ratio: float = limit(0.5, "of the fastest GPU", "facts ff25: a node capped at 30 W runs at a fraction")


DEFAULTS = Thresholds()


def sources() -> dict[str, tuple[float, str, str]]:
    """Default, unit and source of each limit by its name."""
    return {f.name: (float(f.default), f.metadata["unit"], f.metadata["source"]) for f in fields(Thresholds)}  # type: ignore[arg-type]
