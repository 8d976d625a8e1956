"""Each drop-in beside the pool that it replaces, and how many times as fast it has to be."""

from __future__ import annotations

from . import ancestor_candidates, dbutils_candidates, psycopg_candidates, redis_candidates, sqlalchemy_candidates
from .candidates import Candidate
from .findings import Target

_SOCKETPOOL, _SOCKETPOOL_STUBS, _POODLE = ancestor_candidates.PAIRS

DROP_INS: tuple[tuple[Candidate, Candidate, Target | None], ...] = (
    (*_SOCKETPOOL, Target(10)),
    (*_SOCKETPOOL_STUBS, None),
    (*_POODLE, None),
    *psycopg_candidates.PSYCOPG_PAIRS,
    *sqlalchemy_candidates.PAIRS,
    *((ours, theirs, Target(5)) for ours, theirs in redis_candidates.PAIRS),
    (*dbutils_candidates.PAIR, Target(1)),
)
"""(ours, theirs, the least that theirs / ours has to be)."""
