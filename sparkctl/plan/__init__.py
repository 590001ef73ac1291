"""Desired state and facts to a plan: changes, their order, their undo."""
