"""Findings as a SARIF 2.1.0 log, as code scanning reads it: every rule with its page, every finding in its place."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from sparkctl.inventory.words import visible
from sparkctl.outcome import Finding, Severity
from sparkctl.rules import Rule

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS: Mapping[Severity, str] = {"error": "error", "warning": "warning", "info": "note"}


def as_sarif(
    found: Mapping[str, Sequence[Finding]], rules: Sequence[Rule], pages: Mapping[str, str], version: str
) -> str:
    """One run over all inventories; `pages` are the rules' pages in Markdown, by id."""
    index = {rule.id: number for number, rule in enumerate(rules)}
    artifacts = {path: number for number, path in enumerate(found)}
    results = [_result(f, index, artifacts[path]) for path, findings in found.items() for f in findings]
    run = {
        "tool": {"driver": _driver(rules, pages, version)},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": True}],
        "artifacts": [{"location": {"uri": uri(path)}, "sourceLanguage": "yaml"} for path in found],
        "results": results,
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def uri(path: str) -> str:
    """A path as SARIF wants it: relative ones stay relative to the checkout, absolute ones name their scheme."""
    encoded = quote(path.encode("utf-8", "surrogateescape"))
    return f"file://{encoded}" if path.startswith("/") else encoded


def _driver(rules: Sequence[Rule], pages: Mapping[str, str], version: str) -> dict[str, Any]:
    described = [_described(rule, pages[rule.id]) for rule in rules]
    return {"name": "sparkctl", "version": version, "semanticVersion": version, "rules": described}


def _described(rule: Rule, page: str) -> dict[str, Any]:
    # GitHub's code scanning knows recommendations instead of notes
    severity = "recommendation" if rule.severity == "info" else rule.severity
    return {
        "id": rule.id,
        "name": rule.id,
        "shortDescription": {"text": _plain(rule.title)},
        "fullDescription": {"text": _refused(page)},
        "help": {"text": page, "markdown": page},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"tags": [rule.id[:3]], "problem.severity": severity},
    }


def _refused(page: str) -> str:
    """The first section of a rule's page, without its heading."""
    return _plain(page.partition("\n## ")[2].partition("\n")[2].partition("\n\n")[0])


def _plain(markdown: str) -> str:
    return " ".join(markdown.replace("`", "").split())


def _result(f: Finding, index: Mapping[str, int], artifact: int) -> dict[str, Any]:
    text = f"{f.message}; {f.remedy}" if f.remedy else f.message
    place = {
        "artifactLocation": {"uri": uri(f.location.path), "index": artifact},
        "region": {"startLine": f.location.line, "startColumn": f.location.column},
    }
    location = {"physicalLocation": place, "logicalLocations": [{"fullyQualifiedName": f.where}]}
    return {
        "ruleId": f.id,
        "ruleIndex": index[f.id],
        "level": _LEVELS[f.severity],
        "message": {"text": visible(text)},
        "locations": [location],
    }
