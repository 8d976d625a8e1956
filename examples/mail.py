"""Pooling smtplib's and imaplib's connections: both protocols have a NOOP to check with, and a way to reset a session.

python examples/mail.py 127.0.0.1:8025 127.0.0.1:8143 user secret
"""

import imaplib
import smtplib
import sys
from email.message import EmailMessage
from typing import Any

import fastpool


def open_smtp(server: str) -> fastpool.Pool[smtplib.SMTP]:
    """A pool for sending. A mail server hangs up on silent clients after some minutes; the driver's NOOP notices it."""
    return fastpool.Pool(
        driver=fastpool.drivers.SMTP(),
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
    driver = fastpool.drivers.IMAP(user=user, password=password)
    return fastpool.Pool(driver=driver, servers=[server], max_size=2, keepalive=60, **options)


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
