"""Cluster and Fabric to the files that each node should hold and each switch should import."""

from sparkctl.render.artifact import Artifact, EngineCommand, NodeRendering, Rendering, SecretFile, SwitchRendering
from sparkctl.render.cluster import render

__all__ = ["Artifact", "EngineCommand", "NodeRendering", "Rendering", "SecretFile", "SwitchRendering", "render"]
