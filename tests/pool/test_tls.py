"""TLS 1.3: data that a server sends after its handshake waits unread on connections opened in advance, and does not
prove that they are out of step; a close_notify is noticed all the same."""

from __future__ import annotations

import os
import queue
import socket
import ssl
import threading
import time

import pytest

from fastpool import Pool
from tests.pool.fake_driver import PATIENCE, balanced

trustme = pytest.importorskip("trustme")


class Server:
    """Accepts TLS connections, and keeps its ends in `ends`, in the order of the connects."""

    def __init__(self, version=ssl.TLSVersion.TLSv1_3):
        authority = trustme.CA()
        self.mine = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.mine.minimum_version = self.mine.maximum_version = version
        authority.issue_cert("localhost").configure_cert(self.mine)
        self.theirs = ssl.create_default_context()
        authority.configure_trust(self.theirs)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.came = queue.Queue()
        self.ends, self.opened = [], []
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while True:
            end, _ = self.socket.accept()
            try:
                self.came.put(self.mine.wrap_socket(end, server_side=True))
            except (OSError, ssl.SSLError):
                end.close()
                return

    def connect(self):
        c = self.theirs.wrap_socket(socket.create_connection(self.socket.getsockname()), server_hostname="localhost")
        self.opened.append(c)
        end = self.came.get(timeout=PATIENCE)  # the tickets are sent by now
        self.ends.append(end)
        return c

    def stop(self):
        socket.create_connection(self.socket.getsockname()).close()
        self.thread.join(PATIENCE)
        for one in (self.socket, *self.ends, *self.opened):
            one.close()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def old_server():
    server = Server(ssl.TLSVersion.TLSv1_2)
    yield server
    server.stop()


def waits(c, more_than=0):
    """Wait until more than that many bytes have come, and return them, unread: they are looked at below TLS."""
    with socket.socket(fileno=os.dup(c.fileno())) as below:
        below.setblocking(True)
        below.settimeout(PATIENCE)
        end = time.monotonic() + PATIENCE
        while len(seen := below.recv(65536, socket.MSG_PEEK)) <= more_than:
            assert time.monotonic() < end, "nothing more comes"
        return seen


def ask(c, end):
    c.sendall(b"ping")
    assert end.recv(4) == b"ping"
    end.sendall(b"pong")
    assert c.recv(4) == b"pong"


def use(pool, server):
    with pool.connection() as c:
        ask(c, server.ends[server.opened.index(c)])
        return c


def test_connections_opened_ahead_are_handed_out_although_tickets_wait(server, clock):
    pool = Pool(server.connect, max_size=2)
    assert pool.warm(2) == 2
    assert all(waits(c)[:3] == b"\x17\x03\x03" for c in server.opened)
    for _ in range(3):  # the first use reads the tickets
        clock.advance(1)
        with pool.connection() as one, pool.connection() as other:
            for c in (one, other):
                ask(c, server.ends[server.opened.index(c)])
    assert len(server.opened) == 2
    stats = balanced(pool)
    assert stats.closed["desync"] == stats.closed["dead"] == 0
    pool.close()


def test_the_keeper_leaves_them_open(server, clock):
    pool = Pool(server.connect, max_size=2, min_size=2, keepalive=10)
    for _ in range(5):
        clock.advance(11)
    assert len(server.opened) == 2 and len(pool) == 2
    pool.close()


@pytest.mark.parametrize("fit", [True, False])
def test_a_check_decides(server, clock, fit):
    asked = []

    def check(c):
        asked.append(c)
        return fit or len(asked) > 1

    pool = Pool(server.connect, check=check, max_size=1)
    pool.warm()
    waits(server.opened[0])
    clock.advance(1)
    use(pool, server)
    assert asked == server.opened[:1]
    assert balanced(pool).closed["dead"] == (not fit) and pool.stats().closed["desync"] == 0
    pool.close()


def says_goodbye(end):
    end.setblocking(False)
    with pytest.raises(ssl.SSLWantReadError):
        end.unwrap()  # the client does not answer


def hangs_up(end):
    end.close()


def only_ends(end):
    end.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("check", [None, lambda c: True], ids=["alone", "with check"])
@pytest.mark.parametrize("leaves", [says_goodbye, hangs_up, only_ends])
def test_a_close_notify_behind_the_tickets_is_noticed(server, clock, leaves, check):
    pool = Pool(server.connect, max_size=1, check=check)
    pool.warm()
    first = server.opened[0]
    tickets = waits(first)
    leaves(server.ends[0])
    if leaves is says_goodbye:
        waits(first, more_than=len(tickets))
    clock.advance(1)
    assert use(pool, server) is server.opened[1]
    assert balanced(pool).closed["dead"] == 1 and pool.stats().closed["desync"] == 0
    pool.close()


def test_a_plain_alert_closes_the_connection(old_server, clock):
    """A close_notify of TLS 1.2, whose tickets come within the handshake."""
    pool = Pool(old_server.connect, max_size=1)
    pool.warm()
    says_goodbye(old_server.ends[0])
    assert waits(old_server.opened[0])[:1] == b"\x15"
    clock.advance(1)
    assert use(pool, old_server) is old_server.opened[1]
    assert balanced(pool).closed["dead"] == 1
    pool.close()


def test_after_the_first_lease_what_waits_is_out_of_step(server, clock):
    pool = Pool(server.connect, max_size=1)
    first = use(pool, server)
    server.ends[0].sendall(b"a late reply")
    waits(first)
    clock.advance(1)
    assert use(pool, server) is server.opened[1]
    assert balanced(pool).closed["desync"] == 1
    pool.close()


@pytest.mark.parametrize(
    "said",
    [
        b"\x17",
        b"hello",
        b"\x17\x03\x05\x00\x40",
        b"\x13\x03\x03\x00\x40",
        b"\x17\x03\x03\xff\xff",
        b"\x17\x03\x03\x00\x01.hello",
    ],
)
def test_what_is_no_record_of_tls_is_out_of_step_from_the_beginning(clock, said):
    ends = [socket.socketpair(), socket.socketpair()]
    left = iter(ends)
    pool = Pool(lambda: next(left)[0], max_size=1)
    pool.warm()
    ends[0][1].sendall(said)
    clock.advance(1)
    with pool.connection() as c:
        assert c is ends[1][0]
    assert balanced(pool).closed["desync"] == 1
    pool.close()
    for _, far in ends:
        far.close()


@pytest.mark.parametrize("said", [b"\x17\x03\x03", b"\x17\x03\x03\x00\xff.", b"\x17\x03\x03\x00\x01.\x17\x03\x03\x00"])
def test_the_rest_of_a_record_may_be_on_its_way(clock, said):
    near, far = socket.socketpair()
    pool = Pool(lambda: near, max_size=1)
    pool.warm()
    far.sendall(said)
    clock.advance(1)
    with pool.connection() as c:
        assert c is near
    assert balanced(pool).closed["desync"] == 0
    pool.close()
    far.close()
