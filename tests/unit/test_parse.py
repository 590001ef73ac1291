"""YAML to plain values and places."""

from __future__ import annotations

import pytest

from sparkctl.inventory.compose import DEPTH
from sparkctl.inventory.parse import COPIES, Parsed, parse
from sparkctl.inventory.words import described, listed, nearest, quoted, visible


def values(text: str) -> dict[str, object]:
    parsed = parse(text.encode(), "x.yaml")
    assert parsed.findings == ()
    assert parsed.document is not None
    return parsed.document


def places(text: str) -> dict[tuple[str | int, ...], tuple[int, int]]:
    parsed = parse(text.encode(), "x.yaml")
    return dict(parsed.source.places)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-5", -5),
        ("+5", 5),
        ("0", 0),
        ("999999999999999999", 999999999999999999),
        ("0.8", 0.8),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("TP2", "TP2"),
        ("1.2.3.4", "1.2.3.4"),
        ("2026-01-01", "2026-01-01"),
        ("=", "="),
        ("'yes'", "yes"),
        ('"010"', "010"),
        ("'1'", "1"),
        ("''", ""),
        ("spark-1:p1", "spark-1:p1"),
        ("|\n  two\n  lines\n", "two\nlines\n"),
        ("y", "y"),
        ("12:99", "12:99"),
    ],
)
def test_scalars(text: str, value: object) -> None:
    assert values(f"a: {text}") == {"a": value}
    assert type(values(f"a: {text}")["a"]) is type(value)


@pytest.mark.parametrize(
    "text", ["yes", "No", "ON", "off", "010", "0x1F", "0b1", "1_000", "1:30", ".inf", "-.NaN", "1e999", "1" * 19]
)
def test_doubtful_scalars_are_refused(text: str) -> None:
    parsed = parse(f"a: {text}".encode(), "x.yaml")
    assert [(f.id, f.where, f.location.column) for f in parsed.findings] == [("INV004", "a", 4)]


def test_places_of_keys_and_items() -> None:
    found = places("a:\n  - {b: 1,\n     c: 2}\n  - x\nd: [1, [2]]\n")
    assert found == {
        (): (1, 1),
        ("a",): (1, 1),
        ("a", 0): (2, 5),
        ("a", 0, "b"): (2, 6),
        ("a", 0, "c"): (3, 6),
        ("a", 1): (4, 5),
        ("d",): (5, 1),
        ("d", 0): (5, 5),
        ("d", 1): (5, 8),
        ("d", 1, 0): (5, 9),
    }


def test_columns_count_characters_not_bytes() -> None:
    assert places('{"日本😀": 1, b: 2}')[("b",)] == (1, 12)


def test_windows_files_and_byte_order_marks() -> None:
    parsed = parse("\ufeffa: 1\r\nb:\r\n  - 2\r\n".encode(), "x.yaml")
    assert parsed.document == {"a": 1, "b": [2]}
    assert parsed.source.places[("b", 0)] == (3, 5)


def test_an_alias_stands_where_it_is_written_and_its_items_where_they_are() -> None:
    text = "a: &x {k: 1}\nb: [*x]\n"
    assert values(text) == {"a": {"k": 1}, "b": [{"k": 1}]}
    assert places(text)[("b", 0)] == (2, 5)
    assert places(text)[("b", 0, "k")] == (1, 8)


def test_the_limit_of_copies() -> None:
    items = ", ".join(["x"] * 98)
    text = f"a: &a [{items}]\nb: [{', '.join(['*a'] * (COPIES // 100))}]\n"
    assert values(text)
    more = parse(text.replace("b: [", f"b: [{'*a, ' * 5}").encode(), "x.yaml")
    assert [f.id for f in more.findings] == ["INV001"]
    assert more.document is None


def test_the_limit_of_depth() -> None:
    def nested(levels: int) -> Parsed:
        return parse(("a: " + "[" * levels + "]" * levels).encode(), "x.yaml")

    assert nested(DEPTH - 1).findings == ()
    assert [f.id for f in nested(DEPTH).findings] == ["INV001"]


def test_of_a_repeated_key_the_first_counts_and_reading_goes_on() -> None:
    parsed = parse(b"a: 1\na: 2\nb: yes\n", "x.yaml")
    assert parsed.document == {"a": 1, "b": "yes"}
    assert [(f.id, f.location.line) for f in parsed.findings] == [("INV002", 2), ("INV004", 3)]


def test_where_of_a_finding_is_safe_to_print() -> None:
    parsed = parse(b'"\\e[31m": {x: yes}\n', "x.yaml")
    assert [f.where for f in parsed.findings] == ["\\x1b[31m.x"]


def test_words() -> None:
    assert visible("a\x1b[0m\u202eb\n") == "a\\x1b[0m\\u202eb\\n"
    assert quoted("x" * 100) == f"'{'x' * 57}...'"
    assert (quoted(True), quoted(None), quoted(1), quoted([])) == ("true", "nothing", "1", "a list")
    assert [described(v) for v in ("x", 1, True, None, {})] == [
        "the text 'x'",
        "the number 1",
        "a boolean true",
        "nothing",
        "a mapping",
    ]
    assert nearest("fabrc", ("fabric", "engine")) == "fabric"
    assert nearest("zzz", ("fabric", "engine")) is None
    assert (listed([]), listed("a"), listed("ab"), listed("abc", last="or")) == ("", "a", "a and b", "a, b or c")
    assert listed(range(10), limit=3) == "0, 1 and 8 more"
