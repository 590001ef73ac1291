"""Cluster and Fabric to the files that each node should hold."""

from sparkctl.render.artifact import Artifact, EngineCommand, NodeRendering, Rendering, SecretFile
from sparkctl.render.cluster import render

__all__ = ["Artifact", "EngineCommand", "NodeRendering", "Rendering", "SecretFile", "render"]
