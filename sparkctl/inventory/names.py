"""What an engine is called on its nodes: its unit, its container and its files."""

from __future__ import annotations

from typing import NamedTuple

FOLDER = "/etc/sparkctl"


class EngineNames(NamedTuple):
    """All of them follow from one stem and one folder."""

    stem: str = "sparkctl-engine"
    folder: str = FOLDER

    @property
    def unit(self) -> str:
        """The unit of systemd."""
        return f"{self.stem}.service"

    @property
    def unit_file(self) -> str:
        """Its file."""
        return f"/etc/systemd/system/{self.unit}"

    @property
    def container(self) -> str:
        """Docker's name of it."""
        return self.stem

    @property
    def nccl(self) -> str:
        """What NCCL and its kin must know of the fabric."""
        return f"{self.folder}/nccl.env"

    @property
    def environment(self) -> str:
        """The engine's own variables."""
        return f"{self.folder}/engine.env"

    @property
    def script(self) -> str:
        """What the unit runs."""
        return f"{self.folder}/engine.sh"

    @property
    def key(self) -> str:
        """The API key."""
        return f"{self.folder}/api.key"


ONLY = EngineNames()
"""Of the one engine that an inventory has."""
