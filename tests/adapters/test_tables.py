"""Tables, batches and scans are usable only during the lease that they were made in."""

from __future__ import annotations

import gc
import sysconfig
import threading
from collections.abc import Callable
from typing import Any

import happybase
import pytest
from Hbase_thrift import Hbase, IllegalArgument

from fastpool._errors import LeaseError

from ._held import Held
from ._scripted import Call, ScriptedServer, row


def released(held: Held) -> None:
    """The lease ends, and another caller leases the connection at once."""
    held.entry.give_back()
    held.entry.lease()


def test_table_looks_like_happybases(plain: Held) -> None:
    table = plain.connection.table("t")
    assert isinstance(table, happybase.Table)
    assert repr(table) == "<happybase.table.Table name=b't'>"
    assert table.connection is plain.connection


def test_table_prefix(plain_server: ScriptedServer) -> None:
    held = Held(plain_server, table_prefix="p")
    assert held.connection.table("t").name == b"p_t"
    assert held.connection.table("t", use_prefix=False).name == b"t"
    held.end()


USES: dict[str, Callable[[Any], Any]] = {
    "row": lambda table: table.row(b"r"),
    "rows": lambda table: table.rows([b"r"]),
    "cells": lambda table: table.cells(b"r", b"cf:a"),
    "put": lambda table: table.put(b"r", {b"cf:a": b"v"}),
    "delete": lambda table: table.delete(b"r", [b"cf:a"]),
    "counter_inc": lambda table: table.counter_inc(b"r", b"cf:a"),
    "families": lambda table: table.families(),
    "regions": lambda table: table.regions(),
    "scan": lambda table: next(table.scan()),
    "connection": lambda table: table.connection,
}


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_table_of_an_earlier_lease(plain: Held, plain_server: ScriptedServer, use: Callable[[Any], Any]) -> None:
    table = plain.connection.table("t")
    released(plain)
    with pytest.raises(LeaseError):
        use(table)
    assert plain_server.calls == []
    assert plain.entry.fit


def test_batch_of_an_earlier_lease(plain: Held, plain_server: ScriptedServer) -> None:
    batch = plain.connection.table("t").batch()
    batch.put(b"r", {b"cf:a": b"v"})
    released(plain)
    with pytest.raises(LeaseError):
        batch.send()
    assert plain_server.calls == []


def test_what_interrupted_a_batch_is_not_hidden_by_it(plain: Held, plain_server: ScriptedServer) -> None:
    def silent(call: Call) -> None:
        pass

    plain.connection.transport.sock.settimeout(0.05)
    plain_server.script = silent
    with pytest.raises(TimeoutError), plain.connection.table("t").batch() as batch:
        batch.put(b"r", {b"cf:a": b"v"})
        plain.connection.tables()
    assert plain_server.calls == ["getTableNames"]
    plain_server.script = None
    plain.connection.open()
    with pytest.raises(KeyError), plain.connection.table("t").batch() as batch:
        batch.put(b"r", {b"cf:a": b"v"})
        raise KeyError
    assert plain_server.calls[-1] == "mutateRows", "where the connection is whole it is sent, as happybase has it"


def test_helper_thread_may_use_what_the_holder_passes_on(plain: Held) -> None:
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(plain.row(b"x")))
    thread.start()
    thread.join(5)
    assert found == [row(b"x")]


def test_scan_is_lazy_and_closes_its_scanner(plain: Held, plain_server: ScriptedServer) -> None:
    scan = plain.connection.table("t").scan(limit=3)
    assert plain_server.calls == []
    assert [key for key, _ in scan] == [b"0", b"1", b"2"]
    assert plain_server.calls == ["scannerOpenWithScan", "scannerGetList", "scannerClose"]
    assert not plain.entry.needs_reset
    assert list(scan) == []


def test_scan_with_bad_arguments_raises_at_the_first_row(plain: Held) -> None:
    scan = plain.connection.table("t").scan(batch_size=0)
    with pytest.raises(ValueError, match="'batch_size' must be >= 1"):
        next(scan)


def test_break_closes_the_scanner_at_once(plain: Held, plain_server: ScriptedServer) -> None:
    for _ in plain.connection.table("t").scan(batch_size=10):
        assert plain.entry.needs_reset
        break
    assert plain_server.calls[-1] == "scannerClose"
    assert not plain.entry.needs_reset
    assert plain.entry.fit


def test_open_scan_is_closed_at_checkin_and_then_over(plain: Held, plain_server: ScriptedServer) -> None:
    table = plain.connection.table("t")
    first, second = table.scan(batch_size=10), table.scan(batch_size=10)
    next(first), next(second)
    assert plain.entry.needs_reset
    plain.connection.client.close_scanners(1.0)
    assert plain_server.calls[-2:] == ["scannerClose", "scannerClose"]
    assert not plain.entry.needs_reset
    assert plain.connection.client._socket.sock.gettimeout() == 5.0
    released(plain)
    calls = len(plain_server.calls)
    with pytest.raises(LeaseError):
        next(first)  # it has buffered nine more rows, and does not return them
    with pytest.raises(StopIteration):
        next(first)
    second.close()
    assert len(plain_server.calls) == calls
    assert plain.entry.fit


def test_forgotten_scan_says_nothing_on_anothers_connection(plain: Held, plain_server: ScriptedServer) -> None:
    scan = plain.connection.table("t").scan(batch_size=10)
    next(scan)
    released(plain)
    calls = len(plain_server.calls)
    del scan  # pytest would report an exception in the generator's close as an error
    gc.collect()
    assert len(plain_server.calls) == calls
    assert plain.entry.fit


@pytest.mark.parametrize("while_held", [True, False])
def test_scan_in_a_cycle_is_collected_in_silence(plain: Held, plain_server: ScriptedServer, while_held: bool) -> None:
    scan = plain.connection.table("t").scan(batch_size=10)
    next(scan)
    cycle: list[object] = [scan]
    cycle.append(cycle)
    if not while_held:
        released(plain)
    del scan, cycle
    gc.collect()
    assert plain_server.calls.count("scannerClose") == while_held
    assert plain.entry.fit


@pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")), reason="there an object ends in the thread that made it"
)
def test_scan_collected_in_another_thread_is_left_to_the_checkin(plain: Held, plain_server: ScriptedServer) -> None:
    scans = [plain.connection.table("t").scan(batch_size=10)]
    next(scans[0])
    thread = threading.Thread(target=scans.clear)
    thread.start()
    thread.join(5)
    assert plain_server.calls == ["scannerOpenWithScan", "scannerGetList"]
    assert plain.entry.needs_reset
    plain.connection.client.close_scanners(1.0)
    assert plain_server.calls[-1] == "scannerClose"


def test_scan_collected_during_a_call_is_left_to_the_checkin(plain: Held, plain_server: ScriptedServer) -> None:
    scans = [plain.connection.table("t").scan(batch_size=10)]
    next(scans[0])

    class Columns(list[bytes]):
        def __iter__(self) -> Any:
            scans.clear()
            return super().__iter__()

    assert plain.connection.client.getRowWithColumns(b"t", b"r", Columns([b"cf:a"]), {})[0].row == b"r"
    assert scans == []
    assert plain_server.calls == ["scannerOpenWithScan", "scannerGetList", "getRowWithColumns"]
    assert plain.entry.needs_reset
    assert plain.entry.fit


def test_scanner_that_the_server_forgot_is_no_trouble(plain: Held, plain_server: ScriptedServer) -> None:
    scan = plain.connection.table("t").scan(batch_size=10)
    next(scan)

    def expired(call: Call) -> None:
        result = Hbase.scannerClose_result(ia=IllegalArgument(b"scanner ID is invalid"))
        call.stream.send(call.stream.encode(call.name, call.seqid, result))

    plain_server.script = expired
    plain.connection.client.close_scanners(1.0)
    assert not plain.entry.needs_reset
    assert plain.entry.fit


def test_closing_scanners_does_not_wait_long(plain_server: ScriptedServer) -> None:
    held = Held(plain_server)  # no socket timeout at all
    scan = held.connection.table("t").scan(batch_size=10)
    next(scan)
    plain_server.script = lambda call: None
    with pytest.raises(TimeoutError):
        held.connection.client.close_scanners(0.05)
    assert not held.entry.fit
    held.end()
