"""Every backend under one concurrency model, run as a process of its own.

Many workers share few connections, then the reaper closes the old ones.
"""

import os
import subprocess
import sys

model = sys.argv[1]
if model == "gevent patched":
    import gevent.monkey

    gevent.monkey.patch_all()
if model == "eventlet patched":
    import eventlet

    eventlet.monkey_patch()

from fastpool.adapters.socketpool import ConnectionPool, TcpConnector  # noqa: E402

WORKERS, TURNS, SIZE = 6, 5, 2

# The server is in a process of its own: it must answer while a connection that is not green blocks all greenlets here.
SERVER = """
import socket, sys, threading
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
def serve(one):
    while data := one.recv(1000):
        one.sendall(data)
def accept():
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
threading.Thread(target=accept, daemon=True).start()
threading.Timer(60, lambda: __import__("os")._exit(1)).start()
sys.stdin.read()
__import__("os")._exit(0)
"""


def together(work):
    """Run `work(number)` in as many workers of this concurrency model, and wait for them."""
    if model.startswith("gevent"):
        import gevent

        gevent.joinall([gevent.spawn(work, number) for number in range(WORKERS)], timeout=30, raise_error=True)
    elif model.startswith("eventlet"):
        import eventlet

        with eventlet.Timeout(30):
            for one in [eventlet.spawn(work, number) for number in range(WORKERS)]:
                one.wait()
    else:
        import threading

        threads = [threading.Thread(target=work, args=(number,)) for number in range(WORKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)


def sleep(seconds):
    if model.startswith("gevent"):
        __import__("gevent").sleep(seconds)
    elif model.startswith("eventlet"):
        __import__("eventlet").sleep(seconds)
    else:
        __import__("time").sleep(seconds)


def main(backend, port):
    served, most, all_waited = [], [], []
    options = {"host": "127.0.0.1", "port": port}
    pool = ConnectionPool(TcpConnector, options=options, max_size=SIZE, backend=backend, timeout=20, reap_delay=0.05)

    def work(number):
        for turn in range(TURNS):
            said = f"{number}.{turn}".encode()
            with pool.connection() as c:
                while not all_waited and pool.stats().waiting < WORKERS - SIZE:
                    sleep(0.005)  # the first two hold theirs until all others are in line; `together` bounds it
                all_waited.append(number)
                most.append(len(pool))
                c.sendall(said)
                if c.recv() == said:
                    served.append(said)

    together(work)
    assert len(set(served)) == WORKERS * TURNS, served
    assert max(most) <= SIZE, most
    assert pool.size == len(pool) and pool.stats().connects <= SIZE, pool
    c = pool.get()
    c._life -= 1000
    assert pool.too_old(c)
    idle = pool.get()
    pool.release_connection(idle)
    idle._life -= 1000
    for _ in range(400):
        if pool.size == 0:
            break
        sleep(0.05)
    assert pool.size == 0, "the reaper does not come"
    reaper = pool._reaper
    pool.release_connection(c)
    pool.close()
    for _ in range(400):
        if not reaper.running:
            break
        sleep(0.05)
    assert not reaper.running and len(pool) == 0


server = subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
try:
    port = int(server.stdout.readline())
    for backend in ("thread", "eventlet", "gevent"):
        main(backend, port)
    print("well")
finally:
    server.stdin.close()
    server.wait(20)
sys.stdout.flush()
os._exit(0)
