"""Signatures read without `inspect` agree with `inspect`."""

import functools
import inspect
import socket
import sqlite3
from unittest import mock

import pytest

from fastpool._light.calls import is_coroutine_function, takes_timeout


def nothing():
    pass


def by_name(*, timeout):
    pass


def by_either(server, timeout=None):
    pass


def by_place_only(timeout, /):
    pass


def anything(*args, **kwargs):
    pass


def its_own_variable():
    timeout = 3
    return timeout


def rest(*timeout):
    pass


@functools.wraps(by_either)
def wrapped(*args, **kwargs):
    pass


def signed(*args):
    pass


signed.__signature__ = inspect.signature(by_name)


class Method:
    def plain(self, timeout):
        pass

    def first_is_bound(timeout):
        pass

    def rest(*args, timeout=3):
        pass

    @classmethod
    def of_class(cls, timeout):
        pass

    @staticmethod
    def static(timeout):
        pass


class Init:
    def __init__(self, timeout=None):
        pass


class NoInit:
    pass


class New:
    def __new__(cls, timeout):
        return super().__new__(cls)


class Inherits(Init):
    pass


class Meta(type):
    def __call__(cls, timeout):
        return super().__call__()


class OfMeta(metaclass=Meta):
    pass


class Called:
    def __call__(self, timeout):
        pass


class Kept:
    def method(self, timeout):
        pass

    bound = functools.partialmethod(method)


CALLABLES = {
    "nothing": nothing,
    "by name": by_name,
    "by either": by_either,
    "by place only": by_place_only,
    "anything": anything,
    "its own variable": its_own_variable,
    "rest": rest,
    "wrapped": wrapped,
    "signed": signed,
    "lambda": lambda timeout: None,
    "method": Method().plain,
    "method whose first is bound": Method().first_is_bound,
    "method with rest": Method().rest,
    "class method": Method.of_class,
    "static method": Method.static,
    "function of a class": Method.plain,
    "init": Init,
    "no init": NoInit,
    "new": New,
    "inherits": Inherits,
    "of a metaclass": OfMeta,
    "called": Called(),
    "partial": functools.partial(by_either, "a"),
    "partial that has it by place": functools.partial(by_either, "a", 3),
    "partial that has it by name": functools.partial(by_either, timeout=3),
    "partial of a partial": functools.partial(functools.partial(by_either, "a"), timeout=3),
    "partial of a method": functools.partial(Method().plain),
    "partial of a class": functools.partial(Init),
    "partial method": Kept().bound,
    "object": object,
    "dict": dict,
    "print": print,
    "create_connection": socket.create_connection,
    "socket": socket.socket,
    "sqlite3": sqlite3.connect,
    "Mock": mock.Mock(),
    "MagicMock": mock.MagicMock(),
    "autospec": mock.create_autospec(by_either),
}


def told_by_inspect(function):
    try:
        parameter = inspect.signature(function).parameters.get("timeout")
    except (TypeError, ValueError):
        return False
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return parameter is not None and parameter.kind in named


@pytest.mark.parametrize("name", CALLABLES)
def test_a_parameter_called_timeout_is_found(name):
    function = CALLABLES[name]
    assert takes_timeout(function) == told_by_inspect(function)


async def coroutine(timeout=None):
    pass


async def generator():
    yield


class Later:
    async def method(self):
        pass


def marked():
    return coroutine()


if hasattr(inspect, "markcoroutinefunction"):
    inspect.markcoroutinefunction(marked)

AWAITED = {
    "coroutine": coroutine,
    "async generator": generator,
    "method": Later().method,
    "partial": functools.partial(coroutine, 3),
    "partial of a method": functools.partial(Later().method),
    "marked": marked,
    **CALLABLES,
}


@pytest.mark.parametrize("name", AWAITED)
def test_a_coroutine_function_is_told_from_others(name):
    function = AWAITED[name]
    assert is_coroutine_function(function) == inspect.iscoroutinefunction(function)


def test_a_mock_of_a_coroutine_function_is_one():
    assert is_coroutine_function(mock.AsyncMock())
    assert not is_coroutine_function(mock.MagicMock())


@pytest.mark.parametrize("name", ["nothing", "by name", "by either", "method", "init", "no init", "partial"])
def test_inspect_is_not_asked_of_what_is_plain(name, monkeypatch):
    monkeypatch.setattr(inspect, "signature", None)
    monkeypatch.setattr(inspect, "iscoroutinefunction", None)
    takes_timeout(CALLABLES[name])
    is_coroutine_function(CALLABLES[name])
