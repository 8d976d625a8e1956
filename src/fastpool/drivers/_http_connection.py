"""http.client's connections, which remember whether a response is still to be read."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPSConnection
from typing import Any

_NONE = object()


class _InStep:
    """Mixed into a connection: it is in step once the response to the last request was read to its end."""

    _response: Any = None  # the last one; _NONE: a request was begun, and has none yet

    def is_in_step(self) -> bool:
        """Whether the next request would get its own response."""
        response = self._response
        if response is None or response is _NONE:
            return response is None
        if response.length == 0:
            response.read()  # an empty body, which http.client wants to be read all the same
        return bool(response.isclosed())

    def putrequest(self, *args: Any, **kwargs: Any) -> None:
        """Begin a request."""
        self._response = _NONE
        super().putrequest(*args, **kwargs)  # type: ignore[misc]

    def getresponse(self) -> Any:
        """Receive the head of the response."""
        self._response = response = super().getresponse()  # type: ignore[misc]
        return response


class PooledHTTP(_InStep, HTTPConnection):
    """A plain connection."""


class PooledHTTPS(_InStep, HTTPSConnection):
    """A connection over TLS."""
