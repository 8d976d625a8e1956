"""What redis-py's pools say of themselves, for both kinds of pool."""

# mypy: disallow-subclassing-any=False, disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .driver import RedisDriver

_SECRET = frozenset({"password", "username", "ssl_password", "credential_provider"})
_INTERNAL = frozenset({"himport_registry"})


class Told:
    """Mixed into the pools, in front of everything else."""

    driver: RedisDriver

    if TYPE_CHECKING:
        connection_class: Any
        connection_kwargs: dict[str, Any]

    def __repr__(self) -> str:
        kind, of = type(self), self.connection_class
        shown = ",".join(
            f"{name}={'<REDACTED>' if name in _SECRET else value}"
            for name, value in self.connection_kwargs.items()
            if name not in _INTERNAL
        )
        return f"<{kind.__module__}.{kind.__name__}(<{of.__module__}.{of.__name__}({shown})>)>"

    def __del__(self) -> None:
        """Do nothing: redis-py's reports its counts to its metrics here."""

    def get_protocol(self) -> Any:
        """The version of the protocol that was asked for; None: redis-py's default."""
        return self.connection_kwargs.get("protocol")

    # what redis-py's own code, and code that was written for it, looks at

    @property
    def _available_connections(self) -> list[Any]:
        return self.driver.idle()

    @_available_connections.setter
    def _available_connections(self, value: Any) -> None:
        """Of no use here: redis-py's constructor sets it."""

    @property
    def _in_use_connections(self) -> set[Any]:
        return set(self.driver.leased())

    @_in_use_connections.setter
    def _in_use_connections(self, value: Any) -> None:
        """Of no use here: redis-py's constructor sets it."""

    def _get_free_connections(self) -> list[Any]:
        return self.driver.idle()

    def _get_in_use_connections(self) -> set[Any]:
        return set(self.driver.leased())
