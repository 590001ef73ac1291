"""Findings as JUnit XML: a suite for each inventory, a test for each rule that found something in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from sparkctl.inventory.words import visible
from sparkctl.outcome import Finding


def as_junit(found: Mapping[str, Sequence[Finding]]) -> str:
    """Errors are failed tests; warnings are passed ones with output, as they do not fail `validate` either."""
    root = Element("testsuites", name="sparkctl validate")
    for path, findings in found.items():
        _suite(root, path, findings)
    suites = list(root)
    for count in ("tests", "failures", "errors"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in suites)))
    indent(root)
    written: bytes = tostring(root, encoding="us-ascii", xml_declaration=True)
    return written.decode("ascii")


def _suite(root: Element, path: str, findings: Sequence[Finding]) -> None:
    """XML has no way to write most control characters, so they are spelled out, also in names."""
    name = visible(path)
    suite = SubElement(root, "testsuite", name=name)
    by_rule = {id: [f for f in findings if f.id == id] for id in sorted({f.id for f in findings})}
    for id, some in by_rule.items():
        _case(suite, name, id, some)
    if not findings:
        SubElement(suite, "testcase", classname=name, name="no findings", file=name)
    failures = len(suite.findall("testcase/failure"))
    for key, value in (("tests", len(suite)), ("failures", failures), ("errors", 0), ("skipped", 0)):
        suite.set(key, str(value))


def _case(suite: Element, name: str, id: str, findings: Sequence[Finding]) -> None:
    line = str(findings[0].location.line)
    case = SubElement(suite, "testcase", classname=name, name=id, file=name, line=line)
    errors = [f for f in findings if f.severity == "error"]
    others = [f for f in findings if f.severity != "error"]
    if errors:
        failure = SubElement(case, "failure", type=id, message=visible(errors[0].message))
        failure.text = "\n".join(map(_told, errors))
    if others:
        SubElement(case, "system-out").text = "\n".join(map(_told, others))


def _told(f: Finding) -> str:
    remedy = f"\n    do: {visible(f.remedy)}" if f.remedy else ""
    return f"{visible(str(f.location))}: {f.severity} {visible(f.message)}" + remedy
