"""Files that are not inventories, told by what they look like, so that one sentence says it instead of ten errors."""

from __future__ import annotations

from collections.abc import Mapping

from sparkctl.inventory.words import nearest

START = "start with `apiVersion: sparkctl/v1`; `sparkctl inventory init` writes a whole one"
_OWN = {"nodes", "links", "fabric", "engine", "ssh", "switches"}
_LOOKS: Mapping[str, str] = {
    "services": "a Docker Compose file",
    "network": "a netplan file",
    "all": "an inventory of Ansible",
    "jobs": "a workflow of CI",
    "spec": "a manifest of Kubernetes",
}


def stranger(document: object) -> tuple[str, str] | None:
    """What is said of a file in which nothing is of an inventory, and what to do; None: it may be one."""
    if isinstance(document, list):
        play = any(isinstance(item, dict) and {"hosts", "tasks", "roles"} & item.keys() for item in document)
        return (_said("a playbook of Ansible") if play else "not a YAML mapping"), START
    if not isinstance(document, dict):
        return "not a YAML mapping", START
    if document.get("kind") == "Playbook":
        return _said("a playbook of sparkctl"), "name an inventory, and this file with --playbook"
    if _OWN & document.keys() or document.get("apiVersion") == "sparkctl/v1" or document.get("kind") == "Cluster":
        return None
    looks = next((what for key, what in _LOOKS.items() if key in document), None)
    if looks:
        return _said(looks), START
    misspelt = any(nearest(key, _OWN) for key in document)
    return None if misspelt else ("nothing in this file is of an inventory", START)


def _said(what: str) -> str:
    return f"this looks like {what}, not like an inventory"
