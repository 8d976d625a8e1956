"""A happybase pool to a gateway that speaks HTTPS, as HBase's does with ``hbase.thrift.ssl.enabled``.

HBase's gateway has TLS for its HTTP server only (``hbase.regionserver.thrift.http``). happybase knows no HTTP; a
transport factory adds it, over the pool's own TLS, so that the pool notices a server that hung up.

python examples/hbase_https.py HOST PORT [CA.pem]
"""

import ssl
import sys
from typing import Any

from thriftpy2.transport import TTransportException

import fastpool


class Http:
    """A Thrift transport: each call is a POST, all over one connection."""

    def __init__(self, socket: Any, host: str, port: int, path: str = "/") -> None:
        self.socket = socket
        self._head = f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/x-thrift\r\n"
        self._call = b""
        self._raw = b""  # what has come
        self._reply = b""  # the body of the last response, as far as it is not read

    def is_open(self) -> bool:
        return bool(self.socket.is_open())

    def open(self) -> None:
        self.socket.open()

    def close(self) -> None:
        self.socket.close()

    def write(self, data: bytes) -> None:
        self._call += data

    def flush(self) -> None:
        call, self._call = self._call, b""
        self.socket.write(f"{self._head}Content-Length: {len(call)}\r\n\r\n".encode() + call)

    def read(self, size: int) -> bytes:
        """Give ``size`` bytes of the reply."""
        while len(self._reply) < size:
            self._reply += self._response()
        data, self._reply = self._reply[:size], self._reply[size:]
        return data

    def _response(self) -> bytes:
        status, *fields = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        body = self._chunks() if headers.get("transfer-encoding") == "chunked" else self._take(headers)
        if status.split()[1] != "200":
            raise TTransportException(TTransportException.UNKNOWN, f"{status}: {body[:200]!r}")
        return body

    def _take(self, headers: dict[str, str]) -> bytes:
        return self._exactly(int(headers["content-length"]))

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self._until(b"\r\n").partition(b";")[0], 16):
            body += self._exactly(size)
            self._exactly(2)
        self._until(b"\r\n")
        return body

    def _until(self, end: bytes) -> bytes:
        while end not in self._raw:
            self._raw += self.socket.read(65536)
        line, _, self._raw = self._raw.partition(end)
        return line

    def _exactly(self, size: int) -> bytes:
        while len(self._raw) < size:
            self._raw += self.socket.read(65536)
        data, self._raw = self._raw[:size], self._raw[size:]
        return data


def open_pool(size: int, cafile: str | None = None, **options: Any) -> fastpool.ConnectionPool:
    context = ssl.create_default_context(cafile=cafile)
    return fastpool.ConnectionPool(size, ssl_context=context, transport_factory=Http, **options)


def main(host: str, port: str, cafile: str | None = None) -> None:
    with open_pool(4, cafile, host=host, port=int(port)) as pool, pool.connection() as connection:
        print(f"the tables are {connection.tables()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
