"""What psycopg_pool lets its users read and set on a pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .arguments import finite

if TYPE_CHECKING:
    from ..._config import Config


class Settings:
    """Mixed into the pools."""

    psycopg: Any
    config: Config
    _configure: Any

    @property
    def conninfo(self) -> Any:
        """The connection string, or the callable that gives it."""
        return self.psycopg.conninfo

    @conninfo.setter
    def conninfo(self, value: Any) -> None:
        self.psycopg.conninfo = value

    @property
    def kwargs(self) -> Any:
        """The arguments of connect(), or the callable that gives them."""
        return self.psycopg.kwargs

    @kwargs.setter
    def kwargs(self, value: Any) -> None:
        self.psycopg.kwargs = value

    @property
    def connection_class(self) -> Any:
        """The class of the connections."""
        return self.psycopg.connection_class

    @property
    def timeout(self) -> float | None:
        """How many seconds a checkout may take; None: no limit."""
        return self.config.timeout

    @timeout.setter
    def timeout(self, value: float | None) -> None:
        self._configure(self.config.replaced(timeout=finite(value)))

    @property
    def max_waiting(self) -> int:
        """The most callers in line; 0: no limit."""
        return self.config.max_waiting or 0

    @max_waiting.setter
    def max_waiting(self, value: int) -> None:
        self._configure(self.config.replaced(max_waiting=value or None))

    @property
    def max_lifetime(self) -> float | None:
        """After how many seconds a connection is replaced; each gets up to 5 % less."""
        return self.config.max_lifetime

    @max_lifetime.setter
    def max_lifetime(self, value: float | None) -> None:
        self._configure(self.config.replaced(max_lifetime=finite(value)))
