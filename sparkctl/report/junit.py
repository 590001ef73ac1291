"""Findings and verdicts as JUnit XML: a suite for each inventory or check, a test for each rule or place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from sparkctl.inventory.words import visible
from sparkctl.outcome import Finding, Verdict
from sparkctl.report.verdicts import by_check, steps, told

COUNTS = ("tests", "failures", "errors", "skipped")
_CHILDREN = {"failures": "failure", "errors": "error", "skipped": "skipped"}


def as_junit(found: Mapping[str, Sequence[Finding]]) -> str:
    """Errors are failed tests; warnings are passed ones with output, as they do not fail `validate` either."""
    root = Element("testsuites", name="sparkctl validate")
    for path, findings in found.items():
        _suite(root, path, findings)
    return _written(root)


def verdicts_as_junit(cluster: str, verdicts: Sequence[Verdict]) -> str:
    """fail: a failure; unknown: an error; skipped: skipped with its reason; warn: passed, with output."""
    root = Element("testsuites", name=f"sparkctl cluster verify {visible(cluster)}")
    for id, some in by_check(verdicts):
        suite = SubElement(root, "testsuite", name=visible(id))
        for verdict in some:
            _judged(SubElement(suite, "testcase", classname=visible(id), name=visible(verdict.where)), verdict)
        _count(suite)
    return _written(root)


def _written(root: Element) -> str:
    suites = list(root)
    for count in COUNTS:
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in suites)))
    indent(root)
    written: bytes = tostring(root, encoding="us-ascii", xml_declaration=True)
    return written.decode("ascii")


def _count(suite: Element) -> None:
    for count in COUNTS:
        inside = suite.findall(f"testcase/{_CHILDREN[count]}") if count in _CHILDREN else list(suite)
        suite.set(count, str(len(inside)))


def _suite(root: Element, path: str, findings: Sequence[Finding]) -> None:
    """XML has no way to write most control characters, so they are spelled out, also in names."""
    name = visible(path)
    suite = SubElement(root, "testsuite", name=name)
    by_rule = {id: [f for f in findings if f.id == id] for id in sorted({f.id for f in findings})}
    for id, some in by_rule.items():
        _case(suite, name, id, some)
    if not findings:
        SubElement(suite, "testcase", classname=name, name="no findings", file=name)
    _count(suite)


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


def _judged(case: Element, verdict: Verdict) -> None:
    """What a verdict says goes where a reader of its state looks for it."""
    said = told(verdict)
    if verdict.state == "skipped":
        SubElement(case, "skipped", message=said)
    elif verdict.state in ("fail", "unknown"):
        wrong = SubElement(case, "failure" if verdict.state == "fail" else "error", type=verdict.state, message=said)
        wrong.text = "\n".join((f"{visible(verdict.where)}: {said}", *_steps(verdict)))
    elif said:
        warned = ("warning: " if verdict.state == "warn" else "") + said
        SubElement(case, "system-out").text = "\n".join((warned, *_steps(verdict)))


def _steps(verdict: Verdict) -> list[str]:
    return [f"    do: {step}" for step in steps(verdict.remedy)]
