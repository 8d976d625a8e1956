"""A happybase pool that authenticates itself: SASL, by a transport factory.

python examples/hbase_sasl.py HOST PORT USER PASSWORD
"""

import sys
from typing import Any

from thriftpy2.transport import TSaslClientTransport

import fastpool


class Plain:
    """SASL's mechanism PLAIN (RFC 4616), as thriftpy2 wants a SASL client to be.

    HBase itself wants GSSAPI (Kerberos): give TSaslClientTransport a client of a SASL library then, and "GSSAPI".
    """

    def __init__(self, user: str, password: str) -> None:
        self._response = b"\0".join([b"", user.encode(), password.encode()])

    def start(self, mechanism: str) -> tuple[bool, str, bytes]:
        return True, mechanism, self._response

    def step(self, challenge: bytes) -> tuple[bool, bytes]:
        return False, b""  # PLAIN says all there is to say at the start

    def encode(self, data: bytes) -> tuple[bool, bytes]:
        return True, data  # PLAIN encrypts nothing: that is what ssl_context is for

    def decode(self, data: bytes) -> tuple[bool, bytes]:
        return True, data

    def getError(self) -> str:
        return "PLAIN takes one step"


def open_pool(size: int, user: str, password: str, **options: Any) -> fastpool.ConnectionPool:
    def transport(socket: Any, host: str, port: int) -> Any:
        client = lambda: Plain(user, password)  # noqa: E731
        return TSaslClientTransport(client, "PLAIN", socket)  # type: ignore[no-untyped-call]  # thriftpy2 says nothing

    # The pool's own socket is below: with ssl_context=, the password travels over TLS.
    return fastpool.ConnectionPool(size, transport_factory=transport, **options)


def main(host: str, port: str, user: str, password: str) -> None:
    with open_pool(4, user, password, host=host, port=int(port)) as pool, pool.connection() as connection:
        print(f"{user} sees the tables {connection.tables()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
