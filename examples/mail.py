"""Pooling smtplib's and imaplib's connections: both protocols have a NOOP to check with, and a way to reset a session.

python examples/mail.py 127.0.0.1:8025 127.0.0.1:8143 user secret
"""

import imaplib
import smtplib
import socket
import sys
from email.message import EmailMessage
from typing import Any

import fastpool

Address = tuple[str, int]


def socket_of(connection: smtplib.SMTP) -> socket.socket:
    """The socket; raises for a connection that has been closed, so that the pool replaces it."""
    if connection.sock is None:
        raise smtplib.SMTPServerDisconnected("closed")
    return connection.sock


def open_smtp(server: str) -> fastpool.Pool[smtplib.SMTP]:
    """A pool for sending. A mail server hangs up on clients that are silent for some minutes; `check` notices that
    first."""

    def connect(server: Address, timeout: float | None = None) -> smtplib.SMTP:
        host, port = server
        connection = smtplib.SMTP(host, port, timeout=timeout or 30)
        socket_of(connection).settimeout(30)
        return connection

    return fastpool.Pool(
        connect,
        close=smtplib.SMTP.quit,
        check=lambda connection: connection.noop()[0] == 250,
        reset=lambda connection: connection.rset(),  # ends a message that the last user left unfinished
        fileno=lambda connection: socket_of(connection).fileno(),
        keep_on=(smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused, smtplib.SMTPDataError),
        servers=[server],
        max_size=2,
        check_after=10,  # servers answer NOOP at once, but it is a round trip: so at most once in this time
        max_uses=100,  # many servers allow no more mails on one connection
    )


def send(pool: fastpool.Pool[smtplib.SMTP], to: str, subject: str, text: str) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "fastpool@example.org", to, subject
    message.set_content(text)
    with pool.connection() as connection:
        connection.send_message(message)


def open_imap(server: str, user: str, password: str, **options: Any) -> fastpool.Pool[imaplib.IMAP4]:
    """A pool for reading. Logging in is slow, so it is done once per connection."""

    def connect(server: Address, timeout: float | None = None) -> imaplib.IMAP4:
        host, port = server
        connection = imaplib.IMAP4(host, port, timeout=timeout)
        try:
            connection.sock.settimeout(30)
            connection.login(user, password)
        except BaseException:
            connection.shutdown()  # the pool does not have this connection yet, so it must be closed here
            raise
        return connection

    def reset(connection: imaplib.IMAP4) -> None:
        if connection.state == "SELECTED":
            connection.close()  # the next user begins without a mailbox, as after the login

    def close(connection: imaplib.IMAP4) -> None:
        try:
            connection.logout()
        except (imaplib.IMAP4.error, OSError):
            connection.shutdown()  # the server was gone already; the socket is still to be closed

    return fastpool.Pool(
        connect,
        close=close,
        check=lambda connection: connection.noop()[0] == "OK",
        reset=reset,
        fileno=lambda connection: connection.sock.fileno(),
        servers=[server],
        max_size=2,
        keepalive=60,  # IMAP servers end a silent session after some minutes
        **options,
    )


def count_messages(pool: fastpool.Pool[imaplib.IMAP4], mailbox: str = "INBOX") -> int:
    with pool.connection() as connection:
        status, found = connection.select(mailbox, readonly=True)
        if status != "OK":
            raise LookupError(f"no mailbox {mailbox!r}")
        return int(found[0] or 0)


def main(smtp: str, imap: str, user: str, password: str) -> None:
    with open_smtp(smtp) as sending, open_imap(imap, user, password) as reading:
        for number in range(3):
            send(sending, f"{user}@example.org", f"Number {number}", "Sent through a pool.")
        print(f"{sending.stats().connects} connection(s) sent 3 mails")
        print(f"{count_messages(reading)} message(s) in INBOX")


if __name__ == "__main__":
    main(*sys.argv[1:])
