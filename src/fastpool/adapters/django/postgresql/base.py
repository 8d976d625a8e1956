"""Django's backend for PostgreSQL, which takes its connections from ``fastpool.adapters.psycopg.ConnectionPool``.

``OPTIONS["pool"]``: the pool's arguments, psycopg_pool's and fastpool's alike; True, or absent, for the defaults; False
for no pool. ``CONN_HEALTH_CHECKS``: an empty query is sent before each request, or only on a connection that has been
unused for longer than the pool's option ``check_after``. ImproperlyConfigured for settings that exclude each other.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base

if not hasattr(base.DatabaseWrapper, "close_pool"):
    raise ImproperlyConfigured("fastpool.adapters.django.postgresql needs Django 5.1 or newer, and psycopg 3")

from ...psycopg import ConnectionPool


class DatabaseWrapper(base.DatabaseWrapper):  # type: ignore[misc]
    """One thread's use of the database; the pool belongs to the process, one for each alias."""

    _connection_pools: dict[str, ConnectionPool[Any]] = {}  # noqa: RUF012 - Django's name, and Django's way

    @property
    def pool(self) -> ConnectionPool[Any] | None:
        """The pool of this alias; None where there is to be none."""
        wanted = self.settings_dict["OPTIONS"].get("pool", True)
        if self.alias == NO_DB_ALIAS or wanted is False or wanted is None:
            return None
        pool = self._connection_pools.get(self.alias)
        # Several threads may make one at the same time: none of them is open yet, and the first that is entered stays.
        return pool or self._connection_pools.setdefault(self.alias, self._new_pool(wanted))

    def _new_pool(self, wanted: Any) -> ConnectionPool[Any]:
        if self.settings_dict.get("CONN_MAX_AGE", 0) != 0:
            raise ImproperlyConfigured(
                f"DATABASES[{self.alias!r}]: CONN_MAX_AGE must be 0 with a pool, which keeps connections open itself; "
                'limit their age by OPTIONS["pool"]["max_lifetime"]'
            )
        if wanted is not True and not isinstance(wanted, dict):
            raise ImproperlyConfigured(
                f'DATABASES[{self.alias!r}]: OPTIONS["pool"] must be True, False or a dict of the pool\'s arguments, '
                f"not {wanted!r}"
            )
        given: dict[str, Any] = {
            "name": f"django-{self.alias}",
            "check": ConnectionPool.check_connection if self.settings_dict["CONN_HEALTH_CHECKS"] else None,
            **({} if wanted is True else wanted),
        }
        # in autocommit mode, as Django begins its transactions itself
        arguments = {**self.get_connection_params(), "autocommit": True}
        return ConnectionPool(kwargs=arguments, open=False, configure=self._configure_connection, **given)
