"""Steps on units; each is a call of a function of `templates/checkpoint/units.sh`."""

from __future__ import annotations

from sparkctl.commands.base import Words


def start(unit: str) -> Words:
    """Enable and start `unit`."""
    return ("start_unit", unit)


def stop(unit: str, container: str) -> Words:
    """Disable and stop `unit`, and see that nothing of it is left."""
    return ("stop_unit", unit, container)


def undo(unit: str, container: str, enabled: bool, active: bool) -> Words:
    """Put `unit` back to how it was enabled and running before the run."""
    return ("undo_unit", unit, container, "enabled" if enabled else "disabled", "active" if active else "inactive")
