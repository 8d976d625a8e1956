"""Settings with a pool. `FASTPOOL_TEST_HBASE` is the port of a server with the rows of `_rows.serve`."""

import os
import signal

import fastpool

if hasattr(signal, "alarm"):
    signal.alarm(120)  # whatever becomes of the test: no server of it outlives this

HBASE = fastpool.ConnectionPool(
    3,
    name="shop",
    open=False,  # connections are opened by the first requests, in each process its own
    host="127.0.0.1",
    port=int(os.environ["FASTPOOL_TEST_HBASE"]),
    timeout=10_000,
    checkout_timeout=15,
)

ALLOWED_HOSTS = ["127.0.0.1"]
DEBUG = True
ROOT_URLCONF = "shop.urls"
SECRET_KEY = "a test's"
WSGI_APPLICATION = "shop.wsgi.application"
