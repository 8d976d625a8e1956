"""The declarations of a service's IDL: its methods, with their arguments, results and errors."""

# mypy: disallow-untyped-calls=False

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from thriftpy2.thrift import TApplicationException, TMessageType, args_to_kwargs


class Method:
    """One method of a service, as its IDL declares it."""

    __slots__ = (
        "args_class",
        "changes_scanners",
        "errors",
        "has_reply",
        "has_success",
        "message_type",
        "must_succeed",
        "name",
        "opens_scanner",
        "positional",
        "result_class",
        "service",
    )

    def __init__(self, service: ModuleType, name: str) -> None:
        self.service = service.__name__
        self.name = name
        self.args_class: Any = getattr(service, name + "_args")
        self.result_class: Any = getattr(service, name + "_result")
        # Up to how many positional arguments go to args_class as they are; -1: none do, as some have defaults.
        self.positional = len(self.args_class.thrift_spec) if not any(vars(self.args_class()).values()) else -1
        self.errors = tuple(s[1] for s in self.result_class.thrift_spec.values() if s[1] != "success")
        self.has_success = hasattr(self.result_class(), "success")
        self.must_succeed = self.has_success and len(self.result_class.thrift_spec) > 0
        self.has_reply = not self.result_class.oneway
        self.message_type = TMessageType.CALL if self.has_reply else TMessageType.ONEWAY
        self.opens_scanner = name.startswith("scannerOpen")
        self.changes_scanners = self.opens_scanner or name == "scannerClose"

    def request(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The arguments as a struct; TApplicationException if one is missing."""
        args_class = self.args_class
        if not kwargs and len(args) <= self.positional:
            return args_class(*args)
        try:
            values = args_to_kwargs(args_class.thrift_spec, *args, **kwargs)
        except ValueError as error:
            raise TApplicationException(
                TApplicationException.UNKNOWN_METHOD,
                f"{error.args[0]} is required argument for {self.service}.{self.name}",
            ) from error
        request = args_class()
        for key, value in values.items():
            setattr(request, key, value)
        return request

    def outcome(self, result: Any) -> tuple[Any, BaseException | None]:
        """The value, or the error that the IDL declares, in a reply; TApplicationException if it has neither."""
        if self.has_success:
            value = result.success
            if value is not None:
                return value, None
        for field in self.errors:
            error = getattr(result, field)
            if error:
                return None, error
        if self.must_succeed:
            raise TApplicationException(
                TApplicationException.MISSING_RESULT, f"the reply to {self.name} has neither result nor error"
            )
        return None, None


def class_for(service: ModuleType, base: type, method: Callable[[ModuleType, str], Any]) -> Any:
    """Make a subclass of ``base`` that has ``method(service, name)`` for each method of ``service``, a loaded IDL."""
    parts: dict[str, Any] = {name: method(service, name) for name in service.thrift_services}
    for name, call in parts.items():
        call.__name__ = name
        call.__qualname__ = f"{base.__name__}.{name}"
    parts["declared_errors"] = declared_errors(service)
    return type(base.__name__, (base,), {"__doc__": base.__doc__, **parts})


def declared_errors(service: ModuleType) -> tuple[type[BaseException], ...]:
    """The errors that ``service`` declares: after one of them the connection is in step."""
    return tuple(set(_declared(service)))


def _declared(service: ModuleType) -> Iterator[type[BaseException]]:
    for name in service.thrift_services:
        for spec in getattr(service, name + "_result").thrift_spec.values():
            if spec[1] != "success":
                yield spec[2]
