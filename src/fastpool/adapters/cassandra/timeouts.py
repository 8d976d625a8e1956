"""The time limit of a request: the rest of the caller's timeout after the wait for the permit."""

from __future__ import annotations

from numbers import Real
from typing import Any

UNSET: Any = ...
# Session.default_timeout where nothing was set; it can be set only where there are no execution profiles.
_DRIVERS_DEFAULT_S = 10.0


class Budget:
    """The seconds that any one request of a lease may take.

    ``seconds``: None for no limit. ``asked``: they come from the caller of ``session()`` or ``execute()``, and so
    replace the driver's own limit; the pool's default only shortens it.
    """

    __slots__ = ("asked", "seconds")

    def __init__(self, timeout: float | None, waited: float, asked: bool) -> None:
        # timeout=0 limits the wait for a permit only: a request without any time could not succeed.
        unlimited = timeout is None or timeout == 0
        self.asked = asked and timeout != 0
        self.seconds = None if unlimited else max(float(timeout) - waited, 0.001)  # type: ignore[arg-type]

    def of_request(self, session: Any, given: Any, profile: Any) -> float | None:
        """The timeout to tell the driver; ``given`` is the request's own, UNSET (or the driver's marker) for none."""
        if given is not None and not isinstance(given, Real):
            if given is not UNSET and type(given) is not object:
                raise TypeError(f"timeout must be a number of seconds or None, not {given!r} ({type(given).__name__})")
            if self.asked:
                return self.seconds
            given = _drivers_timeout(session, profile)
        return _shorter(given, self.seconds)


def _drivers_timeout(session: Any, profile: Any) -> float | None:
    """The driver's own limit for this request: the session's, if one was set, or else the execution profile's."""
    session_wide: Any = getattr(session, "default_timeout", None)
    if session_wide != _DRIVERS_DEFAULT_S or not hasattr(session, "get_execution_profile"):
        return session_wide if isinstance(session_wide, (int, float)) else None
    if profile is None:
        from cassandra.cluster import EXEC_PROFILE_DEFAULT

        profile = EXEC_PROFILE_DEFAULT
    if hasattr(profile, "request_timeout"):
        limit: float | None = profile.request_timeout
        return limit
    limit = session.get_execution_profile(profile).request_timeout
    return limit


def _shorter(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
