"""A Django project on PostgreSQL by fastpool's backend, in a process of its own; what it shows is printed as JSON."""

import json
import os
import sys

DSN_PORT, MODEL = sys.argv[1:]
if MODEL == "gevent":
    from gevent import monkey

    monkey.patch_all()

import threading

import django
from django.conf import settings

POOL = {"min_size": 1, "max_size": 4, "timeout": 20.0}
DATABASE = {
    "ENGINE": "fastpool.adapters.django.postgresql",
    "NAME": "postgres",
    "USER": "postgres",
    "HOST": "127.0.0.1",
    "PORT": DSN_PORT,
    "CONN_HEALTH_CHECKS": True,
    "OPTIONS": {"pool": POOL},
}
settings.configure(
    DATABASES={"default": DATABASE},
    INSTALLED_APPS=[],
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    TIME_ZONE="Asia/Tokyo",
    USE_TZ=False,
)
django.setup()

from django.core.signals import request_finished, request_started
from django.db import connection, connections, models, transaction


class Row(models.Model):
    """A row of the test's."""

    number = models.IntegerField()

    class Meta:
        app_label = MODEL


def request(work):
    """Do as Django does with a request: its connection comes back at the end."""
    request_started.send(sender=None)
    try:
        return work()
    finally:
        request_finished.send(sender=None)


def backend():
    """The number of the server's process that serves this thread."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_backend_pid(), pg_sleep(0.005)")
        return cursor.fetchone()[0]


def many(threads, requests):
    """Numbers of backends, as seen by threads that serve requests one after another."""
    pids, errors = [], []

    def serve():
        try:
            for _ in range(requests):
                pids.append(request(backend))
                request(lambda: Row.objects.create(number=1))
        except Exception as error:
            errors.append(repr(error))
        finally:
            connections.close_all()

    serving = [threading.Thread(target=serve) for _ in range(threads)]
    for thread in serving:
        thread.start()
    for thread in serving:
        thread.join(50)
    return pids, errors


def rolled_back():
    """Whether a transaction that fails leaves nothing."""
    before = Row.objects.count()
    try:
        with transaction.atomic():
            Row.objects.create(number=-1)
            raise KeyError
    except KeyError:
        pass
    return Row.objects.count() == before


def timezone():
    """The time zone of a pooled session."""
    with connection.cursor() as cursor:
        cursor.execute("show timezone")
        return cursor.fetchone()[0]


def survives():
    """Whether a request is served after the sessions of all idle connections were ended."""
    import psycopg

    with psycopg.connect(f"host=127.0.0.1 port={DSN_PORT} user=postgres dbname=postgres", autocommit=True) as other:
        other.execute(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity where pid <> pg_backend_pid() "
            "and backend_type = 'client backend'"
        )
    return request(backend) > 0


def in_child():
    """Whether a forked child is served, by connections of its own."""
    mine = {conn.info.backend_pid for conn in connection.pool._pool}
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, json.dumps(request(backend)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    said = os.read(reader, 100)
    os.waitpid(child, 0)
    return bool(said) and json.loads(said) not in mine and request(backend) in mine | {request(backend)}


with connection.schema_editor() as editor:
    editor.create_model(Row)
connections.close_all()
pids, errors = many(threads=16, requests=4)
shown = {
    "errors": errors,
    "requests": len(pids),
    "backends": len(set(pids)),
    "rows": request(Row.objects.count),
    "rolled_back": request(rolled_back),
    "timezone": request(timezone),
    "survives": survives(),
    "in_child": MODEL != "threads" or in_child(),
    "vendor": connection.vendor,
    "pool": [connection.pool.name, connection.pool.max_size, type(connection.pool).__module__],
    "leased": connection.pool.stats().leased,
}
connection.close_pool()
print(json.dumps(shown))
