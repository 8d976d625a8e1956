"""The logger "fastpool". `logging` is imported with the first pool, and not by ``import fastpool``."""

from __future__ import annotations

import sys

from .hints import Any

_found: list[Any] = []


class Log:
    """Stands for ``logging.getLogger("fastpool")``, looked up once, because that takes a lock of logging's."""

    __slots__ = ()

    def find(self) -> Any:
        """Look the logger up; None in a signal handler that has struck in the middle of the import of `logging`."""
        if _found:
            return _found[0]
        import logging

        if not hasattr(logging, "getLogger"):
            return None
        _found.append(logging.getLogger("fastpool"))
        return _found[0]

    def warning(self, message: str, *args: Any, exc_info: BaseException | None = None) -> None:
        """Log a warning, as from the caller's line."""
        logger = self.find()
        if logger is None:
            print(message % args, file=sys.stderr)  # as `logging` does while nobody has configured it
        else:
            logger.warning(message, *args, exc_info=exc_info, stacklevel=2)

    def warn_safely(self, message: str, *args: Any, exc_info: BaseException | None = None) -> None:
        """Log a warning in a thread of the pools' own, which must not end with an exception of a log handler."""
        try:
            self.warning(message, *args, exc_info=exc_info)
        except BaseException:
            pass  # there is nothing left to log to

    def exception(self, message: str, *args: Any) -> None:
        """Log an error with the exception that is being handled, as from the caller's line."""
        logger = self.find()
        if logger is None:
            print(message % args, file=sys.stderr)
        else:
            logger.exception(message, *args, stacklevel=2)


logger = Log()
