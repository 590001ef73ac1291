"""Inventory text to Cluster: parse, raw model, resolve."""
