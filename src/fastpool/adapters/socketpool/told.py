"""The arguments of a pool as its attributes, as socketpool has them; some of them can be set."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .arguments import checked, seconds_or_forever

if TYPE_CHECKING:
    from ..._config import Config
    from .driver import ConnectorDriver


def _of_driver(name: str, what: str) -> Any:
    def get(pool: Told) -> Any:
        return getattr(pool.driver, name)

    def put(pool: Told, value: Any) -> None:
        setattr(pool.driver, name, checked(name, value))

    return property(get, put, doc=what)


class Told:
    """Mixed into the pool: its arguments as attributes."""

    driver: ConnectorDriver
    config: Config

    if TYPE_CHECKING:

        def _configure(self, config: Config) -> None: ...
        def resize(self, *, max_size: int) -> None: ...

    retry_max: int = _of_driver("retry_max", "How often the factory is tried for one connector.")
    retry_delay: float = _of_driver("retry_delay", "The pause between two tries, in seconds.")
    factory: Callable[..., Any] = _of_driver("factory", "Makes a connector.")

    @property
    def options(self) -> dict[str, Any]:
        """A copy of the factory's arguments, without those that a checkout adds."""
        return {**self.driver.options, "backend_mod": self.driver.backend_mod, "pool": self}

    @property
    def backend(self) -> str:
        """The backend's name."""
        return self.driver.backend

    @property
    def backend_mod(self) -> ModuleType:
        """The backend's module."""
        module: ModuleType = self.driver.backend_mod
        return module

    @property
    def reap_delay(self) -> float:
        """The seconds between two rounds of the reaper."""
        return self.driver.reap_delay

    @property
    def max_lifetime(self) -> float | None:
        """How long a connector lives, in seconds; set it for those that are opened from now on."""
        return self.driver.max_lifetime

    @max_lifetime.setter
    def max_lifetime(self, seconds: float | None) -> None:
        self.driver.max_lifetime = self.config.replaced(max_lifetime=seconds).max_lifetime
        self._configure(self.config)

    @property
    def max_size(self) -> int:
        """Most connectors that are open at once; set it at any time."""
        return self.config.max_size

    @max_size.setter
    def max_size(self, size: int) -> None:
        self.resize(max_size=size)

    @property
    def timeout(self) -> float:
        """The seconds that a checkout may take; -1: no limit."""
        return -1 if self.config.timeout is None else self.config.timeout

    @timeout.setter
    def timeout(self, seconds: float | None) -> None:
        self._configure(self.config.replaced(timeout=seconds_or_forever(seconds)))
