"""The logger is logging's own, looked up once; and the fallback if it cannot be looked up."""

import logging
import sys
import types

import pytest

from fastpool._light import log as _log
from fastpool._light.log import Log


def test_it_says_what_the_logger_says_with_the_callers_line(caplog):
    log = Log()
    error = KeyError("why")
    log.warning("pool %r: %s", "p", "lost", exc_info=error)
    try:
        raise error
    except KeyError:
        log.exception("pool %r failed", "p")
    warned, failed = caplog.records
    assert (warned.name, warned.levelname, warned.getMessage()) == ("fastpool", "WARNING", "pool 'p': lost")
    assert (failed.name, failed.levelname, failed.getMessage()) == ("fastpool", "ERROR", "pool 'p' failed")
    assert {warned.exc_info[1], failed.exc_info[1]} == {error}
    assert {warned.funcName, failed.funcName} == {"test_it_says_what_the_logger_says_with_the_callers_line"}
    assert warned.pathname == __file__


@pytest.fixture
def half_imported(monkeypatch):
    monkeypatch.setattr(_log, "_found", [])
    monkeypatch.setitem(sys.modules, "logging", types.ModuleType("logging"))


def test_in_the_middle_of_the_import_of_logging_it_says_so_on_stderr(half_imported, capsys):
    Log().warning("pool %r: %s", "p", "lost")
    try:
        raise KeyError("why")
    except KeyError:
        Log().exception("pool %r failed", "p")
    assert capsys.readouterr().err == "pool 'p': lost\npool 'p' failed\n"


def test_it_is_found_with_the_first_pool(monkeypatch):
    import fastpool

    monkeypatch.setattr(_log, "_found", [])
    with fastpool.Pool(object):
        assert _log._found == [logging.getLogger("fastpool")]
