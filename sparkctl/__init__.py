"""sparkctl: one inventory file to a proven fabric and a served token on a cluster of DGX Sparks."""

__version__ = "0.1.0"
