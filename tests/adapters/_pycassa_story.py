"""One program for pycassa under Python 2.7 and for the adapter under Python 3, and the events that it tells.

    python _pycassa_story.py HOST:PORT [MODULE [ACT ...]]

Prints, as JSON, a list: for each act its name, what it came to, and the events [name, level, what it says].
"""

import importlib
import json
import sys
import threading

EVENTS = (
    "connection_created",
    "connection_checked_out",
    "connection_checked_in",
    "connection_disposed",
    "connection_recycled",
    "connection_failed",
    "obtained_server_list",
    "pool_disposed",
    "pool_at_max",
)


class Listener:
    """Has a method for each event."""


class Stage:
    """The library, a server, and the events of the present act."""

    def __init__(self, server, pools, types):
        self.server = server
        self.pools = pools
        self.types = types
        self.events = []
        self.pool = None

    def make(self, **arguments):
        """The act's pool, of which all events are noted."""
        listener = Listener()  # not a dict: pycassa 1.11.2 fails on one, though it documents them
        for name in EVENTS:
            setattr(listener, name, self.noting(name))
        arguments.setdefault("timeout", 10)
        arguments.setdefault("server_list", [self.server])
        self.pool = self.pools.ConnectionPool("Keyspace1", listeners=[listener], logging_name="story", **arguments)
        return self.pool

    def noting(self, name):
        def note(dic):
            said = {}
            for key, value in dic.items():
                if key == "message":
                    said[key] = value.replace(str(id(self.pool)), "ID")
                elif key == "error":
                    said[key] = type(value).__name__
                elif key in ("connection", "old_conn", "new_conn"):
                    said[key] = None if value is None else value.server == self.server
                elif key == "server_list":
                    said[key] = value == [self.server]
                elif key == "server":
                    said[key] = value == self.server
                else:
                    said[key] = value
            self.events.append([name, said.pop("level"), said])

        return note

    def insert(self, connection, key, **options):
        """Insert through a connection, or the pool."""
        t = self.types
        column = t.Column(name=b"c", value=b"v", timestamp=1)
        arguments = (key, t.ColumnParent(column_family="Standard1"), column, t.ConsistencyLevel.ONE)
        if hasattr(connection, "execute"):
            return connection.execute("insert", *arguments, **options)
        return connection.insert(*arguments, **options)

    def add(self, key):
        t = self.types
        column = t.CounterColumn(name=b"c", value=1)
        return self.pool.execute(
            "add", key, t.ColumnParent(column_family="Standard1"), column, t.ConsistencyLevel.ONE, allow_retries=False
        )


def prefilled(stage):
    pool = stage.make(pool_size=3)
    return [pool.size(), pool.checkedin(), pool.checkedout(), pool.overflow()]


def overflowing(stage):
    pool = stage.make(pool_size=2, max_overflow=2, pool_timeout=0.1, use_threadlocal=False)
    held = [pool.get() for _ in range(4)]
    numbers = [pool.checkedin(), pool.checkedout(), pool.overflow()]
    try:
        pool.get()
    except stage.pools.NoConnectionAvailable as error:
        numbers.append(str(error)[:92])
    for connection in held:
        connection.return_to_pool()
    try:
        held[0].return_to_pool()
    except stage.pools.InvalidRequestError as error:
        numbers.append(str(error))
    held[3].return_to_pool()
    numbers += [pool.checkedin(), pool.checkedout(), pool.overflow()]
    return numbers


def one_thread(stage):
    pool = stage.make(pool_size=2, max_overflow=1)
    held = [pool.get() for _ in range(3)]
    for connection in held:
        pool.return_conn(connection)
    return [held[0] is held[1], held[1] is held[2], pool.checkedin(), pool.checkedout()]


def two_threads(stage):
    pool = stage.make(pool_size=2)
    mine = pool.get()
    theirs = []

    def work():
        connection = pool.get()
        theirs.append(connection)
        connection.return_to_pool()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    mine.return_to_pool()
    return [mine is theirs[0], pool.checkedin()]


def retried(stage):
    pool = stage.make(pool_size=1, max_retries=3)
    stage.insert(pool, b"time-out:2:a")
    stage.insert(pool, b"unavailable:1:b")
    stage.insert(pool, b"hang-up:1:c")
    stage.insert(pool, b"good")
    return [pool.checkedin(), pool.checkedout()]


def too_often(stage):
    pool = stage.make(pool_size=1, max_retries=2)
    try:
        stage.insert(pool, b"time-out:9:d")
    except stage.pools.MaximumRetryException as error:
        said = str(error)[:50]
    stage.insert(pool, b"good")
    return [said, pool.checkedout()]


def not_retried(stage):
    pool = stage.make(pool_size=1)
    said = []
    for attempt in (
        lambda: stage.add(b"time-out:1:e"),
        lambda: stage.insert(pool, b"time-out:1:f", allow_retries=False),
    ):
        try:
            attempt()
        except stage.pools.MaximumRetryException as error:
            said.append(str(error)[:50])
    stage.insert(pool, b"good")
    return said


def refused_by_the_application(stage):
    pool = stage.make(pool_size=1)
    said = []
    for key in (b"invalid:1:g", b"broken:1:h"):
        try:
            stage.insert(pool, key)
        except Exception as error:
            said.append(type(error).__name__)
    stage.insert(pool, b"good")
    return said


def recycled(stage):
    pool = stage.make(pool_size=1, recycle=1)
    for _ in range(4):
        stage.insert(pool, b"good")
    return [pool.checkedin(), pool.checkedout()]


def closed_by_its_holder(stage):
    pool = stage.make(pool_size=1, prefill=False, use_threadlocal=False)
    connection = pool.get()
    connection.close()
    connection.return_to_pool()
    return []


def disposed(stage):
    pool = stage.make(pool_size=2, prefill=False)
    pool.fill()
    held = pool.get()
    pool.dispose()
    numbers = [pool.checkedin(), pool.checkedout()]
    held.return_to_pool()
    numbers.append(pool.checkedin())
    pool.set_server_list([stage.server])
    pool.dispose()
    numbers.append(pool.checkedin())
    return numbers


ACTS = (
    prefilled,
    overflowing,
    one_thread,
    two_threads,
    retried,
    too_often,
    not_retried,
    refused_by_the_application,
    recycled,
    closed_by_its_holder,
    disposed,
)


def play(server, pools, types, names=()):
    """The story of these acts, by default of all."""
    story = []
    for act in [act for act in ACTS if not names or act.__name__ in names]:
        stage = Stage(server, pools, types)
        outcome = act(stage)
        stage.pool.dispose()
        story.append([act.__name__, outcome, stage.events])
    return story


if __name__ == "__main__":
    name = sys.argv[2] if len(sys.argv) > 2 else "pycassa"
    if name == "pycassa":
        pools, types = importlib.import_module("pycassa.pool"), importlib.import_module("pycassa.cassandra.ttypes")
    else:
        pools, types = importlib.import_module(name), importlib.import_module(name + ".ttypes")
    sys.stdout.write(json.dumps(play(sys.argv[1], pools, types, sys.argv[3:])))
