"""Emulated nodes, cabled as an inventory says: rehearse a file before touching hardware."""
