"""What a call is, and what it does to its connection, however the bytes travel.

Shared by the guarded clients of threads (:mod:`._guard`) and of tasks (:mod:`._task_guard`).
"""

# mypy: disallow-untyped-calls=False

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from thriftpy2.thrift import TApplicationException, TMessageType, args_to_kwargs
from thriftpy2.transport import TTransportException

from ..._errors import LeaseError

if TYPE_CHECKING:
    from ..._core import Entry

LAST_SEQUENCE_ID = 0x7FFFFFFF

_OUT_OF_STEP = (
    TApplicationException.BAD_SEQUENCE_ID,
    TApplicationException.WRONG_METHOD_NAME,
    TApplicationException.INVALID_MESSAGE_TYPE,
)

# Where a call is. Only ENCODING may fail without costing the connection: nothing was sent yet.
IDLE, ENCODING, SENT = range(3)


class Transport(Protocol):
    """The socket under a client: for one life, what was closed stays closed."""

    address: str  # where it leads, for messages

    @property
    def sock(self) -> Any: ...
    def fileno(self) -> int: ...
    def shut(self) -> None: ...
    def interrupt(self) -> None: ...
    def discard(self) -> None: ...
    def abandon(self) -> None: ...


class Guard:
    """The account of the calls on one socket of a slot."""

    _connection: Any
    _entry: Entry
    _socket: Any  # a Transport

    def __init__(self) -> None:
        self._stage = IDLE
        self._retired = False
        self.broken = False
        self.closed_by_user = False  # by Connection.close()
        self.scanners: set[int] = set()

    def is_open(self) -> bool:
        """Whether calls can be made on this very socket."""
        return self._socket.sock is not None

    def in_step(self) -> bool:
        """Whether the socket is open and no call is under way."""
        return self._socket.sock is not None and self._stage == IDLE and not self.broken

    @property
    def address(self) -> str:
        """Where the socket leads, for messages."""
        address: str = self._socket.address
        return address

    def fileno(self) -> int:
        """Give the descriptor, -1 when closed."""
        fd: int = self._socket.fileno()
        return fd

    def retire(self) -> None:
        """Close the socket; the slot may belong to another lease from now on, so its entry stays untouched."""
        self._retired = True
        if self._stage == IDLE:
            self._socket.shut()
        else:
            self._socket.interrupt()

    def discard(self) -> None:
        """Close the socket from a finalizer: no farewell, no lock, no log."""
        self._retired = True
        self._socket.discard()

    def abandon(self) -> None:
        """Give up the descriptor without a word on the wire: the parent of this process goes on using it."""
        self._retired = True
        self._socket.abandon()

    def _renew_output(self) -> None:
        """What encodes a message may remember half of one: make it anew."""
        raise NotImplementedError

    def _failed(self, error: BaseException, begun: bool) -> None:
        """End a call that did not get its reply."""
        entry = self._entry
        if not begun:
            # Refused; or interrupted just before or just after it began, and only the entry knows which.
            if isinstance(error, LeaseError) or not entry.busy:
                return
        elif self._stage == ENCODING and isinstance(error, Exception):
            self._renew_output()
            self._stage = IDLE
            entry.end_call()
            return
        # In this order: whatever interrupts this, the entry is busy or tainted.
        self._break(desync=isinstance(error, TApplicationException) and error.type in _OUT_OF_STEP)
        self._stage = IDLE
        if not self._retired:
            entry.end_call()

    def _ended(self, name: str) -> None:
        """End a call whose reply was read; TTransportException if the pool took the connection meanwhile."""
        if self._retired:
            raise TTransportException(
                TTransportException.NOT_OPEN, f"{name} ended after the connection was taken out of the pool"
            )
        self._stage = IDLE
        self._entry.end_call()

    def _break(self, desync: bool) -> None:
        if not self._retired:
            self._entry.taint(desync)
        self.broken = True
        self._socket.shut()

    def _account(self, method: Method, request: Any, value: Any) -> None:
        """Note which scanners are open on the server, after a reply."""
        if method.opens_scanner and value is not None:
            self.scanners.add(value)
        else:
            self.scanners.discard(getattr(request, "id", None))
        self._entry.needs_reset = bool(self.scanners)

    def _out_of_step(self, name: str, seqid: int, got_name: Any, got_type: int, got_seqid: int, failure: Any) -> None:
        """Raise for a message that is not the reply to ``name``; return if it is, in the protocol's other spelling.

        ``failure`` is the TApplicationException that the message holds, if it holds one.
        """
        if failure is not None and isinstance(failure.message, bytes):
            # Or else str() of it fails.
            failure.message = failure.message.decode("utf-8", "replace")
        where = f"from {self.address}; the connection is out of step and was closed"
        if got_seqid != seqid:
            raise TApplicationException(
                TApplicationException.BAD_SEQUENCE_ID,
                f"expected the reply {seqid} to {name}, got {got_seqid} to {got_name!r} {where}",
            ) from failure
        if got_name != name and got_name != name.encode():
            raise TApplicationException(
                TApplicationException.WRONG_METHOD_NAME,
                f"expected the reply to {name}, got one to {got_name!r} {where}",
            ) from failure
        if failure is not None:
            raise failure
        if got_type != TMessageType.REPLY:
            raise TApplicationException(
                TApplicationException.INVALID_MESSAGE_TYPE,
                f"expected a reply to {name}, got a message of type {got_type} {where}",
            )


class Method:
    """One method of a service, as its IDL declares it."""

    __slots__ = (
        "args_class",
        "changes_scanners",
        "errors",
        "has_success",
        "message_type",
        "must_succeed",
        "name",
        "oneway",
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
        # How many arguments may be given by position and nothing else be asked; -1: some have defaults.
        self.positional = len(self.args_class.thrift_spec) if not any(vars(self.args_class()).values()) else -1
        self.errors = tuple(s[1] for s in self.result_class.thrift_spec.values() if s[1] != "success")
        self.has_success = hasattr(self.result_class(), "success")
        self.must_succeed = self.has_success and len(self.result_class.thrift_spec) > 0
        self.oneway: bool = self.result_class.oneway
        self.message_type = TMessageType.ONEWAY if self.oneway else TMessageType.CALL
        self.opens_scanner = name.startswith("scannerOpen")
        self.changes_scanners = self.opens_scanner or name == "scannerClose"

    def request(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The arguments as the message has them; TApplicationException if one is missing."""
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
        """What a reply says: a value, or an error that the IDL declares; TApplicationException if neither."""
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
    """A subclass of ``base`` with what ``method`` makes of each method of ``service``, an IDL that thriftpy2 loaded."""
    parts: dict[str, Any] = {name: method(service, name) for name in service.thrift_services}
    for name, call in parts.items():
        call.__name__ = name
        call.__qualname__ = f"{base.__name__}.{name}"
    parts["declared_errors"] = declared_errors(service)
    return type(base.__name__, (base,), {"__doc__": base.__doc__, **parts})


def declared_errors(service: ModuleType) -> tuple[type[BaseException], ...]:
    """The errors that ``service`` declares in its IDL: after one of them the connection is in step."""
    return tuple(set(_declared(service)))


def _declared(service: ModuleType) -> Iterator[type[BaseException]]:
    for name in service.thrift_services:
        for spec in getattr(service, name + "_result").thrift_spec.values():
            if spec[1] != "success":
                yield spec[2]
