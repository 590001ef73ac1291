"""The fabric drawn: one sketch of the cluster, and a function for each format that draws it."""

from sparkctl.report.drawing.dot import as_dot
from sparkctl.report.drawing.mermaid import as_mermaid
from sparkctl.report.drawing.sketch import Sketch, sketch
from sparkctl.report.drawing.svg import as_svg
from sparkctl.report.drawing.text import as_pieces, as_text

__all__ = ["Sketch", "as_dot", "as_mermaid", "as_pieces", "as_svg", "as_text", "sketch"]
