"""Queries every host of the cluster directly, all at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cassandra import ConsistencyLevel
from cassandra.policies import HostDistance
from cassandra.query import SimpleStatement

from ..._core import clock
from .._flag import Flag

LIMIT_S = 5.0
_QUESTION = "SELECT release_version FROM system.local WHERE key = 'local'"


@dataclass(frozen=True, slots=True)
class HostHealth:
    """The state of one host, as the session sees it.

    ``address`` (text), ``datacenter``, ``rack`` and ``release_version`` are what the driver knows of the host.
    ``is_up``: the driver's own view; None: not known yet. ``connections``: the session's connections to it, 0 or 1
    under protocol v3 and later; ``in_flight``: the requests that run on them. ``latency_ms``: the time that the host
    took to answer a query sent to it alone, in milliseconds; None: no answer. ``error``: the reason, as text; None, and
    no latency, for a host that the load balancing policy ignores, which is not asked.
    """

    address: str
    datacenter: str | None
    rack: str | None
    is_up: bool | None
    release_version: str | None
    connections: int
    in_flight: int
    latency_ms: float | None
    error: str | None

    @property
    def healthy(self) -> bool:
        """Whether it answered, or is ignored by the load balancing policy."""
        return self.error is None


class Question:
    """A query to one host, and its outcome."""

    def __init__(self, session: Any, host: Any, limit: float) -> None:
        self.host = host
        self.latency: float | None = None
        self.error: BaseException | None = None
        self._limit = limit
        self._over = Flag()
        self._began = clock()
        try:
            # With `host` the driver sends the query to this host only, whatever the policy.
            statement = SimpleStatement(_QUESTION, consistency_level=ConsistencyLevel.ONE)
            session.execute_async(statement, timeout=limit, host=host).add_callbacks(self._answered, self._failed)
        except Exception as error:
            self._failed(error)

    def wait(self) -> None:
        """Wait for the answer until the limit, counted from when it was sent."""
        if not self._over.wait(self._began + self._limit - clock()):
            self._failed(TimeoutError(f"no answer within {self._limit:g} s"))

    def _answered(self, _: Any) -> None:
        self.latency = clock() - self._began
        self._over.set()

    def _failed(self, error: BaseException) -> None:
        # NoHostAvailable says only that no host could be asked. The reason is in its `errors`: host -> exception.
        reasons = getattr(error, "errors", None)
        inner = reasons.values() if isinstance(reasons, dict) else ()
        self.error = next((one for one in inner if isinstance(one, BaseException)), error)
        self._over.set()


def warm_hosts(session: Any, limit: float) -> dict[str, BaseException | None]:
    """Send one light query to each host that is up; return the error or None by address."""
    questions = [Question(session, host, limit) for host in _hosts(session) if host.is_up and _is_used(session, host)]
    for question in questions:
        question.wait()
    return {str(question.host.address): _outcome(question)[1] for question in questions}


def health_of_hosts(session: Any, limit: float) -> list[HostHealth]:
    """Ask every host; return the health of each."""
    asked = [(host, Question(session, host, limit) if _is_used(session, host) else None) for host in _hosts(session)]
    for _, question in asked:
        if question is not None:
            question.wait()
    pools: Mapping[Any, Any] = session.get_pool_state()
    return [_health(host, pools.get(host) or {}, question) for host, question in asked]


def _outcome(question: Question | None) -> tuple[float | None, BaseException | None]:
    """The latency in seconds, or the error; an answer that came at the last moment counts."""
    if question is None:
        return None, None
    return (None, question.error) if question.latency is None else (question.latency, None)


def _health(host: Any, connections: Mapping[str, Any], question: Question | None) -> HostHealth:
    latency, error = _outcome(question)
    return HostHealth(
        address=str(host.address),
        datacenter=host.datacenter,
        rack=host.rack,
        is_up=host.is_up,
        release_version=host.release_version,
        connections=connections.get("open_count", 0),
        in_flight=sum(connections.get("in_flights", ())),
        latency_ms=None if latency is None else latency * 1000,
        error=None if error is None else f"{type(error).__name__}: {error}",
    )


def _hosts(session: Any) -> list[Any]:
    return list(session.cluster.metadata.all_hosts())


def _is_used(session: Any, host: Any) -> bool:
    profiles = getattr(session.cluster, "profile_manager", None)
    return profiles is None or profiles.distance(host) != HostDistance.IGNORED
