"""The kinds of change that a plan is made of; each says what, why, how risky, and what it was before."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

Risk = Literal["none", "restart", "link-drop", "lock-out"]
Stage = Literal["network", "engine"]
ABSENT = "absent"


class FileImage(BaseModel):
    """A file's digest, mode, owner, and content (None for what stays on the node or in a secret's file)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    digest: str
    mode: int
    uid: int = 0
    gid: int = 0
    content: str | None = None


class FileChange(BaseModel):
    """Write or remove one file. `source`: a secret's path on the controller; `baseline`: a kept before-image.

    `aside`: the node itself makes the new content, the old one without the stanzas of these netdevs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: Literal["file"] = "file"
    stage: Stage
    path: str
    before: FileImage | None
    after: FileImage | None
    reason: str
    source: str | None = None
    baseline: str | None = None
    aside: tuple[str, ...] = ()
    reversible: ClassVar[bool] = True
    risk: ClassVar[Risk] = "none"

    @property
    def summary(self) -> str:
        """One line for people."""
        if self.aside:
            return f"move {'all' if self.after is None else 'the fabric stanzas'} of {self.path} aside"
        verb = "create" if self.before is None else "remove" if self.after is None else "change"
        mode = f" ({self.after.mode:04o})" if self.after else ""
        return f"{verb} {self.path}{mode}"


class NetdevTarget(BaseModel):
    """One netdev: MTU and addresses before and after; `after_address` None: as it was before sparkctl came."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    netdev: str
    before_mtu: int
    before_addresses: tuple[str, ...]
    after_mtu: int | None
    after_address: str | None


class NetworkChange(BaseModel):
    """Make the kernel agree with the netplan files: `netplan apply`, then MTU and link state of the fabric netdevs."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: Literal["network"] = "network"
    stage: Stage = "network"
    netdevs: tuple[NetdevTarget, ...]
    reason: str
    reversible: ClassVar[bool] = True
    risk: ClassVar[Risk] = "link-drop"

    @property
    def summary(self) -> str:
        """One line for people."""
        return "netplan apply: " + ", ".join(_netdev_words(t) for t in self.netdevs)


class UnitChange(BaseModel):
    """Stop or start the engine's unit on one node; always part of an operation on the gang.

    `ready`: ports where it must listen after a start, because ranks that start later look for it there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: Literal["unit"] = "unit"
    stage: Stage = "engine"
    unit: str
    container: str
    action: Literal["start", "stop"]
    was_enabled: bool
    was_running: bool
    reason: str
    ready: tuple[int, ...] = ()
    reversible: ClassVar[bool] = True
    risk: ClassVar[Risk] = "restart"

    @property
    def summary(self) -> str:
        """One line for people."""
        return f"{self.action} {self.unit}"


class ImageChange(BaseModel):
    """Fetch the engine's image. Teardown leaves it: fetching 20 to 35 GB again is what nobody wants."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: Literal["image"] = "image"
    stage: Stage = "engine"
    image: str
    reason: str
    reversible: ClassVar[bool] = False
    risk: ClassVar[Risk] = "none"

    @property
    def summary(self) -> str:
        """One line for people."""
        return f"pull image {self.image}"


Change = Annotated[FileChange | NetworkChange | UnitChange | ImageChange, Field(discriminator="kind")]


def _netdev_words(target: NetdevTarget) -> str:
    mtu = "" if target.after_mtu in (None, target.before_mtu) else f" mtu {target.before_mtu}->{target.after_mtu}"
    if target.after_address is None:
        return f"{target.netdev} as it was before sparkctl"
    address = "" if target.after_address in target.before_addresses else f" {target.after_address}"
    return f"{target.netdev}{mtu}{address}"
