"""Tables in memory keep HBase's rules, independent of the protocol."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastpool.testing.hbase import store as hbase_store
from fastpool.testing.hbase.store import FOREVER, LATEST, Cell, Family, HBaseError, Store, Table


def table(**settings: int) -> Table:
    return Table(b"t", [Family(b"f", **settings), Family(b"g"), Family(b"f-1")], 1)


def values(cells: list[Cell]) -> list[bytes]:
    return [cell.value for cell in cells]


@given(
    st.lists(st.tuples(st.integers(0, 20), st.binary(max_size=2)), max_size=30),
    st.integers(1, 4),
    st.integers(0, 21),
    st.integers(1, 5),
)
def test_versions_are_the_newest_ones_each_time_stamp_once(
    puts: list[tuple[int, bytes]], kept: int, before: int, asked: int
) -> None:
    t = table(max_versions=kept)
    model: dict[int, bytes] = {}
    for stamp, value in puts:
        t.put(b"r", [(b"f", b"q", value)], stamp)
        model[stamp] = value
        model = dict(sorted(model.items(), reverse=True)[:kept])
    expected = [(stamp, value) for stamp, value in model.items() if stamp < before][:asked]
    found = t.get(b"r", [(b"f", b"q")], before, asked)
    assert [(cell.timestamp, cell.value) for cell in found] == expected


@given(st.dictionaries(st.binary(min_size=1, max_size=3), st.booleans()))
def test_keys_are_those_of_rows_with_cells_in_order(rows: dict[bytes, bool]) -> None:
    t = table()
    for row in rows:
        t.put(row, [(b"f", b"q", b"v")])
    for row, deleted in rows.items():
        if deleted:
            t.delete(row, None)
    assert t.keys == sorted(row for row, deleted in rows.items() if not deleted)


def test_columns_come_by_family_then_by_qualifier() -> None:
    t = table()
    t.put(b"r", [(b"f-1", b"a", b"3"), (b"f", b"z", b"2"), (b"g", b"", b"4"), (b"f", b"a", b"1")])
    assert values(t.get(b"r")) == [b"1", b"2", b"3", b"4"]
    assert values(t.get(b"r", [(b"g", None), (b"f", b"z"), (b"f", b"missing")])) == [b"2", b"4"]
    assert values(t.get(b"r", [(b"f", b"z"), (b"f", None)])) == [b"1", b"2"]


def test_delete_removes_what_is_not_newer() -> None:
    t = table()
    for stamp in (1, 2, 3):
        t.put(b"r", [(b"f", b"q", b"%d" % stamp)], stamp)
    t.put(b"r", [(b"f", b"p", b"0")], 2)
    t.delete(b"r", [(b"f", b"q")], 2)
    assert values(t.get(b"r", versions=9)) == [b"0", b"3"]
    t.delete(b"r", [(b"f", None)], 2)
    assert values(t.get(b"r", versions=9)) == [b"3"]
    t.delete(b"r", [])
    assert values(t.get(b"r", versions=9)) == [b"3"]
    t.delete(b"r", None)
    assert t.get(b"r") == []


def test_cells_end_with_their_time_to_live(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000
    monkeypatch.setattr(hbase_store, "now_ms", lambda: now)
    t = table(time_to_live=10)
    t.put(b"r", [(b"f", b"q", b"v"), (b"g", b"q", b"w")])
    now += 9_999
    assert values(t.get(b"r")) == [b"v", b"w"]
    now += 1
    assert values(t.get(b"r")) == [b"w"]
    t.compact(major=False)
    now -= 1
    assert values(t.get(b"r")) == [b"v", b"w"]
    now += 1
    t.compact(major=True)
    now -= 1
    assert values(t.get(b"r")) == [b"w"]


def test_counter_wraps_as_a_java_long_and_refuses_other_widths() -> None:
    t = table()
    assert t.increment(b"r", b"f", b"n", 2**63 - 1) == 2**63 - 1
    assert t.increment(b"r", b"f", b"n", 2) == -(2**63) + 1
    assert values(t.get(b"r")) == [struct.pack(">q", -(2**63) + 1)]
    t.put(b"r", [(b"f", b"text", b"12")])
    with pytest.raises(HBaseError, match="not a long, it's 2 bytes wide"):
        t.increment(b"r", b"f", b"text", 1)


def test_counter_is_never_hidden_by_an_older_self() -> None:
    t = table()
    future = hbase_store.now_ms() + 3_600_000
    t.put(b"r", [(b"f", b"n", bytes(8))], future)
    assert t.increment(b"r", b"f", b"n", 5) == 5
    assert t.increment(b"r", b"f", b"n", 5) == 10


def test_append_and_check_and_put() -> None:
    t = table()
    assert values(t.append(b"r", [(b"f", b"b", b"y"), (b"f", b"a", b"x")])) == [b"x", b"y"]
    assert values(t.append(b"r", [(b"f", b"a", b"z")])) == [b"xz"]
    assert not t.check_and_put(b"r", (b"f", b"a"), b"x", (b"f", b"c", b"1"))
    assert t.check_and_put(b"r", (b"f", b"a"), b"xz", (b"f", b"c", b"1"))
    assert not t.check_and_put(b"r", (b"f", b"c"), None, (b"f", b"c", b"2"))
    assert t.check_and_put(b"r", (b"f", b"none"), None, (b"f", b"d", b"2"))
    assert values(t.get(b"r")) == [b"xz", b"y", b"1", b"2"]


def test_row_at_or_before() -> None:
    t = table()
    t.put(b"a", [(b"f", b"q", b"1")])
    t.put(b"c", [(b"g", b"q", b"2")])
    assert values(t.row_at_or_before(b"a", b"f")) == [b"1"]
    assert values(t.row_at_or_before(b"d", b"f")) == [b"1"]
    assert values(t.row_at_or_before(b"d", b"g")) == [b"2"]
    assert t.row_at_or_before(b"b", b"g") == []


def test_unknown_family_is_refused_and_nothing_is_written() -> None:
    t = table()
    for act in (
        lambda: t.put(b"r", [(b"f", b"q", b"v"), (b"nope", b"q", b"v")]),
        lambda: t.get(b"r", [(b"nope", None)]),
        lambda: t.delete(b"r", [(b"nope", b"q")]),
        lambda: t.increment(b"r", b"nope", b"q", 1),
        lambda: t.append(b"r", [(b"nope", b"q", b"1")]),
        lambda: t.row_at_or_before(b"r", b"nope"),
        lambda: t.check_and_put(b"r", (b"f", b"q"), None, (b"nope", b"q", b"v")),
    ):
        with pytest.raises(HBaseError, match=r"NoSuchColumnFamilyException: Column family nope does not exist .*'t'"):
            act()
    assert t.keys == []


def test_tables_are_made_disabled_enabled_and_deleted() -> None:
    store = Store()
    assert store.create(b"b", [Family(b"f")])
    assert store.create(b"space:a", [Family(b"f")])
    assert not store.create(b"b", [Family(b"f")])
    assert store.names() == [b"b", b"space:a"]
    with pytest.raises(HBaseError, match="TableNotDisabledException: b"):
        store.delete(b"b")
    with pytest.raises(HBaseError, match="TableNotDisabledException: b"):
        store.enable(b"b", True)
    store.enable(b"b", False)
    with pytest.raises(HBaseError, match="TableNotEnabledException: b"):
        store.enable(b"b", False)
    gone = store.table(b"b")
    with pytest.raises(HBaseError, match="TableNotEnabledException: b is disabled"):
        gone.get(b"r")
    store.delete(b"b")
    with pytest.raises(HBaseError, match="TableNotFoundException: b"):
        store.table(b"b")
    with pytest.raises(HBaseError, match="TableNotFoundException: b"):
        gone.put(b"r", [(b"f", b"q", b"v")])


@pytest.mark.parametrize("name", [b"", b"a b", b".a", b"-a", b"a:b:c", "ä".encode(), b"a\n"])
def test_bad_table_name_is_refused(name: bytes) -> None:
    with pytest.raises(ValueError, match="Illegal table name"):
        Store().create(name, [Family(b"f")])


@pytest.mark.parametrize(
    "settings",
    [
        {"name": b""},
        {"name": b".f"},
        {"name": b"a:b"},
        {"name": b"a/b"},
        {"name": b"a\n"},
        {"name": b"f", "max_versions": 0},
        {"name": b"f", "compression": "ZIP"},
        {"name": b"f", "bloom_filter": "COLUMN"},
    ],
)
def test_bad_family_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"Illegal character|Maximum versions|Unsupported|No enum"):
        Family(**settings)  # type: ignore[arg-type]


def test_table_needs_a_family() -> None:
    with pytest.raises(HBaseError, match="at least one column family"):
        Store().create(b"t", [])


def test_constants_are_javas() -> None:
    assert (LATEST, FOREVER) == (2**63 - 1, 2**31 - 1)
