"""IMAP: sessions of the standard library's imaplib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._driver import Driver
from ._mail import Mail

if TYPE_CHECKING:
    import imaplib
    import ssl


class IMAP(Mail, Driver["imaplib.IMAP4"]):
    """Opens imaplib's sessions with ``host`` and ``port`` (None: the protocol's), or with the pool's ``servers``.

    ``user`` and ``password``: log in, once per session. ``tls``: True for TLS from the beginning, ``"starttls"`` for a
    session that becomes encrypted. ``ssl_context``: for either; default: the default context. ``timeout``: seconds that
    a command may take.

    A session is checked by NOOP. One that has selected a mailbox leaves it when it comes back: by UNSELECT where the
    server has that, else by CLOSE, which expunges unless it was selected ``readonly``. An error costs the session: its
    state is not known.
    """

    def __init__(
        self,
        host: str = "",
        port: int | None = None,
        user: str | None = None,
        password: str | None = None,
        *,
        tls: bool | str = False,
        ssl_context: ssl.SSLContext | None = None,
        timeout: float = 30.0,
    ) -> None:
        super().__init__(host, port, user, password, tls, ssl_context, timeout)

    def connect(self, server: Any, timeout: float | None) -> imaplib.IMAP4:
        """Connect, and log in; ``timeout`` limits each step of this, the driver's own what comes after."""
        import imaplib

        (host, port), limit, context = self.place(server), self.limit(timeout), self.context()
        if self.tls is True:
            c: imaplib.IMAP4 = imaplib.IMAP4_SSL(host, port or 993, ssl_context=context, timeout=limit)
        else:
            c = imaplib.IMAP4(host, port or 143, timeout=limit)
        try:
            if self.tls == "starttls":
                c.starttls(ssl_context=context)
            if self.user is not None and self.password is not None:
                c.login(self.user, self.password)
            c.sock.settimeout(self.timeout)
        except BaseException:
            _drop(c)
            raise
        return c

    def close(self, c: imaplib.IMAP4) -> None:
        """Say LOGOUT, and close; without a word where the server has gone."""
        import imaplib

        try:
            c.logout()
        except (imaplib.IMAP4.error, OSError):
            _drop(c)

    def check(self, c: imaplib.IMAP4, timeout: float | None) -> bool:
        """Send NOOP, and wait for ``timeout`` at most."""
        c.sock.settimeout(self.timeout if timeout is None else timeout)
        well = c.noop()[0] == "OK"
        c.sock.settimeout(self.timeout)
        return well

    def reset(self, c: imaplib.IMAP4) -> None:
        """Leave the mailbox, so that the next holder begins without one, as after the login."""
        if c.state == "SELECTED":
            if "UNSELECT" in c.capabilities:
                c.unselect()
            else:
                c.close()

    def blames_server(self, error: Exception) -> bool:
        """Say no for a refused login (imaplib's own error, but for a lost connection) and for wrong arguments."""
        import imaplib

        refused = isinstance(error, imaplib.IMAP4.error) and not isinstance(error, imaplib.IMAP4.abort)
        return not refused and not isinstance(error, (TypeError, ValueError))

    def fileno(self, c: imaplib.IMAP4) -> int:
        """The socket's descriptor; raises if it is closed."""
        return int(c.sock.fileno())


def _drop(c: imaplib.IMAP4) -> None:
    """Close the socket without a word."""
    try:
        c.shutdown()
    except OSError:
        pass  # a TLS handshake that failed has closed it
