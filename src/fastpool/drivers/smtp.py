"""SMTP: sessions of the standard library's smtplib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._driver import Driver
from ._mail import Mail

if TYPE_CHECKING:
    import smtplib
    import ssl

_GOODBYE = 421  # the server's reply with which it ends the session


class SMTP(Mail, Driver["smtplib.SMTP"]):
    """Opens smtplib's sessions with ``host`` and ``port`` (0: the protocol's), or with the pool's ``servers``.

    ``user`` and ``password``: log in. ``tls``: True for TLS from the beginning, ``"starttls"`` for a session that
    becomes encrypted. ``ssl_context``: for either; default: the default context. ``timeout``: seconds that a command
    may take. What else is given goes to ``smtplib.SMTP`` (``local_hostname``, ``source_address``).

    A session is checked by NOOP, and reset by RSET, which ends a message that was left unfinished. The server's refusal
    of a recipient, a sender or a message costs no session. ValueError for another ``tls``.
    """

    def __init__(
        self,
        host: str = "",
        port: int = 0,
        user: str | None = None,
        password: str | None = None,
        *,
        tls: bool | str = False,
        ssl_context: ssl.SSLContext | None = None,
        timeout: float = 30.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(host, port, user, password, tls, ssl_context, timeout)
        self.kwargs = kwargs

    def connect(self, server: Any, timeout: float | None) -> smtplib.SMTP:
        """Connect, and log in; ``timeout`` limits each step of this, the driver's own what comes after."""
        import smtplib

        (host, port), limit, context = self.place(server), self.limit(timeout), self.context()
        if self.tls is True:
            c: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=limit, context=context, **self.kwargs)
        else:
            c = smtplib.SMTP(host, port, timeout=limit, **self.kwargs)
        try:
            if self.tls == "starttls":
                c.starttls(context=context)
            if self.user is not None and self.password is not None:
                c.login(self.user, self.password)
            _socket_of(c).settimeout(self.timeout)
        except BaseException:
            c.close()
            raise
        return c

    def close(self, c: smtplib.SMTP) -> None:
        """Say QUIT, and close; without a word where the server has gone."""
        import smtplib

        try:
            c.quit()
        except (smtplib.SMTPException, OSError):
            c.close()

    def check(self, c: smtplib.SMTP, timeout: float | None) -> bool:
        """Send NOOP, and wait for ``timeout`` at most."""
        sock = _socket_of(c)
        sock.settimeout(self.timeout if timeout is None else timeout)
        well = c.noop()[0] == 250
        sock.settimeout(self.timeout)
        return well

    def reset(self, c: smtplib.SMTP) -> None:
        """Send RSET. SMTPResponseException if the server refuses it."""
        import smtplib

        code, text = c.rset()
        if code != 250:
            raise smtplib.SMTPResponseException(code, text)

    def usable(self, c: smtplib.SMTP, exc: BaseException) -> bool:
        """After the server's refusals, unless it has ended the session with them."""
        import smtplib

        refusals = (smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused, smtplib.SMTPDataError)
        return c.sock is not None and isinstance(exc, refusals) and getattr(exc, "smtp_code", None) != _GOODBYE

    def blames_server(self, error: Exception) -> bool:
        """Say no for wrong credentials and arguments."""
        import smtplib

        return not isinstance(error, (TypeError, ValueError, smtplib.SMTPAuthenticationError))

    def fileno(self, c: smtplib.SMTP) -> int:
        """The socket's descriptor; raises if it is closed."""
        return int(_socket_of(c).fileno())


def _socket_of(c: smtplib.SMTP) -> Any:
    if c.sock is None:
        raise ValueError("this SMTP session was closed")
    return c.sock
