"""Common to SMTP and IMAP: the arguments, and what follows from them for one connect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._driver import Driver

if TYPE_CHECKING:
    import ssl


class Mail(Driver[Any]):
    """A driver for mail sessions, with or without TLS and a login."""

    def __init__(
        self,
        host: str,
        port: int | None,
        user: str | None,
        password: str | None,
        tls: bool | str,
        ssl_context: ssl.SSLContext | None,
        timeout: float,
    ) -> None:
        if tls not in (False, True, "starttls"):
            raise ValueError(f"tls must be False, True or 'starttls', not {tls!r}")
        if (user is None) != (password is None):
            raise TypeError("user and password must be given together")
        self.host, self.port = host, port
        self.user, self.password = user, password
        self.tls, self.ssl_context = tls, ssl_context
        self.timeout = timeout

    def place(self, server: Any) -> tuple[str, Any]:
        """Host and port of one connect. TypeError if there is no host."""
        host, port = (self.host, self.port) if server is None else server
        if not host:
            raise TypeError("host must be given, or the pool's servers")
        return host, port

    def limit(self, timeout: float | None) -> float:
        """The time limit of each step of a connect; smtplib and imaplib refuse 0."""
        return self.timeout if timeout is None else max(timeout, 0.001)

    def context(self) -> ssl.SSLContext | None:
        """The context for TLS; None without TLS."""
        import ssl

        return (self.ssl_context or ssl.create_default_context()) if self.tls else None
