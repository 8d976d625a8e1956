"""Scans with filters, written in HBase's filter language, return what HBase returns."""

from __future__ import annotations

import pytest

from fastpool.testing.hbase.filter_language import FILTERS, parse_filter
from fastpool.testing.hbase.scan import Range, Scanner
from fastpool.testing.hbase.store import Family, Table

ROWS = {
    b"a1": {b"f:x": (b"1", 10), b"f:y": (b"apple", 20), b"g:x": (b"9", 10)},
    b"a2": {b"f:x": (b"2", 10), b"f:yy": (b"Pear", 30)},
    b"b1": {b"f:y": (b"plum", 20), b"g:z": (b"", 20)},
    b"c'1": {b"f:x": (b"1", 40)},
}
ALL = "a1: x y g.x, a2: x yy, b1: y g.z, c'1: x"


def table() -> Table:
    made = Table(b"t", [Family(b"f"), Family(b"g")], 1)
    for row, cells in ROWS.items():
        for column, (value, stamp) in cells.items():
            made.put(row, [(*column.split(b":", 1), value)], stamp)  # type: ignore[list-item]
    return made


def scan(text: str, *, reverse: bool = False) -> str:
    """The rows of a scan with this filter, and their columns without the family f."""
    found = Scanner(table, Range(reverse=reverse), row_filter=parse_filter(text.encode())).next(99)
    return ", ".join(
        f"{row.decode()}: " + " ".join((b"%s.%s" % cell[:2]).decode().removeprefix("f.") for cell in cells)
        for row, cells in found
    )


CASES = {
    "RowFilter(=, 'binary:a1')": "a1: x y g.x",
    "RowFilter(!=, 'binary:a1')": "a2: x yy, b1: y g.z, c'1: x",
    "RowFilter(<, 'binary:b')": "a1: x y g.x, a2: x yy",
    "RowFilter(<=, 'binary:a1')": "a1: x y g.x",
    "RowFilter(>=, 'binary:b1')": "b1: y g.z, c'1: x",
    "RowFilter(>, 'binaryprefix:a')": "b1: y g.z, c'1: x",
    "RowFilter(=, 'binaryprefix:a')": "a1: x y g.x, a2: x yy",
    "RowFilter(=, 'regexstring:^[ab]1$')": "a1: x y g.x, b1: y g.z",
    "RowFilter(!=, 'substring:1')": "a2: x yy",
    "RowFilter(=, 'binary:c''1')": "c'1: x",
    "FamilyFilter(=, 'binary:g')": "a1: g.x, b1: g.z",
    "QualifierFilter(>=, 'binary:y')": "a1: y, a2: yy, b1: y g.z",
    "ValueFilter(=, 'substring:P')": "a1: y, a2: yy, b1: y",
    "ValueFilter(=, 'regexstring:^p')": "b1: y",
    "ValueFilter(=, 'regexstringnocase:^p')": "a2: yy, b1: y",
    "PrefixFilter('a')": "a1: x y g.x, a2: x yy",
    "PrefixFilter ( 'b' ) ": "b1: y g.z",
    "ColumnPrefixFilter('y')": "a1: y, a2: yy, b1: y",
    "MultipleColumnPrefixFilter('yy', 'z')": "a2: yy, b1: g.z",
    "ColumnCountGetFilter(1)": "a1: x, a2: x, b1: y, c'1: x",
    "ColumnPaginationFilter(1, 1)": "a1: y, a2: yy, b1: g.z",
    "PageFilter(2)": "a1: x y g.x, a2: x yy",
    "PageFilter(0)": "",
    "InclusiveStopFilter('a2')": "a1: x y g.x, a2: x yy",
    "TimestampsFilter(20, 40)": "a1: y, b1: y g.z, c'1: x",
    "FirstKeyOnlyFilter()": "a1: x, a2: x, b1: y, c'1: x",
    "KeyOnlyFilter()": ALL,
    "ColumnRangeFilter('x', false, 'yy', true)": "a1: y, a2: yy, b1: y",
    "ColumnRangeFilter('x', true, 'y', false)": "a1: x g.x, a2: x, c'1: x",
    "ColumnRangeFilter('', false, 'x', true)": "a1: x g.x, a2: x, c'1: x",
    "SingleColumnValueFilter('f', 'x', =, 'binary:1')": "a1: x y g.x, b1: y g.z, c'1: x",
    "SingleColumnValueFilter('f', 'x', =, 'binary:1', true, true)": "a1: x y g.x, c'1: x",
    "SingleColumnValueFilter('f', 'x', >, 'binary:1', true, false)": "a2: x yy",
    "SingleColumnValueExcludeFilter('f', 'x', =, 'binary:1')": "a1: y g.x, b1: y g.z",
    "ColumnValueFilter('f', 'x', =, 'binary:1')": "a1: x, c'1: x",
    "DependentColumnFilter('f', 'x')": "a1: x g.x, a2: x, c'1: x",
    "DependentColumnFilter('f', 'x', true)": "a1: g.x",
    "DependentColumnFilter('f', 'x', false, =, 'binary:1')": "a1: x g.x, c'1: x",
    "PrefixFilter('a') AND ColumnPrefixFilter('y')": "a1: y, a2: yy",
    "PrefixFilter('b') OR ColumnPrefixFilter('yy')": "a2: yy, b1: y g.z",
    "PrefixFilter('b') OR PrefixFilter('a') AND ColumnPrefixFilter('y')": "a1: y, a2: yy, b1: y g.z",
    "(PrefixFilter('b') OR PrefixFilter('a')) AND ColumnPrefixFilter('y')": "a1: y, a2: yy, b1: y",
    "PrefixFilter('a')OR PrefixFilter('b')": "a1: x y g.x, a2: x yy, b1: y g.z",
    "ColumnPrefixFilter('y') AND PageFilter(2)": "a1: y, a2: yy",
    "SingleColumnValueFilter('f', 'x', =, 'binary:2', true, true) AND PageFilter(1)": "a2: x yy",
    "PageFilter(1) OR PrefixFilter('b')": "a1: x y g.x, b1: y g.z",
    "SKIP ValueFilter(!=, 'binary:1')": "a2: x yy, b1: y g.z",
    "SKIP (ValueFilter(!=, 'binary:1') AND ValueFilter(!=, 'binary:2'))": "b1: y g.z",
    "SKIP ValueFilter(!=, 'binary:1') OR PrefixFilter('c')": "a2: x yy, b1: y g.z, c'1: x",
    "WHILE RowFilter(!=, 'binary:b1')": "a1: x y g.x, a2: x yy",
    "WHILE SingleColumnValueFilter('f', 'x', =, 'binary:1')": "a1: x y g.x",
    "WHILE (ColumnPrefixFilter('x') OR ColumnPrefixFilter('y'))": "a1: x y g.x, a2: x yy, b1: y",
}


@pytest.mark.parametrize("text", CASES)
def test_filter_gives(text: str) -> None:
    assert scan(text) == CASES[text]


def test_every_filter_of_the_language_was_tried() -> None:
    assert [name for name in FILTERS if not any(name.decode() + "(" in text.replace(" ", "") for text in CASES)] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PrefixFilter('a')", "a2: x yy, a1: x y g.x"),
        ("InclusiveStopFilter('b1')", "c'1: x, b1: y g.z"),
        ("PageFilter(1)", "c'1: x"),
        ("PrefixFilter('b') OR PrefixFilter('a') AND PageFilter(1)", "b1: y g.z, a2: x yy"),
        ("WHILE SKIP RowFilter(>, 'binary:b')", "c'1: x, b1: y g.z"),
    ],
)
def test_filter_in_a_scan_backwards(text: str, expected: str) -> None:
    assert scan(text, reverse=True) == expected


def test_key_only_filter_leaves_no_value_or_its_length() -> None:
    for text, value in ((b"KeyOnlyFilter()", b""), (b"KeyOnlyFilter(true)", b"\0\0\0\5")):
        wanted = parse_filter(b"ColumnPrefixFilter('y') AND " + text)
        [(_, [cell])] = Scanner(table, Range(), row_filter=wanted).next(1)
        assert cell.value == value


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "a filter is expected at 0"),
        ("PrefixFilter", r"'\(' is expected"),
        ("PrefixFilter('a'", "',' is expected"),
        ("PrefixFilter('a", "an argument is expected"),
        ("PrefixFilter('a') PrefixFilter('b')", "the end is expected at 18"),
        ("PrefixFilter('a') AND ", "a filter is expected"),
        ("(PrefixFilter('a')", r"'\)' is expected"),
        ("PrefixFilter('a'))", "the end is expected"),
        ("NoFilter('a')", "Filter Name NoFilter not supported"),
        ("PrefixFilter()", r"PrefixFilter takes \[1\] arguments, not 0"),
        ("PrefixFilter(a)", "A quoted argument is expected"),
        ("PageFilter('1')", "A bare argument is expected"),
        ("PageFilter(x)", "only contain digits"),
        ("PageFilter(-1)", "at least 0"),
        ("ColumnRangeFilter('a', maybe, 'b', true)", "Incorrect Boolean Expression"),
        ("RowFilter(~, 'binary:a')", "Invalid compare operator"),
        ("RowFilter(=, 'a')", "type:value is expected"),
        ("RowFilter(=, 'long:1')", "Incorrect comparator"),
        ("RowFilter(<, 'substring:1')", "can only be used with EQUAL"),
    ],
)
def test_text_that_is_no_filter_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_filter(text.encode())
