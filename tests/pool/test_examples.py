"""Each example, run against a server: it does what it shows."""

import imaplib
import importlib.util
import select
import smtplib
import socket
import threading
from pathlib import Path

import pytest

import fastpool
from tests.pool.real_servers import bound
from tests.pool.small_servers import Imap, Smtp, commands, http_server, line_server

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
pytestmark = pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the tests run without the checkout around them")


def example(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- http.client


def test_http_one_connection_serves_many_requests(capsys):
    with http_server() as server:
        example("http_client").main("/index", server.address)
        assert len({port for port, _ in server.saw}) == 1
        assert len(server.saw) == 4
        assert capsys.readouterr().out.splitlines()[:4] == [f"/index from {server.address}"] * 4


def test_http_an_answer_of_not_found_keeps_the_connection():
    http = example("http_client")
    with http_server() as server, http.open_pool([server.address]) as pool:
        http.get(pool, "/a")
        with pytest.raises(http.NotFound):
            http.get(pool, "/none")
        http.get(pool, "/b")
        assert pool.stats().connects == 1


def test_http_another_exception_costs_the_connection():
    http = example("http_client")
    with http_server() as server, http.open_pool([server.address]) as pool:
        with pytest.raises(ZeroDivisionError), pool.connection() as connection:
            connection.request("GET", "/never-read")
            raise ZeroDivisionError
        assert http.get(pool, "/b") == f"/b from {server.address}"
        assert (pool.stats().connects, pool.stats().closed["error"]) == (2, 1)


def test_http_a_server_that_hung_up_is_found_out_before_the_next_request():
    http = example("http_client")
    with http_server() as server, http.open_pool([server.address], check_after=0) as pool:
        assert http.get(pool, "/last") == f"/last from {server.address}"
        assert http.get(pool, "/next") == f"/next from {server.address}"
        assert (pool.stats().connects, pool.stats().closed["dead"]) == (2, 1)


def test_http_servers_take_turns_and_stand_in_for_each_other():
    http = example("http_client")
    with http_server() as one, http_server() as two, socket.socket() as deaf:
        servers = [one.address, "{}:{}".format(*bound(deaf)), two.address]
        with http.open_pool(servers, backoff=(60, 60)) as pool:
            held = [pool.checkout() for _ in range(4)]
            ports = sorted(connection.port for connection in held)
            for connection in held:
                pool.checkin(connection)
            assert ports == sorted([one.server_address[1], two.server_address[1]] * 2)
            assert set(pool.connector.states()) == {deaf.getsockname()}


def test_http_when_no_server_listens():
    http = example("http_client")
    with socket.socket() as one, socket.socket() as two:
        with http.open_pool(["{}:{}".format(*bound(deaf)) for deaf in (one, two)]) as pool:
            with pytest.raises(fastpool.AllServersUnavailable) as caught:
                http.get(pool, "/")
            assert isinstance(caught.value.__cause__, ConnectionRefusedError)


# ---- mail


def test_mail(capsys):
    mail = example("mail")
    with line_server(Smtp) as smtp, line_server(Imap) as imap:
        mail.main(smtp.address, imap.address, "user", "secret")
        assert capsys.readouterr().out.splitlines() == ["1 connection(s) sent 3 mails", "3 message(s) in INBOX"]
        assert [text.count("Sent through a pool.") for text in smtp.mails] == [1, 1, 1]
        assert commands(smtp).count("RSET") == 3
        assert commands(smtp)[-1] == "QUIT"
        assert commands(imap).count("LOGIN") == 1
        assert commands(imap)[-3:] == ["EXAMINE", "CLOSE", "LOGOUT"]


def test_mail_a_refused_recipient_keeps_the_connection():
    mail = example("mail")
    with line_server(Smtp) as smtp, mail.open_smtp(smtp.address) as pool:
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            mail.send(pool, "nobody@example.org", "?", "?")
        mail.send(pool, "somebody@example.org", "!", "!")
        assert (pool.stats().connects, len(smtp.mails)) == (1, 1)


def test_mail_a_server_that_hung_up_is_found_out_before_the_next_command():
    mail = example("mail")
    with line_server(Imap) as imap, mail.open_imap(imap.address, "user", "secret", check_after=0) as pool:
        assert mail.count_messages(pool) == 3
        with pool.connection() as connection:
            idle = connection.socket()
        imap.clients[-1].shutdown(socket.SHUT_RDWR)
        assert select.select([idle], [], [], 10)[0]
        assert mail.count_messages(pool) == 3
        assert (pool.stats().connects, pool.stats().closed["dead"]) == (2, 1)


def test_mail_a_block_that_fails_costs_the_connection():
    mail = example("mail")
    with line_server(Imap) as imap, mail.open_imap(imap.address, "user", "secret") as pool:
        with pytest.raises(LookupError):
            mail.count_messages(pool, "Elsewhere")
        assert mail.count_messages(pool) == 3
        assert (pool.stats().connects, pool.stats().closed["error"]) == (2, 1)


def test_mail_a_failed_login_is_what_the_caller_sees():
    mail = example("mail")
    with line_server(Imap) as imap, mail.open_imap(imap.address, "user", "wrong") as pool:
        with pytest.raises(imaplib.IMAP4.error, match="never"):
            mail.count_messages(pool)
        assert len(pool) == 0


# ---- sqlite3


def test_sqlite(tmp_path, capsys):
    sqlite = example("sqlite")
    sqlite.main(str(tmp_path / "people.db"))
    people, shared = capsys.readouterr().out.splitlines()
    assert people == ", ".join(f"person {number}" for number in range(8))
    assert shared.startswith("8 threads shared ")


def test_sqlite_what_was_not_committed_is_rolled_back_before_the_next_user(tmp_path):
    sqlite = example("sqlite")
    sqlite.main(str(tmp_path / "people.db"))
    with sqlite.open_pool(str(tmp_path / "people.db")) as pool:
        with pool.connection() as connection:
            connection.execute("DELETE FROM people")
        assert len(sqlite.names(pool)) == 8
        with pytest.raises(sqlite.sqlite3.IntegrityError):
            sqlite.add(pool, "person 3")
        assert len(sqlite.names(pool)) == 8
        assert pool.stats().connects == 1


def test_sqlite_connections_pass_between_threads(tmp_path):
    sqlite = example("sqlite")
    sqlite.main(str(tmp_path / "people.db"))
    with sqlite.open_pool(str(tmp_path / "people.db")) as pool:
        sqlite.names(pool)
        thread = threading.Thread(target=sqlite.add, args=(pool, "someone"))
        thread.start()
        thread.join(10)
        assert "someone" in sqlite.names(pool)
        assert pool.stats().connects == 1
