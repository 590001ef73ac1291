"""Make the kernel agree with the netplan files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import field_validator

from sparkctl.commands import files, netplan
from sparkctl.commands.base import Words
from sparkctl.fabric.ports import NETDEVS
from sparkctl.facts.record import Frozen, Record
from sparkctl.plan.changes.base import ChangeKind, Risk, Stage, Undoing


class NetdevTarget(Frozen):
    """One netdev: MTU and addresses before and after; `after_address` None: as it was before sparkctl came."""

    netdev: str
    before_mtu: int
    before_addresses: tuple[str, ...]
    after_mtu: int | None
    after_address: str | None

    @field_validator("netdev")
    @classmethod
    def _of_the_fabric(cls, name: str) -> str:
        if name not in NETDEVS:
            raise ValueError(f"{name} is not a netdev of the fabric")
        return name

    def __str__(self) -> str:
        if self.after_address is None:
            return f"{self.netdev} as it was before sparkctl"
        mtu = "" if self.after_mtu == self.before_mtu else f" mtu {self.before_mtu}->{self.after_mtu}"
        gone = ", ".join(a for a in self.before_addresses if a != self.after_address)
        if self.after_address in self.before_addresses:
            return f"{self.netdev}{mtu}{f' without {gone}' if gone else ''}"
        return f"{self.netdev}{mtu} {f'{gone} becomes ' if gone else ''}{self.after_address}"


class NetworkChange(ChangeKind):
    """Make the kernel agree with the netplan files: `netplan apply`, then MTU and link state of the fabric netdevs."""

    kind: Literal["network"] = "network"
    stage: Stage = "network"
    netdevs: tuple[NetdevTarget, ...]
    risk: ClassVar[Risk] = "link-drop"

    @property
    def names(self) -> tuple[str, ...]:
        """Its netdevs."""
        return tuple(target.netdev for target in self.netdevs)

    @property
    def summary(self) -> str:
        """One line for people."""
        return "netplan apply: " + ", ".join(map(str, self.netdevs))

    def saves(self, number: int) -> Iterator[Words]:
        """As ChangeKind.saves."""
        yield from map(netplan.save_netdev, self.names)

    def steps(self, number: int) -> Iterator[Words]:
        """As ChangeKind.steps."""
        yield netplan.apply(self.names)
        for target in self.netdevs:
            if target.after_mtu is None or target.after_address is None:
                yield netplan.undo_netdev(target.netdev, "baseline")
            else:
                yield netplan.await_netdev(target.netdev, target.after_mtu, target.after_address)

    def undo(self, number: int) -> Iterator[tuple[Undoing, Words]]:
        """As ChangeKind.undo."""
        yield Undoing.NETWORK, netplan.apply(self.names)
        yield from ((Undoing.NETWORK, netplan.undo_netdev(name, "run/before")) for name in self.names)

    def keeps(self, number: int, record: Record | None) -> Iterator[Words]:
        """As ChangeKind.keeps; the baseline of what went back is dropped."""
        for target in self.netdevs if record else ():
            back = target.after_address is None
            yield files.forget_netdev(target.netdev) if back else files.keep_netdev(target.netdev)
