"""HBase's filter language: ``PrefixFilter('a') AND (SKIP ValueFilter(=, 'binary:x') OR PageFilter(3))``.

SKIP and WHILE bind tightest, then AND, then OR. Text that cannot be parsed is a ValueError, as it is an
IllegalArgumentException in HBase.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from .filters import (
    And,
    CellFilter,
    Comparator,
    DependentColumnFilter,
    Filter,
    InclusiveStopFilter,
    KeyOnlyFilter,
    Or,
    PageFilter,
    PositionFilter,
    PrefixFilter,
    RowFilter,
    SingleColumnValueFilter,
    Skip,
    While,
)

_SPACE = re.compile(rb"\s*")
_KEYWORD = re.compile(rb"(AND|OR|SKIP|WHILE)(?=[\s(])")
_NAME = re.compile(rb"\w+")
_QUOTED = re.compile(rb"'((?:[^']|'')*)'")
_BARE = re.compile(rb"[^\s,()']+")


@dataclass(frozen=True)
class Argument:
    """One argument as written: quoted or bare."""

    text: bytes
    quoted: bool

    def string(self) -> bytes:
        if not self.quoted:
            raise ValueError(f"A quoted argument is expected instead of {self.text!r}")
        return self.text

    def symbol(self) -> bytes:
        if self.quoted:
            raise ValueError(f"A bare argument is expected instead of {self.text!r} in quotes")
        return self.text

    def number(self) -> int:
        text = self.symbol()
        if not re.fullmatch(rb"-?[0-9]+", text):
            raise ValueError(f"Byte Array should only contain digits: {text!r}")
        return int(text)

    def count(self) -> int:
        number = self.number()
        if number < 0:
            raise ValueError(f"A number of at least 0 is expected instead of {number}")
        return number

    def boolean(self) -> bool:
        text = self.symbol().lower()
        if text not in (b"true", b"false"):
            raise ValueError(f"Incorrect Boolean Expression: {text!r}")
        return text == b"true"


Arguments = Sequence[Argument]


def _compare(symbol: Argument, comparator: Argument) -> Comparator:
    return Comparator(symbol.symbol(), comparator.string())


def _row(a: Arguments) -> Filter:
    return RowFilter(_compare(a[0], a[1]))


def _family(a: Arguments) -> Filter:
    matches = _compare(a[0], a[1])
    return CellFilter(lambda cell: matches(cell.family))


def _qualifier(a: Arguments) -> Filter:
    matches = _compare(a[0], a[1])
    return CellFilter(lambda cell: matches(cell.qualifier))


def _value(a: Arguments) -> Filter:
    matches = _compare(a[0], a[1])
    return CellFilter(lambda cell: matches(cell.value))


def _column_prefix(a: Arguments) -> Filter:
    prefixes = tuple(argument.string() for argument in a)
    return CellFilter(lambda cell: cell.qualifier.startswith(prefixes))


def _column_range(a: Arguments) -> Filter:
    low, low_in, high, high_in = a[0].string(), a[1].boolean(), a[2].string(), a[3].boolean()
    return CellFilter(
        lambda cell: (
            (cell.qualifier > low or (low_in and cell.qualifier == low) or not low)
            and (cell.qualifier < high or (high_in and cell.qualifier == high) or not high)
        )
    )


def _timestamps(a: Arguments) -> Filter:
    stamps = {argument.number() for argument in a}
    return CellFilter(lambda cell: cell.timestamp in stamps)


def _single_column(a: Arguments, exclude: bool = False) -> Filter:
    if_missing = a[4].boolean() if len(a) > 4 else False
    if len(a) > 5:
        a[5].boolean()  # latest version only: a scan through Thrift has no others
    return SingleColumnValueFilter(a[0].string(), a[1].string(), _compare(a[2], a[3]), if_missing, exclude)


def _column_value(a: Arguments) -> Filter:
    column, matches = (a[0].string(), a[1].string()), _compare(a[2], a[3])
    return CellFilter(lambda cell: (cell.family, cell.qualifier) == column and matches(cell.value))


def _dependent(a: Arguments) -> Filter:
    drop = a[2].boolean() if len(a) > 2 else False
    return DependentColumnFilter(a[0].string(), a[1].string(), drop, _compare(a[3], a[4]) if len(a) > 3 else None)


_ANY = range(1, 1 << 16)
FILTERS: dict[bytes, tuple[Sequence[int], Callable[[Arguments], Filter]]] = {
    b"KeyOnlyFilter": ((0, 1), lambda a: KeyOnlyFilter(*(one.boolean() for one in a))),
    b"FirstKeyOnlyFilter": ((0,), lambda a: PositionFilter(1)),
    b"PrefixFilter": ((1,), lambda a: PrefixFilter(a[0].string())),
    b"ColumnPrefixFilter": ((1,), _column_prefix),
    b"MultipleColumnPrefixFilter": (_ANY, _column_prefix),
    b"ColumnCountGetFilter": ((1,), lambda a: PositionFilter(a[0].count())),
    b"PageFilter": ((1,), lambda a: PageFilter(a[0].count())),
    b"ColumnPaginationFilter": ((2,), lambda a: PositionFilter(a[0].count(), a[1].count())),
    b"InclusiveStopFilter": ((1,), lambda a: InclusiveStopFilter(a[0].string())),
    b"TimestampsFilter": (_ANY, _timestamps),
    b"RowFilter": ((2,), _row),
    b"FamilyFilter": ((2,), _family),
    b"QualifierFilter": ((2,), _qualifier),
    b"ValueFilter": ((2,), _value),
    b"ColumnRangeFilter": ((4,), _column_range),
    b"SingleColumnValueFilter": ((4, 6), _single_column),
    b"SingleColumnValueExcludeFilter": ((4, 6), lambda a: _single_column(a, exclude=True)),
    b"DependentColumnFilter": ((2, 3, 5), _dependent),
    b"ColumnValueFilter": ((4,), _column_value),
}
"""The filters of the language: name → (how many arguments, maker)."""


def parse_filter(text: bytes) -> Filter:
    """Make the filter that ``text`` describes; ValueError says what is wrong with it and where."""
    parser = _Parser(text)
    found = parser.either()
    parser.end()
    return found


class _Parser:
    def __init__(self, text: bytes) -> None:
        self._text = text
        self._at = 0

    def either(self) -> Filter:
        return self._joined(b"OR", self._both, Or)

    def end(self) -> None:
        self._skip_space()
        if self._at != len(self._text):
            self._fail("the end")

    def _both(self) -> Filter:
        return self._joined(b"AND", self._one, And)

    def _joined(self, word: bytes, part: Callable[[], Filter], join: Callable[[list[Filter]], Filter]) -> Filter:
        parts = [part()]
        while self._keyword(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else join(parts)

    def _one(self) -> Filter:
        if self._keyword(b"SKIP"):
            return Skip(self._one())
        if self._keyword(b"WHILE"):
            return While(self._one())
        if self._take(b"("):
            inner = self.either()
            self._expect(b")")
            return inner
        return self._simple()

    def _simple(self) -> Filter:
        self._skip_space()
        name = _NAME.match(self._text, self._at)
        if name is None:
            self._fail("a filter")
        self._at = name.end()
        if name[0] not in FILTERS:
            raise ValueError(f"Filter Name {name[0].decode()} not supported")
        counts, make = FILTERS[name[0]]
        arguments = self._arguments()
        if len(arguments) not in counts:
            raise ValueError(f"{name[0].decode()} takes {list(counts)[:3]} arguments, not {len(arguments)}")
        return make(arguments)

    def _arguments(self) -> list[Argument]:
        self._expect(b"(")
        found: list[Argument] = []
        while not self._take(b")"):
            if found:
                self._expect(b",")
                self._skip_space()
            quoted = _QUOTED.match(self._text, self._at)
            written = quoted or _BARE.match(self._text, self._at)
            if written is None:
                self._fail("an argument")
            self._at = written.end()
            found.append(Argument(quoted[1].replace(b"''", b"'"), True) if quoted else Argument(written[0], False))
        return found

    def _keyword(self, word: bytes) -> bool:
        self._skip_space()
        found = _KEYWORD.match(self._text, self._at)
        if found is None or found[1] != word:
            return False
        self._at = found.end()
        return True

    def _take(self, sign: bytes) -> bool:
        self._skip_space()
        if not self._text.startswith(sign, self._at):
            return False
        self._at += len(sign)
        return True

    def _expect(self, sign: bytes) -> None:
        if not self._take(sign):
            self._fail(repr(sign.decode()))

    def _skip_space(self) -> None:
        space = _SPACE.match(self._text, self._at)
        assert space is not None
        self._at = space.end()

    def _fail(self, wanted: str) -> NoReturn:
        raise ValueError(f"Incorrect Filter String {self._text!r}: {wanted} is expected at {self._at}")
