"""Steps on images; each is a call of a function of `templates/checkpoint/units.sh`."""

from __future__ import annotations

from sparkctl.commands.base import Words

PULL_SECONDS = 3600
"""Engine images are 20 to 35 GB (facts ff41); an hour allows 10 MB/s."""


def pull(image: str) -> Words:
    """Fetch `image` where it is not on the node yet."""
    return ("pull_image", image)
