"""Steps on units and their image; each is a call of a function of `templates/checkpoint/units.sh`."""

from __future__ import annotations

from sparkctl.commands.base import Words

READY_SECONDS, BACK_SECONDS = 50, 20
"""How long a rank may take to listen; both are parts of what a step, or a whole revert, may take."""
PULL_SECONDS = 3600
"""Engine images are 20 to 35 GB (facts ff41); an hour allows 10 MB/s."""


def pull(image: str) -> Words:
    """Fetch `image` where it is not on the node yet."""
    return ("pull_image", image)


def start(unit: str) -> Words:
    """Enable and start `unit`."""
    return ("start_unit", unit)


def ready(unit: str, port: int, *, back: bool = False) -> Words:
    """Wait until something listens at `port`, while `unit` lives; no failure on the way `back` if nothing does."""
    seconds, way = (BACK_SECONDS, "back") if back else (READY_SECONDS, "")
    return ("await_port", unit, str(port), str(seconds), way)


def stop(unit: str, container: str) -> Words:
    """Disable and stop `unit`, and see that nothing of it is left."""
    return ("stop_unit", unit, container)


def undo(unit: str, container: str, enabled: bool, active: bool) -> Words:
    """Put `unit` back to how it was enabled and running before the run."""
    return ("undo_unit", unit, container, "enabled" if enabled else "disabled", "active" if active else "inactive")
