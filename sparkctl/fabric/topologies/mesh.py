"""Three nodes and three cables: every node is a neighbour of both others."""

from __future__ import annotations

from sparkctl.fabric.topologies.base import register
from sparkctl.fabric.topologies.circle import Circle


class Mesh(Circle):
    """A circle of three."""

    name = "mesh"


register(Mesh())
